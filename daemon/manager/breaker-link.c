/* SPDX-License-Identifier: Apache-2.0 */
#include "breaker-link.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/link.h"
#include "common/log.h"

#define RECONNECT_USEC (1 * USEC_PER_SEC)
/* A socket takes some 160 requests, and one answer of a vault may be about every slot that there is. */
#define WAITING_MAX (4u * BREAKER_SLOTS)
#define WAITING_USEC (2 * USEC_PER_SEC)
#define LATE_USEC (USEC_PER_SEC / 4)

struct breaker_link {
        sd_event *event;
        const struct breaker_events *events;
        void *user;
        int sock;
        bool ready;
        bool complained;
        uint32_t last_id;
        sd_event_source *io, *retry, *patience;
        struct breaker_slot *found;    /* of the LIST under way */
        size_t n_found;
        struct breaker_request *waiting;   /* until the breaker reads; in order */
        size_t n_waiting;
        uint64_t waiting_since_usec;   /* since then it has read nothing */
};

static int on_retry(sd_event_source *s, uint64_t usec, void *user);

static void reconnect_later(struct breaker_link *b, int error) {
        b->io = sd_event_source_disable_unref(b->io);
        b->patience = sd_event_source_disable_unref(b->patience);
        b->sock = safe_close(b->sock);
        b->ready = false;
        b->n_waiting = 0;
        b->retry = sd_event_source_disable_unref(b->retry);
        if (!b->complained)
                log_alert("cmkd-breaker is not there: %s; deadlines rest on cmkd alone until it is back", strerror(-error));
        b->complained = true;
        if (sd_event_add_time_relative(b->event, &b->retry, CLOCK_BOOTTIME, RECONNECT_USEC, 0, on_retry, b) < 0)
                log_error("No memory to reconnect to cmkd-breaker");
}

static int send_now(const struct breaker_link *b, const struct breaker_request *q) {
        return send(b->sock, q, sizeof(*q), MSG_NOSIGNAL|MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Whether nothing is read for too long is asked when there is nothing else to be done: while cmkd is busy (hundreds of volumes at one
 * answer) nobody reads the breaker's replies, and it waits for that, not the other way round. Who comes late to ask was busy, and begins
 * to wait. */
static int on_patience(sd_event_source *s, uint64_t usec _unused_, void *user) {
        struct breaker_link *b = user;
        uint64_t now = now_boottime_usec(), until = b->waiting_since_usec + WAITING_USEC;

        if (b->n_waiting == 0)
                return 0;
        if (now >= until && now < until + LATE_USEC) {
                reconnect_later(b, -ETIMEDOUT);
                return 0;
        }
        if (now >= until)
                b->waiting_since_usec = now;
        (void) sd_event_source_set_time(s, b->waiting_since_usec + WAITING_USEC);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int begin_waiting(struct breaker_link *b) {
        int r;

        b->waiting_since_usec = now_boottime_usec();
        b->patience = sd_event_source_disable_unref(b->patience);
        r = sd_event_add_time(b->event, &b->patience, CLOCK_BOOTTIME, b->waiting_since_usec + WAITING_USEC, USEC_PER_MSEC, on_patience,
                              b);
        if (r >= 0)
                r = sd_event_source_set_priority(b->patience, SD_EVENT_PRIORITY_IDLE);
        return r < 0 ? r : sd_event_source_set_io_events(b->io, EPOLLIN|EPOLLOUT);
}

static int let_wait(struct breaker_link *b, const struct breaker_request *q) {
        int r = b->n_waiting == 0 ? begin_waiting(b) : 0;
        struct breaker_request *bigger;

        if (r < 0)
                return r;
        if (b->n_waiting >= WAITING_MAX)
                return -ETIMEDOUT;
        bigger = reallocarray(b->waiting, b->n_waiting + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        b->waiting = bigger;
        b->waiting[b->n_waiting++] = *q;
        return 0;
}

/* Returns 0, or what the connection ended with. */
static int send_waiting(struct breaker_link *b) {
        size_t n = 0;
        int r = 0;

        while (n < b->n_waiting && (r = send_now(b, b->waiting + n)) >= 0)
                n++;
        if (n > 0)
                b->waiting_since_usec = now_boottime_usec();
        b->n_waiting -= n;
        memmove(b->waiting, b->waiting + n, b->n_waiting * sizeof(*b->waiting));
        if (r < 0)
                return r == -EAGAIN ? 0 : r;
        return sd_event_source_set_io_events(b->io, EPOLLIN);
}

static int request(struct breaker_link *b, enum breaker_request_type type, const struct breaker_slot *s) {
        struct breaker_request q = {
                .magic = BREAKER_MAGIC, .version = 1, .type = (uint16_t) type, .id = ++b->last_id, .slot = *s,
        };
        int r;

        if (b->sock < 0)
                return -ENOTCONN;
        r = b->n_waiting > 0 ? -EAGAIN : send_now(b, &q);
        if (r == -EAGAIN)
                r = let_wait(b, &q);
        if (r < 0)
                reconnect_later(b, r);
        return r;
}

static void list_reply(struct breaker_link *b, const struct breaker_slot *s) {
        struct breaker_slot *bigger;

        if (s->state == BREAKER_END) {
                b->ready = true;
                if (b->complained)
                        log_notice("cmkd-breaker is back");
                b->complained = false;
                b->events->ready(b->found, b->n_found, b->user);
                free(b->found);
                b->found = NULL;
                b->n_found = 0;
                return;
        }
        if (b->n_found >= BREAKER_SLOTS)
                return;
        bigger = reallocarray(b->found, b->n_found + 1, sizeof(*bigger));
        if (!bigger)
                return;
        b->found = bigger;
        b->found[b->n_found++] = *s;
}

static int on_io(sd_event_source *source _unused_, int fd, uint32_t events, void *user) {
        struct breaker_link *b = user;
        struct breaker_reply y;
        ssize_t n;
        int r;

        if (events & EPOLLOUT) {
                r = send_waiting(b);
                if (r < 0) {
                        reconnect_later(b, r);
                        return 0;
                }
        }
        n = recv(fd, &y, sizeof(y), MSG_DONTWAIT|MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n != sizeof(y) || y.magic != BREAKER_MAGIC || y.version != 1) {
                reconnect_later(b, n < 0 ? -errno : n == 0 ? -ECONNRESET : -EBADMSG);
                return 0;
        }
        y.slot.name[sizeof(y.slot.name) - 1] = 0;
        y.slot.dm_uuid[sizeof(y.slot.dm_uuid) - 1] = 0;
        if (y.type == BREAKER_LIST)
                list_reply(b, &y.slot);
        else
                b->events->slot(y.error, &y.slot, b->user);
        return 0;
}

static int connect_now(struct breaker_link *b) {
        static const struct breaker_slot none = {};
        int r;

        b->sock = link_connect(BREAKER_SOCKET, true);
        if (b->sock < 0)
                return b->sock;
        r = sd_event_add_io(b->event, &b->io, b->sock, EPOLLIN, on_io, b);
        if (r < 0)
                return r;
        free(b->found);
        b->found = NULL;
        b->n_found = 0;
        return request(b, BREAKER_LIST, &none);
}

static int on_retry(sd_event_source *source _unused_, uint64_t usec _unused_, void *user) {
        struct breaker_link *b = user;
        int r = connect_now(b);

        if (r < 0)
                reconnect_later(b, r);
        return 0;
}

int breaker_link_new(sd_event *event, const struct breaker_events *events, void *user, struct breaker_link **ret) {
        struct breaker_link *b = calloc(1, sizeof(*b));
        int r;

        if (!b)
                return -ENOMEM;
        *b = (struct breaker_link) {
                .event = sd_event_ref(event), .events = events, .user = user, .sock = -EBADF,
        };
        r = sd_event_add_time_relative(event, &b->retry, CLOCK_BOOTTIME, 0, 0, on_retry, b);
        if (r < 0) {
                breaker_link_free(b);
                return -ENOMEM;
        }
        *ret = b;
        return 0;
}

struct breaker_link *breaker_link_free(struct breaker_link *b) {
        if (!b)
                return NULL;
        sd_event_source_disable_unref(b->io);
        sd_event_source_disable_unref(b->retry);
        sd_event_source_disable_unref(b->patience);
        safe_close(b->sock);
        free(b->found);
        free(b->waiting);
        sd_event_unref(b->event);
        free(b);
        return NULL;
}

int breaker_set(struct breaker_link *b, const struct breaker_slot *s) {
        return request(b, BREAKER_SET, s);
}

int breaker_clear(struct breaker_link *b, const char *dm_uuid) {
        struct breaker_slot s = {};

        snprintf(s.dm_uuid, sizeof(s.dm_uuid), "%s", dm_uuid);
        return request(b, BREAKER_CLEAR, &s);
}

int breaker_act(struct breaker_link *b, const struct breaker_slot *s) {
        return request(b, BREAKER_ACT, s);
}

bool breaker_is_ready(const struct breaker_link *b) {
        return b->ready;
}
