/* SPDX-License-Identifier: Apache-2.0 */
#include "tool.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void become(char *const argv[], int out, pid_t parent) {
        static char *const environment[] = { (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *) "LC_ALL=C", NULL };
        static const struct rlimit no_core = { 0, 0 };
        int null = open("/dev/null", O_RDWR|O_CLOEXEC);
        sigset_t none;

        sigemptyset(&none);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || setrlimit(RLIMIT_CORE, &no_core) < 0 ||
            sigprocmask(SIG_SETMASK, &none, NULL) < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
            dup2(out, STDERR_FILENO) < 0 || syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
                _exit(126);
        execve(argv[0], argv, environment);
        _exit(127);
}

/* Keeps the end. Returns 0 at its end, -ETIMEDOUT, or -errno. */
static int read_all(int fd, uint64_t until, char *said, size_t size) {
        char buffer[512];
        size_t n = 0;

        for (;;) {
                uint64_t now = now_boottime_usec();
                struct pollfd p = { .fd = fd, .events = POLLIN };
                size_t lost;
                ssize_t got;

                if (now >= until || poll(&p, 1, (int) MIN_OF((until - now) / USEC_PER_MSEC + 1, (uint64_t) 60000)) < 0)
                        return now >= until ? -ETIMEDOUT : -errno;
                if (!p.revents)
                        continue;
                got = read(fd, buffer, MIN_OF(sizeof(buffer), size - 1));
                if (got <= 0)
                        return got < 0 ? -errno : 0;
                lost = n + (size_t) got < size ? 0 : n + (size_t) got - (size - 1);
                memmove(said, said + lost, n - lost);
                n -= lost;
                memcpy(said + n, buffer, (size_t) got);
                n += (size_t) got;
                said[n] = 0;
        }
}

int tool_run(char *const argv[], uint64_t timeout_usec, char *said, size_t size) {
        uint64_t until = now_boottime_usec() + timeout_usec;
        int fds[2], status, r;
        pid_t parent = getpid(), pid;

        *said = 0;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0)
                become(argv, fds[1], parent);
        r = pid < 0 ? -errno : 0;
        safe_close(fds[1]);
        if (r >= 0)
                r = read_all(fds[0], until, said, size);
        safe_close(fds[0]);
        if (pid < 0)
                return r;
        /* It has closed its output: its end is near, or it is wanted. */
        if (r < 0)
                (void) kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        replace_unprintable(said);
        if (r < 0)
                return r;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
