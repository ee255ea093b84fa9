/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Points in time as people type them. Pure. */

#include "common/util.h"

/* "2026-01-31", "2026-01-31 12:00[:30]" (a T in place of the space, a Z at the end: UTC; else local time), or a span
 * before now ("10min"). now_usec and the result: microseconds since 1970. Returns 0, or -EINVAL (none of these, a day
 * that does not exist, a span longer than since 1970). */
int parse_when(const char *s, uint64_t now_usec, uint64_t *ret_usec);
