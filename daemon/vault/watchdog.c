/* SPDX-License-Identifier: Apache-2.0 */
#include "watchdog.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char alive[] = "WATCHDOG=1";

static struct {
        int fd;
        uint64_t period_usec, next_usec;
} watchdog = { .fd = -EBADF };

void watchdog_open(void) {
        const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        _cleanup_(closep) int fd = -EBADF;
        uint64_t period, owner;
        size_t n = path ? strlen(path) : 0;

        if (n == 0 || n >= sizeof(sa.sun_path) || (*path != '/' && *path != '@') || !usec ||
            parse_u64(usec, USEC_INFINITY - 1, &period) < 0 || period == 0)
                return;
        if (pid && (parse_u64(pid, INT32_MAX, &owner) < 0 || (pid_t) owner != getpid()))
                return;
        memcpy(sa.sun_path, path, n);
        if (*path == '@')
                sa.sun_path[0] = 0;
        fd = socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &sa, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n)) < 0)
                return;
        watchdog.fd = TAKE_FD(fd);
        watchdog.period_usec = period / 3;
}

uint64_t watchdog_look(void) {
        uint64_t now = now_boottime_usec();

        if (watchdog.fd < 0)
                return USEC_INFINITY;
        if (now >= watchdog.next_usec) {
                (void) !send(watchdog.fd, alive, sizeof(alive) - 1, MSG_DONTWAIT|MSG_NOSIGNAL);
                watchdog.next_usec = now + watchdog.period_usec;
        }
        return watchdog.next_usec;
}
