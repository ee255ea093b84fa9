/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* --wait SEC, for verbs that do one thing: again and again as patience.h has it. */

#include "ctl.h"

/* Seconds, 0 where --wait is not there. Returns an exit code: USAGE, said, for what is no number of seconds. */
int wait_read(const struct invocation *in, uint64_t *ret_seconds);

/* Calls once() until it returns DONE, or what another try would not better, or the time is over. Returns its last exit code; 0 seconds:
 * its first. The negative of an exit code: somebody wants no more of it. */
int wait_until_done(const struct invocation *in, uint64_t seconds, int (*once)(const struct invocation *in, void *user), void *user);
