/* SPDX-License-Identifier: Apache-2.0 */
#include "retry.h"

#define ABSENT_USEC (15 * USEC_PER_SEC)
#define DENIED_TRIES 3u
#define PAUSE_SHIFT_MAX 3u

uint64_t retry_next(struct retry *r, enum attempt a, uint64_t now_usec) {
        uint64_t limit = a == ATTEMPT_ABSENT ? MIN_OF(r->limit_usec, ABSENT_USEC) : r->limit_usec;
        uint64_t past = now_usec > r->begin_usec ? now_usec - r->begin_usec : 0;
        uint64_t pause = USEC_PER_SEC << MIN_OF(r->tries, PAUSE_SHIFT_MAX);

        r->tries++;
        if (a == ATTEMPT_HOPELESS || past >= limit)
                return 0;
        if (a == ATTEMPT_DENIED && ++r->denied >= DENIED_TRIES)
                return 0;
        return MIN_OF(pause, limit - past);
}

uint64_t retry_limit(const char *text) {
        uint64_t sec;

        if (!text || parse_u64(text, 3600, &sec) < 0)
                return RETRY_LIMIT_DEFAULT_USEC;
        return sec * USEC_PER_SEC;
}
