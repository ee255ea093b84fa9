/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tells when somebody sets the wall clock: timers run by the boot clock and would notice at their next turn only, and
 * the breaker gives the manager BREAKER_JUMP_USEC (breaker.h) to act by itself. */

#include <systemd/sd-event.h>

struct clock_watch;

/* changed: called from the loop after each step of the clock, by whatever amount. Returns 0, -ENOMEM, or what
 * timerfd_create(2) says. */
int clock_watch_new(sd_event *event, void (*changed)(void *user), void *user, struct clock_watch **ret);
struct clock_watch *clock_watch_free(struct clock_watch *w);
