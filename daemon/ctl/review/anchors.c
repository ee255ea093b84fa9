/* SPDX-License-Identifier: Apache-2.0 */
#include "anchors.h"

/* Marks are of a hash: their first bytes are one. */
static size_t slot_of(const struct anchored *slots, size_t n_slots, const uint8_t *mark) {
        uint64_t h;
        size_t i;

        memcpy(&h, mark, sizeof(h));
        for (i = (size_t) h & (n_slots - 1); slots[i].sequence != 0; i = (i + 1) & (n_slots - 1))
                if (memcmp(slots[i].mark, mark, ANCHOR_MARK_SIZE) == 0)
                        break;
        return i;
}

static int make_room(struct anchors *t) {
        size_t n = t->n_slots > 0 ? t->n_slots * 2 : 1024;
        struct anchored *bigger;

        if (t->n * 2 < t->n_slots)
                return 0;
        if (t->n >= ANCHORS_MAX)
                return -E2BIG;
        bigger = calloc(n, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_slots; i++)
                if (t->slots[i].sequence != 0)
                        bigger[slot_of(bigger, n, t->slots[i].mark)] = t->slots[i];
        free(t->slots);
        t->slots = bigger;
        t->n_slots = n;
        return 0;
}

int anchors_add(struct anchors *t, const uint8_t hash[static ANCHOR_HASH_SIZE], uint64_t sequence, uint64_t realtime_usec) {
        struct anchored one = { .sequence = sequence, .realtime_usec = realtime_usec }, *at;
        int r = anchor_mark(hash, one.mark);

        if (r >= 0)
                r = make_room(t);
        if (r < 0)
                return r;
        at = t->slots + slot_of(t->slots, t->n_slots, one.mark);
        t->n += at->sequence == 0;
        *at = one;
        return 0;
}

const struct anchored *anchors_find(const struct anchors *t, const struct anchor *a) {
        size_t i;

        if (t->n_slots == 0)
                return NULL;
        i = slot_of(t->slots, t->n_slots, a->mark);
        return t->slots[i].sequence != 0 ? t->slots + i : NULL;
}

void anchors_done(struct anchors *t) {
        free(t->slots);
        *t = (struct anchors) {};
}
