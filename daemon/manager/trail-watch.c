/* SPDX-License-Identifier: Apache-2.0 */
#include "trail-watch.h"

#include "audit-link.h"
#include "common/log.h"
#include "manager.h"
#include "teardown.h"

#define EVERY_USEC (5 * USEC_PER_SEC)
#define SILENT_USEC (30 * USEC_PER_SEC)    /* a cmkd-audit that is started anew loads its programs meanwhile */

struct trail_watch {
        struct manager *manager;
        sd_event_source *timer;
        uint64_t silent_since;             /* boot time; 0: it answers */
};

static bool is_open(const struct volume *v) {
        return v->state == VOLUME_ATTACHED || v->state == VOLUME_HELD;
}

void trail_failed(int error, void *user) {
        struct manager *m = user;
        struct volume *v, *next;

        if (m->config->on_trail_failure != TRAIL_STOP)
                return;
        for (v = LIST_FIRST(&m->volumes); v; v = next) {
                const char *why = "the trail cannot be written, and OnTrailFailure=stop";
                enum action a = policy_effective_action(&v->policy, ACTION_CUT, v->lease.hold_possible, NULL);

                next = LIST_NEXT(v, volumes);
                if (!is_open(v))
                        continue;
                log_alert("%s: %s (%s)", v->name, why, strerror(-error));
                if (teardown_start(v, a, CAUSE_OPERATOR, why) < 0)
                        log_alert("%s: it could not be cut either", v->name);
        }
}

static void on_silent(struct trail_watch *w, int error) {
        uint64_t now = now_boottime_usec();

        if (w->silent_since == 0)
                w->silent_since = now;
        if (now - w->silent_since >= SILENT_USEC)
                trail_failed(error, w->manager);
}

static void on_checked(int error, bool answered, void *user) {
        struct trail_watch *w = user;

        if (!answered) {
                on_silent(w, error);
                return;
        }
        w->silent_since = 0;
        if (error < 0)
                trail_failed(error, w->manager);
}

static bool has_open(const struct manager *m) {
        const struct volume *v;

        LIST_FOREACH(v, &m->volumes, volumes)
                if (is_open(v))
                        return true;
        return false;
}

static int on_time(sd_event_source *s, uint64_t usec _unused_, void *user) {
        struct trail_watch *w = user;
        struct manager *m = w->manager;
        int r;

        if (m->config->on_trail_failure != TRAIL_STOP || !has_open(m))
                w->silent_since = 0;
        else {
                r = audit_check(m->audit, on_checked, w);
                if (r < 0)                 /* also where the last one is still without an answer */
                        on_silent(w, r);
        }
        if (sd_event_source_set_time_relative(s, EVERY_USEC) >= 0)
                (void) sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        return 0;
}

int trail_watch_new(struct manager *m, sd_event *event, struct trail_watch **ret) {
        struct trail_watch *w = calloc(1, sizeof(*w));

        if (!w)
                return -ENOMEM;
        w->manager = m;
        if (sd_event_add_time_relative(event, &w->timer, CLOCK_BOOTTIME, EVERY_USEC, USEC_PER_SEC, on_time, w) < 0) {
                free(w);
                return -ENOMEM;
        }
        *ret = w;
        return 0;
}

struct trail_watch *trail_watch_free(struct trail_watch *w) {
        if (!w)
                return NULL;
        sd_event_source_disable_unref(w->timer);
        free(w);
        return NULL;
}
