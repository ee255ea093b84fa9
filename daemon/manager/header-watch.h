/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What others change about a volume while it is open: its header (cryptsetup luksAddKey, luksKillSlot, refresh --persistent; a wiped one),
 * or the options of its mapping (cryptsetup refresh).
 *
 *   uevent of its disk or its mapping ─► a moment without another, and nobody of ours at its header ─► RECOGNIZE (child)
 *      ─► another header than the last that we saw or wrote: record "header_changed", a finding in status
 *
 * udev sends a change of a disk whenever somebody closes it who had it open for writing. Whether a change is welcome only a key of the
 * volume can say: header-accept.c, and the next unlock (volume_verify()). */

#include "common/util.h"

struct manager;
struct volume;
struct disk_reply;

/* There was an event of that device. */
void header_watch_event(struct manager *m, uint32_t major, uint32_t minor);

/* A header of it that we wrote, or took as it is. v: NULL: nothing happens. */
void header_watch_ours(struct volume *v, const struct disk_reply *y);
