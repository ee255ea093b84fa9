/* SPDX-License-Identifier: Apache-2.0 */
#include "guard-plan.h"

const char *guard_state_to_string(enum guard_state s) {
        static const char *const names[_GUARD_STATE_MAX] = {
                "off", "audit", "waiting", "armed", "enforcing", "disarmed", "impossible",
        };

        return (size_t) s < ELEMENTSOF(names) ? names[s] : "?";
}

static enum guard_state decide(struct guard_plan *p, uint64_t now_usec) {
        if (p->mode != GUARD_ENFORCE) {
                p->confirmed = p->disarmed = false;
                p->armed_until_usec = 0;
                return p->mode == GUARD_OFF ? GUARD_STATE_OFF : GUARD_STATE_AUDIT;
        }
        if (!p->possible)
                return GUARD_STATE_IMPOSSIBLE;
        if (p->confirmed)
                return GUARD_STATE_ENFORCING;
        if (p->armed_until_usec > 0 && now_usec >= p->armed_until_usec) {
                p->armed_until_usec = p->clean_usec = 0;
                p->disarmed = true;
        }
        if (p->disarmed)
                return GUARD_STATE_DISARMED;
        if (p->armed_until_usec == 0 && p->clean_usec >= p->arm_after_usec)
                p->armed_until_usec = now_usec + p->confirm_usec;
        return p->armed_until_usec > 0 ? GUARD_STATE_ARMED : GUARD_STATE_WAITING;
}

enum guard_state guard_plan_tick(struct guard_plan *p, uint64_t now_usec, bool seeing) {
        uint64_t passed = p->last_usec > 0 && now_usec > p->last_usec ? now_usec - p->last_usec : 0;

        p->last_usec = now_usec;
        if (seeing && p->mode != GUARD_OFF && p->armed_until_usec == 0 && !p->confirmed)
                p->clean_usec += passed;
        return decide(p, now_usec);
}

void guard_plan_would(struct guard_plan *p) {
        if (p->armed_until_usec == 0 && !p->confirmed)
                p->clean_usec = 0;
}

int guard_plan_confirm(struct guard_plan *p, uint64_t now_usec) {
        if (p->mode == GUARD_ENFORCE && p->possible && p->confirmed)
                return -EALREADY;
        if (p->armed_until_usec == 0 || now_usec >= p->armed_until_usec)
                return -EAGAIN;
        p->armed_until_usec = 0;
        p->confirmed = true;
        return 0;
}
