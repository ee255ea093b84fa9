/* SPDX-License-Identifier: Apache-2.0 */

/* STEP_OPEN, SHUT, CUT, THAW, FLUSH: from a file system that is in use to a device that nobody can read. */

#include "dm.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* One number and one meaning for ext4, xfs and f2fs (fs/ext4/ext4.h, fs/xfs/libxfs/xfs_fs.h, fs/f2fs/f2fs.h): 2 is
 * "without flushing the log". */
#define FS_IOC_SHUT _IOR('X', 125, uint32_t)
#define SHUT_NO_LOG_FLUSH 2u

int op_step_open(const struct disk_request *q, int in_fd _unused_, int *ret_fd, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        _cleanup_(usage_done) struct usage u = {};
        int r, last = 0;

        r = mapping_find(&m, q, y);
        if (r >= 0)
                r = usage_find(&u, &m, y);
        if (r < 0)
                return r;
        y->count = usage_count_mounts(&u);
        for (size_t i = 0; i < u.mounts.n; i++) {
                const struct mount *mount = &u.mounts.m[i];

                if (!mount->on_volume || !stack_find(&u.stack, mount->line.major, mount->line.minor) ||
                    streq(mount->line.type, "overlay"))
                        continue;
                r = mount_open_root(mount);
                if (r >= 0) {
                        *ret_fd = r;
                        return 0;
                }
                last = r;
        }
        if (last < 0)
                return op_fail(y, last, EXIT_CODE_FAILED, "None of the %u mounts of %s can be opened: %s", y->count,
                               q->name, strerror(-last));
        return 0;
}

int op_step_shut(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        uint32_t how = SHUT_NO_LOG_FLUSH;

        if (in_fd < 0)
                return 0;
        if (ioctl(in_fd, FS_IOC_SHUT, &how) >= 0 || errno == EIO)
                return 0;
        if (errno == ENOTTY || errno == EOPNOTSUPP) {
                snprintf(y->message, sizeof(y->message),
                         "The file system of %s cannot be shut down: its cache is read until its users are gone",
                         q->name);
                return 0;
        }
        return op_fail(y, -errno, EXIT_CODE_FAILED, "The file system of %s does not shut down: %s", q->name,
                       strerror(errno));
}

int op_step_cut(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        int r;

        r = mapping_find(&m, q, y);
        if (r < 0 || !m.present)
                return r;
        r = dm_cut(m.control, mapping_id(&m), q->sectors);
        if (r == -ENXIO) {
                y->flags &= ~(uint32_t) (DISK_FLAG_MAPPED|DISK_FLAG_OURS);
                return 0;
        }
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s is still readable: its error table is not in place: %s",
                               q->name, strerror(-r));
        y->flags = (y->flags & ~(uint32_t) DISK_FLAG_SUSPENDED) | DISK_FLAG_ERROR_TABLE;
        return 0;
}

int op_step_thaw(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        /* EINVAL: it was not frozen. */
        if (in_fd < 0 || ioctl(in_fd, FITHAW, 0) >= 0 || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOTTY)
                return 0;
        return op_fail(y, -errno, EXIT_CODE_FAILED, "The file system of %s does not thaw: %s", q->name,
                       strerror(errno));
}

int op_step_flush(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        struct stack stack = {};
        int r, failed = 0;

        r = mapping_find(&m, q, y);
        if (r < 0 || !m.present)
                return r;
        stack_add_above(&stack, m.info.major, m.info.minor, 0);
        for (size_t i = 0; i < stack.n; i++) {
                _cleanup_(closep) int fd = block_open(stack.d[i].major, stack.d[i].minor, O_RDONLY);

                if (fd < 0)
                        r = fd;
                else
                        r = ioctl(fd, BLKFLSBUF, 0) < 0 ? -errno : 0;
                /* A device that went meanwhile has no cache. */
                if (r < 0 && r != -ENXIO && r != -ENODEV)
                        failed = r;
                else
                        y->count++;
        }
        if (failed < 0)
                return op_fail(y, failed, EXIT_CODE_FAILED, "What is cached of the device of %s is not dropped: %s",
                               q->name, strerror(-failed));
        return 0;
}
