/* SPDX-License-Identifier: Apache-2.0 */
#include "disk-child.h"

#include <sys/epoll.h>

#include "common/child.h"
#include "common/link.h"
#include "common/log.h"

struct disk_child {
        sd_event *event;
        struct child child;
        enum disk_op op;
        bool stays;                    /* will be the caller's once it succeeded */
        bool kept;                     /* it is */
        bool ended;                    /* ... and the process is reaped already */
        sd_event_source *io, *timer, *exit;
        int error;                     /* what the defer source reports */
        disk_callback callback;        /* NULL: already called, only the process is left to be reaped */
        void *user;
};

static struct disk_child *disk_child_free(struct disk_child *d) {
        if (!d)
                return NULL;
        sd_event_source_disable_unref(d->io);
        sd_event_source_disable_unref(d->timer);
        sd_event_source_disable_unref(d->exit);
        child_close(&d->child);
        sd_event_unref(d->event);
        free(d);
        return NULL;
}

/* The answer is known: tells the caller; the object lives on until the process is reaped. */
static void finish(struct disk_child *d, const struct disk_reply *y, int fd) {
        disk_callback callback = d->callback;

        d->callback = NULL;
        d->io = sd_event_source_disable_unref(d->io);
        d->timer = sd_event_source_disable_unref(d->timer);
        d->kept = d->stays && callback && y->error == 0;
        d->stays = false;
        if (callback)
                callback(y, fd, d->user);
        else
                safe_close(fd);
}

static void finish_error(struct disk_child *d, int error, const char *what) {
        struct disk_reply y = { .error = error, .exit_code = EXIT_CODE_FAILED };

        snprintf(y.message, sizeof(y.message), "The disk helper %s (%s)", what, disk_op_to_string(d->op));
        finish(d, &y, -EBADF);
}

static int on_io(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *user) {
        _cleanup_(freep) struct wire_frame *f = malloc(sizeof(*f));
        _cleanup_(closep) int came = -EBADF;
        struct disk_child *d = user;
        struct disk_reply y;
        struct wire_cursor c;
        int r;

        if (!f)
                return 0;
        r = link_receive(fd, f, &c, &came);
        if (r == -EAGAIN)
                return 0;
        if (r == 0) {
                finish_error(d, -EPIPE, "died without an answer");
                return 0;
        }
        if (r > 0)
                r = disk_reply_decode(&c, &y);
        if (r < 0) {
                child_kill(&d->child);
                finish_error(d, -EBADMSG, "sent an answer that makes no sense");
                return 0;
        }
        finish(d, &y, TAKE_FD(came));
        return 0;
}

static int on_deadline(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct disk_child *d = user;

        child_kill(&d->child);
        finish_error(d, -ETIMEDOUT, "was killed at its deadline");
        return 0;
}

static int on_exit_event(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *user) {
        struct disk_child *d = user;
        int status = 0;

        if (child_reap(&d->child, &status) == 0)
                return 0;
        if (d->callback) {
                /* The answer may still wait in the socket: it was sent before the process ended. */
                on_io(NULL, d->child.sock, 0, d);
                if (d->callback)
                        finish_error(d, -EPIPE, "died without an answer");
        }
        if (d->kept) {
                d->ended = true;
                d->exit = sd_event_source_disable_unref(d->exit);
        } else
                disk_child_free(d);
        return 0;
}

static int on_not_started(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct disk_child *d = user;

        finish_error(d, d->error, "could not be started");
        if (!d->exit)
                disk_child_free(d);
        return 0;
}

/* Whatever needs no header and no key is the static program's: it must start at once. */
static const char *program_of(enum disk_op op) {
        switch (op) {
        case DISK_OP_DEACTIVATE:
        case DISK_OP_QUERY:
        case DISK_OP_HOLD:
        case DISK_OP_NOTICE:
        case DISK_OP_NO_CORES:
        case DISK_OP_USES:
        case DISK_OP_AWAIT:
        case DISK_OP_STEP_OPEN ... DISK_OP_STEP_VERIFY:
                return "cmkd-ladder";
        default:
                return "cmkd-disk";
        }
}

/* Sends the request and waits for its answer. */
static int submit(struct disk_child *d, const struct wire_frame *f, int fd, uint64_t timeout_usec) {
        int r;

        r = sd_event_add_io(d->event, &d->io, d->child.sock, EPOLLIN, on_io, d);
        if (r >= 0)
                r = sd_event_add_time_relative(d->event, &d->timer, CLOCK_BOOTTIME, timeout_usec, 0, on_deadline, d);
        if (r >= 0)
                r = link_send(d->child.sock, f, fd);
        if (r < 0) {
                child_kill(&d->child);
                d->io = sd_event_source_disable_unref(d->io);
                d->timer = sd_event_source_disable_unref(d->timer);
        }
        return r < 0 ? r : 0;
}

static int launch(struct disk_child *d, const struct disk_request *q, int secret_fd, int in_fd, uint64_t timeout_usec) {
        char *argv[] = { (char *) program_of(d->op), (char *) disk_op_to_string(d->op), NULL };
        char path[sizeof(DISK_PROGRAMS) + 32];
        struct wire_frame f;
        int r;

        r = disk_request_encode(q, &f);
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), DISK_PROGRAMS "%s", argv[0]);
        r = child_spawn(path, argv, secret_fd, &d->child);
        if (r < 0)
                return r;
        r = sd_event_add_io(d->event, &d->exit, d->child.pidfd, EPOLLIN, on_exit_event, d);
        if (r >= 0)
                return submit(d, &f, in_fd, timeout_usec);
        child_kill(&d->child);
        return r;
}

int disk_child_start(sd_event *event, const struct disk_request *q, int secret_fd, int in_fd, uint64_t timeout_usec,
                     disk_callback callback, void *user, struct disk_child **ret) {
        struct disk_child *d = calloc(1, sizeof(*d));

        if (!d)
                return -ENOMEM;
        *d = (struct disk_child) {
                .event = sd_event_ref(event), .child = { .pidfd = -EBADF, .sock = -EBADF },
                .op = (enum disk_op) q->op, .stays = q->flags & DISK_FLAG_STAY, .callback = callback, .user = user,
        };
        d->error = launch(d, q, secret_fd, in_fd, timeout_usec);
        if (d->error < 0 &&
            sd_event_add_time_relative(event, &d->timer, CLOCK_BOOTTIME, 0, 0, on_not_started, d) < 0) {
                d->callback = NULL;
                if (!d->exit)
                        disk_child_free(d);
                return -ENOMEM;
        }
        if (ret)
                *ret = d;
        return 0;
}

int disk_child_again(struct disk_child *d, const struct disk_request *q, int secret_fd, uint64_t timeout_usec,
                     disk_callback callback, void *user) {
        struct wire_frame f;
        int r;

        r = d->ended ? -EPIPE : disk_request_encode(q, &f);
        if (r >= 0)
                r = submit(d, &f, secret_fd, timeout_usec);
        if (r < 0) {
                disk_child_cancel(d);
                return r;
        }
        d->kept = false;
        d->op = (enum disk_op) q->op;
        d->callback = callback;
        d->user = user;
        return 0;
}

void disk_child_cancel(struct disk_child *d) {
        if (d->ended) {
                disk_child_free(d);
                return;
        }
        d->kept = false;
        d->callback = NULL;
        d->io = sd_event_source_disable_unref(d->io);
        d->timer = sd_event_source_disable_unref(d->timer);
        child_kill(&d->child);
}
