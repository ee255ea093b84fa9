/* SPDX-License-Identifier: Apache-2.0 */
#include "notice.h"

#include <syslog.h>

#include "bus.h"
#include "common/log.h"
#include "common/uses.h"
#include "disk-child.h"
#include "manager.h"
#include "notice-file.h"
#include "unit-jobs.h"
#include "unit-look.h"
#include "unit-return.h"

/* Before the end of a share, so that what was stopped is said. */
#define MARGIN_USEC (50 * USEC_PER_MSEC)

struct notice {
        struct volume *volume;
        struct plan_step step;
        struct notice_times times;
        struct instant began;
        sd_event_source *deadline, *timer, *start;
        sd_bus *sd;                      /* NULL: none, or it does not answer */
        struct unit_jobs *jobs;
        struct unit_look *look;
        struct disk_child *child;
        struct unit_set *set;
        struct disk_reply reply;
        notice_done done;
        void *user;
};

static void look(struct notice *n);
static void signal_users(struct notice *n);

static uint64_t left_of(const struct notice *n, uint64_t until_usec) {
        uint64_t spent = now_boottime_usec() - n->began.boottime_usec;

        return until_usec - MIN_OF(until_usec, spent);
}

static struct notice *notice_free(struct notice *n) {
        if (!n)
                return NULL;
        if (n->child)
                disk_child_cancel(n->child);
        unit_jobs_cancel(n->jobs);
        unit_look_cancel(n->look);
        sd_event_source_disable_unref(n->deadline);
        sd_event_source_disable_unref(n->timer);
        sd_event_source_disable_unref(n->start);
        sd_bus_unref(n->sd);
        if (n->set)
                unit_set_done(n->set);
        free(n->set);
        free(n);
        return NULL;
}

struct notice *notice_cancel(struct notice *n) {
        return notice_free(n);
}

static void finish(struct notice *n) {
        struct disk_reply y = n->reply;
        notice_done done = n->done;
        void *user = n->user;

        notice_free(n);
        done(&y, user);
}

static int on_deadline(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        finish(user);
        return 0;
}

/* ---- units ---- */

static void record_stopped(struct notice *n, const struct unit_job *jobs, size_t n_jobs) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        char stopped[1024], left[1024];

        unit_jobs_describe(jobs, n_jobs, true, stopped, sizeof(stopped));
        unit_jobs_describe(jobs, n_jobs, false, left, sizeof(left));
        log_notice("%s: stopped: %s%s%s", n->volume->name, *stopped ? stopped : "nothing", *left ? "; not: " : "", left);
        if (!r)
                return;
        manager_record_start(r, n->volume, "units_stopped", *left ? LOG_WARNING : LOG_NOTICE, false);
        audit_record_add(r, "units", stopped);
        audit_record_add(r, "left", left);
        audit_record_addf(r, "count", "%zu", unit_jobs_count_done(jobs, n_jobs));
        audit_record_addf(r, "elapsed_usec", "%llu",
                          (unsigned long long) (now_boottime_usec() - n->began.boottime_usec));
        manager_record(n->volume->manager, r);
}

/* Has systemd stop those of a wave. Returns how many, 0 where nothing was begun. */
static size_t stop_wave(struct notice *n, enum unit_wave wave, uint64_t until_usec, unit_jobs_done done) {
        _cleanup_(freep) struct unit **units = NULL;
        _cleanup_(freep) const char **names = NULL;
        size_t count = 0;

        if (!n->sd || !n->set || unit_set_order(n->set, wave, &units, &count) < 0 || count == 0)
                return 0;
        names = calloc(count, sizeof(*names));
        for (size_t i = 0; names && i < count; i++)
                names[i] = units[i]->name;
        /* Only what is on the list: whoever requires one of them is, but for what is never stopped. */
        if (!names || unit_jobs_start(n->sd, "StopUnit", "ignore-requirements", names, count, n->times.answer_usec,
                                      left_of(n, until_usec), done, n, &n->jobs) < 0)
                return 0;
        return count;
}

static void on_unmounted(enum unit_jobs_end end _unused_, const struct unit_job *jobs, size_t n_jobs, void *user) {
        struct notice *n = user;

        n->jobs = NULL;
        record_stopped(n, jobs, n_jobs);
        finish(n);
}

/* Nobody is left who could still end. */
static void unmount(struct notice *n) {
        if (n->volume->role == ROLE_OS)
                return;
        if (stop_wave(n, WAVE_MOUNTS, n->times.notice_usec - MARGIN_USEC, on_unmounted) == 0)
                finish(n);
}

static void on_stopped(enum unit_jobs_end end, const struct unit_job *jobs, size_t n_jobs, void *user) {
        struct notice *n = user;

        n->jobs = NULL;
        record_stopped(n, jobs, n_jobs);
        if (end == UNIT_JOBS_NO_ANSWER)
                n->sd = sd_bus_unref(n->sd);
        signal_users(n);
}

/* Both waves are in the mark before the first unit is stopped. */
static void remember(struct notice *n) {
        int r = 0;

        for (enum unit_wave w = WAVE_USERS; r >= 0 && w <= WAVE_MOUNTS; w++) {
                _cleanup_(freep) struct unit **units = NULL;
                size_t count = 0;

                r = unit_set_order(n->set, w, &units, &count);
                if (r >= 0)
                        r = unit_return_add(n->volume, units, count);
        }
        if (r < 0)
                log_warning("%s: which units are stopped is not written down: %s; they will not be started again",
                            n->volume->name, strerror(-r));
}

static void on_units(int error, struct unit_set *set, void *user) {
        struct notice *n = user;

        n->look = NULL;
        n->set = set;
        if (error < 0) {
                log_warning("%s: systemd does not say which units use it: %s; their processes get SIGTERM", n->volume->name,
                            strerror(-error));
                n->sd = sd_bus_unref(n->sd);
        } else {
                if (set->truncated)
                        log_warning("%s: more than %u units use it; the rest get SIGTERM", n->volume->name, UNITS_MAX);
                remember(n);
        }
        if (stop_wave(n, WAVE_USERS, n->times.stop_usec - MARGIN_USEC, on_stopped) == 0)
                signal_users(n);
}

/* Where the system itself is on the volume nothing can be stopped in order that is needed to stop the rest. */
static bool carries_system(const struct uses *u) {
        static const char *const places[] = { "/", "/usr", "/etc", "/run", "/var" };

        for (size_t i = 0; i < u->n; i++)
                for (size_t k = 0; k < ELEMENTSOF(places); k++)
                        if (u->u[i].kind == USE_MOUNT && u->u[i].number == 0 && streq(u->u[i].name, places[k]))
                                return true;
        return false;
}

static void on_uses(const struct disk_reply *y, int fd, void *user) {
        struct notice *n = user;
        struct uses u = {};
        int r;

        n->child = NULL;
        r = y->error < 0 ? y->error : uses_read(fd, &u);
        safe_close(fd);
        /* Then there are those that have told systemd that they need it. */
        if (r < 0)
                log_warning("%s: who uses it is not known: %s", n->volume->name, *y->message ? y->message : strerror(-r));
        if (carries_system(&u) ||
            unit_look_start(n->sd, &u, n->volume->mapping, n->times.answer_usec, on_units, n, &n->look) < 0)
                signal_users(n);
        uses_done(&u);
}

static void look(struct notice *n) {
        uint64_t budget = left_of(n, n->times.stop_usec) / 3 * 2;
        struct disk_request q;

        volume_disk_request(n->volume, DISK_OP_USES, &q);
        if (!n->sd || disk_child_start(n->volume->manager->children, &q, -EBADF, -EBADF, budget, on_uses, n, &n->child) < 0)
                signal_users(n);
}

/* ---- hooks ---- */

static void on_hooks(enum unit_jobs_end end, const struct unit_job *jobs _unused_, size_t n_jobs _unused_, void *user) {
        struct notice *n = user;

        n->jobs = NULL;
        if (end == UNIT_JOBS_LATE)
                log_notice("%s: the hooks of its notice still run; they have had their share of it", n->volume->name);
        if (end == UNIT_JOBS_NO_ANSWER) {
                log_warning("%s: systemd does not answer; its users get SIGTERM", n->volume->name);
                n->sd = sd_bus_unref(n->sd);
        }
        if (n->volume->role != ROLE_OS)
                look(n);
}

static int start_hooks(struct notice *n) {
        char unit[UNIT_NAME_SIZE];
        const char *const name = unit;

        snprintf(unit, sizeof(unit), "cmkd-notice@%s.target", n->volume->name);
        return unit_jobs_start(n->sd, "StartUnit", "replace", &name, 1, n->times.answer_usec, left_of(n, n->times.hooks_usec),
                               on_hooks, n, &n->jobs);
}

/* ---- processes ---- */

static void on_gone(const struct disk_reply *y, int fd, void *user) {
        struct notice *n = user;

        safe_close(fd);
        n->child = NULL;
        /* Else the deadline ends it. */
        if (y->error >= 0)
                unmount(n);
}

static void on_signalled(const struct disk_reply *y, int fd, void *user) {
        struct notice *n = user;
        struct disk_request q;

        safe_close(fd);
        n->child = NULL;
        n->reply = *y;
        if (y->error < 0)
                return;
        volume_disk_request(n->volume, DISK_OP_AWAIT, &q);
        if (y->count == 0)
                unmount(n);
        else
                (void) disk_child_start(n->volume->manager->children, &q, -EBADF, -EBADF, left_of(n, n->times.notice_usec) + 1,
                                        on_gone, n, &n->child);
}

static void signal_users(struct notice *n) {
        struct disk_request q;

        n->timer = sd_event_source_disable_unref(n->timer);
        volume_disk_request(n->volume, DISK_OP_NOTICE, &q);
        if (disk_child_start(n->volume->manager->children, &q, -EBADF, -EBADF, n->step.budget_usec, on_signalled, n,
                             &n->child) < 0)
                n->reply.error = -ENOMEM;
}

/* Whatever is still being looked for or stopped. */
static int on_signal_time(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct notice *n = user;

        n->jobs = unit_jobs_cancel(n->jobs);
        n->look = unit_look_cancel(n->look);
        if (n->child)
                disk_child_cancel(n->child);
        n->child = NULL;
        signal_users(n);
        return 0;
}

static int on_begin(sd_event_source *s _unused_, void *user) {
        struct notice *n = user;

        n->start = sd_event_source_disable_unref(n->start);
        /* Role os: nobody is stopped before it is time, since somebody may still say that it is a mistake. */
        if ((!n->sd || start_hooks(n) < 0) && n->volume->role != ROLE_OS)
                look(n);
        return 0;
}

int notice_start(struct volume *v, const struct plan_step *s, enum action action, struct instant began, notice_done done,
                 void *user, struct notice **ret) {
        struct notice *n = calloc(1, sizeof(*n));
        sd_event *event = v->manager->event;
        int r;

        if (!n)
                return -ENOMEM;
        *n = (struct notice) { .volume = v, .step = *s, .times = notice_times(s->wait_usec, v->role), .began = began,
                               .sd = sd_bus_ref(bus_system(v->manager->bus)), .reply.error = -ETIMEDOUT, .done = done,
                               .user = user };
        v->nothing_stopped = false;
        notice_file_write(v->name, action, v->cause, &n->times, began);
        r = sd_event_add_time_relative(event, &n->deadline, CLOCK_BOOTTIME, left_of(n, n->times.notice_usec), 0, on_deadline, n);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &n->timer, CLOCK_BOOTTIME, left_of(n, n->times.stop_usec), 0,
                                               on_signal_time, n);
        if (r >= 0)
                r = sd_event_add_defer(event, &n->start, on_begin, n);
        if (r < 0)
                notice_free(n);
        else
                *ret = n;
        return r < 0 ? r : 0;
}
