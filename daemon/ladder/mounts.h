/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The mounts of all mount namespaces that have a thread in them, and which of them are on a volume.
 *
 *   /proc/TID/mountinfo, once for each inode of /proc/TID/ns/mnt ─► struct mounts ─► closure with struct stack
 *
 * On a volume is a mount of a device of the set; an overlay with a layer below a mount point that is; a btrfs of which
 * a device is in the set. Those add their anonymous device to the set, so the closure is taken until nothing is new.
 * The text comes from whoever may mount, and is treated so: a user may have 100,000 mounts in each namespace of his, so
 * nothing here (mounts.c reads, mounts-mark.c marks) compares all of them with all of them. */

#include "common/mountinfo.h"
#include "loops.h"

struct mount {
        struct mount_line line;
        uint64_t ns;                     /* inode of the namespace */
        pid_t pid;                       /* a process in it, or a thread: both have /proc/PID */
        bool on_volume;
        bool below_volume;               /* mounted somewhere on a mount that is */
};

struct mounts {
        struct mount *m;
        size_t n, size;
        char **texts;                    /* what the lines point into */
        size_t n_texts;
        uint64_t own_ns;
        uint64_t *namespaces;            /* that were read */
        size_t n_namespaces;
        uint64_t *ids;                   /* of those on the volume, once they are marked, in order */
        size_t n_ids;
        uint64_t *known;                 /* of all, likewise */
};

/* Reads the mounts of every namespace. Returns 0, -ENOMEM, or what opening /proc says. */
int mounts_read(struct mounts *ret);

/* Reads those of the calling process's namespace only. proc: descriptor of /proc. Returns 0, -ENOMEM, or as open(2). */
int mounts_read_own(int proc, struct mounts *ret);

void mounts_free(struct mounts *s);

/* Marks what is on the set's devices and completes the set (overlays, btrfs, loops). Returns 0 or -ENOMEM. */
int mounts_mark(struct mounts *s, struct stack *d);

/* Whether that mount id is one of a mount on the volume. Ids are unique over all namespaces at a time. */
bool mounts_have_id(const struct mounts *s, uint64_t id);

/* Whether that mount id is one of any of them: one that is not is in no namespace, like a mount that went lazily. */
bool mounts_know_id(const struct mounts *s, uint64_t id);

/* The mount of the calling process's namespace that an absolute path is on, by mount points alone; no file system is
 * touched. NULL: none. */
const struct mount *mounts_find_path(const struct mounts *s, const char *path);

/* Opens the root of a mount, through /proc/PID/root, never leaving that root, and proves by the mount id that it is the
 * one. Returns a descriptor, -ESTALE (another mount covers it), or what openat2(2) says. */
int mount_open_root(const struct mount *m);

/* The mount id of a descriptor, by its fdinfo: the file system is not asked. Returns 0, -ENODATA, or as open(2). */
int fd_mount_id(int fd, uint64_t *ret);

/* "mnt_id:" of the text of an fdinfo file. Returns 0 or -ENODATA. */
int fdinfo_mount_id(const char *text, uint64_t *ret);
