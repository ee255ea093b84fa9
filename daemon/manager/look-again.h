/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whoever could not look at a volume looks again, after 1, 2, 4 … 15 s. That nobody looked says nothing about what is there. */

#include <systemd/sd-event.h>

struct volume;

/* Calls f. One try at a time waits for a volume: the one before goes. user: the timer's from now on, which is the volume's, and freed with
 * it. failures: how many times there were before. Returns 0 or a negative errno (user stays the caller's). */
int look_again(struct volume *v, unsigned failures, sd_event_time_handler_t f, void *user);

/* What f begins with: the volume's timer has done its work, and user is f's. */
void look_again_begin(struct volume *v);
