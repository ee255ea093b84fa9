/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Mappings that others make and close, and disks that are pulled, heard of from the kernel itself (no udevd is needed):
 *
 *   uevent ─► sysfs ─┬─ a volume of ours, closed or released ─► adopt_found()
 *                    ├─ its mapping has gone ─► adopt_changed()    ─ the disk below has ─► adopt_pulled()
 *                    └─ a second mapping of an open volume, or one of a cmkd volume that is not listed: a finding
 *          ─► this machine was restored from a snapshot ─► manager_restored()
 *
 * An event is a hint: only messages that come from the kernel are read, and what is done is decided by what sysfs and
 * device-mapper say then. Lost events (a full socket) lead to a look at everything. */

#include <systemd/sd-event.h>

struct manager;
struct mapping_watch;
struct volume;

/* Returns 0, -ENOMEM, or what socket(2) and bind(2) say. */
int mapping_watch_new(struct manager *m, sd_event *event, struct mapping_watch **ret);
struct mapping_watch *mapping_watch_free(struct mapping_watch *w);

/* Looks at everything, soon: after the start, and where events were lost. */
void mapping_watch_kick(struct mapping_watch *w);

/* An operation on the volume has ended, for whose sake events were ignored: it and they are looked at, soon. */
void mapping_watch_made(struct mapping_watch *w, const struct volume *v);

/* The volume has just been opened: remembers what is below it. */
void mapping_watch_note(struct volume *v);
