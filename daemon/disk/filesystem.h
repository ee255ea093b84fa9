/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The file system on a device that is to be encrypted in place: how much of the device it needs, and making that less. */

#include "device.h"

struct filesystem {
        char type[32];
        uint64_t size;                /* bytes of the device, from its beginning, that it may use */
        unsigned block_size;
};

/* Reads what libblkid finds, and nothing else may be found. Fills y on failure: -ENOENT (nothing is on it), -EEXIST (what is on it is
 * no file system, or several things), -EOPNOTSUPP (how large it is cannot be said), -EIO. */
int filesystem_find(const struct device *d, const char *path, struct filesystem *ret, struct disk_reply *y);

/* Makes it use size bytes at most: ext2, ext3 and ext4, checked before by e2fsck, which mends what it does at each boot and nothing
 * else; the device must not be claimed. Nothing happens where it is small enough. Fills y on failure: -EOPNOTSUPP (it cannot shrink:
 * xfs), -EUCLEAN (it has errors), -ENOSPC (it holds too much), -ETIMEDOUT, or what tool_run() says. */
int filesystem_shrink(const struct filesystem *f, const char *path, uint64_t size, struct disk_reply *y);
