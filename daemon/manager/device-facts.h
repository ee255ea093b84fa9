/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What sysfs and udev say about a block device: for what is unlocked with nobody asking. No device is opened here, and
 * nothing of it proves anything: whoever holds the disk can make it look like another. It keeps accidents apart. */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct device_facts {
        dev_t devnum;
        uint64_t diskseq;          /* another for each appearance of a disk; 0: the kernel does not say */
        char fs_uuid[37];          /* as udev read it, empty: unknown */
        char serial[65];           /* that stays with the disk: WWN, serial, UUID of md or LVM (its tail); may be empty */
        char holder[NAME_MAX + 1]; /* the first device that stands on it; empty: none */
        const char *unfit;         /* static: the kind of device that is not unlocked by itself, or NULL */
};

/* device: a path below /dev. Returns 0, -ENODEV (there is no such block device any more), -ENOMEM, or -errno of sysfs. */
int device_facts_read(const char *device, struct device_facts *ret);

/* Is there anything at this path below /dev, behind whatever links? access(2) does not say: where a unit has DevicePolicy=, the kernel asks the
 * unit's program about devices for F_OK too (devcgroup_inode_permission()), and what is not on its list is EPERM, there or not. */
bool device_is_there(const char *path);

/* Another LUKS device with this UUID that is present too and is neither above nor below this one. Returns 1 with its
 * path, 0 (none), or a negative errno. */
int device_facts_find_twin(const char *device, const char *uuid, char ret[static 257]);

/* Pure but for reading below sys ("/sys"): the kind of a device that can be taken away or made up by its user (loop, nbd,
 * zram, ram, USB, removable), be it itself, the disk it is a partition of, or one that it stands on. NULL: none. */
const char *device_unfit(const char *sys, const char *name);

/* Does upper stand on lower, by whatever number of steps? */
bool device_stands_on(const char *sys, const char *upper, const char *lower);
