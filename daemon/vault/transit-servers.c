/* SPDX-License-Identifier: Apache-2.0 */
#include "transit-servers.h"

#include <pthread.h>
#include <time.h>

#include "transit-cluster.h"
#include "transit-reply.h"

#define HEAD_START_USEC (500 * USEC_PER_MSEC)
#define STACK_SIZE (256u * 1024u)

struct transit_servers {
        struct transit_cluster *cluster;
        unsigned n;
        _Atomic unsigned preferred, answered;
};

struct lane {
        struct race *race;
        unsigned server, place;
        pthread_t thread;
        bool ended, final;                                     /* under the lock */
        int r;
        struct http_response answer;
};

enum race_kind {
        RACE_ASK,
        RACE_LOOK,                                             /* for who is of the cluster, x being what is to be asked then */
        RACE_ONE_BY_ONE,                                       /* no head start: the next one where an answer does not count */
};

/* One exchange, with each server in a thread of its own. It is over when all have ended. */
struct race {
        enum race_kind kind;
        struct transit_servers *servers;
        const struct transit_exchange *x;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        _Atomic bool called_off;
        struct lane lanes[TRANSIT_SERVERS_MAX];
        unsigned n;                                            /* started */
};

int transit_servers_new(const struct vault_config *c, struct http_pool *http, struct transit_servers **ret) {
        struct transit_servers *s = calloc(1, sizeof(*s));

        if (!s || transit_cluster_new(c, http, &s->cluster) < 0) {
                free(s);
                return -ENOMEM;
        }
        s->n = transit_cluster_servers(s->cluster);
        *ret = s;
        return 0;
}

struct transit_servers *transit_servers_free(struct transit_servers *s) {
        if (!s)
                return NULL;
        transit_cluster_free(s->cluster);
        free(s);
        return NULL;
}

/* Whether an answer counts, or another server may know better. */
static bool is_final(enum transit_call call, const struct http_response *y) {
        const struct transit_evidence e = {
                .call = call, .status = y->status, .json = y->json, .body = y->body, .body_size = y->body_size,
        };
        enum transit_next next;
        struct judgement j;

        if (y->status == 200)
                return y->json;
        transit_judge(&e, &j, &next);
        return next != TRANSIT_NOTHING || transit_judge_place(&j) ||
               (j.verdict != VERDICT_UNREACHABLE && j.verdict != VERDICT_BROKEN && j.verdict != VERDICT_DENIED_WEAK);
}

static void *run_lane(void *arg) {
        struct lane *l = arg;
        struct race *a = l->race;
        struct http_response y = {};
        bool final;
        int r;

        if (a->kind == RACE_LOOK)
                r = transit_cluster_check(a->servers->cluster, l->server, a->x, &a->called_off, &y);
        else
                r = transit_cluster_exchange(a->servers->cluster, &l->place, a->x, &a->called_off, &y);
        final = r >= 0 && (a->kind == RACE_LOOK || is_final(a->x->call, &y));
        if (!final)
                transit_cluster_forget(a->servers->cluster, l->server);
        if (a->kind == RACE_ONE_BY_ONE && l == a->lanes && r < 0 && r != -EHOSTUNREACH && r != -EHOSTDOWN)
                final = true;                                  /* it was there a moment ago, and may have been asked */
        pthread_mutex_lock(&a->lock);
        l->answer = y;
        l->r = r;
        l->final = final;
        l->ended = true;
        pthread_cond_signal(&a->changed);
        pthread_mutex_unlock(&a->lock);
        return NULL;
}

/* Under the lock. False: it could not be started. */
static bool start_lane(struct race *a, unsigned server) {
        struct lane *l = a->lanes + a->n;
        pthread_attr_t attr;
        int r;

        *l = (struct lane) { .race = a, .server = server, .place = server };
        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, STACK_SIZE);
        r = pthread_create(&l->thread, &attr, run_lane, l);
        pthread_attr_destroy(&attr);
        a->n += r == 0;
        return r == 0;
}

/* Under the lock. Without one: how many still run. */
static struct lane *find_final(struct race *a, unsigned *ret_running) {
        *ret_running = 0;
        for (unsigned i = 0; i < a->n; i++) {
                if (a->lanes[i].ended && a->lanes[i].final)
                        return a->lanes + i;
                *ret_running += !a->lanes[i].ended;
        }
        return NULL;
}

static struct timespec head_start_from_now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        ts.tv_nsec += (long) (HEAD_START_USEC * NSEC_PER_USEC);
        ts.tv_sec += ts.tv_nsec / (long) NSEC_PER_SEC;
        ts.tv_nsec %= (long) NSEC_PER_SEC;
        return ts;
}

/* Under the lock: until one's answer counts, or nobody is left. One that failed does not wait for the head start of the next. */
static struct lane *run(struct race *a) {
        const struct transit_servers *s = a->servers;
        unsigned begin = s->preferred, next = 0, failed = 0, running;
        struct timespec patience = {};
        bool over = false;
        struct lane *l;

        while (!(l = find_final(a, &running))) {
                if (next < s->n && (running == 0 || over || failed < a->n - running)) {
                        failed = a->n - running;
                        start_lane(a, (begin + next++) % s->n);
                        patience = head_start_from_now();
                        over = false;
                } else if (running == 0)
                        return NULL;
                else if (next < s->n && a->kind != RACE_ONE_BY_ONE)
                        over = pthread_cond_clockwait(&a->changed, &a->lock, CLOCK_MONOTONIC, &patience) == ETIMEDOUT;
                else
                        pthread_cond_wait(&a->changed, &a->lock);
        }
        return l;
}

/* Nobody's answer counts: the first one that came at all, or else what kept the first server from answering. */
static struct lane *find_best(struct race *a) {
        for (unsigned i = 0; i < a->n; i++)
                if (a->lanes[i].r >= 0)
                        return a->lanes + i;
        return a->n > 0 ? a->lanes : NULL;
}

static int race(struct transit_servers *s, enum race_kind kind, const struct transit_exchange *x, unsigned *place, struct http_response *ret) {
        struct race a = { .kind = kind, .servers = s, .x = x, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
        uint64_t start = now_boottime_usec();
        struct lane *best;
        int r = -ENOMEM;

        pthread_mutex_lock(&a.lock);
        best = run(&a);
        pthread_mutex_unlock(&a.lock);
        a.called_off = true;
        for (unsigned i = 0; i < a.n; i++)
                pthread_join(a.lanes[i].thread, NULL);
        if (best)
                s->preferred = best->server;
        else
                best = find_best(&a);
        if (best) {
                r = best->r;
                *ret = best->answer;
                best->answer = (struct http_response) {};
                ret->usec = (uint32_t) MIN_OF(now_boottime_usec() - start, (uint64_t) UINT32_MAX);
                *place = best->place;
        }
        for (unsigned i = 0; i < a.n; i++)
                http_response_clear(&a.lanes[i].answer);
        return r;
}

static int ask_several(struct transit_servers *s, const struct transit_exchange *x, unsigned *place, struct http_response *ret) {
        int r;

        if (!transit_is_login(x->call))
                return race(s, RACE_ASK, x, place, ret);
        r = race(s, RACE_LOOK, x, place, ret);
        if (r < 0)
                return r;
        http_response_clear(ret);
        return race(s, RACE_ONE_BY_ONE, x, place, ret);
}

int transit_exchange(struct transit_servers *s, const struct transit_exchange *x, struct http_response *ret) {
        unsigned place = x->same_place ? *x->place : 0;
        int r;

        *ret = (struct http_response) {};
        if (s->n > 1 && !x->same_place)
                r = ask_several(s, x, &place, ret);
        else
                r = transit_cluster_exchange(s->cluster, &place, x, NULL, ret);
        if (r >= 0 && x->call == TRANSIT_LOGIN && ret->status == 200 && ret->json && transit_wants_more(ret->body, ret->body_size))
                r = -EOPNOTSUPP;
        s->answered = place;
        if (x->place)
                *x->place = place;
        return r;
}

int transit_servers_check(struct transit_servers *s, const struct transit_exchange *x, struct http_response *ret) {
        *ret = (struct http_response) {};
        return transit_cluster_check(s->cluster, *x->place, x, NULL, ret);
}

unsigned transit_servers_answered(const struct transit_servers *s) {
        return s->answered;
}

void transit_judge_failure(int r, const struct http_response *y, struct judgement *ret) {
        if (r == -EHOSTUNREACH)
                judgement_set(ret, VERDICT_UNREACHABLE, "other cluster", "%s", y->error);
        else if (r == -EHOSTDOWN)
                judgement_set(ret, VERDICT_UNREACHABLE, VAULT_CODE_SEALED, "%s", y->error);
        else if (r == -EOPNOTSUPP)
                judgement_set(ret, VERDICT_MISCONFIGURED, "login: MFA", "the vault wants a second factor of this login, which a node has not: "
                              "take the role out of that enforcement");
        else
                http_judge_failure(r, y, ret);
}
