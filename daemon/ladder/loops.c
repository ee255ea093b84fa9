/* SPDX-License-Identifier: Apache-2.0 */
#include "loops.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

bool stack_add_loops(struct stack *s) {
        _cleanup_(closedirp) DIR *d = opendir("/sys/block");
        bool added = false;
        struct dirent *e;

        while (d && (e = readdir(d))) {
                _cleanup_(closep) int fd = -EBADF;
                struct loop_info64 info = {};
                const struct stack_device *below;
                uint32_t major, minor;
                char path[512];

                if (!startswith(e->d_name, "loop"))
                        continue;
                snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", e->d_name);
                if (access(path, F_OK) < 0)
                        continue;
                snprintf(path, sizeof(path), "/sys/block/%s/dev", e->d_name);
                if (stack_read_dev(path, &major, &minor) < 0 || stack_find(s, major, minor))
                        continue;
                fd = block_open(major, minor, O_RDONLY);
                if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
                        continue;
                /* what its file is on, or the device that it is */
                below = stack_find(s, major(info.lo_device), minor(info.lo_device));
                if (!below)
                        below = stack_find(s, major(info.lo_rdevice), minor(info.lo_rdevice));
                if (!below)
                        continue;
                stack_add_above(s, major, minor, below->depth + 1);
                added = true;
        }
        return added;
}

int block_node(uint32_t major, uint32_t minor) {
        _cleanup_(closep) int context = -EBADF, tree = -EBADF;

        context = (int) syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
        if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        tree = (int) syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
        return tree < 0 || mknodat(tree, BLOCK_NODE, S_IFBLK|0600, makedev(major, minor)) < 0 ? -errno : TAKE_FD(tree);
}

int block_open(uint32_t major, uint32_t minor, int flags) {
        _cleanup_(closep) int tree = block_node(major, minor);
        int fd;

        if (tree < 0)
                return tree;
        fd = openat(tree, BLOCK_NODE, flags|O_CLOEXEC|O_NONBLOCK);
        return fd < 0 ? -errno : fd;
}
