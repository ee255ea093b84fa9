/* SPDX-License-Identifier: Apache-2.0 */
#include "budget.h"

/* A node with one key: ten polls and one reading of its attributes, in ten spans that jitter makes an eighth shorter. */
#define REQUESTS 11u
#define POLLS 10u
#define SPANS (10.0 * 7 / 8)
#define SECRETS_LIMIT 4000u
#define LIMIT_USEC (10 * USEC_PER_SEC)

/* Requests in 10 s that Azure documents for a vault and region. */
static unsigned limit_of(unsigned bits, bool hsm) {
        if (bits == 2048)
                return hsm ? 2000 : 4000;
        if (bits == 3072)
                return hsm ? 500 : 1000;
        return hsm ? 250 : 500;
}

struct budget_calls budget_calls(uint64_t poll_usec, uint64_t span_usec, bool followed, bool stored) {
        double polls = (double) span_usec / (SPANS * (double) poll_usec);

        return (struct budget_calls) { .key = polls * (followed ? REQUESTS + POLLS : REQUESTS), .secret = stored ? polls * POLLS : 0 };
}

double budget_weight(unsigned bits, bool hsm, bool followed, bool stored) {
        struct budget_calls c = budget_calls(USEC_PER_SEC, LIMIT_USEC, followed, stored);

        return (c.key / limit_of(bits, hsm) + c.secret / SECRETS_LIMIT) * (double) USEC_PER_SEC;
}

uint64_t budget_shortest_poll_usec(uint64_t nodes, double weights) {
        return (uint64_t) (4 * (double) nodes * weights + 0.5);
}

unsigned budget_percent(uint64_t nodes, double weights, uint64_t poll_usec) {
        double percent = 100 * (double) nodes * weights / (double) MAX_OF(poll_usec, (uint64_t) 1);

        return percent >= 1e6 ? 1000000 : (unsigned) (percent + 0.999);
}
