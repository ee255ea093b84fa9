/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int move_fd(int from, int to) {
        if (from == to)
                return fcntl(to, F_SETFD, 0);
        return dup2(from, to) < 0 ? -errno : 0;
}

void child_settle(int sock, int secret_fd, pid_t parent) {
        sigset_t none;
        int null, high_sock, high_secret = -1;

        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                _exit(126);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        for (int s = 1; s < NSIG; s++)
                signal(s, SIG_DFL);
        high_sock = fcntl(sock, F_DUPFD, 10);
        if (secret_fd >= 0)
                high_secret = fcntl(secret_fd, F_DUPFD, 10);
        null = open("/dev/null", O_RDWR);
        if (high_sock < 0 || null < 0 || (secret_fd >= 0 && high_secret < 0) || move_fd(null, 0) < 0 ||
            move_fd(null, 1) < 0 || move_fd(high_sock, CHILD_SOCKET_FD) < 0)
                _exit(126);
        if (high_secret >= 0 && move_fd(high_secret, CHILD_SECRET_FD) < 0)
                _exit(126);
        if (syscall(SYS_close_range, high_secret >= 0 ? CHILD_SECRET_FD + 1 : CHILD_SOCKET_FD + 1, ~0U, 0) < 0)
                _exit(126);
}

int child_follow_parent(void) {
        struct ucred maker;
        socklen_t size = sizeof(maker);

        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getsockopt(CHILD_SOCKET_FD, SOL_SOCKET, SO_PEERCRED, &maker, &size) < 0)
                return -errno;
        return maker.pid == getppid() ? 0 : -ESRCH;
}

int child_spawn(const char *program, char *const argv[], int secret_fd, struct child *ret) {
        static char *const environment[] = {
                (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *) "LC_ALL=C.UTF-8", NULL,
        };
        struct child c = { .pidfd = -EBADF, .sock = -EBADF };
        pid_t parent = getpid();
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        c.pid = fork();
        if (c.pid == 0) {
                child_settle(pair[1], secret_fd, parent);
                execve(program, argv, environment);
                _exit(127);
        }
        safe_close(pair[1]);
        c.sock = pair[0];
        if (c.pid < 0 || fcntl(c.sock, F_SETFL, O_NONBLOCK) < 0)
                goto fail;
        c.pidfd = (int) syscall(SYS_pidfd_open, c.pid, 0);
        if (c.pidfd < 0)
                goto fail;
        *ret = c;
        return 0;

fail:
        {
                int r = -errno;

                if (c.pid > 0) {
                        kill(c.pid, SIGKILL);
                        (void) waitpid(c.pid, NULL, 0);
                }
                child_close(&c);
                return r;
        }
}

void child_kill(const struct child *c) {
        if (c->pidfd >= 0)
                (void) syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
}

int child_reap(const struct child *c, int *ret_status) {
        pid_t p = waitpid(c->pid, ret_status, WNOHANG);

        if (p < 0)
                return -errno;
        return p > 0;
}

void child_close(struct child *c) {
        c->pidfd = safe_close(c->pidfd);
        c->sock = safe_close(c->sock);
}
