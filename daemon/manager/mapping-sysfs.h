/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What sysfs says about mappings and what they stand on. Nothing here opens a device or waits for one. */

#include "common/dm-ioctl.h"

struct mapping_seen {
        char uuid[37];                           /* of the LUKS2 volume */
        char mapping[DM_IOCTL_UUID_SIZE];        /* the rest of the dm uuid */
        uint32_t major, minor;
};

/* The mapping of a LUKS2 volume with that device number. Returns 0, -ENOENT (no such device) or -EINVAL (something
 * else). */
int mapping_sysfs_read(uint32_t major, uint32_t minor, struct mapping_seen *ret);

/* Calls f for each mapping of a LUKS2 volume that there is, until it returns other than 0; returns that, 0, or what
 * opening /sys/block says. */
int mapping_sysfs_for_each(int (*f)(const struct mapping_seen *s, void *user), void *user);

/* Whether there is one of that volume; also where that cannot be said. */
static inline int mapping_is_of(const struct mapping_seen *s, void *user) { return streq(s->uuid, user); }
static inline bool mapping_sysfs_may_have(char *uuid) { return mapping_sysfs_for_each(mapping_is_of, uuid) != 0; }

/* All that for_each() would call for, at once. Returns 0 with *ret, which the caller frees (NULL: there are none), or -ENOMEM, or what
 * opening /sys/block says. */
int mapping_sysfs_list(struct mapping_seen **ret, size_t *ret_n);

struct below {
        uint32_t major, minor;
        char name[65];                           /* the kernel's, a node of that name is in /dev */
};

/* What a mapping stands on and cannot do without, the nearest first: the device that the table names, for a partition its
 * disk, and further down as long as there is one device only (below RAID or multipath the loss of one is not the end).
 * Returns how many there are (0: the device has been pulled), or -ENOENT (there is no such mapping). */
int mapping_sysfs_below(uint32_t major, uint32_t minor, struct below *ret, size_t max);

/* Whether a device is made of another one too, than that of this name: it has got a second path, or mirror, since it was said
 * that it cannot do without. */
bool mapping_sysfs_has_other(uint32_t major, uint32_t minor, const char *name);

/* Whether there is a block device of that number. */
bool mapping_sysfs_exists(uint32_t major, uint32_t minor);
