/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is mounted here, for the kernel's own numbers of file systems: stat(2) has others for some (btrfs, overlay).
 *
 *   mount id ── number of its file system ── where a path within that one is seen */

#include "event.h"
#include "common/util.h"

struct mount_table {
        int fd;                            /* of the text: the kernel says through it that mounts changed */
        char *text;                        /* NULL: not read yet */
};

#define MOUNT_TABLE_NONE { .fd = -EBADF }

void mount_table_done(struct mount_table *t);

/* This process's mountinfo(5), read anew only where mounts changed since; stays with t. NULL: it cannot be had. */
const char *mount_table_text(struct mount_table *t);

/* The text of another process's. Returns 0, -ENOMEM, or as open(2) and read(2). */
int mount_table_read(uint32_t pid, char **ret);

/* The file system under a mount, as CMKD_KERNEL_DEV(). Returns 0 or -ENOENT. Pure, as the others. */
int mount_table_dev(const char *text, uint64_t id, uint32_t *ret);

/* Where a path within a file system ("/usr/bin/x") is seen, or would be were nothing mounted over it. Returns whether it is mounted
 * so that it is; buf is left as it was where not. */
bool mount_table_place(const char *text, uint32_t dev, const char *path, char *buf, size_t size);

/* The mount that is on top at point, and those above it up to the root. Returns how many, at most max. */
size_t mount_table_above(const char *text, const char *point, struct cmkd_mount *ret, size_t max);
