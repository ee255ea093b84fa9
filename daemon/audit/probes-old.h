/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What another build, or another size of the ring, left in bpffs: a ring with events that nobody has read, counters of
 * what it had no room for.
 *
 *   probes_old_detach ── probes_old_next ── records of both, durable ── probes_old_done ── probes_old_next ... 0 */

#include "common/util.h"

struct probes_old {
        char path[256];
        uint64_t lost;                     /* events of all kinds that found no room and were not reported */
        int events_fd;                     /* the ring, or -errno; -ENOENT: nothing was ever recorded here */
        bool is_known;                     /* its events are of this version */
};

/* Detaches the programs of each directory beside dir. */
void probes_old_detach(const char *dir);

/* The next of these directories. Returns 1, or 0: there is none. */
int probes_old_next(const char *dir, struct probes_old *ret);

/* Whether there is a ring in any directory, this build's own included. */
bool probes_old_any(void);

/* remove: all of it stands in the trail. Returns 0 or -errno (it is still there). */
int probes_old_done(struct probes_old *o, bool remove);

/* Unpins what begins so. Returns how much that was. */
unsigned probes_unpin(const char *dir, const char *prefix);

/* A cell of a map that has one for each CPU, summed. */
uint64_t probes_sum_cpus(int map_fd, uint32_t key);
