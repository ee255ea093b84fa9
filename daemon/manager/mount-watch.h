/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Keeps what is known of each open volume's use true: whenever the kernel says that mounts or swap of this namespace
 * changed (POLLPRI on /proc/self/mountinfo and /proc/swaps), every attached volume is looked at again (QUERY, in a
 * child), half a second later at the earliest. What a hold is not possible for shows in status at once. */

#include <systemd/sd-event.h>

struct manager;
struct mount_watch;

/* Returns 0, -ENOMEM, or what opening the two files says. */
int mount_watch_new(struct manager *m, sd_event *event, struct mount_watch **ret);
struct mount_watch *mount_watch_free(struct mount_watch *w);

/* As if something had changed: after an attach. */
void mount_watch_kick(struct mount_watch *w);
