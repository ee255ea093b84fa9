/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What may be used otherwise than before, from two texts of /proc/self/mountinfo or /proc/swaps. Pure.
 *
 *   lines that came, went or changed ─► the devices that they name ─┐
 *                                   └─► those that name none, and could be on any volume ─► all
 *
 * A line names no device where its number is 0:N: it counts if its source is a device (btrfs). So does any that covers
 * a place that the system cannot do without, which may have been on a volume until then. Whatever else is mounted with
 * such a number (overlays, tmpfs, network file systems: what containers come and go with) is nothing new on any. */

#include "common/stack.h"

struct mount_diff {
        bool all;
        struct stack devices;
};

/* Adds the devices of the lines of mountinfo that are in one of the texts only. Their order is no matter; the time that
 * it takes grows as n log n. Returns 0 or -ENOMEM. */
int mount_diff_mounts(struct mount_diff *d, const char *before, const char *after);

/* Swap areas that came or went, by their paths: their files are not asked, so it is all. Returns 0 or -ENOMEM. */
int mount_diff_swaps(struct mount_diff *d, const char *before, const char *after);
