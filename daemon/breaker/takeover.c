/* SPDX-License-Identifier: Apache-2.0 */
#include "takeover.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENCE_MSEC 1000

/* The lock's holder as the kernel knows it: 0 where there is none. */
static int holder(int fd, pid_t *ret) {
        struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

        if (fcntl(fd, F_GETLK, &l) < 0)
                return -errno;
        *ret = l.l_type == F_UNLCK ? 0 : l.l_pid;
        return 0;
}

static int end(int fd, pid_t pid) {
        _cleanup_(closep) int pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        struct pollfd p = { .fd = pidfd, .events = POLLIN };
        pid_t again = 0;
        int r;

        if (pidfd < 0)
                return errno == ESRCH ? 0 : -errno;
        r = holder(fd, &again);
        if (r < 0 || again != pid)       /* it went by itself, and its number may be somebody else's */
                return r;
        if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0)
                return errno == ESRCH ? 0 : -errno;
        return poll(&p, 1, PATIENCE_MSEC) > 0 ? 0 : -EBUSY;
}

int takeover(const char *path, pid_t *ret_from) {
        struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int fd = open(path, O_RDWR|O_CLOEXEC|O_NOFOLLOW);
        pid_t pid = 0;
        int r;

        if (fd < 0)
                return -errno;
        r = holder(fd, &pid);
        if (r >= 0 && pid > 0)
                r = end(fd, pid);
        if (r >= 0 && fcntl(fd, F_SETLK, &l) < 0)
                r = -errno;
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        *ret_from = pid;           /* the descriptor stays: closing it would give the lock up */
        return 0;
}
