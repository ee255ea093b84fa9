/* SPDX-License-Identifier: Apache-2.0 */
#include "disk-child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/child.h"
#include "common/fips.h"
#include "common/link.h"
#include "common/paths.h"
#include "disk-template.h"

enum { PROGRAM_DISK, PROGRAM_LADDER, _PROGRAM_MAX };

static const struct { const char *path, *socket; } programs[_PROGRAM_MAX] = {
        [PROGRAM_DISK] = { DISK_PROGRAMS "cmkd-disk", DISK_SOCKET },
        [PROGRAM_LADDER] = { DISK_PROGRAMS "cmkd-ladder", LADDER_SOCKET },
};

struct disk_children {
        sd_event *event;
        struct disk_template *templates[_PROGRAM_MAX];
};

struct disk_child {
        struct disk_children *children;
        sd_event *event;
        struct child child;
        struct disk_maker *maker;
        bool starting;                 /* its process is not known yet */
        bool doomed;                   /* ... and is killed as soon as it is */
        int pending_signal;            /* ... and is sent this; 0: none */
        enum disk_op op;
        bool stays;                    /* will be the caller's once it succeeded */
        bool kept;                     /* it is */
        bool ended;                    /* ... and the process has ended already */
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
        disk_maker_unref(d->maker);
        sd_event_unref(d->event);
        free(d);
        return NULL;
}

static void kill_it(struct disk_child *d) {
        d->doomed = true;
        child_kill(&d->child);
}

/* The answer is known: tells the caller; the object lives on until the process has ended. */
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

static void finish_error(struct disk_child *d, enum disk_silence silence, int error, const char *what) {
        struct disk_reply y = { .error = error, .silence = silence, .exit_code = EXIT_CODE_FAILED };

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
        if (r == 0 || r == -ECONNRESET) {        /* with its request unread: unix(7) */
                finish_error(d, DISK_DIED, -EPIPE, "died without an answer");
                return 0;
        }
        if (r > 0)
                r = disk_reply_decode(&c, &y);
        if (r < 0) {
                kill_it(d);
                finish_error(d, DISK_SILENT, -EBADMSG, "sent an answer that makes no sense");
                return 0;
        }
        finish(d, &y, TAKE_FD(came));
        return 0;
}

static int on_deadline(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct disk_child *d = user;

        if (d->starting)
                disk_maker_give_up(d->maker);
        kill_it(d);
        finish_error(d, DISK_SILENT, -ETIMEDOUT, "was killed at its deadline");
        return 0;
}

static int on_exit_event(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *user) {
        struct disk_child *d = user;

        if (d->callback) {
                /* The answer may still wait in the socket: it was sent before the process ended. */
                on_io(NULL, d->child.sock, 0, d);
                if (d->callback)
                        finish_error(d, DISK_DIED, -EPIPE, "died without an answer");
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

        finish_error(d, DISK_NOT_STARTED, d->error, "could not be started");
        if (!d->exit && !d->starting)
                disk_child_free(d);
        return 0;
}

/* Whatever needs no header and no key is the static program's: it must start at once. */
static size_t program_of(enum disk_op op) {
        switch (op) {
        case DISK_OP_DEACTIVATE:
        case DISK_OP_QUERY:
        case DISK_OP_HOLD:
        case DISK_OP_NOTICE:
        case DISK_OP_NO_CORES:
        case DISK_OP_USES:
        case DISK_OP_AWAIT:
        case DISK_OP_STEP_OPEN ... DISK_OP_STEP_VERIFY:
                return PROGRAM_LADDER;
        default:
                return PROGRAM_DISK;
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
                kill_it(d);
                d->io = sd_event_source_disable_unref(d->io);
                d->timer = sd_event_source_disable_unref(d->timer);
        }
        return r < 0 ? r : 0;
}

static void send_signal(struct disk_child *d, int signal) {
        (void) syscall(SYS_pidfd_send_signal, d->child.pidfd, signal, NULL, 0);
}

/* The template's answer. Without a process the object has nothing to wait for; a template that died may have made one before. */
static void on_started(int pidfd, void *user) {
        struct disk_child *d = user;
        int r = pidfd;

        d->starting = false;
        if (pidfd >= 0) {
                d->child.pidfd = pidfd;
                r = sd_event_add_io(d->event, &d->exit, pidfd, EPOLLIN, on_exit_event, d);
        }
        if (r < 0 || d->doomed)
                child_kill(&d->child);
        else if (d->pending_signal)
                send_signal(d, d->pending_signal);
        if (r >= 0)
                return;
        if (d->callback)
                finish_error(d, pidfd < 0 && pidfd != -EPIPE ? DISK_NOT_STARTED : DISK_SILENT, r, "could not be started");
        if (d->kept)
                d->ended = true;
        else
                disk_child_free(d);
}

static int launch(struct disk_child *d, const struct disk_request *q, int secret_fd, int in_fd, uint64_t timeout_usec) {
        struct wire_frame f;
        int pair[2], r;

        r = disk_request_encode(q, &f);
        if (r < 0)
                return r;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        r = fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0 ? -errno
                : disk_template_start(d->children->templates[program_of(d->op)], disk_op_to_string(d->op), pair[1], secret_fd,
                                      on_started, d, &d->maker);
        safe_close(pair[1]);
        if (r < 0) {
                safe_close(pair[0]);
                return r;
        }
        d->child.sock = pair[0];
        d->starting = true;
        return submit(d, &f, in_fd, timeout_usec);
}

int disk_child_start(struct disk_children *c, const struct disk_request *q, int secret_fd, int in_fd, uint64_t timeout_usec,
                     disk_callback callback, void *user, struct disk_child **ret) {
        struct disk_child *d = calloc(1, sizeof(*d));

        if (!d)
                return -ENOMEM;
        *d = (struct disk_child) {
                .children = c, .event = sd_event_ref(c->event), .child = { .pidfd = -EBADF, .sock = -EBADF },
                .op = (enum disk_op) q->op, .stays = q->flags & DISK_FLAG_STAY, .callback = callback, .user = user,
        };
        d->error = launch(d, q, secret_fd, in_fd, timeout_usec);
        if (d->error < 0 &&
            sd_event_add_time_relative(d->event, &d->timer, CLOCK_BOOTTIME, 0, 0, on_not_started, d) < 0) {
                d->callback = NULL;
                if (!d->exit && !d->starting)
                        disk_child_free(d);
                return -ENOMEM;
        }
        if (ret)
                *ret = d;
        return 0;
}

int disk_child_again(struct disk_child *d, const struct disk_request *q, int fd, uint64_t timeout_usec,
                     disk_callback callback, void *user) {
        struct wire_frame f;
        int r;

        r = d->ended ? -EPIPE : disk_request_encode(q, &f);
        if (r >= 0)
                r = submit(d, &f, fd, timeout_usec);
        if (r < 0) {
                disk_child_cancel(d);
                return r;
        }
        d->kept = false;
        d->stays = q->flags & DISK_FLAG_STAY;
        d->op = (enum disk_op) q->op;
        d->callback = callback;
        d->user = user;
        return 0;
}

void disk_child_end(struct disk_child *d, int signal, uint64_t wait_usec) {
        struct pollfd p = { .fd = d->child.pidfd, .events = POLLIN };

        if (d->starting && d->pending_signal != SIGKILL)
                d->pending_signal = signal;
        if (d->ended || d->child.pidfd < 0)
                return;
        send_signal(d, signal);
        if (wait_usec > 0)
                (void) poll(&p, 1, (int) (wait_usec / USEC_PER_MSEC));
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
        kill_it(d);
}

int disk_children_new(sd_event *event, bool fips, bool early, struct disk_children **ret) {
        struct disk_children *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->event = sd_event_ref(event);
        for (size_t i = 0; i < _PROGRAM_MAX; i++) {
                r = disk_template_new(event, programs[i].path, early ? NULL : programs[i].socket, i == PROGRAM_DISK && fips ? FIPS_WORD : "",
                                      &c->templates[i]);
                if (r < 0) {
                        disk_children_free(c);
                        return r;
                }
        }
        *ret = c;
        return 0;
}

struct disk_children *disk_children_free(struct disk_children *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < _PROGRAM_MAX; i++)
                disk_template_free(c->templates[i]);
        sd_event_unref(c->event);
        free(c);
        return NULL;
}
