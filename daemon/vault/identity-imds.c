/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-imds.h"

#include <time.h>

#include "http.h"
#include "imds-reply.h"

#define TRIES 4u
#define FIRST_PAUSE_USEC (800 * USEC_PER_MSEC)
#define URL_MAX 1024u
#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]"

struct imds {
        const struct vault_config *config;
        struct http_pool *http;
};

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

static void no_answer(struct token_fetched *f, int r, const struct http_response *y, bool *ret_retry) {
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
static int try_once(struct imds *i, const char *url, uint64_t deadline_usec, struct token_fetched *f, bool *ret_retry) {
        _cleanup_(http_response_clear) struct http_response y = {};
        const struct http_request q = {
                .url = url, .metadata = true, .carries_secret = true, .deadline_usec = deadline_usec,
        };
        struct imds_token t;
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
        r = imds_parse_token(y.body, y.body_size, instant_now().realtime_usec / USEC_PER_SEC, &t, &why);
        if (r == 0) {
                f->token = t.token;
                f->lifetime_sec = t.lifetime_sec;
                f->refresh_sec = t.refresh_sec;
                return 0;
        }
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

static int fetch(void *user, const struct secret *current _unused_, uint64_t deadline_usec, struct token_fetched *f) {
        struct imds *i = user;
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

static void imds_free(void *user) {
        struct imds *i = user;

        http_pool_free(i->http);
        free(i);
}

int identity_imds_new(const struct vault_config *c, struct identity **ret) {
        struct imds *i;

        i = calloc(1, sizeof(*i));
        if (!i || http_pool_new(NULL, &i->http) < 0) {
                free(i);
                return -ENOMEM;
        }
        i->config = c;
        return identity_new(&(struct token_source) { .fetch = fetch, .free = imds_free, .user = i }, ret);
}
