/* SPDX-License-Identifier: Apache-2.0 */
#include "disk-template.h"

#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "common/child.h"
#include "common/link.h"
#include "common/template.h"

#define RESTART_USEC (1 * USEC_PER_SEC)
/* systemd starts it; it may be at something else. Those who ask meanwhile wait for it, each for as long as it can. */
#define START_USEC (4 * USEC_PER_SEC)
/* All volumes of a node may want a child before the first template is up. As much as the kernel gives; 64 KiB are a hundred. */
#define SEND_BUFFER (1 << 20)

struct start {
        LIST_ENTRY(start) starts;
        uint32_t number;
        disk_template_started callback;
        void *user;
};

struct disk_maker {
        LIST_ENTRY(disk_maker) makers;
        struct disk_template *template;
        struct child child;            /* pid: 0 if it is not our own child, or was reaped; sock < 0: it is gone */
        uint64_t since_usec;           /* CLOCK_BOOTTIME */
        bool was_ready;
        bool hangs;                    /* did not answer in time */
        size_t n_users;                /* who asked for a child that has not ended */
        size_t n_starts;               /* of them, those whose child is not there yet */
        sd_event_source *io, *exit;
        LIST_HEAD(, start) starts;     /* asked for; not started yet */
};

struct disk_template {
        sd_event *event;
        const char *path, *socket, *word;
        struct disk_maker *current;    /* who is asked, or NULL: the next one who asks gets a new one */
        uint64_t not_before_usec;
        uint32_t last_number;
        LIST_HEAD(, disk_maker) makers;
};

static void end_start(struct disk_maker *k, struct start *s, int pidfd) {
        disk_template_started callback = s->callback;
        void *user = s->user;

        LIST_REMOVE(s, starts);
        free(s);
        k->n_starts--;
        callback(pidfd, user);
}

static void maker_free(struct disk_maker *k) {
        LIST_REMOVE(k, makers);
        sd_event_source_disable_unref(k->io);
        sd_event_source_disable_unref(k->exit);
        child_close(&k->child);
        while (!LIST_EMPTY(&k->starts)) {
                struct start *s = LIST_FIRST(&k->starts);

                LIST_REMOVE(s, starts);
                free(s);
        }
        free(k);
}

static int launch(struct disk_template *t);

/* Closing the connection is its end; our own child is reaped first. */
static void end_if_over(struct disk_maker *k) {
        if (k->template->current == k || k->n_users > 0)
                return;
        if (k->child.pid > 0)
                child_kill(&k->child);
        else
                maker_free(k);
}

/* Its successor is there before somebody needs it. */
static void retire(struct disk_maker *k) {
        struct disk_template *t = k->template;

        if (t->current == k) {
                t->current = NULL;
                (void) launch(t);
        }
        end_if_over(k);
}

/* It died, or talks nonsense. What it may have started meanwhile has its request in its socket, and dies with it. */
static void lose(struct disk_maker *k) {
        if (k->child.sock < 0)
                return;
        if (!k->was_ready)
                k->template->not_before_usec = now_boottime_usec() + RESTART_USEC;
        if (k->template->current == k)
                k->template->current = NULL;
        k->io = sd_event_source_disable_unref(k->io);
        k->child.sock = safe_close(k->child.sock);
        child_kill(&k->child);
        k->n_users++;                  /* the callbacks let go of it */
        while (!LIST_EMPTY(&k->starts))
                end_start(k, LIST_FIRST(&k->starts), -EPIPE);
        disk_maker_unref(k);
}

static void finish_start(struct disk_maker *k, uint32_t number, int pidfd) {
        struct start *s;

        LIST_FOREACH(s, &k->starts, starts)
                if (s->number == number) {
                        end_start(k, s, pidfd);
                        return;
                }
        if (pidfd >= 0)
                safe_close(pidfd);
}

static int on_io(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *user) {
        struct disk_maker *k = user;
        struct template_answer y;
        int came, r;

        r = template_hear(fd, &y, &came);
        if (r == -EAGAIN)
                return 0;
        if (r <= 0)
                lose(k);
        else if (y.news == TEMPLATE_READY) {
                k->was_ready = true;
                safe_close(k->child.pid > 0 ? came : k->child.pidfd);
                if (k->child.pid == 0)
                        k->child.pidfd = came;
        } else if (y.news == TEMPLATE_CHILD_CRASHED)
                retire(k);
        else
                finish_start(k, y.number, y.news == TEMPLATE_STARTED ? came : y.error);
        return 0;
}

static int on_exit_event(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *user) {
        struct disk_maker *k = user;

        if (child_reap(&k->child, NULL) == 0)
                return 0;
        k->exit = sd_event_source_disable_unref(k->exit);
        k->child.pid = 0;
        k->n_users++;
        lose(k);
        disk_maker_unref(k);
        return 0;
}

static int connect_or_spawn(const struct disk_template *t, struct child *ret) {
        char *argv[] = { strrchr(t->path, '/') + 1, (char *) TEMPLATE_WORD, NULL };
        const int size = SEND_BUFFER;
        int r;

        if (!t->socket)
                return child_spawn(t->path, argv, -EBADF, ret);
        r = link_connect(t->socket, true);
        if (r < 0)
                return r;
        *ret = (struct child) { .sock = r, .pidfd = -EBADF };
        (void) setsockopt(ret->sock, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        return 0;
}

static int launch(struct disk_template *t) {
        struct disk_maker *k;
        int r;

        if (now_boottime_usec() < t->not_before_usec)
                return -EAGAIN;
        t->not_before_usec = now_boottime_usec() + RESTART_USEC;
        k = calloc(1, sizeof(*k));
        if (!k)
                return -ENOMEM;
        k->template = t;
        k->since_usec = now_boottime_usec();
        k->child = (struct child) { .pidfd = -EBADF, .sock = -EBADF };
        LIST_INIT(&k->starts);
        LIST_INSERT_HEAD(&t->makers, k, makers);
        r = connect_or_spawn(t, &k->child);
        if (r >= 0 && k->child.pid > 0)
                r = sd_event_add_io(t->event, &k->exit, k->child.pidfd, EPOLLIN, on_exit_event, k);
        if (r >= 0)
                r = sd_event_add_io(t->event, &k->io, k->child.sock, EPOLLIN, on_io, k);
        if (r >= 0)
                r = template_set_up(k->child.sock, t->word);
        if (r < 0) {
                end_if_over(k);
                return r;
        }
        t->current = k;
        t->not_before_usec = 0;
        return 0;
}

int disk_template_start(struct disk_template *t, const char *name, int child_sock, int secret_fd,
                        disk_template_started callback, void *user, struct disk_maker **ret) {
        struct start *s;
        int r;

        r = t->current ? 0 : launch(t);
        if (r < 0)
                return r;
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (struct start) { .number = ++t->last_number ?: ++t->last_number, .callback = callback, .user = user };
        r = template_ask(t->current->child.sock, s->number, name, child_sock, secret_fd);
        if (r < 0) {
                free(s);
                return r;
        }
        LIST_INSERT_HEAD(&t->current->starts, s, starts);
        t->current->n_starts++;
        t->current->n_users++;
        *ret = t->current;
        return 0;
}

/* Its children would die with it. Whoever waits for one that does not start hears of it by the event loop, as if it had died by itself. */
static void kill_if_it_hangs(struct disk_maker *k) {
        if (!k->hangs || k->n_users > k->n_starts || k->child.sock < 0)
                return;
        child_kill(&k->child);
        (void) shutdown(k->child.sock, SHUT_RDWR);
}

struct disk_maker *disk_maker_unref(struct disk_maker *k) {
        if (k) {
                k->n_users--;
                kill_if_it_hangs(k);
                end_if_over(k);
        }
        return NULL;
}

void disk_maker_give_up(struct disk_maker *k) {
        if (!k->was_ready && now_boottime_usec() < k->since_usec + START_USEC)
                return;
        if (k->template->current == k)
                k->template->current = NULL;
        k->hangs = true;
        kill_if_it_hangs(k);
}

int disk_template_new(sd_event *event, const char *path, const char *socket, const char *word, struct disk_template **ret) {
        struct disk_template *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        t->event = sd_event_ref(event);
        t->path = path;
        t->socket = socket;
        t->word = word;
        LIST_INIT(&t->makers);
        (void) launch(t);
        *ret = t;
        return 0;
}

struct disk_template *disk_template_free(struct disk_template *t) {
        if (!t)
                return NULL;
        while (!LIST_EMPTY(&t->makers)) {
                if (LIST_FIRST(&t->makers)->child.pid > 0)
                        child_kill(&LIST_FIRST(&t->makers)->child);
                maker_free(LIST_FIRST(&t->makers));
        }
        sd_event_unref(t->event);
        free(t);
        return NULL;
}
