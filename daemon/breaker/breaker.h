/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The breaker's state and its two halves: deadlines (breaker.c) and clients (clients.c).
 *
 *   clients ── SET, CLEAR, ACT ──► table ◄── deadlines: timerfds, every second while something is due
 *                                    └──► workers (cut) ──► power
 *
 * Invariants: the main thread never blocks but in ppoll(2) and never allocates; only it writes to the table. */

#include "patience.h"
#include "workers.h"

#define BREAKER_CLIENTS_MAX 8
#define BREAKER_RETRY_USEC USEC_PER_SEC
#define BREAKER_ACT_REPLY_USEC (3 * USEC_PER_SEC)    /* then an ACT is answered with -ETIMEDOUT, and goes on */
#define BREAKER_POWER_WAIT_USEC (5 * USEC_PER_SEC)   /* for the cut, before the power goes without it */
#define BREAKER_POWER_FORCE_USEC (10 * USEC_PER_SEC) /* for reboot(2), before sysrq */

struct client {
        int fd;                          /* -EBADF: free */
        uint32_t generation;             /* tells this client from an earlier one in the same place */
        int list_next;                   /* the slot a LIST goes on with; -1: none under way */
        uint32_t list_id;
        bool owes;                       /* what it does not read stays here, and nothing more of it is read */
        struct breaker_reply owed;
};

/* What of a slot need not survive a restart. */
struct slot_work {
        uint64_t retry_usec;             /* CLOCK_BOOTTIME: not before */
        uint64_t due_since_usec;         /* 0: not due */
        struct slot_patience patience;
        int last_error;                  /* said already */
        bool ordered;                    /* by an ACT: where the power is to go, a SET does not put that off */
        bool waited_for;                 /* an ACT waits for the outcome */
        int client;
        uint32_t client_generation;
        uint32_t request_id;
        uint64_t reply_by_usec;
};

struct breaker {
        struct table *table;
        struct workers *workers;
        int sysrq_fd, listen_fd, signal_fd, boottime_fd, realtime_fd;
        struct slot_work work[BREAKER_SLOTS];
        struct client clients[BREAKER_CLIENTS_MAX];
        struct sleep_watch sleep;
        bool power_restart;
        uint64_t power_since_usec;       /* 0: no */
        unsigned power_forced;
        uint64_t watchdog_usec, watchdog_next_usec;
        bool stop;
};

/* Does everything that is due, arms the timers for the next deadline. Returns how long ppoll(2) may wait. */
uint64_t breaker_step(struct breaker *b);

/* The loop. Returns when a SIGTERM finds nothing armed. */
void breaker_run(struct breaker *b);

/* Accepts or refuses (uid other than 0) a client. */
void clients_accept(struct breaker *b);

/* Serves one: requests that are there, the rest of a LIST. */
void clients_serve(struct breaker *b, int index);

/* Answers the ACT that waits for a slot, if one does. */
void clients_finish_act(struct breaker *b, int slot, int error);
