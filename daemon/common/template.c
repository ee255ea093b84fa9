/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"

#include "child.h"

#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct order {
        uint32_t id;
        char name[sizeof(TEMPLATE_WORD)];
};

struct answer {
        uint32_t id;
        int32_t pid;
};

union two_fds {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(2 * sizeof(int))];
};

int template_ask(int sock, uint32_t id, const char *name, int child_sock, int secret_fd) {
        const int fds[] = { child_sock, secret_fd };
        size_t size = (secret_fd >= 0 ? 2 : 1) * sizeof(int);
        struct order o = { .id = id };
        struct iovec iov = { &o, sizeof(o) };
        union two_fds control = {};
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(size),
        };
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);

        snprintf(o.name, sizeof(o.name), "%s", name);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(h), fds, size);
        return sendmsg(sock, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int template_hear(int sock, uint32_t *ret_id, int *ret_pid) {
        struct answer y;
        ssize_t n = recv(sock, &y, sizeof(y), 0);

        if (n <= 0)
                return n < 0 ? -errno : 0;
        if (n != sizeof(y))
                return -EBADMSG;
        *ret_id = y.id;
        *ret_pid = y.pid;
        return 1;
}

/* Returns 1, 0 (nobody is there any more) or -errno. */
static int receive(struct order *ret, int ret_fds[static 2]) {
        struct iovec iov = { ret, sizeof(*ret) };
        union two_fds control = {};
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space),
        };
        struct cmsghdr *h;
        ssize_t n;

        do
                n = recvmsg(CHILD_SOCKET_FD, &m, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n <= 0)
                return n < 0 ? -errno : 0;
        h = CMSG_FIRSTHDR(&m);
        if (n != sizeof(*ret) || (m.msg_flags & (MSG_TRUNC|MSG_CTRUNC)) || !h || h->cmsg_type != SCM_RIGHTS ||
            (h->cmsg_len != CMSG_LEN(sizeof(int)) && h->cmsg_len != CMSG_LEN(2 * sizeof(int))))
                return -EBADMSG;
        memcpy(ret_fds, CMSG_DATA(h), h->cmsg_len - CMSG_LEN(0));
        ret->name[sizeof(ret->name) - 1] = 0;
        return 1;
}

static int tell(uint32_t id, int pid) {
        const struct answer y = { id, pid };

        return send(CHILD_SOCKET_FD, &y, sizeof(y), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* By number, since fork(3) knows no flags. What it would do beyond that concerns other threads, and there are none. */
static pid_t copy(void) {
        pid_t pid = (pid_t) syscall(SYS_clone, CLONE_PARENT|SIGCHLD, NULL, NULL, NULL, NULL);

        return pid < 0 ? -errno : pid;
}

int template_serve(char *shown) {
        pid_t parent = getppid();
        int r = tell(0, 0);

        while (r >= 0) {
                int fds[2] = { -EBADF, -EBADF };
                struct order o;
                pid_t pid;

                r = receive(&o, fds);
                if (r <= 0)
                        return r < 0 ? r : 1;
                pid = copy();
                if (pid == 0) {
                        child_settle(fds[0], fds[1], parent);
                        strncpy(shown, o.name, strlen(shown));
                        return 0;
                }
                safe_close(fds[0]);
                safe_close(fds[1]);
                r = tell(o.id, pid);
        }
        return r;
}
