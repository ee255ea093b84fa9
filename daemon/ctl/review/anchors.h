/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The records of a trail by the marks that their anchors have (common/anchor.h). Pure. */

#include "common/anchor.h"

#define ANCHORS_MAX (16u * 1024u * 1024u)

struct anchored {
        uint8_t mark[ANCHOR_MARK_SIZE];
        uint64_t sequence;                 /* of the record; 0: a free slot */
        uint64_t realtime_usec;            /* when it was written, as it says; 0: that does not say it */
};

struct anchors {
        struct anchored *slots;            /* a table of n_slots, a power of two */
        size_t n_slots, n;
};

/* Takes a record in. Returns 0, -ENOMEM, -E2BIG (more than ANCHORS_MAX) or -EIO (libcrypto has no SHA-256). */
int anchors_add(struct anchors *t, const uint8_t hash[static ANCHOR_HASH_SIZE], uint64_t sequence, uint64_t realtime_usec);

/* The record whose anchor it is, or NULL. */
const struct anchored *anchors_find(const struct anchors *t, const struct anchor *a) _pure_;

void anchors_done(struct anchors *t);
