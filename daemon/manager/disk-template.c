/* SPDX-License-Identifier: Apache-2.0 */
#include "disk-template.h"

#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "common/child.h"
#include "common/log.h"
#include "common/template.h"

#define RESTART_USEC (1 * USEC_PER_SEC)

struct start {
        LIST_ENTRY(start) starts;
        uint32_t id;
        disk_template_started callback;
        void *user;
};

struct disk_template {
        sd_event *event;
        const char *path, *word;
        struct stat program;           /* as it was started */
        struct child child;            /* pidfd < 0: there is none */
        bool ready, retired;
        uint64_t not_before_usec;
        uint32_t last_id;
        sd_event_source *io, *exit;
        LIST_HEAD(, start) starts;     /* asked for; the pid is not known yet */
};

static void end_start(struct start *s, int pid) {
        disk_template_started callback = s->callback;
        void *user = s->user;

        LIST_REMOVE(s, starts);
        free(s);
        callback(pid, user);
}

/* Closing the connection is its end, or its death was. What it may have started meanwhile has no request any more. */
static void forget(struct disk_template *t) {
        t->io = sd_event_source_disable_unref(t->io);
        t->exit = sd_event_source_disable_unref(t->exit);
        child_close(&t->child);
        t->ready = t->retired = false;
        t->not_before_usec = now_boottime_usec() + RESTART_USEC;
        while (!LIST_EMPTY(&t->starts))
                end_start(LIST_FIRST(&t->starts), -EPIPE);
}

static bool is_over(const struct disk_template *t) {
        return t->retired && !t->ready && LIST_EMPTY(&t->starts);
}

/* Returns as template_hear(). */
static int hear(struct disk_template *t) {
        struct start *start;
        uint32_t id;
        int r, pid;

        r = template_hear(t->child.sock, &id, &pid);
        if (r <= 0)
                return r;
        t->ready |= id == 0;
        LIST_FOREACH(start, &t->starts, starts)
                if (start->id == id) {
                        end_start(start, pid);
                        break;
                }
        if (is_over(t))
                disk_template_kill(t);
        return 1;
}

static int on_io(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *user) {
        struct disk_template *t = user;
        int r = hear(t);

        if (r <= 0 && r != -EAGAIN) {
                t->io = sd_event_source_disable_unref(t->io);
                disk_template_kill(t);
        }
        return 0;
}

static int on_exit_event(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *user) {
        struct disk_template *t = user;

        if (child_reap(&t->child, NULL) == 0)
                return 0;
        while (hear(t) > 0)
                ;
        forget(t);
        return 0;
}

static bool is_current(const struct disk_template *t) {
        struct stat now;

        return !t->retired && stat(t->path, &now) >= 0 && now.st_dev == t->program.st_dev && now.st_ino == t->program.st_ino &&
               now.st_mtim.tv_sec == t->program.st_mtim.tv_sec && now.st_mtim.tv_nsec == t->program.st_mtim.tv_nsec;
}

static void launch(struct disk_template *t) {
        char *argv[] = { strrchr(t->path, '/') + 1, (char *) TEMPLATE_WORD, (char *) t->word, NULL };
        int r;

        t->not_before_usec = now_boottime_usec() + RESTART_USEC;
        if (stat(t->path, &t->program) < 0 || child_spawn(t->path, argv, -EBADF, &t->child) < 0)
                return;
        r = sd_event_add_io(t->event, &t->exit, t->child.pidfd, EPOLLIN, on_exit_event, t);
        if (r >= 0)
                r = sd_event_add_io(t->event, &t->io, t->child.sock, EPOLLIN, on_io, t);
        if (r < 0)
                child_kill(&t->child);
}

int disk_template_start(struct disk_template *t, const char *name, int child_sock, int secret_fd,
                        disk_template_started callback, void *user) {
        struct start *s;
        int r;

        if (t->child.pidfd < 0 && now_boottime_usec() >= t->not_before_usec)
                launch(t);
        if (!t->ready)
                return -EAGAIN;
        if (!is_current(t)) {
                t->retired = true;
                t->ready = false;
                if (is_over(t))
                        disk_template_kill(t);
                return -EAGAIN;
        }
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (struct start) { .id = ++t->last_id ?: ++t->last_id, .callback = callback, .user = user };
        r = template_ask(t->child.sock, s->id, name, child_sock, secret_fd);
        if (r < 0) {
                free(s);
                return -EAGAIN;
        }
        LIST_INSERT_HEAD(&t->starts, s, starts);
        return 0;
}

void disk_template_retire(struct disk_template *t) {
        t->retired = true;
}

void disk_template_kill(struct disk_template *t) {
        child_kill(&t->child);
}

int disk_template_new(sd_event *event, const char *path, const char *word, struct disk_template **ret) {
        struct disk_template *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        t->event = sd_event_ref(event);
        t->path = path;
        t->word = word;
        t->child = (struct child) { .pidfd = -EBADF, .sock = -EBADF };
        LIST_INIT(&t->starts);
        launch(t);
        *ret = t;
        return 0;
}

struct disk_template *disk_template_free(struct disk_template *t) {
        if (!t)
                return NULL;
        child_kill(&t->child);
        sd_event_source_disable_unref(t->io);
        sd_event_source_disable_unref(t->exit);
        child_close(&t->child);
        while (!LIST_EMPTY(&t->starts)) {
                struct start *s = LIST_FIRST(&t->starts);

                LIST_REMOVE(s, starts);
                free(s);
        }
        sd_event_unref(t->event);
        free(t);
        return NULL;
}
