/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-jobs.h"

#include "common/log.h"
#include "unit-look.h"

struct slot {
        struct unit_jobs *of;
        size_t job;
        sd_bus_slot *slot;
};

struct unit_jobs {
        sd_bus *sd;
        struct unit_job *jobs;
        struct slot *slots;
        size_t n, n_over, n_answered;
        sd_bus_slot *match, *subscribe;
        sd_event_source *timer, *nothing;
        unit_jobs_done done;
        void *user;
};

static struct unit_jobs *jobs_free(struct unit_jobs *j) {
        if (!j)
                return NULL;
        for (size_t i = 0; j->slots && i < j->n; i++)
                sd_bus_slot_unref(j->slots[i].slot);
        sd_bus_slot_unref(j->match);
        sd_bus_slot_unref(j->subscribe);
        sd_event_source_disable_unref(j->timer);
        sd_event_source_disable_unref(j->nothing);
        free(j->slots);
        free(j->jobs);
        sd_bus_unref(j->sd);
        free(j);
        return NULL;
}

struct unit_jobs *unit_jobs_cancel(struct unit_jobs *j) {
        return jobs_free(j);
}

static void finish(struct unit_jobs *j) {
        enum unit_jobs_end end = j->n_over == j->n ? UNIT_JOBS_OVER : UNIT_JOBS_LATE;
        _cleanup_(freep) struct unit_job *jobs = TAKE_PTR(j->jobs);
        unit_jobs_done done = j->done;
        void *user = j->user;
        size_t n = j->n;

        if (n > 0 && j->n_answered == 0)
                end = UNIT_JOBS_NO_ANSWER;
        jobs_free(j);
        done(end, jobs, n, user);
}

static void is_over(struct unit_jobs *j, struct unit_job *job, const char *result) {
        if (*job->result)
                return;
        snprintf(job->result, sizeof(job->result), "%s", *result ? result : "?");
        j->n_over++;
        if (j->n_over == j->n)
                finish(j);
}

static int on_removed(sd_bus_message *m, void *user, sd_bus_error *e _unused_) {
        const char *path, *unit, *result;
        struct unit_jobs *j = user;
        uint32_t id;

        if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
                return 0;
        for (size_t i = 0; i < j->n; i++)
                if (streq(j->jobs[i].path, path)) {
                        is_over(j, j->jobs + i, result);
                        break;
                }
        return 0;
}

/* The job that is queued, before the signal of its end. */
static int on_queued(sd_bus_message *m, void *user, sd_bus_error *e _unused_) {
        const sd_bus_error *error = sd_bus_message_get_error(m);
        struct slot *s = user;
        struct unit_jobs *j = s->of;
        struct unit_job *job = j->jobs + s->job;
        const char *path;

        s->slot = sd_bus_slot_unref(s->slot);
        /* At the end of the time or of the connection there is an error too, which is no answer. */
        j->n_answered += !error || !(sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY) ||
                                     sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN));
        if (!error && sd_bus_message_read(m, "o", &path) >= 0 && strlen(path) < sizeof(job->path))
                snprintf(job->path, sizeof(job->path), "%s", path);
        else
                is_over(j, job, error ? strempty(error->message) : "?");
        return 0;
}

static int on_time(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        finish(user);
        return 0;
}

/* Before the loop has turned nobody is told. */
static int on_nothing(sd_event_source *s _unused_, void *user) {
        finish(user);
        return 0;
}

/* Without it systemd sends no signals; who has subscribed already is told so, and no harm is done. */
static int on_subscribed(sd_bus_message *m _unused_, void *user _unused_, sd_bus_error *e _unused_) {
        return 0;
}

static int queue(struct unit_jobs *j, size_t i, const char *method, const char *mode, uint64_t answer_usec) {
        struct slot *s = j->slots + i;

        *s = (struct slot) { j, i, NULL };
        return unit_manager_call(j->sd, method, answer_usec, on_queued, s, &s->slot, "ss", j->jobs[i].name, mode);
}

static int listen_to(struct unit_jobs *j, uint64_t answer_usec) {
        int r;

        r = sd_bus_match_signal_async(j->sd, &j->match, UNIT_SERVICE_NAME, UNIT_MANAGER_PATH, UNIT_MANAGER_INTERFACE,
                                      "JobRemoved", on_removed, on_subscribed, j);
        if (r >= 0)
                r = unit_manager_call(j->sd, "Subscribe", answer_usec, on_subscribed, NULL, &j->subscribe, "");
        return r;
}

int unit_jobs_start(sd_bus *sd, const char *method, const char *mode, const char *const *names, size_t n,
                    uint64_t answer_usec, uint64_t total_usec, unit_jobs_done done, void *user, struct unit_jobs **ret) {
        struct unit_jobs *j = calloc(1, sizeof(*j));
        int r;

        if (!j)
                return -ENOMEM;
        *j = (struct unit_jobs) { .sd = sd_bus_ref(sd), .n = n, .done = done, .user = user };
        j->jobs = calloc(n + 1, sizeof(*j->jobs));
        j->slots = calloc(n + 1, sizeof(*j->slots));
        r = j->jobs && j->slots ? 0 : -ENOMEM;
        for (size_t i = 0; r >= 0 && i < n; i++)
                snprintf(j->jobs[i].name, sizeof(j->jobs[i].name), "%s", names[i]);
        if (r >= 0 && n == 0)
                r = sd_event_add_defer(sd_bus_get_event(sd), &j->nothing, on_nothing, j);
        if (r >= 0 && n > 0)
                r = sd_event_add_time_relative(sd_bus_get_event(sd), &j->timer, CLOCK_BOOTTIME, total_usec, 0, on_time, j);
        if (r >= 0 && n > 0)
                r = listen_to(j, answer_usec);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = queue(j, i, method, mode, answer_usec);
        if (r < 0)
                jobs_free(j);
        else
                *ret = j;
        return r < 0 ? r : 0;
}

size_t unit_jobs_count_done(const struct unit_job *jobs, size_t n) {
        size_t count = 0;

        for (size_t i = 0; i < n; i++)
                count += streq(jobs[i].result, "done");
        return count;
}

void unit_jobs_describe(const struct unit_job *jobs, size_t n, bool done, char *buf, size_t size) {
        size_t used = 0;

        *buf = 0;
        for (size_t i = 0; i < n; i++) {
                const char *why = done ? "" : *jobs[i].result ? jobs[i].result : "under way";
                size_t need = strlen(jobs[i].name) + strlen(why) + 8;

                if (streq(jobs[i].result, "done") != done)
                        continue;
                if (size - used < need + 16) {
                        (void) snprintf(buf + used, size - used, " and more");
                        return;
                }
                used += (size_t) snprintf(buf + used, size - used, "%s%s%s%s%s", used > 0 ? ", " : "", jobs[i].name,
                                          done ? "" : " (", why, done ? "" : ")");
        }
}
