/* SPDX-License-Identifier: Apache-2.0 */
#include "holders.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void forbid_core(pid_t pid) {
        static const struct rlimit one = { 1, 1 };

        (void) prlimit(pid, RLIMIT_CORE, &one, NULL);
}

/* The process of a holder and no other that got its number since. Returns a pidfd or -ESRCH. */
static int open_process(const struct holder *h) {
        _cleanup_(closep) int fd = -EBADF;
        _cleanup_(freep) char *text = NULL;
        struct process_stat st;
        char path[64];

        fd = (int) syscall(SYS_pidfd_open, h->pid, 0);
        if (fd < 0)
                return -ESRCH;
        snprintf(path, sizeof(path), "/proc/%d/stat", h->pid);
        if (read_small_file(path, 4096, &text, NULL) < 0 || process_stat_parse(text, &st) < 0 ||
            st.start_time != h->start_time)
                return -ESRCH;
        return TAKE_FD(fd);
}

static bool is_gone(int pidfd) {
        struct pollfd p = { pidfd, POLLIN, 0 };

        return poll(&p, 1, 0) == 1;
}

static void wait_all(struct pollfd *p, size_t n, uint64_t until) {
        for (size_t i = 0; i < n; i++)
                while (p[i].fd >= 0 && !is_gone(p[i].fd)) {
                        uint64_t now = now_boottime_usec();

                        if (now >= until || poll(&p[i], 1, (int) ((until - now) / USEC_PER_MSEC) + 1) == 0)
                                break;
                }
}

int holders_signal(const struct holders *s, int signal, uint64_t wait_usec, unsigned *ret_sent,
                   struct holders *ret_left) {
        _cleanup_(freep) struct pollfd *p = NULL;
        uint64_t until = now_boottime_usec() + wait_usec;
        unsigned sent = 0;
        int r = 0;

        p = calloc(s->n + 1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        for (size_t i = 0; i < s->n; i++) {
                p[i] = (struct pollfd) { s->h[i].is_protected ? -EBADF : open_process(&s->h[i]), POLLIN, 0 };
                if (p[i].fd < 0)
                        continue;
                forbid_core(s->h[i].pid);
                if (syscall(SYS_pidfd_send_signal, p[i].fd, signal, NULL, 0) >= 0)
                        sent++;
        }
        if (wait_usec > 0)
                wait_all(p, s->n, until);
        for (size_t i = 0; i < s->n; i++) {
                if (ret_left && r >= 0 && (s->h[i].is_protected || (p[i].fd >= 0 && !is_gone(p[i].fd))))
                        r = holders_add(ret_left, &s->h[i]);
                safe_close(p[i].fd);
        }
        *ret_sent = sent;
        return r;
}
