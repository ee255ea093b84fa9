/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pure: spans by the two clocks of a struct instant. */

#include "common/util.h"

static inline uint64_t instant_since(uint64_t then, uint64_t now) {
        return now > then ? now - then : 0;
}

/* How much time has passed by the clock that says more. */
static inline uint64_t instant_elapsed(struct instant then, struct instant now) {
        return MAX_OF(instant_since(then.boottime_usec, now.boottime_usec), instant_since(then.realtime_usec, now.realtime_usec));
}

static inline uint64_t instant_remaining(struct instant then, uint64_t span, struct instant now) {
        return instant_since(instant_elapsed(then, now), span);
}

static inline struct instant instant_earlier(struct instant a, struct instant b) {
        return (struct instant) {
                .boottime_usec = MIN_OF(a.boottime_usec, b.boottime_usec),
                .realtime_usec = MIN_OF(a.realtime_usec, b.realtime_usec),
        };
}

static inline struct instant instant_later(struct instant a, struct instant b) {
        return (struct instant) {
                .boottime_usec = MAX_OF(a.boottime_usec, b.boottime_usec),
                .realtime_usec = MAX_OF(a.realtime_usec, b.realtime_usec),
        };
}

static inline struct instant instant_after(struct instant i, uint64_t span) {
        return (struct instant) { i.boottime_usec + span, i.realtime_usec + span };
}

/* Events are put in order by the boot clock alone: it never steps. */
static inline bool instant_is_older(struct instant a, struct instant b) {
        return a.boottime_usec < b.boottime_usec;
}
