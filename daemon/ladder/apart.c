/* SPDX-License-Identifier: Apache-2.0 */
#include "apart.h"

#include "common/child.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int apart(int (*f)(const void *user), const void *user, unsigned wait_msec) {
        struct pollfd p = { .events = POLLIN };
        int status = 0, r;
        pid_t pid;

        pid = fork();
        if (pid < 0)
                return errno;
        if (pid == 0) {
                /* One that hangs must not keep our parent's socket open. */
                (void) close(CHILD_SOCKET_FD);
                _exit(f(user));
        }
        p.fd = (int) syscall(SYS_pidfd_open, pid, 0);
        r = p.fd < 0 ? -1 : poll(&p, 1, (int) wait_msec);
        safe_close(p.fd);
        if (r <= 0) {
                (void) kill(pid, SIGKILL);
                return ETIMEDOUT;
        }
        if (waitpid(pid, &status, 0) < 0)
                return errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}
