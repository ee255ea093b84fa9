/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether what is written to a path lies on a disk in the clear. Read from /proc/self/mountinfo and sysfs below a root (""
 * for the system's own):
 *
 *   path ─► the mount it is in ─► its block device ─► dm uuid CRYPT-..., or what it is made of, down to disks */

#include "common/util.h"

enum backing {
        BACKING_UNKNOWN,                    /* no mount, or a file system without a block device (NFS, 9p, overlay) */
        BACKING_MEMORY,                     /* tmpfs, ramfs; zram and brd */
        BACKING_ENCRYPTED,                  /* every way down goes through dm-crypt */
        BACKING_PLAIN,
};

/* Of a block device, by its name in /sys/class/block ("vda2", "dm-0"). */
enum backing backing_of_device(const char *root, const char *name);

/* Of a path: a device node below /dev, or anything in a mounted file system. */
enum backing backing_of_path(const char *root, const char *path);
