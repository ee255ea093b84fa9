/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

/* True if dir is path or above it. */
static bool is_above(const char *dir, const char *path) {
        size_t n = strlen(dir);

        while (n > 1 && dir[n - 1] == '/')
                n--;
        return strncmp(dir, path, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static bool is_mount_point(const char *path) {
        struct statx s;

        if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW|AT_NO_AUTOMOUNT, STATX_TYPE, &s) < 0)
                return false;
        /* A kernel that does not say so (before 5.8) is believed to have it mounted. */
        return !(s.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) || (s.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

bool place_ready(const char *dir, const char *fstab) {
        FILE *f = setmntent(fstab, "re");
        struct mntent entry;
        char buf[4096];
        bool ready = true;

        if (!f)
                return true;
        while (ready && getmntent_r(f, &entry, buf, sizeof(buf)))
                if (!streq(entry.mnt_dir, "/") && is_above(entry.mnt_dir, dir) && !hasmntopt(&entry, "noauto"))
                        ready = is_mount_point(entry.mnt_dir);
        endmntent(f);
        return ready;
}
