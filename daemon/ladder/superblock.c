/* SPDX-License-Identifier: Apache-2.0 */
#include "superblock.h"

#include "common/link.h"
#include "loops.h"
#include "roots.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a driver has in sysfs, its option that leaves the journal alone, and the types that it mounts: a superblock is of one of
 * them, and the others are refused the device (EBUSY) while it is there. */
static const struct kind {
        const char *driver, *untouched, *types[4];
} kinds[] = {
        { "ext4", "noload", { "ext4", "ext3", "ext2" } },
        { "xfs", "norecovery", { "xfs" } },
        { "f2fs", "norecovery", { "f2fs" } },
};

/* The kernel's name of the device; the directory of a file system in sysfs has that one. */
static int device_name(uint32_t major, uint32_t minor, char *buf, size_t size) {
        char path[64], target[256];
        const char *name;
        ssize_t n;

        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major, minor);
        n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
                return -errno;
        target[n] = 0;
        name = strrchr(target, '/');
        if (!name || strlen(name + 1) >= size)
                return -ENOENT;
        memcpy(buf, name + 1, strlen(name + 1) + 1);
        return 0;
}

static const struct kind *find_kind(const char *device) {
        char path[128];

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                snprintf(path, sizeof(path), "/sys/fs/%s/%s", kinds[i].driver, device);
                if (access(path, F_OK) >= 0)
                        return &kinds[i];
        }
        return NULL;
}

/* untouched: NULL: writable */
static int mount_apart(const char *type, const char *source, const char *untouched) {
        _cleanup_(closep) int context = -EBADF, tree = -EBADF;
        int fd;

        context = (int) syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
        if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "source", source, 0) < 0)
                return -errno;
        if (untouched && (syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
                          syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, untouched, NULL, 0) < 0))
                return -errno;
        if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        tree = (int) syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC);
        fd = tree < 0 ? -1 : openat(tree, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* Read-only first: one that has gone meanwhile is then not written to. The one that is there is refused (EBUSY) to who asks for it
 * in the other way, and no option changes it. */
static int mount_as_it_is(const struct kind *kind, uint32_t major, uint32_t minor) {
        _cleanup_(closep) int tree = block_node(major, minor);
        char source[64];
        int r = tree;

        snprintf(source, sizeof(source), "/proc/self/fd/%d/" BLOCK_NODE, tree);
        for (size_t i = 0; tree >= 0 && kind->types[i]; i++)
                for (unsigned writable = 0; writable < 2; writable++) {
                        r = mount_apart(kind->types[i], source, writable ? NULL : kind->untouched);
                        if (r != -EBUSY && r != -ENODEV)
                                return r;
                }
        return r;
}

/* One that hangs must keep nothing of ours open. */
static _Noreturn void child_main(const struct kind *kind, uint32_t major, uint32_t minor, int sock) {
        int fd;

        if (sock > 3)
                (void) close_range(3, (unsigned) sock - 1, 0);
        (void) close_range((unsigned) sock + 1, ~0u, 0);
        fd = mount_as_it_is(kind, major, minor);
        _exit(fd < 0 ? -fd : link_send_bytes(sock, "", 1, fd) < 0);
}

static int receive(int sock, pid_t pid, unsigned wait_msec) {
        struct pollfd p = { sock, POLLIN, 0 };
        int fds[ROOTS_MAX], status = 0, r;

        r = poll(&p, 1, (int) wait_msec);
        if (r <= 0) {
                (void) kill(pid, SIGKILL);
                return -ETIMEDOUT;
        }
        r = roots_unpack(sock, fds);
        if (waitpid(pid, &status, 0) < 0 || r > 0)
                return r > 0 ? fds[0] : -ECHILD;
        return WIFEXITED(status) && WEXITSTATUS(status) > 0 ? -WEXITSTATUS(status) : -EIO;
}

int superblock_open(uint32_t major, uint32_t minor, unsigned wait_msec) {
        _cleanup_(closep) int ours = -EBADF, theirs = -EBADF;
        const struct kind *kind;
        char device[64];
        int pair[2];
        pid_t pid;

        kind = major == 0 || device_name(major, minor, device, sizeof(device)) < 0 ? NULL : find_kind(device);
        if (!kind)
                return -ENOENT;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                child_main(kind, major, minor, theirs);
        theirs = safe_close(theirs);
        return receive(ours, pid, wait_msec);
}
