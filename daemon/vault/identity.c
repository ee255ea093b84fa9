/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <pthread.h>
#include <time.h>

#define REFRESH_PATIENCE_USEC (2 * USEC_PER_SEC)
#define REFRESH_RETRY_USEC (60 * USEC_PER_SEC)

struct identity {
        struct token_source source;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        /* under the lock */
        struct secret *token;
        struct judgement note;                               /* of the token */
        uint64_t begun_usec, expires_usec, refresh_usec;     /* of the token */
        bool fetching;
        uint64_t serial;                                     /* of the last fetch that ended */
        bool last_failed;
        uint64_t last_begun_usec;
        struct judgement failure;
        uint64_t not_again_usec;                             /* it said to wait until then; 0: it did not */
};

int identity_new(const struct token_source *source, struct identity **ret) {
        struct identity *i;

        i = calloc(1, sizeof(*i));
        if (!i) {
                source->free(source->user);
                return -ENOMEM;
        }
        i->source = *source;
        pthread_mutex_init(&i->lock, NULL);
        pthread_cond_init(&i->changed, NULL);
        *ret = i;
        return 0;
}

struct identity *identity_free(struct identity *i) {
        if (!i)
                return NULL;
        secret_free(i->token);
        i->source.free(i->source.user);
        pthread_cond_destroy(&i->changed);
        pthread_mutex_destroy(&i->lock);
        free(i);
        return NULL;
}

/* Three replies of DENIED are a decision: each has to be one that was given to a question, and none is handed out twice. */
static bool may_be_repeated(enum verdict v) {
        return v != VERDICT_DENIED && v != VERDICT_REVOKED;
}

/* Under the lock: takes what a fetch brought and wakes those who wait. */
static void conclude(struct identity *i, int r, uint64_t begun_usec, struct token_fetched *f) {
        uint64_t now = now_boottime_usec();

        i->fetching = false;
        i->serial++;
        i->last_failed = r < 0;
        i->last_begun_usec = begun_usec;
        i->failure = f->failure;
        i->not_again_usec = r < 0 && f->retry_after_sec > 0 && may_be_repeated(f->failure.verdict) ?
                            now + f->retry_after_sec * USEC_PER_SEC : 0;
        if (r >= 0) {
                secret_free(i->token);
                i->token = TAKE_PTR(f->token);
                i->note = f->note;
                i->begun_usec = begun_usec;
                i->expires_usec = begun_usec + f->lifetime_sec * USEC_PER_SEC;
                i->refresh_usec = begun_usec + f->refresh_sec * USEC_PER_SEC - random_up_to(f->refresh_sec * USEC_PER_SEC / 8);
        } else
                i->refresh_usec = MAX_OF(now + REFRESH_RETRY_USEC, i->not_again_usec);
        pthread_cond_broadcast(&i->changed);
}

/* Under the lock, which is given up meanwhile; only who fetches replaces the token, so that it stays as it is. */
static int run_fetch(struct identity *i, bool renew, const char *claims, uint64_t deadline_usec) {
        const struct token_wish w = { .current = renew ? i->token : NULL, .claims = claims, .deadline_usec = deadline_usec };
        uint64_t begun = now_boottime_usec();
        struct token_fetched f = {};
        int r;

        i->fetching = true;
        pthread_mutex_unlock(&i->lock);
        r = i->source.fetch(i->source.user, &w, &f);
        pthread_mutex_lock(&i->lock);
        conclude(i, r, begun, &f);
        return r;
}

/* Under the lock: until the fetch that is under way has ended, or the deadline. */
static int wait_for_fetch(struct identity *i, uint64_t deadline_usec) {
        uint64_t now = now_boottime_usec(), serial = i->serial;
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        if (deadline_usec > now) {
                uint64_t nsec = (uint64_t) ts.tv_nsec + (deadline_usec - now) * NSEC_PER_USEC;

                ts.tv_sec += (time_t) (nsec / NSEC_PER_SEC);
                ts.tv_nsec = (long) (nsec % NSEC_PER_SEC);
        }
        while (i->fetching && i->serial == serial)
                if (pthread_cond_clockwait(&i->changed, &i->lock, CLOCK_MONOTONIC, &ts) == ETIMEDOUT)
                        return -ETIMEDOUT;
        return 0;
}

static bool token_is_good(const struct identity *i, uint64_t not_before_usec) {
        return i->token && i->begun_usec >= not_before_usec && now_boottime_usec() < i->expires_usec;
}

/* Under the lock: the last fetch's failure, with what is left of the time that it told to wait. */
static int refused(const struct identity *i, struct token_result *ret) {
        uint64_t now = now_boottime_usec();

        ret->failure = i->failure;
        ret->retry_after_sec = i->not_again_usec > now ? (uint32_t) ((i->not_again_usec - now + USEC_PER_SEC - 1) / USEC_PER_SEC) : 0;
        return -EACCES;
}

/* Under the lock: makes i->token good for the caller, or says why not. */
static int provide(struct identity *i, const struct token_request *q, struct token_result *ret) {
        ret->cached = true;
        for (;;) {
                bool good = token_is_good(i, q->not_before_usec);

                if (good && (i->fetching || now_boottime_usec() < i->refresh_usec))
                        return 0;
                if (good) {
                        run_fetch(i, true, NULL, MIN_OF(q->deadline_usec, now_boottime_usec() + REFRESH_PATIENCE_USEC));
                        return 0;
                }
                ret->cached = false;
                if (!i->fetching && now_boottime_usec() < i->not_again_usec)
                        return refused(i, ret);
                if (!i->fetching)
                        return run_fetch(i, false, q->claims, q->deadline_usec) < 0 ? refused(i, ret) : 0;
                if (wait_for_fetch(i, q->deadline_usec) < 0) {
                        judgement_set(&ret->failure, VERDICT_UNREACHABLE, "token: timed out",
                                      "a token was not to be had in time");
                        return -EACCES;
                }
                if (i->last_failed && i->last_begun_usec >= q->not_before_usec)
                        return refused(i, ret);
        }
}

int identity_get_token(struct identity *i, const struct token_request *q, struct token_result *ret) {
        uint64_t start = now_boottime_usec();
        int r;

        *ret = (struct token_result) {};
        pthread_mutex_lock(&i->lock);
        r = provide(i, q, ret);
        if (r >= 0) {
                ret->note = i->note;
                r = secret_new_long(secret_size(i->token), &ret->token);
                if (r >= 0)
                        memcpy(secret_data(ret->token), secret_cdata(i->token), secret_size(i->token));
                else
                        judgement_set(&ret->failure, VERDICT_UNREACHABLE, "memory", "no memory for a token");
        }
        pthread_mutex_unlock(&i->lock);
        if (!ret->cached)
                ret->usec = (uint32_t) MIN_OF(now_boottime_usec() - start, (uint64_t) UINT32_MAX);
        return r < 0 ? -EACCES : 0;
}
