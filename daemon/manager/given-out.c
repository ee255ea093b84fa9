/* SPDX-License-Identifier: Apache-2.0 */
#include "given-out.h"

#include "common/log.h"
#include "manager.h"
#include "mapping-sysfs.h"
#include "operation.h"

struct given_out {
        LIST_ENTRY(given_out) all;
        struct manager *manager;
        struct open_mark_text mark;
        char uuid[37];
        struct breaker_slot slot;              /* without a dm_uuid: the breaker has no deadline */
        sd_event_source *timer;
};

static struct given_out *find(const struct manager *m, const char *uuid) {
        struct given_out *g;

        LIST_FOREACH(g, &m->given_out, all)
                if (streq(g->uuid, uuid))
                        return g;
        return NULL;
}

static void drop(struct given_out *g) {
        LIST_REMOVE(g, all);
        sd_event_source_disable_unref(g->timer);
        free(g);
}

/* What has become of it meanwhile is its volume's business; where that cannot be seen it is asked again. */
static int on_unused(sd_event_source *s, uint64_t usec _unused_, void *user) {
        struct given_out *g = user;
        struct volume *v = manager_volume_by_uuid(g->manager, g->uuid);
        bool open = v && v->state != VOLUME_CLOSED && v->state != VOLUME_CUT;
        int r;

        if (open ? v->state == VOLUME_ATTACHING : mapping_sysfs_may_have(g->uuid)) {
                r = sd_event_source_set_time_relative(s, RELEASE_UNUSED_USEC);
                return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        }
        if (!open) {                             /* found open, it was seen; opened by us, mark and deadline are its own */
                log_notice("%s: its key was given out before this start, and not used", v ? v->name : g->uuid);
                open_mark_forget(g->uuid);
                if (*g->slot.dm_uuid)
                        (void) breaker_clear(g->manager->breaker, g->slot.dm_uuid);
        }
        drop(g);
        return 0;
}

int given_out_keep(struct manager *m, const char *uuid, const struct open_mark_text *mark, const struct breaker_slot *slot) {
        struct given_out *g = calloc(1, sizeof(*g));
        int r = g ? 0 : -ENOMEM;

        if (r >= 0)
                r = sd_event_add_time_relative(m->event, &g->timer, CLOCK_BOOTTIME, RELEASE_UNUSED_USEC, 0, on_unused, g);
        if (r < 0) {
                log_alert("%s: its key was given out before this start, and its mapping will be taken for somebody else's: %s", uuid,
                          strerror(-r));
                free(g);
                return -ENOMEM;
        }
        g->manager = m;
        g->mark = *mark;
        snprintf(g->uuid, sizeof(g->uuid), "%s", uuid);
        if (slot)
                g->slot = *slot;
        LIST_INSERT_HEAD(&m->given_out, g, all);
        return 0;
}

bool given_out_find(struct manager *m, const char *uuid, struct open_mark_text *ret, struct breaker_slot *ret_slot) {
        const struct given_out *g = find(m, uuid);

        if (!g)
                return false;
        *ret = g->mark;
        *ret_slot = g->slot;
        return true;
}

bool given_out_has_slot(struct manager *m, const char *uuid, const struct breaker_slot *slot) {
        struct given_out *g = find(m, uuid);

        if (!g || (*g->slot.dm_uuid && !streq(g->slot.dm_uuid, slot->dm_uuid)))
                return false;
        if (slot->deadline_boottime_usec > 0 || slot->deadline_realtime_usec > 0 || !*g->slot.dm_uuid)
                g->slot = *slot;
        return true;
}

bool given_out_takes_deadline(struct volume *v) {
        struct breaker_slot s = {};

        volume_dm_uuid(v, s.dm_uuid);
        if (!v->breaker_set || !given_out_has_slot(v->manager, v->uuid, &s))
                return false;
        v->breaker_set = false;
        return true;
}

void given_out_seen(struct manager *m, const char *uuid) {
        struct given_out *g = find(m, uuid);

        if (g)
                drop(g);
}

void given_out_clear(struct manager *m) {
        while (!LIST_EMPTY(&m->given_out))
                drop(LIST_FIRST(&m->given_out));
}
