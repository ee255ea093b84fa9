/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* When the breaker acts on a deadline that has passed. One that passed while everybody was awake: at once. One that passed because the wall
 * clock was set, or in the machine's sleep: after BREAKER_JUMP_USEC, in which cmkd, which may know something gentler, can do it or renew
 * the deadline. No clock that is set again and no further sleep puts that off. Pure. */

#include "table.h"

#define BREAKER_JUMP_USEC (2 * USEC_PER_SEC)

/* How long the machine has just slept; all zero but asleep_usec at first, which is sleep_total() then. */
struct sleep_watch {
        uint64_t asleep_usec;            /* since boot, as of the last sleep seen */
        uint64_t woken_usec;             /* CLOCK_BOOTTIME */
        uint64_t slept_usec;
};

/* CLOCK_BOOTTIME less CLOCK_MONOTONIC, read in any order and not in the same instant: never less than 0. */
uint64_t sleep_total(uint64_t boottime_usec, uint64_t monotonic_usec);

/* Returns how much of the boot clock is sleep that ended less than BREAKER_JUMP_USEC ago; 0: none. */
uint64_t sleep_look(struct sleep_watch *s, uint64_t boottime_usec, uint64_t monotonic_usec);

struct slot_patience {
        uint64_t seen_usec;              /* due for such a reason since then (CLOCK_BOOTTIME); 0: not so */
        uint64_t slept_usec;             /* what sleep_look() said then */
};

/* Whether it is to be acted on now. */
bool slot_is_to_be_done(const struct breaker_slot *s, struct slot_patience *p, struct instant now, uint64_t slept_usec);
