/* SPDX-License-Identifier: Apache-2.0 */
#include "say.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
        int output;              /* non-blocking view of standard error */
        bool is_socket;
        int kmsg;
        int notify;
        struct sockaddr_un notify_address;
        socklen_t notify_size;
        uint64_t watchdog_usec;
} mouth = { .output = -EBADF, .kmsg = -EBADF, .notify = -EBADF };

/* The flags of standard error may be shared with other processes: O_NONBLOCK goes on a description of our own. */
static void open_output(void) {
        struct stat st;

        if (fstat(STDERR_FILENO, &st) >= 0 && S_ISSOCK(st.st_mode)) {
                mouth.is_socket = true;
                mouth.output = STDERR_FILENO;
                return;
        }
        mouth.output = open("/proc/self/fd/2", O_WRONLY|O_APPEND|O_NONBLOCK|O_CLOEXEC|O_NOCTTY);
}

static void open_notify(void) {
        const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
        uint64_t v;
        size_t n;

        if (!path || (*path != '/' && *path != '@'))
                return;
        n = strlen(path);
        if (n >= sizeof(mouth.notify_address.sun_path))
                return;
        mouth.notify_address.sun_family = AF_UNIX;
        memcpy(mouth.notify_address.sun_path, path, n);
        if (*path == '@')
                mouth.notify_address.sun_path[0] = 0;
        mouth.notify_size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n);
        mouth.notify = socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);
        if (usec && parse_u64(usec, USEC_INFINITY - 1, &mouth.watchdog_usec) >= 0 && pid &&
            (parse_u64(pid, INT32_MAX, &v) < 0 || (pid_t) v != getpid()))
                mouth.watchdog_usec = 0;
}

void say_init(void) {
        mouth.kmsg = open("/dev/kmsg", O_WRONLY|O_NONBLOCK|O_CLOEXEC|O_NOCTTY);
        open_output();
        open_notify();
}

static bool write_line(const char *line, size_t n) {
        ssize_t k;

        if (mouth.is_socket)
                k = send(mouth.output, line, n, MSG_DONTWAIT|MSG_NOSIGNAL);
        else
                k = mouth.output < 0 ? -1 : write(mouth.output, line, n);
        return k == (ssize_t) n;
}

void say(int priority, const char *format, ...) {
        char line[448];
        size_t head, n;
        va_list ap;

        head = (size_t) snprintf(line, sizeof(line), "<%d>cmkd-breaker: ", priority);
        va_start(ap, format);
        (void) vsnprintf(line + head, sizeof(line) - head - 1, format, ap);
        va_end(ap);
        n = strlen(line);
        line[n++] = '\n';
        if ((!write_line(line, n) || priority <= LOG_ALERT) && mouth.kmsg >= 0 && write(mouth.kmsg, line, n) < 0)
                return;
}

void say_to_manager(const char *state) {
        if (mouth.notify >= 0)
                (void) sendto(mouth.notify, state, strlen(state), MSG_DONTWAIT|MSG_NOSIGNAL,
                              (const struct sockaddr *) &mouth.notify_address, mouth.notify_size);
}

uint64_t say_watchdog_usec(void) {
        return mouth.watchdog_usec;
}
