/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"

#include "common/link.h"
#include "common/log.h"

#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define CLIENTS_MAX 32u
#define FRAMES_PER_TURN 64u
#define ANSWERS_MAX 4096u        /* for one that does not read them */

struct answer {
        uint32_t id;
        struct audit_ack ack;
};

struct client {
        LIST_ENTRY(client) clients;
        struct serve *serve;
        sd_event_source *source;
        int fd;
        pid_t pid;
        struct answer *answers;                  /* until it reads; nothing more of it is read meanwhile */
        size_t n_answers;
};

struct serve {
        sd_event *event;
        sd_event_source *source;
        struct serve_handler handler;
        unsigned n_clients;
        LIST_HEAD(, client) clients;
        struct wire_frame frame;                 /* of the moment: large, so not on the stack */
        struct audit_message_record record;
};

static void client_free(struct client *c) {
        c->serve->handler.on_gone(c->serve->handler.user, c);
        LIST_REMOVE(c, clients);
        c->serve->n_clients--;
        sd_event_source_disable_unref(c->source);
        safe_close(c->fd);
        free(c->answers);
        free(c);
}

struct serve *serve_free(struct serve *s) {
        struct client *c;

        if (!s)
                return NULL;
        while ((c = LIST_FIRST(&s->clients)))
                client_free(c);
        sd_event_source_disable_unref(s->source);
        sd_event_unref(s->event);
        free(s);
        return NULL;
}

/* Returns 1, 0 (gone), or negative. */
static int receive_one(struct client *c) {
        struct serve *s = c->serve;
        struct wire_cursor cursor;
        uint32_t id;
        int r;

        r = link_receive(c->fd, &s->frame, &cursor, NULL);
        if (r <= 0)
                return r;
        id = cursor.id;
        if (cursor.type == AUDIT_MSG_CHECK) {
                r = wire_end(&cursor);
                if (r < 0)
                        return r;
                s->handler.on_check(s->handler.user, c, id);
                return 1;
        }
        r = audit_record_decode(&cursor, &s->record);
        if (r < 0)
                return r;
        s->handler.on_record(s->handler.user, c, id, &s->record);
        return 1;
}

static int send_answer(struct client *c, const struct answer *a) {
        int r;

        /* The frame of the request was decoded before: its room is free */
        r = audit_ack_encode(&a->ack, a->id, &c->serve->frame);
        return r < 0 ? r : link_send(c->fd, &c->serve->frame, -EBADF);
}

/* Returns 1, or negative. */
static int send_answers(struct client *c) {
        size_t n = 0;
        int r = 0;

        while (n < c->n_answers && (r = send_answer(c, c->answers + n)) >= 0)
                n++;
        c->n_answers -= n;
        memmove(c->answers, c->answers + n, c->n_answers * sizeof(*c->answers));
        if (r < 0)
                return r == -EAGAIN ? 1 : r;
        r = sd_event_source_set_io_events(c->source, EPOLLIN);
        return r < 0 ? r : 1;
}

/* Whoever has much to say at once reads nothing before it has said it. */
static int answer_later(struct client *c, const struct answer *a) {
        struct answer *bigger;
        int r;

        if (c->n_answers >= ANSWERS_MAX)
                return -ENOBUFS;
        r = sd_event_source_set_io_events(c->source, EPOLLOUT);
        if (r < 0)
                return r;
        bigger = reallocarray(c->answers, c->n_answers + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        c->answers = bigger;
        c->answers[c->n_answers++] = *a;
        return 0;
}

static int on_client(sd_event_source *source _unused_, int fd _unused_, uint32_t events, void *user) {
        struct client *c = user;
        int r = 1;

        if (events & EPOLLOUT)
                r = send_answers(c);
        else if (events & EPOLLIN)
                for (unsigned i = 0; i < FRAMES_PER_TURN && r > 0 && c->n_answers == 0; i++)
                        r = receive_one(c);
        else
                r = 0;
        if (r > 0 || r == -EAGAIN)
                return 0;
        if (r < 0)
                log_warning("Connection of process %d dropped: %s", (int) c->pid, strerror(-r));
        client_free(c);
        return 0;
}

static int client_new(struct serve *s, int fd) {
        struct client *c;
        uid_t uid;
        pid_t pid;
        int r;

        r = link_peer(fd, &uid, &pid);
        if (r < 0)
                return r;
        if (uid != 0)
                return -EPERM;
        if (s->n_clients >= CLIENTS_MAX)
                return -EMFILE;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        r = sd_event_add_io(s->event, &c->source, fd, EPOLLIN, on_client, c);
        if (r < 0) {
                free(c);
                return r;
        }
        c->serve = s;
        c->fd = fd;
        c->pid = pid;
        LIST_INSERT_HEAD(&s->clients, c, clients);
        s->n_clients++;
        return 0;
}

static int on_connection(sd_event_source *source _unused_, int fd, uint32_t events _unused_, void *user) {
        struct serve *s = user;
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK), r;

        if (client < 0)
                return 0;          /* gone again, or no descriptors left: the next one may be luckier */
        r = client_new(s, client);
        if (r < 0) {
                log_warning("Connection refused: %s", strerror(-r));
                safe_close(client);
        }
        return 0;
}

/* The socket among what the service manager hands over; there may be the sealer's file too (keep.h). */
static int listen_somewhere(const char *path) {
        int n = sd_listen_fds(1);

        if (n < 0)
                return n;
        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++)
                if (sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0)
                        return fd;
        return link_listen(path, 0600);
}

int serve_new(sd_event *event, const char *path, const struct serve_handler *handler, struct serve **ret) {
        _cleanup_(serve_freep) struct serve *s = calloc(1, sizeof(*s));
        int fd, r;

        if (!s)
                return -ENOMEM;
        s->handler = *handler;
        s->event = sd_event_ref(event);
        LIST_INIT(&s->clients);
        fd = listen_somewhere(path);
        if (fd < 0)
                return fd;
        r = sd_event_add_io(event, &s->source, fd, EPOLLIN, on_connection, s);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        (void) sd_event_source_set_io_fd_own(s->source, 1);
        *ret = TAKE_PTR(s);
        return 0;
}

void serve_ack(struct client *c, uint32_t id, int error, uint64_t sequence) {
        const struct answer a = { id, { .error = error, .sequence = sequence } };
        int r = c->n_answers > 0 ? -EAGAIN : send_answer(c, &a);

        if (r == -EAGAIN)
                r = answer_later(c, &a);
        if (r < 0)
                shutdown(c->fd, SHUT_RDWR);
}
