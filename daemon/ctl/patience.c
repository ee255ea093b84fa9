/* SPDX-License-Identifier: Apache-2.0 */
#include "patience.h"

static uint64_t spread(uint64_t delay, uint32_t random) {
        return delay - delay / 4 + random % (delay / 2 + 1);
}

uint64_t patience_next(struct patience *p, enum exit_code code, uint64_t now_usec, uint32_t random) {
        uint64_t delay;

        switch (code) {
        case EXIT_CODE_REVOKED:
                if (++p->refusals >= PATIENCE_REFUSALS_MAX)
                        return USEC_INFINITY;
                delay = PATIENCE_REFUSED_USEC + random % (PATIENCE_REFUSED_USEC / 4);
                break;
        case EXIT_CODE_FAILED:
        case EXIT_CODE_UNREACHABLE:
        case EXIT_CODE_BUSY:
                delay = spread(p->tries < 4 ? USEC_PER_SEC << p->tries : PATIENCE_DELAY_MAX_USEC, random);
                p->tries++;
                break;
        default:
                return USEC_INFINITY;
        }
        if (now_usec >= p->end_usec || p->end_usec - now_usec < delay)
                return USEC_INFINITY;
        return now_usec + delay;
}
