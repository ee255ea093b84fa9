/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/queue.h>

#include "common/link.h"
#include "common/log.h"

#define AGAIN_USEC (200 * USEC_PER_MSEC)

struct call {
        LIST_ENTRY(call) calls;
        TAILQ_ENTRY(call) unsent;
        struct rpc *rpc;
        uint8_t *frame;            /* while the peer does not read: not sent yet */
        size_t frame_size;
        int frame_fd;
        uint32_t id;
        sd_event_source *timer;
        rpc_callback callback;     /* NULL: cancelled */
        void *user;
};

struct rpc {
        sd_event *event;
        const char *path, *name;
        int sock;
        bool reset;                /* the connection: it was said, and what is queued is still to be read */
        bool keep, answered;       /* reconnect by ourselves; the peer of this connection is good for something */
        sd_event_source *io, *again;
        uint32_t last_id;
        LIST_HEAD(, call) calls;
        TAILQ_HEAD(, call) unsent; /* in order, sent when the peer reads again */
        struct wire_frame in;      /* too large for the stack of a busy loop */
};

static void sent(struct call *c) {
        if (!c->frame)
                return;
        TAILQ_REMOVE(&c->rpc->unsent, c, unsent);
        explicit_bzero(c->frame, c->frame_size);
        free(c->frame);
        c->frame = NULL;
        c->frame_fd = safe_close(c->frame_fd);
}

static void call_free(struct call *c) {
        sent(c);
        LIST_REMOVE(c, calls);
        sd_event_source_disable_unref(c->timer);
        free(c);
}

static void call_end(struct call *c, int error, struct wire_cursor *cursor) {
        rpc_callback callback = c->callback;
        void *user = c->user;

        call_free(c);
        if (callback)
                callback(error, cursor, user);
}

static int on_lost(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        call_end(user, -ECONNRESET, NULL);
        return 0;
}

static void disconnect(struct rpc *r) {
        while (!TAILQ_EMPTY(&r->unsent))
                sent(TAILQ_FIRST(&r->unsent));
        r->io = sd_event_source_disable_unref(r->io);
        r->sock = safe_close(r->sock);
        r->reset = false;
}

/* Ends what was pending at this moment; callbacks may start new calls, on a new connection. */
static void drop_peer(struct rpc *r) {
        struct call *c;
        uint32_t newest = r->last_id;

        disconnect(r);
        do {
                LIST_FOREACH(c, &r->calls, calls)
                        if ((int32_t) (newest - c->id) >= 0)
                                break;
                if (c)
                        call_end(c, -ECONNRESET, NULL);
        } while (c);
}

static void dispatch(struct rpc *r, struct wire_cursor *cursor) {
        struct call *c;

        r->answered = true;
        LIST_FOREACH(c, &r->calls, calls)
                if (c->id == cursor->id) {
                        call_end(c, 0, cursor);
                        return;
                }
        log_debug("%s: a reply that nobody waits for (any more)", r->name);
}

static void reconnect_soon(struct rpc *r);

/* What goes wrong with it is found out by who reads from the peer. */
static void send_unsent(struct rpc *r) {
        struct call *c;

        while ((c = TAILQ_FIRST(&r->unsent)) && link_send_bytes(r->sock, c->frame, c->frame_size, c->frame_fd) >= 0)
                sent(c);
        if (!c)
                (void) sd_event_source_set_io_events(r->io, EPOLLIN);
}

static int on_io(sd_event_source *s _unused_, int fd _unused_, uint32_t events, void *user) {
        struct rpc *r = user;
        struct wire_cursor cursor;
        int n;

        if (events & EPOLLOUT)
                send_unsent(r);
        n = link_receive(r->sock, &r->in, &cursor, NULL);
        if (n == -EAGAIN)
                return 0;
        if (n > 0) {
                dispatch(r, &cursor);
                explicit_bzero(r->in.data, r->in.size);
                return 0;
        }
        /* What the peer did not read is said first, what it had answered comes after that. */
        if (n == -ECONNRESET && !r->reset) {
                r->reset = true;
                return 0;
        }
        if (n < 0)
                log_warning("%s: dropped: %s", r->name, strerror(-n));
        drop_peer(r);
        reconnect_soon(r);
        return 0;
}

static int on_deadline(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        call_end(user, -ETIMEDOUT, NULL);
        return 0;
}

int rpc_new(sd_event *event, const char *path, const char *name, struct rpc **ret) {
        struct rpc *r = calloc(1, sizeof(*r));

        if (!r)
                return -ENOMEM;
        r->event = sd_event_ref(event);
        r->path = path;
        r->name = name;
        r->sock = -EBADF;
        LIST_INIT(&r->calls);
        TAILQ_INIT(&r->unsent);
        *ret = r;
        return 0;
}

struct rpc *rpc_free(struct rpc *r) {
        if (!r)
                return NULL;
        disconnect(r);
        sd_event_source_disable_unref(r->again);
        while (!LIST_EMPTY(&r->calls))
                call_free(LIST_FIRST(&r->calls));
        sd_event_unref(r->event);
        free(r);
        return NULL;
}

uint32_t rpc_next_id(struct rpc *r) {
        return ++r->last_id;
}

static int ensure_connected(struct rpc *r) {
        _cleanup_(closep) int sock = -EBADF;
        int n;

        if (r->sock >= 0)
                return 0;
        sock = link_connect(r->path, true);
        if (sock < 0)
                return sock;
        n = sd_event_add_io(r->event, &r->io, sock, EPOLLIN, on_io, r);
        if (n < 0)
                return n;
        r->sock = TAKE_FD(sock);
        r->answered = false;
        return 0;
}

static int on_again(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct rpc *r = user;

        r->again = sd_event_source_disable_unref(r->again);
        (void) ensure_connected(r);
        return 0;
}

/* Not where the peer ended before it answered anything: whoever needs it will see why. */
static void reconnect_soon(struct rpc *r) {
        if (r->keep && r->answered && r->sock < 0 && !r->again)
                (void) sd_event_add_time_relative(r->event, &r->again, CLOCK_BOOTTIME, AGAIN_USEC, 0, on_again, r);
}

void rpc_keep_connected(struct rpc *r) {
        r->keep = true;
        (void) ensure_connected(r);
}

/* What was sent to the peer that is gone has no answer; the callbacks come from the loop, not from the call of another. */
static void lose_others(struct rpc *r, const struct call *except) {
        struct call *c;

        LIST_FOREACH(c, &r->calls, calls) {
                sd_event_source *soon = NULL;

                if (c == except)
                        continue;
                /* without memory it ends at its deadline */
                if (sd_event_add_time_relative(r->event, &soon, CLOCK_BOOTTIME, 0, 0, on_lost, c) < 0)
                        continue;
                sd_event_source_disable_unref(c->timer);
                c->timer = soon;
        }
}

/* Many volumes have much to say at once, and a socket takes some dozens of frames. */
static int send_later(struct rpc *r, struct call *c, const struct wire_frame *f, int fd) {
        int n = sd_event_source_set_io_events(r->io, EPOLLIN|EPOLLOUT);

        if (n < 0)
                return n;
        c->frame_fd = fd < 0 ? -EBADF : fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (fd >= 0 && c->frame_fd < 0)
                return -errno;
        c->frame = malloc(f->size);
        if (!c->frame) {
                c->frame_fd = safe_close(c->frame_fd);
                return -ENOMEM;
        }
        memcpy(c->frame, f->data, f->size);
        c->frame_size = f->size;
        TAILQ_INSERT_TAIL(&r->unsent, c, unsent);
        return 0;
}

static int send_call(struct rpc *r, struct call *c, const struct wire_frame *f, int fd) {
        int n = TAILQ_EMPTY(&r->unsent) ? link_send(r->sock, f, fd) : -EAGAIN;

        return n == -EAGAIN && f->error == 0 ? send_later(r, c, f, fd) : n;
}

int rpc_call(struct rpc *r, uint32_t id, const struct wire_frame *f, int fd, uint64_t timeout_usec,
             rpc_callback callback, void *user) {
        struct call *c;
        int n;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->rpc = r;
        c->id = id;
        c->callback = callback;
        c->user = user;
        LIST_INSERT_HEAD(&r->calls, c, calls);
        n = sd_event_add_time_relative(r->event, &c->timer, CLOCK_BOOTTIME, timeout_usec, 0, on_deadline, c);
        if (n >= 0)
                n = ensure_connected(r);
        if (n >= 0)
                n = send_call(r, c, f, fd);
        if (n == -EPIPE || n == -ECONNRESET) {
                /* The peer ended between two calls (the worker recycles itself): once more on a new connection. */
                disconnect(r);
                lose_others(r, c);
                n = ensure_connected(r);
                if (n >= 0)
                        n = send_call(r, c, f, fd);
        }
        if (n < 0)
                call_free(c);
        return n < 0 ? n : 0;
}

bool rpc_is_connected(const struct rpc *r) {
        return r->sock >= 0;
}
