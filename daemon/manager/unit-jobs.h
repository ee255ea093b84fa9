/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Some units stopped or started by systemd: a job each, queued together in the order given, which systemd orders among
 * each other; told when the last of them is over, or the time is. A bus or a systemd that does not answer costs that time
 * and nothing else. */

#include <systemd/sd-bus.h>

#include "unit-name.h"

struct unit_jobs;

struct unit_job {
        char name[UNIT_NAME_SIZE];
        char path[64];                   /* of systemd's job; empty: there is none (yet) */
        char result[96];                 /* "done", "failed", ..., or why there is no job; empty: not over */
};

enum unit_jobs_end {
        UNIT_JOBS_OVER,                  /* each has a result */
        UNIT_JOBS_LATE,                  /* some do not; systemd goes on with them */
        UNIT_JOBS_NO_ANSWER,             /* systemd, or the bus, says nothing at all */
};

/* jobs are valid during the call only. Called exactly once, never from inside unit_jobs_start(). */
typedef void (*unit_jobs_done)(enum unit_jobs_end end, const struct unit_job *jobs, size_t n, void *user);

/* method: StartUnit or StopUnit; mode: of systemctl(1), --job-mode=. n may be 0. answer_usec: until systemd says that a job
 * is queued; total_usec: until all are over. Returns 0 or -errno. */
int unit_jobs_start(sd_bus *sd, const char *method, const char *mode, const char *const *names, size_t n,
                    uint64_t answer_usec, uint64_t total_usec, unit_jobs_done done, void *user, struct unit_jobs **ret);

/* The callback will not come; what systemd was told it does. Accepts NULL. Returns NULL. */
struct unit_jobs *unit_jobs_cancel(struct unit_jobs *j);

/* How many have the result "done". */
size_t unit_jobs_count_done(const struct unit_job *jobs, size_t n) _pure_;

/* "a.service, b.service" of those that have it, or of those that do not. */
void unit_jobs_describe(const struct unit_job *jobs, size_t n, bool done, char *buf, size_t size);
