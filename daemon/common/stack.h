/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The set of devices that stand on a volume, the volume itself first. "Device" is what st_dev may say: block devices
 * found through sysfs, and the anonymous devices of file systems that mounts.c finds to be on one of them.
 *
 *        0:57 overlay, depth 3                 Whoever uses one of them uses the volume. Depth is the longest way
 *        252:4 LV ─ 7:0 loop, depth 2          down, so that going from the largest depth to the smallest takes
 *        252:3 dm-linear, depth 1              nothing away from under another.
 *        252:0 the volume, depth 0
 */

#include "util.h"

#define STACK_MAX 256u

struct stack_device {
        uint32_t major, minor;
        unsigned depth;
};

struct stack {
        size_t n;
        bool incomplete;                 /* there were more than STACK_MAX */
        struct stack_device d[STACK_MAX];
};

/* Adds a device and, through sysfs, what holds it (device-mapper, md, bcache) and its partitions. One that is there
 * already only gets the larger depth. Never fails: a device that goes meanwhile is not in the set. */
void stack_add_above(struct stack *s, uint32_t major, uint32_t minor, unsigned depth);

/* Adds a device and, through sysfs, what it is made of, and of a partition its disk, down to the disks; depth grows
 * downwards here. Below a loop device nothing is known. What is too deep or too much only makes the set incomplete. */
void stack_add_below(struct stack *s, uint32_t major, uint32_t minor, unsigned depth);

/* Adds one device as it is. Returns true if it was not there before. */
bool stack_add(struct stack *s, uint32_t major, uint32_t minor, unsigned depth);

/* NULL: not in the set. */
const struct stack_device *stack_find(const struct stack *s, uint32_t major, uint32_t minor);

/* Whether a btrfs has that device and one of the set among its devices: mountinfo names but one of them. sysfs: "/sys". */
bool stack_shares_btrfs(const struct stack *s, const char *sysfs, uint32_t major, uint32_t minor);

/* Whether the two sets have a device in common, or a mounted btrfs does from both. sysfs: "/sys". */
bool stack_touches(const struct stack *a, const struct stack *b, const char *sysfs);

/* Adds what the other set has. */
void stack_merge(struct stack *s, const struct stack *other);

/* "253:4" of a file of sysfs. Returns 0, -EINVAL, or as open(2). */
int stack_read_dev(const char *path, uint32_t *ret_major, uint32_t *ret_minor);
