/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pure: which of the keys in a header this node uses, before anybody can say whether the header is what was enrolled.
 *
 * What is on the node's list counts, in its order: a token that somebody added is never asked for, and one that is missing is
 * an old header, since nobody takes one out without the volume key (the manifest) and the list. An enrolment writes the header
 * first and the list last, so that an interrupted one leaves a token that is not used; taking a key out goes the other way.
 * A rotation (rotate.c) does both, so that two versions of a key may be there: the list's is the one whose public key and, where
 * that is the same, generation it has. */

#include "trust.h"

struct wrap_choice {
        unsigned at[DISK_WRAPS_MAX];       /* in disk_reply.wraps */
        unsigned n;
};

/* Pure. t: NULL: the volume is not on the list, and its tokens are taken as they stand. lenient: what is missing is left out
 * (the list may be a copy of an older one). Returns 0, or with a sentence's end in why -ESTALE (a generation that is older
 * than was seen), -EKEYREJECTED (another public key than was pinned) or -ENOENT (a key that is listed is not there). */
int wrap_choose(const struct disk_reply *h, const struct trust_entry *t, bool lenient, struct wrap_choice *ret,
                char why[static 600]);
