/* SPDX-License-Identifier: Apache-2.0 */
#include "repeat.h"

static bool may_repeat(unsigned kind) {
        switch (kind) {
        case CMKD_KEY_READ:
        case CMKD_KEY_ASKED:
        case CMKD_DM_STATUS:
        case CMKD_VOLUME_OPEN:
        case CMKD_HEADER_OPEN:
        case CMKD_GUARD_UMOUNT ... CMKD_GUARD_TABLE:
        case CMKD_GUARD_METADATA:
                return true;
        default:
                return false;
        }
}

static bool is_same(const struct cmkd_event *a, const struct cmkd_event *b) {
        struct cmkd_event x = *a, y = *b;

        x.boottime_ns = y.boottime_ns = 0;
        x.pid = y.pid = 0;
        return memcmp(&x, &y, sizeof(x)) == 0;
}

/* Texts end: whoever made the event may have been another build. */
static void end_texts(struct cmkd_event *e) {
        e->comm[sizeof(e->comm) - 1] = e->parent_comm[sizeof(e->parent_comm) - 1] = e->exe[sizeof(e->exe) - 1] = 0;
        e->cgroup[sizeof(e->cgroup) - 1] = e->name[sizeof(e->name) - 1] = e->uuid[sizeof(e->uuid) - 1] = 0;
        e->target[sizeof(e->target) - 1] = e->text[sizeof(e->text) - 1] = 0;
        for (size_t i = 0; i < ELEMENTSOF(e->exe_dir); i++)
                e->exe_dir[i][sizeof(e->exe_dir[i]) - 1] = 0;
}

bool repeat_add(struct repeat *p, const void *data, size_t size, uint64_t position) {
        struct cmkd_event e = {};

        if (p->count == 0 || p->size != size || size < CMKD_EVENT_SIZE_FIRST || size > sizeof(e))
                return false;
        memcpy(&e, data, size);
        if (e.version != CMKD_EVENT_VERSION || !may_repeat(e.kind) || !is_same(&p->event, &e))
                return false;
        p->last = position;
        p->last_boottime_ns = e.boottime_ns;
        p->count++;
        return true;
}

void repeat_start(struct repeat *p, const void *data, size_t size, uint64_t position) {
        *p = (struct repeat) { .size = size, .first = position, .last = position, .count = 1 };
        memcpy(&p->event, data, MIN_OF(size, sizeof(p->event)));
        end_texts(&p->event);
        p->last_boottime_ns = p->event.boottime_ns;
}
