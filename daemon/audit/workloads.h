/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Use by workload: what io.bpf.c counted, as records "io", one for each volume and cgroup.
 *
 *   each second: who is new is given a name, while its cgroup is there
 *   each ten minutes, and at an end: a record of those that changed          a mapping was removed: the last one, and the counters go
 *   each minute: a cgroup was removed, and nothing of it has been written back for that long: likewise, so that there is room for
 *   those to come
 *
 * The numbers are sums since the mapping was made, or since this node counts: of one use and cgroup a later record replaces
 * an earlier one, so that one that is written twice counts once. After the last one they begin anew. */

#include "io.h"
#include "uses.h"
#include "who.h"
#include "writer.h"

#define WORKLOADS_PERIOD_USEC (600 * USEC_PER_SEC)
#define WORKLOADS_QUIET_USEC (60 * USEC_PER_SEC)      /* dirty pages are written back after half of that */

struct workloads;

/* map_fd, rest_fd: of the maps "workloads" and "unattributed"; they stay the caller's. Returns 0 or -ENOMEM. */
int workloads_new(int map_fd, int rest_fd, struct workloads **ret);
struct workloads *workloads_free(struct workloads *w);

/* A mapping with that dm uuid was removed, then (CLOCK_BOOTTIME): its last records come with workloads_housekeep(). */
void workloads_removed(struct workloads *w, const char *dm_uuid, uint64_t boottime_usec);

/* Once a second. m: room for a record. */
void workloads_housekeep(struct workloads *w, struct who *who, const struct uses *uses, struct writer *writer,
                         struct audit_message_record *m);

/* Before an orderly end: of all that changed, whenever that was, until then (CLOCK_BOOTTIME); and how many there was no time for ("lost").
 * A shutdown takes the counters with it. */
void workloads_end(struct workloads *w, struct who *who, const struct uses *uses, uint64_t until_usec, struct writer *writer,
                   struct audit_message_record *m);
