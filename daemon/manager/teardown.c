/* SPDX-License-Identifier: Apache-2.0 */
#include "teardown.h"

#include <fcntl.h>
#include <syslog.h>

#include "bus.h"
#include "common/log.h"
#include "disk-child.h"
#include "drill.h"
#include "fellows.h"
#include "key.h"
#include "manager.h"
#include "no-cores.h"
#include "notice.h"
#include "unit-return.h"
#include "wrap.h"

#define RETRY_USEC (15 * USEC_PER_SEC)
#define POWER_RETRY_USEC (1 * USEC_PER_SEC)

struct teardown {
        struct volume *volume;
        struct plan plan;
        size_t step;
        int fd;                               /* the mount roots that OPEN found, ladder/roots.h */
        int batch;                            /* where CUT meets others */
        bool running;
        bool cut_done;                        /* the error table was verified, by us or by the breaker */
        bool failed;                          /* a step whose failure means LINGERING */
        bool detached;                        /* nobody cut it: it is closed once it is clean */
        struct instant started;
        enum action action;
        struct disk_child *child;             /* one for all steps, and a new one after each that failed */
        bool child_stays;                     /* it was asked to wait for one step more */
        struct notice *notice;
        sd_event_source *timer;               /* the retry: there from the beginning, since later there may be no memory for it */
        char results[PLAN_STEPS_MAX][161];
        teardown_done done;
        void *user;
};

static void run_step(struct teardown *t);

struct teardown *teardown_free(struct teardown *t) {
        if (!t)
                return NULL;
        if (t->child)
                disk_child_cancel(t->child);
        notice_cancel(t->notice);
        audit_cancel(t->volume->manager->audit, t);
        sd_event_source_disable_unref(t->timer);
        safe_close(t->fd);
        safe_close(t->batch);
        free(t);
        return NULL;
}

static uint64_t elapsed(const struct teardown *t) {
        return now_boottime_usec() - t->started.boottime_usec;
}

static void record_step(struct teardown *t, enum disk_op op, const struct disk_reply *y) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        uint8_t priority = y->error < 0 ? LOG_WARNING : op == DISK_OP_STEP_CUT ? LOG_NOTICE : LOG_INFO;

        if (!r)
                return;
        manager_record_start(r, t->volume, op == DISK_OP_STEP_CUT && y->error == 0 ? "cut" : "step", priority, false);
        audit_record_add(r, "step", disk_op_to_string(op));
        audit_record_add(r, "result", y->error < 0 ? strerror(-y->error) : "done");
        audit_record_add(r, "detail", y->message);
        if (y->count > 0)
                audit_record_addf(r, "count", "%u", y->count);
        audit_record_addf(r, "elapsed_usec", "%llu", (unsigned long long) elapsed(t));
        manager_record(t->volume->manager, r);
}

static void record_end(struct teardown *t) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        manager_record_start(r, t->volume, t->failed ? "lingering" : "removed", t->failed ? LOG_ALERT : LOG_NOTICE, false);
        audit_record_add(r, "cause", lease_cause_to_string(t->volume->cause));
        audit_record_addf(r, "elapsed_usec", "%llu", (unsigned long long) elapsed(t));
        manager_record(t->volume->manager, r);
}

static void try_later(struct teardown *t, uint64_t usec) {
        int r = sd_event_source_set_time_relative(t->timer, usec);

        if (r >= 0)
                r = sd_event_source_set_enabled(t->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_alert("%s: it is not tried again (%s): \"cmkctl cut %s\"", t->volume->name, strerror(-r), t->volume->name);
}

static void try_again(struct teardown *t) {
        struct plan_facts f;
        int r;

        teardown_facts(t->volume, ACTION_CUT, &f);
        r = t->detached ? plan_make_clean(&f, &t->plan) : plan_make_retry(&f, t->cut_done, &t->plan);
        if (r < 0) {
                log_error("%s: what is left of it cannot be removed: %s", t->volume->name, strerror(-r));
                try_later(t, RETRY_USEC);
                return;
        }
        t->running = true;
        t->failed = false;
        t->step = 0;
        memset(t->results, 0, sizeof(t->results));
        if (!t->detached)
                volume_set_state(t->volume, VOLUME_CUTTING);
        run_step(t);
}

/* The breaker does it; one that is being replaced hears of it a moment later, and has its deadline until then. */
static void power(struct teardown *t) {
        struct volume *v = t->volume;
        struct breaker_slot s = {
                .sectors = v->sectors, .state = BREAKER_ARMED,
                .action = t->plan.then == ACTION_POWEROFF ? BREAKER_ACTION_POWEROFF : BREAKER_ACTION_REBOOT,
        };

        volume_dm_uuid(v, s.dm_uuid);
        snprintf(s.name, sizeof(s.name), "%s", v->name);
        log_alert("%s: %s now", v->name, action_to_string(t->plan.then));
        if (breaker_act(v->manager->breaker, &s) >= 0)
                return;
        log_alert("%s: cmkd-breaker cannot be told; tried again", v->name);
        volume_set_state(v, VOLUME_CUTTING);
        try_later(t, POWER_RETRY_USEC);
}

static bool ends_with_power(const struct teardown *t) {
        return t->plan.then == ACTION_POWEROFF || t->plan.then == ACTION_REBOOT;
}

static int on_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct teardown *t = user;

        if (ends_with_power(t))
                power(t);
        else
                try_again(t);
        return 0;
}

static void linger(struct teardown *t) {
        struct volume *v = t->volume;

        record_end(t);
        log_alert("%s: %s, but not clean: see \"cmkctl status\"; tried again every 15 s", v->name,
                  t->detached ? "detached" : t->cut_done ? "cut" : "NOT CUT");
        volume_set_state(v, VOLUME_LINGERING);
        v->lease.cut_done = t->cut_done;
        try_later(t, RETRY_USEC);
}

static void end_clean(struct teardown *t) {
        struct volume *v = t->volume;

        record_end(t);
        log_notice("%s: closed: no mapping, no key is left", v->name);
        if (t->detached) {
                volume_set_state(v, VOLUME_CLOSED);
                return;
        }
        v->manager->teardowns.n++;
        v->manager->teardowns.usec += v->manager->teardowns.last_usec = elapsed(t);
        volume_set_state(v, VOLUME_CUT);
        if (!drill_of(v->manager, v->name))
                bus_start_unit(v->manager->bus, "cmkd-cut", v->name);
}

/* Every step has run. What is left is a state, never a success. */
static void finish(struct teardown *t) {
        struct volume *v = t->volume;
        teardown_done done;

        t->fd = safe_close(t->fd);
        if (t->child)
                disk_child_cancel(TAKE_PTR(t->child));
        if (ends_with_power(t)) {
                power(t);
                return;
        }
        t->running = false;
        done = TAKE_PTR(t->done);
        if (t->failed)
                linger(t);
        else
                end_clean(t);
        if (done)
                done(v, t->user);
        key_evaluate_volume(v);
        wraps_schedule(v);
        if (v->state == VOLUME_CLOSED)
                manager_volume_forget(v->manager, v);
}

static void escalate(struct teardown *t) {
        struct volume *v = t->volume;
        struct breaker_slot s = { .sectors = v->sectors, .action = BREAKER_ACTION_CUT, .state = BREAKER_ARMED };

        volume_dm_uuid(v, s.dm_uuid);
        snprintf(s.name, sizeof(s.name), "%s", v->name);
        log_alert("%s: the cut failed; the breaker is asked to do it", v->name);
        (void) breaker_act(v->manager->breaker, &s);
}

static void on_step(const struct disk_reply *y, int fd, void *user) {
        struct teardown *t = user;
        const struct plan_step *s = t->plan.steps + t->step;

        if (!t->child_stays || y->error != 0)
                t->child = NULL;
        if (s->gives_fd && y->error >= 0) {
                safe_close(t->fd);
                t->fd = fd;
        } else
                safe_close(fd);
        snprintf(t->results[t->step], sizeof(t->results[0]), "%s%s%s", y->error < 0 ? strerror(-y->error) : "done",
                 *y->message ? ": " : "", y->message);
        record_step(t, s->op, y);
        if (s->op == DISK_OP_STEP_CUT && y->error >= 0) {
                t->cut_done = true;
                log_notice("%s: cut: unreadable %llu ms after the teardown began", t->volume->name,
                           (unsigned long long) (elapsed(t) / USEC_PER_MSEC));
                key_evaluate_volume(t->volume);
        }
        /* From here on it would only keep the file system busy, and this process is never killed. */
        if (s->op == DISK_OP_STEP_THAW)
                t->fd = safe_close(t->fd);
        if (s->op == DISK_OP_STEP_CUT)
                t->batch = safe_close(t->batch);
        if (y->error < 0 && s->on_failure == PLAN_ESCALATE)
                escalate(t);
        if (y->error < 0 && s->on_failure != PLAN_CONTINUE)
                t->failed = true;
        t->step++;
        run_step(t);
}

static void on_notice(const struct disk_reply *y, void *user) {
        struct teardown *t = user;

        t->notice = NULL;
        on_step(y, -EBADF, t);
}

/* Only the first attempt at a cut meets the others. */
static int descriptor_for(const struct teardown *t, const struct plan_step *s) {
        if (s->op == DISK_OP_STEP_CUT)
                return t->batch;
        return s->needs_fd ? t->fd : -EBADF;
}

static int ask_child(struct teardown *t, const struct plan_step *s) {
        struct disk_request q;
        int fd = descriptor_for(t, s);

        volume_disk_request(t->volume, s->op, &q);
        t->child_stays = t->step + 1 < t->plan.n_steps;
        if (t->child_stays)
                q.flags |= DISK_FLAG_STAY;
        if (t->child && disk_child_again(t->child, &q, fd, s->budget_usec, on_step, t) >= 0)
                return 0;
        t->child = NULL;
        return disk_child_start(t->volume->manager->children, &q, -EBADF, fd, s->budget_usec, on_step, t, &t->child);
}

static void run_step(struct teardown *t) {
        struct volume *v = t->volume;
        const struct plan_step *s;
        int r;

        for (;; t->step++) {
                if (t->step >= t->plan.n_steps) {
                        finish(t);
                        return;
                }
                s = t->plan.steps + t->step;
                if (!s->needs_fd || t->fd >= 0)
                        break;
                snprintf(t->results[t->step], sizeof(t->results[0]), "not needed: not mounted");
        }
        if (s->op != DISK_OP_NOTICE && v->state != VOLUME_CUTTING && !t->detached) {
                volume_set_state(v, VOLUME_CUTTING);
                fellows_take_along(v);
        }
        if (s->op == DISK_OP_NOTICE)
                r = notice_start(v, s, t->action, t->started, on_notice, t, &t->notice);
        else
                r = ask_child(t, s);
        if (r < 0) {
                struct disk_reply y = { .error = -ENOMEM };

                on_step(&y, -EBADF, t);
        }
}

/* The intent is written, or 200 ms are over: a cut does not wait for its record. */
static void on_intent(int error _unused_, uint64_t sequence _unused_, void *user) {
        run_step(user);
}

static void write_intent(struct teardown *t, enum action action, const char *why) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        struct volume *v = t->volume;

        if (r) {
                manager_record_start(r, v, "intent", LOG_ALERT, true);
                audit_record_add(r, "action", action_to_string(action));
                audit_record_add(r, "cause", lease_cause_to_string(v->cause));
                audit_record_add(r, "why", why);
                manager_record_answer(r, v);
                if (audit_write(v->manager->audit, r, MANAGER_INTENT_USEC, on_intent, t) >= 0)
                        return;
        }
        run_step(t);
}

void teardown_facts(const struct volume *v, enum action action, struct plan_facts *ret) {
        *ret = (struct plan_facts) {
                .dev_major = v->dev_major, .dev_minor = v->dev_minor, .sectors = v->sectors, .in_use_unknown = true,
                .role = v->role, .action = action, .notice_usec = v->policy.notice_usec,
        };
        if (v->state == VOLUME_HELD || v->state == VOLUME_HOLDING || v->state == VOLUME_RESUMING) {
                ret->disk_flags = DISK_FLAG_SUSPENDED;
                ret->notice_usec = 0;
        }
        /* Its users are gone, or it would not be; or they were told before a cut that is tried again. Neither state has a way to a notice. */
        if (v->state == VOLUME_DETACHING || v->state == VOLUME_LINGERING)
                ret->notice_usec = 0;
        if (drill_of(v->manager, v->name))
                ret->notice_usec = 0;
        snprintf(ret->name, sizeof(ret->name), "%s", v->name);
        snprintf(ret->uuid, sizeof(ret->uuid), "%s", v->uuid);
}

static bool has_notice(const struct teardown *t) {
        return t->plan.n_steps > 0 && t->plan.steps[0].op == DISK_OP_NOTICE;
}

/* For everybody's terminal where the machine goes down (journald hands on what is an emergency): the notice is there so that
 * somebody can say that it is a mistake. */
static void announce(const struct teardown *t) {
        const struct volume *v = t->volume;
        bool undone = lease_cause_is_undone(v->cause);
        uint64_t sec = has_notice(t) ? t->plan.steps[0].wait_usec / USEC_PER_SEC : 0;

        if (!has_notice(t))
                log_alert("%s: %s: %s", v->name, lease_cause_to_string(v->cause), action_to_string(t->action));
        else
                log_full(v->role == ROLE_OS ? LOG_EMERG : LOG_ALERT, "%s: %s: %s in %llu s%s%s%s", v->name,
                         lease_cause_to_string(v->cause), action_to_string(t->action), (unsigned long long) sec,
                         undone ? "; \"cmkctl pause --until TIME " : "", undone ? v->name : "",
                         undone ? "\" holds it back" : "");
}

static struct teardown *teardown_new(struct volume *v, enum action action) {
        struct teardown *t = calloc(1, sizeof(*t));

        if (!t)
                return NULL;
        t->volume = v;
        t->action = action;
        t->fd = t->batch = -EBADF;
        if (sd_event_add_time(v->manager->event, &t->timer, CLOCK_BOOTTIME, USEC_INFINITY, 0, on_timer, t) >= 0)
                return t;
        free(t);
        return NULL;
}

int teardown_start(struct volume *v, enum action action, enum lease_cause cause, const char *why) {
        struct plan_facts f;
        struct teardown *t;
        int r;

        if (v->teardown && v->teardown->running)
                return -EALREADY;
        t = teardown_new(v, action);
        if (!t)
                return -ENOMEM;
        teardown_facts(v, action, &f);
        /* nobody can do anything in an orderly way any more */
        if (cause == CAUSE_DISK_REMOVED || cause == CAUSE_STACK || cause == CAUSE_INTERRUPTED)
                f.notice_usec = 0;
        if (fellows_are_held(v))
                f.disk_flags |= DISK_FLAG_SUSPENDED;
        r = plan_make(&f, &t->plan);
        if (r < 0) {
                teardown_free(t);
                return r;
        }
        teardown_free(v->teardown);
        v->teardown = t;
        v->cause = cause;
        t->running = true;
        t->started = instant_now();
        /* Nothing comes back to a drill's volume. */
        if (!drill_of(v->manager, v->name))
                unit_return_remember(v);
        announce(t);
        if (has_notice(t))
                volume_set_state(v, VOLUME_NOTICE);
        else {
                volume_set_state(v, VOLUME_CUTTING);
                if (action == ACTION_CUT)
                        no_cores_forbid(v->manager->no_cores, v);
        }
        key_evaluate_volume(v);              /* the breaker hears of it */
        wraps_schedule(v);
        if (v->teardown != t)                /* called off, and freed */
                return 0;
        write_intent(t, action, why);
        if (v->state == VOLUME_CUTTING && t->plan.then == ACTION_REPORT)
                fellows_take_along(v);
        return 0;
}

void teardown_linger(struct volume *v) {
        struct teardown *t = teardown_new(v, ACTION_CUT);

        if (!t) {
                log_alert("%s: detached, but not clean, and no memory to try again: \"cmkctl cut %s\"", v->name, v->name);
                volume_set_state(v, VOLUME_LINGERING);
                v->lease.cut_done = true;
        } else {
                teardown_free(v->teardown);
                v->teardown = t;
                t->started = instant_now();
                t->detached = t->failed = t->cut_done = true;
                linger(t);
        }
        key_evaluate_volume(v);
        wraps_schedule(v);
}

void teardown_call_off(struct volume *v, const char *why) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (v->state != VOLUME_NOTICE)
                return;
        v->teardown = teardown_free(v->teardown);
        unit_return_look(v, true);
        volume_set_state(v, VOLUME_ATTACHED);
        log_notice("%s: called off: %s", v->name, why);
        if (!r)
                return;
        manager_record_start(r, v, "called_off", LOG_NOTICE, false);
        audit_record_add(r, "why", why);
        manager_record(v->manager, r);
}

void teardown_hurry(struct volume *v) {
        struct teardown *t = v->teardown;

        if (v->state != VOLUME_NOTICE || !t)
                return;
        t->notice = notice_cancel(t->notice);
        audit_cancel(v->manager->audit, t);
        snprintf(t->results[0], sizeof(t->results[0]), "cut short: another volume of its stack is cut");
        t->step = 1;
        run_step(t);
}

void teardown_meet(struct volume *v, int fd) {
        if (v->teardown && v->teardown->running && v->teardown->batch < 0 && !v->teardown->cut_done)
                v->teardown->batch = fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

bool teardown_cuts_first(const struct volume *v) {
        const struct plan *p = v->teardown && v->teardown->running ? &v->teardown->plan : NULL;
        bool cut = false;

        for (size_t i = 0; p && i < p->n_steps; i++) {
                cut |= p->steps[i].op == DISK_OP_STEP_CUT;
                if (p->steps[i].op == DISK_OP_STEP_SHUT)
                        return cut;
        }
        return false;
}

void teardown_notify(struct volume *v, teardown_done done, void *user) {
        if (!v->teardown)
                return;
        v->teardown->done = done;
        v->teardown->user = user;
}

const struct plan *teardown_plan(const struct volume *v) {
        return v->teardown ? &v->teardown->plan : NULL;
}

bool teardown_is_cut(const struct volume *v) {
        return v->teardown && v->teardown->running && v->teardown->cut_done;
}

uint64_t teardown_due(const struct volume *v, enum action *ret) {
        const struct teardown *t = v->teardown;

        if (v->state != VOLUME_NOTICE || !t || !has_notice(t))
                return USEC_INFINITY;
        *ret = t->action;
        return t->started.realtime_usec + t->plan.steps[0].wait_usec;
}

const char *teardown_result(const struct volume *v, size_t i) {
        return v->teardown && i < PLAN_STEPS_MAX && *v->teardown->results[i] ? v->teardown->results[i] : NULL;
}
