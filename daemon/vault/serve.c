/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/link.h"
#include "common/log.h"
#include "job.h"
#include "kept.h"
#include "watchdog.h"

#define PEERS_MAX 16u
#define TIMEOUT_MAX_MS 120000u
#define STOP_PATIENCE_USEC (2 * USEC_PER_SEC)
#define LATE_USEC USEC_PER_SEC             /* for a job to say that its deadline is over */

enum { POLL_SIGNAL, POLL_JOBS, POLL_SOCKET, POLL_PEERS, POLL_MAX = POLL_PEERS + PEERS_MAX };

struct peer {
        int fd;                         /* -EBADF: a free place */
};

struct server {
        struct vaults *vaults;
        struct jobs *jobs;
        int listen_fd, signal_fd;
        bool single;                    /* was started with one connected peer: ends with it */
        uid_t allowed_uid;
        uint64_t configured_usec;
        struct peer peers[PEERS_MAX];
        uint64_t released_usec;         /* when W was last in memory; 0: never */
        uint64_t latest_usec;
        uint64_t over_usec;             /* from then on it is to be replaced though it is not idle; 0: nothing asks for that */
        uint64_t stop_usec;             /* no more requests, and end by then; 0: go on */
        bool recycle;                   /* SIGHUP */
        struct wire_frame frame;        /* what is being received or sent */
};

static void signal_set(sigset_t *ret) {
        sigemptyset(ret);
        sigaddset(ret, SIGTERM);
        sigaddset(ret, SIGINT);
        sigaddset(ret, SIGHUP);
}

int serve_block_signals(void) {
        sigset_t set;

        signal_set(&set);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
            signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
                return -errno;
        return 0;
}

static void drop_peer(struct server *s, struct peer *p) {
        jobs_disown(s->jobs, p);
        p->fd = safe_close(p->fd);
}

static void add_peer(struct server *s, int fd) {
        uid_t uid;
        pid_t pid;

        if (link_peer(fd, &uid, &pid) < 0 || (uid != 0 && uid != s->allowed_uid)) {
                log_warning("refused a connection of uid %d", (int) uid);
                safe_close(fd);
                return;
        }
        for (size_t i = 0; i < PEERS_MAX; i++)
                if (s->peers[i].fd < 0) {
                        s->peers[i].fd = fd;
                        return;
                }
        log_warning("refused a connection: there are %u already", PEERS_MAX);
        safe_close(fd);
}

static void accept_peer(struct server *s) {
        int fd;

        fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK);
        if (fd >= 0)
                add_peer(s, fd);
}

/* Frames leave whole and in one go; who does not read them is dropped rather than waited for. */
static void send_reply(struct server *s, struct peer *p, uint32_t id, const struct vault_reply *y, const struct vault_list *l) {
        int r;

        if (!p || p->fd < 0)
                return;
        r = l ? vault_list_encode(y, l, id, &s->frame) : vault_reply_encode(y, id, &s->frame);
        if (r >= 0)
                r = link_send(p->fd, &s->frame, -EBADF);
        explicit_bzero(&s->frame, sizeof(s->frame));
        if (r < 0) {
                log_warning("a reply could not be sent: %s", strerror(-r));
                drop_peer(s, p);
        }
}

static int new_job(const struct vault_request *q, struct peer *p, uint32_t id, int *pipe_fd, struct job **ret) {
        uint32_t ms = q->timeout_ms == 0 || q->timeout_ms > TIMEOUT_MAX_MS ? TIMEOUT_MAX_MS : q->timeout_ms;
        struct job *job;

        job = calloc(1, sizeof(*job));
        if (!job)
                return -ENOMEM;
        if (vault_op_lists(q->op) && !(job->list = calloc(1, sizeof(*job->list)))) {
                free(job);
                return -ENOMEM;
        }
        job->owner = p;
        job->id = id;
        job->pipe_fd = TAKE_FD(*pipe_fd);
        job->deadline_usec = now_boottime_usec() + ms * USEC_PER_MSEC;
        job->request = *q;
        *ret = job;
        return 0;
}

/* Returns 0, or -errno: the connection is to be dropped. */
static int take_request(struct server *s, struct peer *p) {
        _cleanup_(closep) int pipe_fd = -EBADF;
        struct vault_reply busy = {};
        struct vault_request q;
        struct wire_cursor c;
        struct job *job;
        uint32_t id;
        int r;

        r = link_receive(p->fd, &s->frame, &c, &pipe_fd);
        if (r == -EAGAIN)
                return 0;
        if (r <= 0)
                return r < 0 ? r : -EPIPE;
        id = c.id;
        r = vault_request_decode(&c, &q);
        if (r < 0)
                return r;
        if (q.configured_usec > s->configured_usec)
                return -ESTALE;
        r = new_job(&q, p, id, &pipe_fd, &job);
        if (r >= 0 && jobs_submit(s->jobs, job) < 0) {
                job_free(job);
                r = -EBUSY;
        }
        if (r < 0) {
                vault_reply_set(&busy, VERDICT_UNREACHABLE, "busy", "the worker has too much to do: %s", strerror(-r));
                send_reply(s, p, id, &busy, NULL);
        }
        return 0;
}

static void stop_by(struct server *s, uint64_t usec) {
        if (s->stop_usec == 0 || usec < s->stop_usec)
                s->stop_usec = usec;
}

static void on_peer(struct server *s, struct peer *p) {
        int r;

        r = take_request(s, p);
        if (r == 0 || p->fd < 0)
                return;
        if (r == -ESTALE) {
                log_info("the configuration was read again: a new worker is to read it too");
                stop_by(s, now_boottime_usec());
        } else if (r != -EPIPE && r != -ECONNRESET)
                log_warning("dropped a connection: %s", strerror(-r));
        drop_peer(s, p);
}

/* There is a reason to be replaced, as soon as nothing is under way. */
static void grow_old(struct server *s) {
        if (s->over_usec == 0)
                s->over_usec = now_boottime_usec() + s->latest_usec;
}

static void recycle(struct server *s) {
        s->recycle = true;
        grow_old(s);
}

static void on_jobs(struct server *s) {
        struct job *job;

        while ((job = jobs_take_done(s->jobs))) {
                if (job->released) {
                        s->released_usec = now_boottime_usec();
                        grow_old(s);
                }
                log_debug("%s: %s %s", job->request.vault, verdict_to_string(job->reply.verdict), job->reply.code);
                send_reply(s, job->owner, job->id, &job->reply, job->list);
                job_free(job);
        }
        if (vaults_are_over(s->vaults))
                recycle(s);
}

static void on_signal(struct server *s) {
        struct signalfd_siginfo si;

        if (read(s->signal_fd, &si, sizeof(si)) != sizeof(si))
                return;
        if (si.ssi_signo == SIGHUP)
                recycle(s);
        else
                stop_by(s, now_boottime_usec() + STOP_PATIENCE_USEC);
}

static bool has_peers(const struct server *s) {
        for (size_t i = 0; i < PEERS_MAX; i++)
                if (s->peers[i].fd >= 0)
                        return true;
        return false;
}

/* When the loop ends although nothing happens; USEC_INFINITY: it does not. */
static uint64_t end_usec(const struct server *s) {
        if (s->stop_usec > 0)
                return jobs_count(s->jobs) == 0 ? 0 : s->stop_usec;
        if (jobs_count(s->jobs) > 0)
                return USEC_INFINITY;
        if (s->recycle || (s->single && !has_peers(s)))
                return 0;
        return s->released_usec > 0 ? s->released_usec + RECYCLE_USEC : USEC_INFINITY;
}

/* When no more requests are taken; USEC_INFINITY: that is not near, or so already. */
static uint64_t old_usec(const struct server *s) {
        return s->over_usec > 0 && s->stop_usec == 0 ? s->over_usec : USEC_INFINITY;
}

static size_t fill_poll(const struct server *s, struct pollfd *fds) {
        fds[POLL_SIGNAL] = (struct pollfd) { .fd = s->signal_fd, .events = POLLIN };
        fds[POLL_JOBS] = (struct pollfd) { .fd = jobs_fd(s->jobs), .events = POLLIN };
        fds[POLL_SOCKET] = (struct pollfd) { .fd = s->stop_usec > 0 ? -1 : s->listen_fd, .events = POLLIN };
        for (size_t i = 0; i < PEERS_MAX; i++)
                fds[POLL_PEERS + i] = (struct pollfd) {
                        .fd = s->stop_usec > 0 ? -1 : s->peers[i].fd, .events = POLLIN,
                };
        return POLL_MAX;
}

static int milliseconds_until(uint64_t usec) {
        uint64_t now = now_boottime_usec();

        if (usec == USEC_INFINITY)
                return -1;
        return usec <= now ? 0 : (int) MIN_OF((usec - now) / USEC_PER_MSEC + 1, (uint64_t) 60000);
}

/* Requests that came before the end of one that is idle are served first: that is looked at when nothing is left to read. */
static int loop(struct server *s) {
        for (;;) {
                struct pollfd fds[POLL_MAX];
                uint64_t end = end_usec(s), over = old_usec(s), next = MIN_OF(end, over), look = watchdog_look();
                int n;

                n = poll(fds, fill_poll(s, fds), milliseconds_until(MIN_OF(next, look)));
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0 && now_boottime_usec() >= end)
                        return 0;
                if (now_boottime_usec() >= over)
                        stop_by(s, jobs_stop(s->jobs) + LATE_USEC);
                if (n <= 0)
                        continue;
                if (fds[POLL_SIGNAL].revents)
                        on_signal(s);
                if (fds[POLL_JOBS].revents)
                        on_jobs(s);
                for (size_t i = 0; i < PEERS_MAX; i++)
                        if (fds[POLL_PEERS + i].revents && s->peers[i].fd == fds[POLL_PEERS + i].fd)
                                on_peer(s, s->peers + i);
                if (fds[POLL_SOCKET].revents)
                        accept_peer(s);
        }
}

static int take_socket(struct server *s, int fd) {
        int listening = 0;
        socklen_t size = sizeof(listening);

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
                return -errno;
        s->single = !listening;
        if (listening)
                s->listen_fd = fd;
        else
                add_peer(s, fd);
        return 0;
}

int serve(struct vaults *v, const struct serve_options *o) {
        struct server *s;
        sigset_t set;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->listen_fd = -EBADF;
        s->vaults = v;
        s->allowed_uid = o->allowed_uid;
        s->configured_usec = o->configured_usec;
        s->latest_usec = o->latest_usec > 0 ? o->latest_usec : RECYCLE_LATEST_USEC;
        for (size_t i = 0; i < PEERS_MAX; i++)
                s->peers[i].fd = -EBADF;
        signal_set(&set);
        s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC|SFD_NONBLOCK);
        r = s->signal_fd < 0 ? -errno : jobs_new(v, &s->jobs);
        if (r >= 0)
                r = take_socket(s, o->socket_fd);
        if (r >= 0)
                r = loop(s);
        for (size_t i = 0; i < PEERS_MAX; i++)
                safe_close(s->peers[i].fd);
        /* Threads that did not end in time still use the jobs and the vaults: the end of the process is their end. And a module
         * need not let go of a process that ends in order. */
        if ((s->jobs && jobs_count(s->jobs) > 0) || vaults_have_module(v))
                _exit(r < 0 ? EXIT_FAILURE : kept_exit_status());
        safe_close(s->listen_fd);
        safe_close(s->signal_fd);
        jobs_free(s->jobs);
        free(s);
        return r;
}
