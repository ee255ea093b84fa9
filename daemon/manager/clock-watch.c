/* SPDX-License-Identifier: Apache-2.0 */
#include "clock-watch.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/util.h"

struct clock_watch {
        int fd;
        sd_event_source *io;
        void (*changed)(void *user);
        void *user;
};

/* A timer that never comes due, but is cancelled by a step of its clock (timerfd_create(2)): read(2) says ECANCELED. */
static int arm(int fd) {
        const struct itimerspec never = { .it_value.tv_sec = INT32_MAX };

        return timerfd_settime(fd, TFD_TIMER_ABSTIME|TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0 ? -errno : 0;
}

static int on_cancelled(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *user) {
        struct clock_watch *w = user;
        uint64_t n;

        if (read(fd, &n, sizeof(n)) < 0 && errno == EAGAIN)
                return 0;
        (void) arm(fd);
        w->changed(w->user);
        return 0;
}

int clock_watch_new(sd_event *event, void (*changed)(void *user), void *user, struct clock_watch **ret) {
        struct clock_watch *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;
        w->changed = changed;
        w->user = user;
        w->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC|TFD_NONBLOCK);
        r = w->fd < 0 ? -errno : arm(w->fd);
        if (r >= 0)
                r = sd_event_add_io(event, &w->io, w->fd, EPOLLIN, on_cancelled, w);
        if (r < 0) {
                clock_watch_free(w);
                return r;
        }
        *ret = w;
        return 0;
}

struct clock_watch *clock_watch_free(struct clock_watch *w) {
        if (!w)
                return NULL;
        sd_event_source_disable_unref(w->io);
        safe_close(w->fd);
        free(w);
        return NULL;
}
