/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What holds beyond the list when nobody asked for a volume but udev: refused rather than raced for a name.
 *
 *   header read ─► not cmkd's, part of a stack, known (below) ─► LEAVE: quietly, nothing is recorded
 *              └─► loop, nbd, zram, USB, removable; a second disk with the UUID; another serial ─► REFUSE, recorded
 */

#include "common/disk-proto.h"
#include "operation.h"

struct manager;

enum automatic { AUTOMATIC_GO, AUTOMATIC_LEAVE, AUTOMATIC_REFUSE };

/* Which of the three, for a device whose header was read (y: what the child said). o: filled when it is not GO. */
enum automatic automatic_judge(struct manager *m, const char *device, const struct disk_reply *y, struct outcome *o);

/* Format begins to write to a device, or it was attached: from here on this appearance of it is known, also to a manager that is started
 * anew. udev's later events about it are not news: what was closed by hand stays closed until the disk goes and comes again. */
void automatic_know(const char *device);
