/* SPDX-License-Identifier: Apache-2.0 */
#include "breaker.h"
#include "say.h"

#include "common/link.h"

#include <sys/socket.h>
#include <unistd.h>

static void drop(struct client *c) {
        c->fd = safe_close(c->fd);
        c->list_next = -1;
        c->owes = false;
        c->generation++;
}

void clients_accept(struct breaker *b) {
        _cleanup_(closep) int fd = -EBADF;
        uid_t uid;
        pid_t pid;

        fd = accept4(b->listen_fd, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK);
        if (fd < 0)
                return;
        if (link_peer(fd, &uid, &pid) < 0 || uid != 0) {
                say(LOG_WARNING, "Refused a client that is not root (uid %u)", uid);
                return;
        }
        for (size_t i = 0; i < BREAKER_CLIENTS_MAX; i++)
                if (b->clients[i].fd < 0) {
                        b->clients[i].fd = TAKE_FD(fd);
                        b->clients[i].list_next = -1;
                        return;
                }
        /* One that connected and does nothing must not lock out the manager: the first place is given up. */
        say(LOG_WARNING, "More than %d clients, dropping one", BREAKER_CLIENTS_MAX);
        drop(&b->clients[0]);
        b->clients[0].fd = TAKE_FD(fd);
}

/* Whoever has many volumes sends and reads in turn: what does not fit is sent before anything more of the client's is read. */
static void pay(struct client *c) {
        ssize_t n = send(c->fd, &c->owed, sizeof(c->owed), MSG_DONTWAIT|MSG_NOSIGNAL);

        c->owes = n < 0 && (errno == EAGAIN || errno == EINTR);
        if (n != sizeof(c->owed) && !c->owes)
                drop(c);
}

static void reply(struct client *c, uint16_t type, uint32_t id, int error, const struct breaker_slot *slot) {
        static const struct breaker_slot none = {};

        if (c->owes) {                   /* an ACT has ended meanwhile: the client learns of it by a LIST */
                drop(c);
                return;
        }
        c->owed = (struct breaker_reply) { .magic = BREAKER_MAGIC, .version = 1, .type = type, .id = id, .error = error };
        c->owed.slot = slot ? *slot : none;
        pay(c);
}

/* One slot, or the end. */
static void go_on_listing(struct breaker *b, struct client *c) {
        static const struct breaker_slot end = { .state = BREAKER_END };

        while (c->list_next < BREAKER_SLOTS && b->table->slots[c->list_next].state == BREAKER_EMPTY)
                c->list_next++;
        if (c->list_next < BREAKER_SLOTS)
                reply(c, BREAKER_LIST, c->list_id, 0, &b->table->slots[c->list_next++]);
        else {
                c->list_next = -1;
                reply(c, BREAKER_LIST, c->list_id, 0, &end);
        }
}

/* Its power goes, with the cut or without it: cmkd decides anew meanwhile, with deadlines as ever, and does not mean to put it off. */
static bool is_going(const struct breaker *b, int i) {
        const struct breaker_slot *s = b->table->slots + i;

        return b->work[i].ordered && slot_wants_power(s) && s->state != BREAKER_TRIPPED;
}

static int handle_set(struct breaker *b, const struct breaker_slot *asked, const struct breaker_slot **ret) {
        int i = table_find(b->table, asked->dm_uuid);

        if (i >= 0 && is_going(b, i) && slot_wants_power(asked)) {
                *ret = &b->table->slots[i];
                return 0;
        }
        i = table_set(b->table, asked);
        if (i < 0)
                return i;
        workers_reopen(b->workers);
        b->work[i].retry_usec = 0;
        b->work[i].due_since_usec = 0;
        b->work[i].last_error = 0;
        b->work[i].ordered = false;
        *ret = &b->table->slots[i];
        return 0;
}

/* An ACT is a SET whose deadline is now; its reply comes when it is done. */
static int handle_act(struct breaker *b, int client, const struct breaker_request *q) {
        struct breaker_slot now_due = q->slot;
        uint64_t now = now_boottime_usec();
        struct slot_work *w;
        int i;

        now_due.deadline_boottime_usec = now;
        i = table_set(b->table, &now_due);
        if (i < 0)
                return i;
        workers_reopen(b->workers);
        clients_finish_act(b, i, -ECANCELED);
        w = &b->work[i];
        *w = (struct slot_work) {
                .ordered = true,
                .waited_for = true,
                .client = client,
                .client_generation = b->clients[client].generation,
                .request_id = q->id,
                .reply_by_usec = now + BREAKER_ACT_REPLY_USEC,
        };
        return 0;
}

void clients_finish_act(struct breaker *b, int slot, int error) {
        struct slot_work *w = &b->work[slot];
        struct client *c = &b->clients[w->client];

        if (!w->waited_for)
                return;
        w->waited_for = false;
        if (c->fd >= 0 && c->generation == w->client_generation)
                reply(c, BREAKER_ACT, w->request_id, error, &b->table->slots[slot]);
}

static void handle(struct breaker *b, int index, const struct breaker_request *q) {
        struct client *c = &b->clients[index];
        const struct breaker_slot *slot = NULL;
        int r;

        switch (q->type) {
        case BREAKER_SET:
                r = handle_set(b, &q->slot, &slot);
                break;
        case BREAKER_CLEAR:
                r = table_find(b->table, q->slot.dm_uuid);
                if (r >= 0)
                        clients_finish_act(b, r, -ECANCELED);
                table_clear(b->table, q->slot.dm_uuid);
                r = 0;
                break;
        case BREAKER_ACT:
                r = handle_act(b, index, q);
                if (r >= 0)
                        return;
                break;
        case BREAKER_LIST:
                c->list_next = 0;
                c->list_id = q->id;
                return;
        default:
                r = -EOPNOTSUPP;
        }
        reply(c, q->type, q->id, r, slot ? slot : r < 0 ? &q->slot : NULL);       /* whose it is, that is refused */
}

void clients_serve(struct breaker *b, int index) {
        struct client *c = &b->clients[index];

        for (int i = 0; i < 16 && c->fd >= 0; i++) {
                struct breaker_request q;
                ssize_t n;

                if (c->owes)
                        pay(c);
                if (c->owes || c->fd < 0)
                        return;
                if (c->list_next >= 0) {
                        go_on_listing(b, c);
                        continue;
                }
                n = recv(c->fd, &q, sizeof(q), MSG_DONTWAIT|MSG_TRUNC);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                if (n != sizeof(q) || q.magic != BREAKER_MAGIC) {
                        if (n > 0)
                                say(LOG_WARNING, "A client sent what is no request, dropping it");
                        drop(c);
                } else if (q.version != 1)
                        reply(c, q.type, q.id, -EPROTONOSUPPORT, NULL);
                else
                        handle(b, index, &q);
        }
}
