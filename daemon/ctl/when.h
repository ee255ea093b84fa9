/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Points in time as people type them. Pure. */

#include "common/util.h"

/* A point in time as journalctl takes it: "2026-01-31", "2026-01-31 12:00[:30[.123456]]" (a T in place of the space, a Z at the
 * end: UTC; else local time), "12:00[:30]" (of today), now, today, yesterday, tomorrow, "@SECONDS" since 1970, or a span before
 * now ("10min", "-10min", "10min ago") or after it ("+10min"). now_usec and the result: microseconds since 1970. Returns 0, or
 * -EINVAL (none of these, a day that does not exist, a span longer than since 1970). */
int parse_when(const char *s, uint64_t now_usec, uint64_t *ret_usec);

/* A point in time to come: a date and time as above, "14:00[:30]" (of today), or a span from now, which needs a unit ("2h",
 * "+30min"). Returns 0, -EINVAL (none of these, a day or an hour that does not exist) or -ETIME (not after now). */
int parse_until(const char *s, uint64_t now_usec, uint64_t *ret_usec);
