/* SPDX-License-Identifier: Apache-2.0 */
#include "worker-link.h"

#include <fcntl.h>
#include <sys/queue.h>

#include "common/log.h"
#include "rpc.h"

/* What the worker may take to accept, start a thread and answer beyond the vault's time. */
#define WORKER_MARGIN_USEC (5 * USEC_PER_SEC)
/* Releases at a time: the worker turns away what it has no room for (vault/job.h), and a node may attach hundreds of volumes at once. Each
 * has its deadline from when it is sent. */
#define RELEASES_MAX 96u

struct question {
        LIST_ENTRY(question) questions;
        STAILQ_ENTRY(question) waiting;
        struct worker_link *link;
        bool waits, counts;            /* for its turn; as one of link->n_releases */
        struct vault_request request;
        int fd;
        bool retried;
        worker_callback callback;      /* NULL: cancelled */
        void *user;
        sd_event_source *failed;       /* the call could not even be made: answered from the loop */
        int error;
};

struct worker_link {
        sd_event *event;
        struct rpc *rpc;
        uint64_t configured_usec;
        struct worker_counts counts;
        worker_listener listener;
        void *listener_user;
        LIST_HEAD(, question) questions;
        unsigned n_releases;           /* asked and not answered */
        STAILQ_HEAD(, question) waiting;
};

static void question_free(struct question *q) {
        if (q->waits)
                STAILQ_REMOVE(&q->link->waiting, q, question, waiting);
        q->link->n_releases -= q->counts;
        LIST_REMOVE(q, questions);
        safe_close(q->fd);
        sd_event_source_disable_unref(q->failed);
        free(q);
}

static void count(struct worker_counts *c, const struct vault_reply *y) {
        c->answers[y->verdict]++;
        if (y->round_trip_usec > 0) {
                c->round_trips++;
                c->round_trip_usec += y->round_trip_usec;
        }
}

static void ask_waiting(struct worker_link *w);

static void answer(struct question *q, const struct vault_reply *y) {
        worker_callback callback = q->callback;
        struct worker_link *w = q->link;
        void *user = q->user;

        count(&q->link->counts, y);
        if (q->link->listener)
                q->link->listener(&q->request, y, q->link->listener_user);
        question_free(q);
        ask_waiting(w);
        if (callback)
                callback(y, user);
}

static void answer_error(struct question *q, int error) {
        struct vault_reply y = {
                .verdict = error == -EBADMSG ? VERDICT_BROKEN : VERDICT_UNREACHABLE,
        };

        snprintf(y.code, sizeof(y.code), "worker");
        snprintf(y.text, sizeof(y.text), "cmkd-vault did not answer: %s", strerror(-error));
        answer(q, &y);
}

static int ask(struct question *q);

static void on_reply(int error, struct wire_cursor *c, void *user) {
        struct question *q = user;
        struct vault_reply y;

        if (error == -ECONNRESET && !q->retried) {
                q->retried = true;
                error = ask(q);
                if (error >= 0)
                        return;
        }
        if (error >= 0)
                error = vault_reply_decode(c, &y);
        if (error < 0)
                answer_error(q, error);
        else
                answer(q, &y);
}

static int ask(struct question *q) {
        struct worker_link *w = q->link;
        struct wire_frame f;
        uint32_t id = rpc_next_id(w->rpc);
        int r;

        q->request.configured_usec = w->configured_usec;
        r = vault_request_encode(&q->request, id, &f);
        if (r < 0)
                return r;
        return rpc_call(w->rpc, id, &f, q->fd, q->request.timeout_ms * USEC_PER_MSEC + WORKER_MARGIN_USEC, on_reply, q);
}

static int on_failed(sd_event_source *s _unused_, void *user) {
        struct question *q = user;

        answer_error(q, q->error);
        return 0;
}

/* Returns 0 or -ENOMEM. */
static int ask_or_fail_later(struct question *q) {
        q->counts = q->fd >= 0;
        q->link->n_releases += q->counts;
        q->error = ask(q);
        return q->error >= 0 || sd_event_add_defer(q->link->event, &q->failed, on_failed, q) >= 0 ? 0 : -ENOMEM;
}

static void ask_waiting(struct worker_link *w) {
        struct question *q;

        while (w->n_releases < RELEASES_MAX && (q = STAILQ_FIRST(&w->waiting))) {
                STAILQ_REMOVE_HEAD(&w->waiting, waiting);
                q->waits = false;
                if (!q->callback)                /* nobody waits for it any more */
                        question_free(q);
                else if (ask_or_fail_later(q) < 0)
                        answer_error(q, -ENOMEM);
        }
}

int worker_link_new(sd_event *event, struct worker_link **ret) {
        struct worker_link *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;
        r = rpc_new(event, VAULT_SOCKET, "cmkd-vault", &w->rpc);
        if (r < 0) {
                free(w);
                return r;
        }
        w->event = sd_event_ref(event);
        LIST_INIT(&w->questions);
        STAILQ_INIT(&w->waiting);
        /* It ends after a release; the next one starts meanwhile, not when somebody waits for it. */
        rpc_keep_connected(w->rpc);
        *ret = w;
        return 0;
}

struct worker_link *worker_link_free(struct worker_link *w) {
        if (!w)
                return NULL;
        rpc_free(w->rpc);
        while (!LIST_EMPTY(&w->questions))
                question_free(LIST_FIRST(&w->questions));
        sd_event_unref(w->event);
        free(w);
        return NULL;
}

int worker_ask(struct worker_link *w, const struct vault_request *request, int fd, worker_callback callback, void *user) {
        struct question *q = calloc(1, sizeof(*q));
        int r;

        if (!q)
                return -ENOMEM;
        *q = (struct question) {
                .link = w, .request = *request, .fd = -EBADF, .callback = callback, .user = user,
        };
        LIST_INSERT_HEAD(&w->questions, q, questions);
        if (fd >= 0) {
                q->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                if (q->fd < 0) {
                        question_free(q);
                        return -ENOMEM;
                }
        }
        if (q->fd >= 0 && w->n_releases >= RELEASES_MAX) {
                q->waits = true;
                STAILQ_INSERT_TAIL(&w->waiting, q, waiting);
                return 0;
        }
        r = ask_or_fail_later(q);
        if (r < 0)
                question_free(q);
        return r;
}

void worker_cancel(struct worker_link *w, void *user) {
        struct question *q;

        LIST_FOREACH(q, &w->questions, questions)
                if (q->user == user)
                        q->callback = NULL;
}

void worker_link_listen(struct worker_link *w, worker_listener listener, void *user) {
        w->listener = listener;
        w->listener_user = user;
}

void worker_link_configured(struct worker_link *w, uint64_t usec) {
        w->configured_usec = usec;
}

const struct worker_counts *worker_counts(const struct worker_link *w) { return &w->counts; }

bool worker_is_connected(const struct worker_link *w) {
        return rpc_is_connected(w->rpc);
}
