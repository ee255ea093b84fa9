/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A file system that the kernel has, and no mount that leads to it: it went lazily (umount -l) and something is open on it, or
 * it is in a mount namespace that no process is in. sysfs says that it is there (/sys/fs/TYPE/DEVICE), and mounting its device
 * once more, in no namespace, gives the one that is there and not another.
 *
 *   fsopen ─ fsconfig source ─► the superblock that has the device ─ fsmount ─► root, for roots.h */

#include "common/util.h"

/* Opens the root of the file system on a block device, of a kind that can be shut down (ext4, xfs, f2fs), in a child that gets
 * wait_msec: the superblock's lock may be kept by who hangs. Returns the descriptor, -ENOENT (the kernel has no such file system
 * on it), -ETIMEDOUT, or what fork(2), fsopen(2), fsconfig(2), fsmount(2) say: -EBUSY where the device is frozen. */
int superblock_open(uint32_t major, uint32_t minor, unsigned wait_msec);
