/* SPDX-License-Identifier: Apache-2.0 */
#include "roots.h"

#include "common/child.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

union control {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int) * ROOTS_MAX)];
};

int roots_pack(const int *fds, size_t n) {
        _cleanup_(closep) int to = -EBADF, from = -EBADF;
        union control control = {};
        char byte = 0;
        struct iovec iov = { &byte, 1 };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
        int pair[2];

        if (n == 0 || n > ROOTS_MAX)
                return -EINVAL;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        to = pair[0];
        from = pair[1];
        m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
        control.header = (struct cmsghdr) {
                .cmsg_len = CMSG_LEN(sizeof(int) * n), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
        };
        memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n);
        return sendmsg(to, &m, MSG_NOSIGNAL) < 0 ? -errno : TAKE_FD(from);
}

int roots_unpack(int packed, int ret[static ROOTS_MAX]) {
        union control control = {};
        char byte;
        struct iovec iov = { &byte, 1 };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        struct cmsghdr *c;
        size_t n;

        if (recvmsg(packed, &m, MSG_PEEK|MSG_CMSG_CLOEXEC|MSG_DONTWAIT) < 0)
                return -errno;
        c = CMSG_FIRSTHDR(&m);
        if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                return -EBADMSG;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(ret, CMSG_DATA(c), n * sizeof(int));
        return (int) n;
}

/* One that hangs must keep nothing busy but its own file system, nor our parent's socket open. */
static _Noreturn void child_main(int packed, const int *fds, size_t n, size_t mine, int (*f)(int fd)) {
        for (size_t i = 0; i < n; i++)
                if (i != mine)
                        (void) close(fds[i]);
        (void) close(packed);
        if (fds[mine] != CHILD_SOCKET_FD)
                (void) close(CHILD_SOCKET_FD);
        _exit(f(fds[mine]));
}

static int wait_for(pid_t pid, unsigned wait_msec) {
        struct pollfd p = { (int) syscall(SYS_pidfd_open, pid, 0), POLLIN, 0 };
        int status = 0, r;

        r = p.fd < 0 ? -1 : poll(&p, 1, (int) wait_msec);
        safe_close(p.fd);
        if (r <= 0 || waitpid(pid, &status, 0) < 0)
                return ETIMEDOUT;
        return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

int roots_each(int packed, bool lowest_first, int (*f)(int fd), unsigned wait_msec, int ret_error[static ROOTS_MAX]) {
        int fds[ROOTS_MAX], n;

        n = roots_unpack(packed, fds);
        for (int i = 0; i < n; i++) {
                int at = lowest_first ? n - 1 - i : i;
                pid_t pid = fork();

                if (pid == 0)
                        child_main(packed, fds, (size_t) n, (size_t) at, f);
                ret_error[at] = pid < 0 ? errno : wait_for(pid, MAX_OF(wait_msec / (unsigned) n, 50u));
        }
        for (int i = 0; i < n; i++)
                safe_close(fds[i]);
        return n;
}
