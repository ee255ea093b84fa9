/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* When to ask again for a key at boot, and when to give up so that the recovery key is asked for. Pure: no clock. For
 * those who wait on behalf of systemd-cryptsetup and its like.
 *
 *   no cmkd there                 it may be starting: 15 s
 *   cmkd is not ready, vault      until the limit
 *     unreachable or throttled
 *   revoked or denied             3 tries: a role that was granted a moment ago, never more than that
 *   anything else                 at once
 *
 * Between two tries 1, 2, 4, then 8 s. */

#include "util.h"

#define RETRY_LIMIT_DEFAULT_USEC (60 * USEC_PER_SEC)

enum attempt { ATTEMPT_ABSENT, ATTEMPT_NOT_READY, ATTEMPT_UNREACHABLE, ATTEMPT_DENIED, ATTEMPT_HOPELESS };

struct retry {
        uint64_t begin_usec, limit_usec;     /* the limit is a length of time, 0: one try only */
        unsigned tries, denied;
};

/* What the last try ended with, and what time it is. Returns how long to wait before the next; 0: give up. */
uint64_t retry_next(struct retry *r, enum attempt a, uint64_t now_usec);

/* The limit from the environment's text (a number of seconds up to an hour; NULL or anything else: the default). */
uint64_t retry_limit(const char *text);
