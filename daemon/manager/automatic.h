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

/* Known disks: an appearance that was formatted or attached in cmkd's present life. udev's later events about it are not
 * news: what was closed by hand stays closed until the disk goes and comes again. The oldest is forgotten first. */
#define AUTOMATIC_KNOWN_MAX 256u

/* One appearance of a device. */
struct appearance {
        uint64_t devnum, diskseq;
};

/* Which of the three, for a device whose header was read (y: what the child said). o: filled when it is not GO. */
enum automatic automatic_judge(struct manager *m, const char *device, const struct disk_reply *y, struct outcome *o);

/* Format begins to write to a device, or it was attached: from here on it is known. */
void automatic_know(struct manager *m, const char *device);
