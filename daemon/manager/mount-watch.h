/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Keeps what is known of each open volume's use true. What a hold is not possible for shows in status at once.
 *
 *   POLLPRI on mountinfo and swaps ─► half a second later ─► mount-diff.h ─► the volumes below (sysfs) ─┐
 *   a device that changed (mapping-watch.h), if it stands on a volume ──────────────────────────────────┤
 *   adopted: nobody knows what happened before ─────────────────────────────────────────────────────────┴─► due
 *
 *   due, and ATTACHED or RECOVERY ─► look (QUERY, in a child): few at a time, in the order in which they became due
 *
 * A volume that we open ourselves is not looked at: what is mounted from it after that is a change, which marks it by
 * its mapping's UUID in whatever state it is by then. One that changes while it is looked at is due again. Where it
 * cannot be said what a change is about, all are due. */

#include <stdint.h>
#include <systemd/sd-event.h>

struct manager;
struct mount_watch;
struct volume;

/* Returns 0, -ENOMEM, or what opening and reading the two files says. */
int mount_watch_new(struct manager *m, sd_event *event, struct mount_watch **ret);
struct mount_watch *mount_watch_free(struct mount_watch *w);

/* The use of this volume is not known: it is due. */
void mount_watch_mark(struct mount_watch *w, struct volume *v);

/* The kernel says that a device is new or changed. A stack that is mounted already may have come to stand on a volume
 * (a volume group that grew, a member of an array that came back): no mount says so. */
void mount_watch_device(struct mount_watch *w, uint32_t major, uint32_t minor);

/* One that is due may have come to a state in which it is looked at. */
void mount_watch_run(struct mount_watch *w);
