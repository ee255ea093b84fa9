/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-return.h"

#include <syslog.h>

#include "bus.h"
#include "common/log.h"
#include "key.h"
#include "manager.h"
#include "notice-file.h"
#include "unit-jobs.h"
#include "unit-look.h"
#include "unit-mark.h"
#include "wrap.h"

/* Nobody is in a hurry, and a machine that has just got a disk back is busy. */
#define ANSWER_USEC (30 * USEC_PER_SEC)
/* A start waits for the device unit, and that for udev; systemd gives up on it after 90 s by itself. */
#define TOTAL_USEC (5 * 60 * USEC_PER_SEC)
#define BUS_WAIT_USEC (1 * USEC_PER_SEC)
#define BUS_WAITS_MAX 60u

struct question {
        struct unit_return *of;
        size_t unit;
        sd_bus_slot *slot;
};

struct unit_return {
        struct volume *volume;
        struct unit_mark mark;
        struct question *questions;
        const char **names;              /* of those to start, into the mark, backwards: as they are started */
        size_t n_names, pending;
        bool called_off;
        unsigned waits;
        sd_bus *sd;
        struct unit_jobs *jobs;
        sd_event_source *timer;
        char left[1024];                 /* what is not started, and why */
};

struct unit_return *unit_return_free(struct unit_return *r) {
        if (!r)
                return NULL;
        for (size_t i = 0; r->questions && i < r->mark.n; i++)
                sd_bus_slot_unref(r->questions[i].slot);
        unit_jobs_cancel(r->jobs);
        sd_event_source_disable_unref(r->timer);
        sd_bus_unref(r->sd);
        unit_mark_done(&r->mark);
        free(r->questions);
        free(r->names);
        free(r);
        return NULL;
}

/* ---- the mark ---- */

void unit_return_remember(struct volume *v) {
        struct unit_mark m = {};
        int r;

        /* Whatever it was about to give back is taken again, and still in the mark. */
        v->unit_return = unit_return_free(v->unit_return);
        v->nothing_stopped = false;
        (void) unit_mark_read(v->uuid, &m);
        m.cause = v->cause;
        r = unit_mark_write(v->uuid, &m);
        if (r < 0)
                log_warning("%s: that it is being closed is not written down: %s; cmkd-return@%s.target will not be started",
                            v->name, strerror(-r), v->name);
        unit_mark_done(&m);
}

int unit_return_add(struct volume *v, struct unit *const *units, size_t n) {
        struct unit_mark m = {};
        int r = 0;

        v->nothing_stopped = false;
        (void) unit_mark_read(v->uuid, &m);
        m.cause = v->cause;
        for (size_t i = 0; r >= 0 && i < n; i++)
                if (units[i]->can_start)
                        r = unit_mark_add(&m, units[i]);
        if (r >= 0)
                r = unit_mark_write(v->uuid, &m);
        unit_mark_done(&m);
        return r;
}

/* ---- the return ---- */

static void record(struct unit_return *r, const char *started, const char *not_started) {
        _cleanup_(freep) struct audit_message_record *x = malloc(sizeof(*x));
        struct volume *v = r->volume;

        if (*started || *not_started)
                log_notice("%s: open again; started: %s%s%s", v->name, *started ? started : "nothing",
                           *not_started ? "; not started: " : "", not_started);
        if (!x || !(*started || *not_started))
                return;
        manager_record_start(x, v, "units_started", *not_started ? LOG_WARNING : LOG_NOTICE, false);
        audit_record_add(x, "units", started);
        audit_record_add(x, "left", not_started);
        manager_record(v->manager, x);
}

/* r is gone afterwards. */
static void finish(struct unit_return *r) {
        struct volume *v = r->volume;

        unit_mark_remove(v->uuid);
        v->unit_return = unit_return_free(r);
        bus_start_unit(v->manager->bus, "cmkd-return", v->name);
}

static void on_started(enum unit_jobs_end end _unused_, const struct unit_job *jobs, size_t n, void *user) {
        struct unit_return *r = user;
        char started[1024], failed[1024], left[2100];

        r->jobs = NULL;
        unit_jobs_describe(jobs, n, true, started, sizeof(started));
        unit_jobs_describe(jobs, n, false, failed, sizeof(failed));
        snprintf(left, sizeof(left), "%s%s%s", failed, *failed && *r->left ? ", " : "", r->left);
        record(r, started, left);
        finish(r);
}

static void start_all(struct unit_return *r) {
        /* What somebody else is about to do with a unit is not undone by us; what we are about to do ourselves is. */
        const char *mode = r->called_off ? "replace" : "fail";

        if (unit_jobs_start(r->sd, "StartUnit", mode, r->names, r->n_names, ANSWER_USEC, TOTAL_USEC, on_started, r,
                            &r->jobs) >= 0)
                return;
        log_warning("%s: no unit could be started: out of memory", r->volume->name);
        finish(r);
}

static void judge(struct unit_return *r, size_t unit, sd_bus_message *m) {
        const struct marked_unit *then = r->mark.u + unit;
        struct unit_facts f = {};
        struct unit_now now = {};
        const char *why = "systemd says nothing about it";
        bool worth_saying = true;
        size_t n = strlen(r->left);

        if (!sd_bus_message_is_method_error(m, NULL) && unit_facts_read(m, &f) >= 0) {
                memcpy(now.load_state, f.load_state, sizeof(now.load_state));
                memcpy(now.active_state, f.active_state, sizeof(now.active_state));
                memcpy(now.file_state, f.file_state, sizeof(now.file_state));
                memcpy(now.invocation, f.invocation, sizeof(now.invocation));
                now.can_start = f.can_start;
                why = unit_leave_alone(then, &now, &worth_saying);
        }
        unit_facts_done(&f);
        if (why && worth_saying)
                snprintf(r->left + n, sizeof(r->left) - n, "%s%s (%s)", n > 0 ? ", " : "", then->name, why);
        /* An empty place: skipped when all are in. */
        r->names[r->mark.n - 1 - unit] = why ? NULL : then->name;
}

static void one_less(struct unit_return *r) {
        if (--r->pending > 0)
                return;
        for (size_t i = 0; i < r->mark.n; i++)
                if (r->names[i])
                        r->names[r->n_names++] = r->names[i];
        start_all(r);
}

static int on_facts(sd_bus_message *m, void *user, sd_bus_error *e _unused_) {
        struct question *q = user;
        struct unit_return *r = q->of;

        q->slot = sd_bus_slot_unref(q->slot);
        judge(r, q->unit, m);
        one_less(r);
        return 0;
}

/* Loaded or not, systemd has a path for it now; what has no file says so there. */
static int on_loaded(sd_bus_message *m, void *user, sd_bus_error *e _unused_) {
        struct question *q = user;
        const char *path;

        q->slot = sd_bus_slot_unref(q->slot);
        if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "o", &path) >= 0 &&
            unit_facts_ask(q->of->sd, path, ANSWER_USEC, on_facts, q, &q->slot) >= 0)
                return 0;
        judge(q->of, q->unit, m);
        one_less(q->of);
        return 0;
}

static int ask_all(struct unit_return *r) {
        int k = r->mark.n > 0 ? 0 : -ENOENT;

        r->questions = calloc(r->mark.n + 1, sizeof(*r->questions));
        r->names = calloc(r->mark.n + 1, sizeof(*r->names));
        if (!r->questions || !r->names)
                return -ENOMEM;
        for (size_t i = 0; k >= 0 && i < r->mark.n; i++) {
                struct question *q = r->questions + i;

                *q = (struct question) { r, i, NULL };
                k = unit_manager_call(r->sd, "LoadUnit", ANSWER_USEC, on_loaded, q, &q->slot, "s", r->mark.u[i].name);
                r->pending += k >= 0;
        }
        return k < 0 ? k : 0;
}

static int begin(struct unit_return *r);

static int on_wait(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct unit_return *r = user;

        r->timer = sd_event_source_disable_unref(r->timer);
        if (begin(r) < 0)
                finish(r);
        return 0;
}

/* After a restart of cmkd the bus takes a moment. Returns 0, or a negative errno: that was all. */
static int begin(struct unit_return *r) {
        struct volume *v = r->volume;

        r->sd = sd_bus_ref(bus_system(v->manager->bus));
        if (r->sd)
                return ask_all(r);
        if (r->waits++ < BUS_WAITS_MAX)
                return sd_event_add_time_relative(v->manager->event, &r->timer, CLOCK_BOOTTIME, BUS_WAIT_USEC, 0, on_wait, r);
        log_warning("%s: open again; there is no bus by which its units could be started", v->name);
        return -ENOTCONN;
}

void unit_return_look(struct volume *v, bool called_off) {
        struct unit_return *r;
        struct unit_mark m;
        int k;

        /* A volume that a new manager finds open may be one whose notice had begun. */
        if (v->unit_return || (!called_off && (v->nothing_stopped || !wraps_are_granted(v))))
                return;
        notice_file_remove(v->name);
        k = unit_mark_read(v->uuid, &m);
        v->nothing_stopped = k == -ENOENT;
        if (k == -ENOENT)
                return;
        if (k < 0) {
                log_warning("%s: what was stopped for it cannot be read: %s", v->name, strerror(-k));
                m = (struct unit_mark) {};
        }
        r = calloc(1, sizeof(*r));
        if (!r) {
                unit_mark_done(&m);
                return;
        }
        if (!called_off && (!lease_cause_is_undone(m.cause) || v->policy.on_reenable != REENABLE_ATTACH))
                unit_mark_done(&m);
        *r = (struct unit_return) { .volume = v, .mark = m, .called_off = called_off };
        v->unit_return = r;
        if (begin(r) < 0)
                finish(r);
}
