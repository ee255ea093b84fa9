/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What stands in a header beside what was enrolled: keyslots and tokens that the manifest does not know, and persistent activation flags.
 *
 * The manifest's MAC is over all metadata, and does not say what they were. But if leaving out some keyslots and tokens
 * makes it hold, then those were added by somebody else and all the rest is as it was enrolled. Tokens of ours and their keyslots stay or go
 * together (all that agree on the MAC, at least the one that opened the volume); of the others, recovery keys and what opened a volume
 * before it was taken over among them, each may, but for those
 * beyond the fifth keyslot and the fifth token. Of the flags there are so few that all are tried: which ones were enrolled is known
 * then, and only those count. What was taken out or replaced cannot be put back to try: that is -EUCLEAN. */

#include "common/secret.h"
#include "header-check.h"

struct foreign {
        struct header_why what;           /* "keyslot 3, token 1 (systemd-tpm2), the flags allow-discards instead of none"; empty: the flags
                                           * are the same, written in another way */
        unsigned activation;              /* enum activation: the flags as they were enrolled */
        bool only_flags;                  /* nothing else was changed */
};

/* For a header whose manifest does not hold; opener: the wrap that opened it, NULL: none did. Returns 0, -EUCLEAN (something else was
 * changed), -ENOMEM, or an error of manifest_compute(). */
int foreign_find(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                 const struct header_layout *l, const struct header_wrap *opener, struct foreign *ret);
