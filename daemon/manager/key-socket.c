/* SPDX-License-Identifier: Apache-2.0 */
#include "key-socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "common/link.h"
#include "common/log.h"
#include "common/retry.h"
#include "key-peer.h"
#include "manager.h"
#include "operation.h"

#define ASKS_MAX 64u

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77            /* socket(7), since Linux 6.5 */
#endif

struct ask {
        LIST_ENTRY(ask) asks;
        struct key_socket *socket;
        int fd;
        char name[65];
        struct requester who;
        struct retry retry;
        sd_event_source *hangup, *timer;
        bool running;              /* an operation has us as its user */
};

struct key_socket {
        struct manager *manager;
        sd_event *event;
        int listening;
        sd_event_source *io;
        size_t n_asks;
        LIST_HEAD(, ask) asks;
};

/* Closing is the answer "no". While an operation runs only the connection goes. */
static void ask_end(struct ask *a) {
        a->hangup = sd_event_source_disable_unref(a->hangup);
        a->timer = sd_event_source_disable_unref(a->timer);
        a->fd = safe_close(a->fd);
        if (a->running)
                return;
        if (a->socket) {
                LIST_REMOVE(a, asks);
                a->socket->n_asks--;
        }
        free(a);
}

static void refuse(struct manager *m, const char *name, const struct requester *who, const char *why) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        log_warning(KEY_SOCKET ": %s gets no key%s%s: %s", who->text, *name ? " for " : "", name, why);
        if (!r)
                return;
        manager_record_start(r, *name ? manager_volume_by_name(m, name) : NULL, "refused", LOG_WARNING, false);
        audit_record_add(r, "verb", "release");
        audit_record_add(r, "claimed_name", name);
        audit_record_add(r, "by", who->text);
        audit_record_add(r, "why", why);
        manager_record(m, r);
}

static void try_release(struct ask *a);

static int on_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct ask *a = user;

        a->timer = sd_event_source_disable_unref(a->timer);
        try_release(a);
        return 0;
}

static void again_or_end(struct ask *a, enum attempt attempt, const char *message) {
        uint64_t pause = retry_next(&a->retry, attempt, now_boottime_usec());

        log_error("%s%s", message, pause > 0 ? " (trying again)" : "");
        if (pause == 0 || sd_event_add_time_relative(a->socket->event, &a->timer, CLOCK_BOOTTIME, pause, 0, on_timer, a) < 0)
                ask_end(a);
}

static void on_released(const struct outcome *o, void *user) {
        struct ask *a = user;

        a->running = false;
        if (o->code == EXIT_CODE_DONE || a->fd < 0 || !a->socket)
                ask_end(a);
        else
                again_or_end(a, o->code == EXIT_CODE_UNREACHABLE ? ATTEMPT_UNREACHABLE :
                             o->code == EXIT_CODE_REVOKED ? ATTEMPT_DENIED : ATTEMPT_HOPELESS, o->message);
}

static void release(struct ask *a) {
        int sink = fcntl(a->fd, F_DUPFD_CLOEXEC, 3);

        a->running = sink >= 0 && release_start(a->socket->manager, "", a->name, UINT32_MAX, sink, &a->who, on_released, a) >= 0;
        if (a->running)
                return;
        safe_close(sink);
        log_error("%s: out of memory", a->name);
        ask_end(a);
}

static void try_release(struct ask *a) {
        struct manager *m = a->socket->manager;
        struct volume *v = manager_volume_by_name(m, a->name);
        const char *why = NULL;

        if (!m->adopted || !breaker_is_ready(m->breaker))
                again_or_end(a, ATTEMPT_NOT_READY, "A key is asked for while cmkd starts, or waits for cmkd-breaker");
        else if (!trust_find_name(m->trust, a->name) || (v && volume_may_release(v, &why) < 0)) {
                refuse(m, a->name, &a->who, why ? why : "there is no volume of that name on this node's list");
                ask_end(a);
        } else
                release(a);
}

/* The process that connected, and not a later one of the same number. */
static int open_peer(int sock, pid_t pid) {
        socklen_t size = sizeof(int);
        int fd;

        if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) >= 0)
                return fd;
        fd = (int) syscall(SYS_pidfd_open, pid, 0);
        return fd < 0 ? -errno : fd;
}

/* What was read below /proc/PID was about that process if it still lives afterwards; before Linux 6.5 its end of the
 * socket says that it lived when its pidfd was opened. */
static bool is_alive(int pidfd, int sock) {
        struct pollfd p[] = { { .fd = pidfd, .events = POLLIN }, { .fd = sock } };

        return poll(p, ELEMENTSOF(p), 0) >= 0 && p[0].revents == 0 && !(p[1].revents & (POLLHUP|POLLERR));
}

/* Returns NULL and the volume's name, or why not. */
static const char *check_peer(int sock, uid_t uid, pid_t pid, char ret_name[static 65]) {
        _cleanup_(closep) int pidfd = -EBADF;
        _cleanup_(freep) char *text = NULL;
        struct sockaddr_un sa;
        socklen_t size = sizeof(sa);
        char path[64], hint[65] = "";

        if (uid != 0)
                return "it is not root";
        pidfd = open_peer(sock, pid);
        snprintf(path, sizeof(path), "/proc/%d/cgroup", (int) pid);
        if (pidfd < 0 || read_small_file(path, 8192, &text, NULL) < 0 || !is_alive(pidfd, sock))
                return "it ended before it could be seen who it was";
        if (key_peer_unit(text, ret_name) < 0)
                return "it is not systemd-cryptsetup@VOLUME.service";
        if (getpeername(sock, (struct sockaddr *) &sa, &size) < 0 || key_peer_hint(&sa, size, hint) < 0 ||
            !streq(hint, ret_name))
                return "it does not ask for the volume that its unit is for";
        return NULL;
}

static int on_hangup(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *user) {
        ask_end(user);
        return 0;
}

static int ask_new(struct key_socket *s, int fd, const char *name, const struct requester *who) {
        struct ask *a = calloc(1, sizeof(*a));
        int r;

        if (!a)
                return -ENOMEM;
        /* Its writing half is closed from the start; events 0: only when it is gone altogether. */
        r = sd_event_add_io(s->event, &a->hangup, fd, 0, on_hangup, a);
        if (r < 0) {
                free(a);
                return r;
        }
        a->socket = s;
        a->fd = fd;
        a->who = *who;
        a->retry = (struct retry) { .begin_usec = now_boottime_usec(), .limit_usec = RETRY_LIMIT_DEFAULT_USEC };
        snprintf(a->name, sizeof(a->name), "%s", name);
        LIST_INSERT_HEAD(&s->asks, a, asks);
        s->n_asks++;
        try_release(a);
        return 0;
}

static int on_connect(sd_event_source *source _unused_, int listening, uint32_t events _unused_, void *user) {
        _cleanup_(closep) int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        struct key_socket *s = user;
        struct requester who;
        char name[65] = "";
        const char *why;
        uid_t uid;
        pid_t pid;

        if (fd < 0 || link_peer(fd, &uid, &pid) < 0)
                return 0;
        requester_describe(uid, pid, &who);
        why = check_peer(fd, uid, pid, name);
        if (!why && s->n_asks >= ASKS_MAX)
                why = "too many are waiting already";
        if (why)
                refuse(s->manager, name, &who, why);
        else if (ask_new(s, fd, name, &who) >= 0)
                fd = -EBADF;       /* its own now */
        return 0;
}

static int open_socket(struct key_socket *s) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = KEY_SOCKET };

        s->listening = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);
        if (s->listening < 0)
                return -errno;
        if (unlink(KEY_SOCKET) < 0 && errno != ENOENT)
                return -errno;
        /* The umask is 077: root only from the first moment. */
        if (bind(s->listening, (struct sockaddr *) &sa, sizeof(sa)) < 0 || chmod(KEY_SOCKET, 0600) < 0 ||
            listen(s->listening, 64) < 0)
                return -errno;
        return sd_event_add_io(s->event, &s->io, s->listening, EPOLLIN, on_connect, s);
}

int key_socket_new(struct manager *m, sd_event *event, struct key_socket **ret) {
        struct key_socket *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->manager = m;
        s->event = sd_event_ref(event);
        s->listening = -EBADF;
        LIST_INIT(&s->asks);
        r = open_socket(s);
        if (r < 0) {
                key_socket_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

struct key_socket *key_socket_free(struct key_socket *s) {
        if (!s)
                return NULL;
        while (!LIST_EMPTY(&s->asks)) {
                struct ask *a = LIST_FIRST(&s->asks);

                LIST_REMOVE(a, asks);
                a->socket = NULL;
                ask_end(a);
        }
        sd_event_source_disable_unref(s->io);
        safe_close(s->listening);
        sd_event_unref(s->event);
        free(s);
        return NULL;
}
