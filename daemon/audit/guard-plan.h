/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* When the guard refuses: pure, no clock of its own.
 *
 *   audit, waiting ── nothing that would be refused, for ArmAfterSec= ──► armed ── confirmed in time ──► enforcing
 *        ▲ "would": the clean time begins anew                             └── not ──► disarmed, until the next start
 *
 * Clean time counts while cmkd-audit runs and sees, in Mode=audit too. What is kept over restarts: clean time, and that it
 * was confirmed; a confirmed guard enforces from its start on. */

#include "common/policy-values.h"

enum guard_state {
        GUARD_STATE_OFF, GUARD_STATE_AUDIT, GUARD_STATE_WAITING, GUARD_STATE_ARMED, GUARD_STATE_ENFORCING,
        GUARD_STATE_DISARMED, GUARD_STATE_IMPOSSIBLE,
        _GUARD_STATE_MAX,
};

struct guard_plan {
        enum guard_mode mode;              /* as configured */
        bool possible;                     /* this kernel refuses what it is told to, and knows who is ours */
        uint64_t arm_after_usec, confirm_usec;
        uint64_t clean_usec;               /* kept */
        bool confirmed;                    /* kept */
        uint64_t last_usec;                /* of the tick before; 0: none */
        uint64_t armed_until_usec;         /* boot time; 0: not armed */
        bool disarmed;
};

/* What holds at that moment (boot time). seeing: the kernel's events arrive. */
enum guard_state guard_plan_tick(struct guard_plan *p, uint64_t now_usec, bool seeing);

/* Something happened that would have been refused. */
void guard_plan_would(struct guard_plan *p);

/* Returns 0, -EALREADY, or -EAGAIN (it is not armed). */
int guard_plan_confirm(struct guard_plan *p, uint64_t now_usec);

/* "off", "audit", "waiting", "armed", "enforcing", "disarmed", "impossible". */
const char *guard_state_to_string(enum guard_state s);
