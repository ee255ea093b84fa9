/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"

#include "child.h"
#include "link.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* number 0, and no descriptors: settings; name is the word */
struct order {
        uint32_t number;
        char name[sizeof(TEMPLATE_WORD)];
};

union two_fds {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(2 * sizeof(int))];
};

int template_set_up(int sock, const char *word) {
        struct order o = {};

        snprintf(o.name, sizeof(o.name), "%s", word);
        return link_send_bytes(sock, &o, sizeof(o), -EBADF);
}

int template_ask(int sock, uint32_t number, const char *name, int child_sock, int secret_fd) {
        const int fds[] = { child_sock, secret_fd };
        size_t size = (secret_fd >= 0 ? 2 : 1) * sizeof(int);
        struct order o = { .number = number };
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

int template_hear(int sock, struct template_answer *ret, int *ret_fd) {
        _cleanup_(closep) int fd = -EBADF;
        struct template_answer y;
        size_t size;
        int r;

        r = link_receive_bytes(sock, &y, sizeof(y), &size, &fd);
        if (r <= 0)
                return r;
        if (size != sizeof(y) || (fd >= 0) != (y.news == TEMPLATE_READY || y.news == TEMPLATE_STARTED) ||
            (y.news == TEMPLATE_NOT_STARTED && y.error >= 0))
                return -EBADMSG;
        *ret = y;
        *ret_fd = TAKE_FD(fd);
        return 1;
}

/* Returns 1 (*ret_n descriptors, of which none is lost), 0 (nobody is there any more) or -errno. */
static int receive(struct order *ret, int ret_fds[static 2], size_t *ret_n) {
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
        *ret_n = h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS ? (h->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
        if (n != sizeof(*ret) || (m.msg_flags & (MSG_TRUNC|MSG_CTRUNC)) || *ret_n > 2 || (*ret_n > 0) != (ret->number > 0))
                return -EBADMSG;
        if (h)
                memcpy(ret_fds, CMSG_DATA(h), *ret_n * sizeof(int));
        ret->name[sizeof(ret->name) - 1] = 0;
        return 1;
}

int template_settings(char ret_word[static sizeof(TEMPLATE_WORD)]) {
        int fds[2], r;
        struct order o;
        size_t n;

        r = receive(&o, fds, &n);
        if (r > 0 && o.number != 0)
                return -EBADMSG;
        if (r > 0)
                memcpy(ret_word, o.name, sizeof(o.name));
        return r;
}

static int tell(enum template_news news, uint32_t number, int error, int fd) {
        const struct template_answer y = { news, number, error };

        return link_send_bytes(CHILD_SOCKET_FD, &y, sizeof(y), fd);
}

static int tell_ready(void) {
        _cleanup_(closep) int self = (int) syscall(SYS_pidfd_open, getpid(), 0);

        return self < 0 ? -errno : tell(TEMPLATE_READY, 0, 0, self);
}

/* By number, since fork(3) knows no flags. What it would do beyond that concerns other threads, and there are none. */
static pid_t copy(int *ret_pidfd) {
        pid_t pid = (pid_t) syscall(SYS_clone, CLONE_PIDFD|SIGCHLD, NULL, ret_pidfd, NULL, NULL);

        return pid < 0 ? -errno : pid;
}

/* SIGKILL and SIGTERM are its manager's, at a deadline, or come of short memory. */
static int reap(int signals) {
        struct signalfd_siginfo info;
        bool crashed = false;
        int status;

        while (read(signals, &info, sizeof(info)) > 0)
                ;
        while (waitpid(-1, &status, WNOHANG) > 0)
                crashed |= WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM;
        return crashed ? tell(TEMPLATE_CHILD_CRASHED, 0, 0, -EBADF) : 0;
}

/* Returns 1 in a child, else 0 or -errno. */
static int serve(const struct order *o, int fds[static 2], char *shown) {
        _cleanup_(closep) int sock = fds[0], secret = fds[1], pidfd = -EBADF;
        pid_t parent = getpid(), pid;

        pid = copy(&pidfd);
        if (pid == 0) {
                child_settle(sock, secret, parent);
                sock = secret = -EBADF;                 /* closed, with all else */
                strncpy(shown, o->name, strlen(shown));
                return 1;
        }
        return pid < 0 ? tell(TEMPLATE_NOT_STARTED, o->number, pid, -EBADF) : tell(TEMPLATE_STARTED, o->number, 0, pidfd);
}

int template_serve(char *shown) {
        _cleanup_(closep) int signals = -EBADF;
        struct pollfd p[] = { { .fd = CHILD_SOCKET_FD, .events = POLLIN }, { .events = POLLIN } };
        sigset_t mask;
        int r;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        p[1].fd = signals = signalfd(-1, &mask, SFD_CLOEXEC|SFD_NONBLOCK);
        if (signals < 0)
                return -errno;
        r = tell_ready();
        while (r >= 0) {
                int fds[2] = { -EBADF, -EBADF };
                struct order o;
                size_t n;

                if (poll(p, ELEMENTSOF(p), -1) < 0) {
                        r = errno == EINTR ? 0 : -errno;
                        continue;
                }
                r = p[1].revents ? reap(signals) : 0;
                if (r < 0 || !p[0].revents)
                        continue;
                r = receive(&o, fds, &n);
                if (r <= 0)
                        return r < 0 ? r : 1;
                r = n == 0 ? -EBADMSG : serve(&o, fds, shown);
                if (r > 0) {
                        signals = -EBADF;
                        return 0;
                }
        }
        return r;
}
