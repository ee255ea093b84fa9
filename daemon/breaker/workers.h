/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Threads that do what may block, so that one volume above a lower device that hangs does not keep the others readable.
 *
 *   main loop ── job ──► worker thread: dm_cut() ── result, eventfd ──► main loop
 *
 * All are made at the start, on stacks of their own in locked memory (a forked child would inherit no mlock and need
 * memory). A job belongs to its worker from workers_cut() until workers_collect() has returned it. A worker that hangs
 * is interrupted only when another volume waits for it: hanging, it at least keeps new I/O from the volume. */

#include "common/dm-ioctl.h"

#define WORKERS_MAX 32
#define WORKER_HUNG_USEC (3 * USEC_PER_SEC)

struct workers;

struct worker_result {
        int tag;                 /* as given to workers_cut() */
        int error;
        char dm_uuid[128];
};

/* Starts the threads. control: descriptor of device-mapper's control node, or a negative errno for now. Returns 0 or
 * -errno. */
int workers_start(int control, struct workers **ret);

/* Opens the control node where that was not possible before: device-mapper came later than the breaker. */
void workers_reopen(struct workers *w);

/* Readable when there is something to collect. */
int workers_fd(const struct workers *w);

/* Cuts a mapping in a worker. Returns 0, -EALREADY (one is at it: it hangs), or -EAGAIN (all are busy; the one that has
 * hung longest, above WORKER_HUNG_USEC, is interrupted: try again). */
int workers_cut(struct workers *w, int tag, const char dm_uuid[static 128], uint64_t sectors);

/* One finished job. Returns false when there is none. */
bool workers_collect(struct workers *w, struct worker_result *ret);

/* Switches the machine off or restarts it by reboot(2), in a thread kept for it. Harmless when called twice. */
void workers_power(struct workers *w, bool restart);
