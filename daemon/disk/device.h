/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The block device under a volume, opened once: from then on everything goes through the descriptor (or its
 * /proc/self/fd path), so that what stands at the path may change without harm. */

#include "common/disk-proto.h"

struct device {
        int fd;                        /* read-only; exclusive and writable after device_claim() */
        uint32_t major, minor;
        uint64_t size;                 /* bytes */
        unsigned logical, physical;    /* block sizes, bytes */
        char path[32];                 /* "/proc/self/fd/N" */
};

#define DEVICE_NONE { .fd = -EBADF }

/* Opens a block device below /dev for reading. Fills y on failure: -EINVAL (not a path below /dev), -ENODEV (nothing
 * there, or its driver has nothing), -ENOTBLK, or what open(2) and the ioctls say. */
int device_open(const char *path, struct device *ret, struct disk_reply *y);

/* Opens it anew, writable and exclusive: neither mounted, nor swap, nor below another device from now on. Fills y on
 * failure: -EBUSY (with who has it), -EROFS, or what open(2) says. */
int device_claim(struct device *d, const char *path, struct disk_reply *y);

/* What libblkid finds on a device that nothing should be on. Returns 0 (nothing), 1 (ret says what), or -EIO. */
int device_find_signature(const struct device *d, char *ret, size_t size);

/* Overwrites every signature that libblkid knows. The device must be claimed. Returns 0 or -EIO. */
int device_wipe_signatures(const struct device *d);

/* Writes at an offset and waits until the device has it. Returns 0 or -errno. */
int device_write(const struct device *d, const void *data, size_t size, uint64_t offset);

void device_close(struct device *d);
