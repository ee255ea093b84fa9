/* SPDX-License-Identifier: Apache-2.0 */
#include "anchoring.h"

void anchoring_init(struct anchoring *a, const char *machine_id, const char *head) {
        uint64_t sequence;

        *a = (struct anchoring) {};
        a->has_tag = machine_id && anchor_tag(machine_id, a->tag) >= 0;
        a->has_old = head && anchor_head_parse(head, &sequence, a->old) >= 0;
}

void anchoring_start(struct anchoring *a) {
        _cleanup_(freep) char *machine_id = NULL, *head = NULL;

        (void) read_small_file("/etc/machine-id", 64, &machine_id, NULL);
        (void) read_small_file(ANCHOR_HEAD_FILE, ANCHOR_HEAD_MAX, &head, NULL);
        anchoring_init(a, machine_id, head);
}

static bool take(struct anchoring *a, const char *head, char ret[static 37]) {
        struct anchor x;
        uint64_t sequence;

        if (!a->has_tag || !head || anchor_head_parse(head, &sequence, x.mark) < 0 ||
            (a->has_old && memcmp(x.mark, a->old, sizeof(x.mark)) == 0))
                return false;
        if (memcmp(x.mark, a->mark, sizeof(x.mark)) != 0) {
                memcpy(a->mark, x.mark, sizeof(a->mark));
                random_bytes(&a->number, sizeof(a->number));
                a->left = ANCHOR_NUMBERS;
        }
        if (a->left == 0)
                return false;
        a->left--;
        memcpy(x.tag, a->tag, sizeof(x.tag));
        x.number = a->number++ % ANCHOR_NUMBERS;
        anchor_format(&x, ret);
        return true;
}

void anchoring_take(struct anchoring *a, const char *head, char ret[static 37]) {
        if (!take(a, head, ret))
                random_uuid(ret);
}

void anchoring_next(struct anchoring *a, char ret[static 37]) {
        _cleanup_(freep) char *head = NULL;

        (void) read_small_file(ANCHOR_HEAD_FILE, ANCHOR_HEAD_MAX, &head, NULL);
        anchoring_take(a, head, ret);
}
