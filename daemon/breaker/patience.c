/* SPDX-License-Identifier: Apache-2.0 */
#include "patience.h"

uint64_t sleep_total(uint64_t boottime_usec, uint64_t monotonic_usec) {
        return boottime_usec - MIN_OF(monotonic_usec, boottime_usec);
}

uint64_t sleep_look(struct sleep_watch *s, uint64_t boottime_usec, uint64_t monotonic_usec) {
        uint64_t asleep = sleep_total(boottime_usec, monotonic_usec), more = asleep - MIN_OF(s->asleep_usec, asleep);

        /* The two clocks are not read in the same instant. */
        if (more >= USEC_PER_SEC) {
                *s = (struct sleep_watch) { .asleep_usec = asleep, .woken_usec = boottime_usec, .slept_usec = more };
                return more;
        }
        return s->slept_usec > 0 && boottime_usec - s->woken_usec < BREAKER_JUMP_USEC ? s->slept_usec : 0;
}

bool slot_is_to_be_done(const struct breaker_slot *s, struct slot_patience *p, struct instant now, uint64_t slept_usec) {
        struct instant awake = { .boottime_usec = now.boottime_usec };

        if (!slot_is_due(s, now)) {
                *p = (struct slot_patience) {};
                return false;
        }
        awake.boottime_usec -= MIN_OF(p->seen_usec > 0 ? p->slept_usec : slept_usec, now.boottime_usec);
        if (slot_is_due(s, awake))
                return true;
        if (p->seen_usec == 0)
                *p = (struct slot_patience) { .seen_usec = now.boottime_usec, .slept_usec = slept_usec };
        return now.boottime_usec >= p->seen_usec + BREAKER_JUMP_USEC;
}
