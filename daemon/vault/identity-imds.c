/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-imds.h"

#include <pthread.h>
#include <time.h>

#include "imds-reply.h"

#define TRIES 4u
#define FIRST_PAUSE_USEC (800 * USEC_PER_MSEC)
#define REFRESH_PATIENCE_USEC (2 * USEC_PER_SEC)
#define REFRESH_RETRY_USEC (60 * USEC_PER_SEC)
#define URL_MAX 1024u
#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]"

struct identity {
        const struct vault_config *config;
        struct http_pool *http;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        /* under the lock */
        struct secret *token;
        uint64_t begun_usec, expires_usec, refresh_usec;     /* of the token */
        bool fetching;
        uint64_t serial;                                     /* of the last fetch that ended */
        bool last_failed;
        uint64_t last_begun_usec;
        struct judgement failure;
        uint32_t retry_after_sec;
};

/* What one fetch brought. */
struct fetched {
        struct imds_token t;
        struct judgement failure;
        uint32_t retry_after_sec;
};

int identity_new(const struct vault_config *c, struct identity **ret) {
        struct identity *i;

        i = calloc(1, sizeof(*i));
        if (!i || http_pool_new(NULL, &i->http) < 0) {
                free(i);
                return -ENOMEM;
        }
        i->config = c;
        pthread_mutex_init(&i->lock, NULL);
        pthread_cond_init(&i->changed, NULL);
        *ret = i;
        return 0;
}

struct identity *identity_free(struct identity *i) {
        if (!i)
                return NULL;
        secret_free(i->token);
        http_pool_free(i->http);
        pthread_cond_destroy(&i->changed);
        pthread_mutex_destroy(&i->lock);
        free(i);
        return NULL;
}

/* http://HOST[:PORT] and nothing else. */
static bool endpoint_is_valid(const char *s) {
        const char *host = startswith(s, "http://");

        return host && *host && host[strspn(host, HOST_CHARACTERS)] == 0;
}

static int make_url(const struct vault_config *c, char *buf, size_t size) {
        if (!endpoint_is_valid(c->metadata_endpoint) ||
            snprintf(buf, size, "%s/metadata/identity/oauth2/token?api-version=2018-02-01&resource=",
                     c->metadata_endpoint) >= (int) size || http_append_escaped(buf, size, c->resource) < 0)
                return -EINVAL;
        if (!c->client_id)
                return 0;
        if (strlen(buf) + strlen("&client_id=") >= size)
                return -EINVAL;
        strcat(buf, "&client_id=");
        return http_append_escaped(buf, size, c->client_id) < 0 ? -EINVAL : 0;
}

static void no_answer(struct fetched *f, int r, const struct http_response *y, bool *ret_retry) {
        enum verdict v = VERDICT_UNREACHABLE;

        if (r == -EINVAL)
                v = VERDICT_MISCONFIGURED;
        else if (r == -EMSGSIZE || r == -EBADMSG)
                v = VERDICT_BROKEN;
        *ret_retry = r == -ECONNREFUSED || r == -ENXIO || r == -ETIMEDOUT;
        judgement_set(&f->failure, v, r == -ETIMEDOUT ? "metadata: timed out" : "metadata: no answer",
                      "no token from the metadata endpoint: %s", *y->error ? y->error : strerror(-r));
}

/* One try. 0, or -EACCES with f->failure. */
static int try_once(struct identity *i, const char *url, uint64_t deadline_usec, struct fetched *f, bool *ret_retry) {
        _cleanup_(http_response_clear) struct http_response y = {};
        const struct http_request q = {
                .url = url, .metadata = true, .carries_secret = true, .deadline_usec = deadline_usec,
        };
        const char *why = "";
        int r;

        *ret_retry = false;
        r = http_perform(i->http, &q, &y);
        if (r < 0) {
                no_answer(f, r, &y, ret_retry);
                return -EACCES;
        }
        if (y.status != 200) {
                imds_judge(y.status, y.body, y.body_size, &f->failure, ret_retry);
                f->retry_after_sec = y.retry_after_sec;
                return -EACCES;
        }
        r = imds_parse_token(y.body, y.body_size, instant_now().realtime_usec / USEC_PER_SEC, &f->t, &why);
        if (r == 0)
                return 0;
        if (r == -ENOMEM || r == -EPERM)
                judgement_set(&f->failure, VERDICT_UNREACHABLE, "memory", "no memory for a token that stays secret");
        else
                judgement_set(&f->failure, VERDICT_BROKEN, "metadata: bad reply",
                              "the metadata endpoint's reply is not usable: %s", why);
        return -EACCES;
}

static void pause_usec(uint64_t usec) {
        struct timespec ts = { (time_t) (usec / USEC_PER_SEC), (long) (usec % USEC_PER_SEC * NSEC_PER_USEC) };

        nanosleep(&ts, NULL);
}

static int fetch(struct identity *i, uint64_t deadline_usec, struct fetched *f) {
        uint64_t pause = FIRST_PAUSE_USEC;
        char url[URL_MAX];
        bool retry;

        if (make_url(i->config, url, sizeof(url)) < 0) {
                judgement_set(&f->failure, VERDICT_MISCONFIGURED, "metadata: configuration",
                              "MetadataEndpoint=, Resource= or ClientId= is not usable");
                return -EACCES;
        }
        for (unsigned n = 1; ; n++, pause *= 2) {
                if (try_once(i, url, deadline_usec, f, &retry) == 0)
                        return 0;
                if (!retry || n == TRIES || now_boottime_usec() + pause >= deadline_usec)
                        return -EACCES;
                pause_usec(pause);
        }
}

/* Under the lock: takes what a fetch brought and wakes those who wait. */
static void conclude(struct identity *i, int r, uint64_t begun_usec, struct fetched *f) {
        uint64_t now = now_boottime_usec();

        i->fetching = false;
        i->serial++;
        i->last_failed = r < 0;
        i->last_begun_usec = begun_usec;
        i->failure = f->failure;
        i->retry_after_sec = f->retry_after_sec;
        if (r >= 0) {
                secret_free(i->token);
                i->token = TAKE_PTR(f->t.token);
                i->begun_usec = begun_usec;
                i->expires_usec = begun_usec + f->t.lifetime_sec * USEC_PER_SEC;
                i->refresh_usec = begun_usec + f->t.refresh_sec * USEC_PER_SEC;
        } else
                i->refresh_usec = now + REFRESH_RETRY_USEC;
        pthread_cond_broadcast(&i->changed);
}

/* Under the lock, which is given up meanwhile. */
static int run_fetch(struct identity *i, uint64_t deadline_usec) {
        uint64_t begun = now_boottime_usec();
        struct fetched f = {};
        int r;

        i->fetching = true;
        pthread_mutex_unlock(&i->lock);
        r = fetch(i, deadline_usec, &f);
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

/* Under the lock: makes i->token good for the caller, or leaves i->failure. */
static int provide(struct identity *i, const struct token_request *q, bool *ret_cached) {
        *ret_cached = true;
        for (;;) {
                bool good = token_is_good(i, q->not_before_usec);

                if (good && (i->fetching || now_boottime_usec() < i->refresh_usec))
                        return 0;
                if (good) {
                        run_fetch(i, MIN_OF(q->deadline_usec, now_boottime_usec() + REFRESH_PATIENCE_USEC));
                        return 0;
                }
                *ret_cached = false;
                if (!i->fetching)
                        return run_fetch(i, q->deadline_usec);
                if (wait_for_fetch(i, q->deadline_usec) < 0) {
                        judgement_set(&i->failure, VERDICT_UNREACHABLE, "metadata: timed out",
                                      "the metadata endpoint has not answered in time");
                        i->retry_after_sec = 0;
                        return -EACCES;
                }
                if (i->last_failed && i->last_begun_usec >= q->not_before_usec)
                        return -EACCES;
        }
}

int identity_get_token(struct identity *i, const struct token_request *q, struct token_result *ret) {
        uint64_t start = now_boottime_usec();
        int r;

        *ret = (struct token_result) {};
        pthread_mutex_lock(&i->lock);
        r = provide(i, q, &ret->cached);
        if (r >= 0) {
                r = secret_new(secret_size(i->token), &ret->token);
                if (r >= 0)
                        memcpy(secret_data(ret->token), secret_cdata(i->token), secret_size(i->token));
                else
                        judgement_set(&ret->failure, VERDICT_UNREACHABLE, "memory", "no memory for a token");
        } else {
                ret->failure = i->failure;
                ret->retry_after_sec = i->retry_after_sec;
        }
        pthread_mutex_unlock(&i->lock);
        if (!ret->cached)
                ret->usec = (uint32_t) MIN_OF(now_boottime_usec() - start, (uint64_t) UINT32_MAX);
        return r < 0 ? -EACCES : 0;
}
