/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* So many at a time, the others one after the other: a node may attach hundreds of volumes at once, and children that all compute together
 * all come near their deadlines together. Whoever takes long, for a disk that does not answer, keeps the others waiting for a while only. */

#include <sys/queue.h>

#include <systemd/sd-event.h>

#include "common/util.h"

struct turn;
STAILQ_HEAD(turn_queue, turn);

struct turns {
        sd_event *event;
        unsigned max, n;
        uint64_t usec;                 /* of how long a turn counts at most */
        struct turn_queue waiting;
        sd_event_source *next;
};

/* In whoever waits. All zeros: it has none, and waits for none. */
struct turn {
        STAILQ_ENTRY(turn) waiting;
        struct turns *turns;           /* whose turn it is, or is to be */
        bool waits;
        sd_event_source *end;          /* when it does not count any more */
        void (*begin)(void *user);
        void *user;
};

/* max: at a time, at least 1. usec: as above. event must outlive it. Returns 0 or -ENOMEM. */
int turns_init(struct turns *t, sd_event *event, unsigned max, uint64_t usec);
void turns_done(struct turns *t);

/* True: it is its turn, until turn_end(); begin will not be called. False: begin is called when it is, from the event loop, unless
 * turn_end() comes before. turn: without one. */
bool turn_take(struct turns *t, struct turn *turn, void (*begin)(void *user), void *user);

/* Also of one that waits, or has none. */
void turn_end(struct turn *turn);
