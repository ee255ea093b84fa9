/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-imds.h"

#include "arc-key.h"
#include "common/config-azure.h"
#include "identity-http.h"
#include "imds-reply.h"

#define URL_MAX 2048u
#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]"

struct imds {
        const struct vault_config *config;
        const char *arc_directory;
        struct http_pool *http;
};

static void judge(const struct http_response *y, struct judgement *ret, bool *ret_retry) {
        imds_judge(y->status, y->body, y->body_size, ret, ret_retry);
}

static const struct token_speaker endpoint = { "the metadata endpoint", "metadata", judge };

static int say(struct token_fetched *f, enum verdict v, const char *code, const char *why) {
        judgement_set(&f->failure, v, code, "%s", why);
        return -EACCES;
}

/* http://HOST[:PORT] and nothing else. */
static bool endpoint_is_valid(const char *s) {
        const char *host = startswith(s, "http://");

        return host && *host && host[strspn(host, HOST_CHARACTERS)] == 0;
}

static int append_selector(char *buf, size_t size, const char *name, const char *value) {
        if (!value)
                return 0;
        if (strlen(buf) + strlen(name) + 3 > size)
                return -EINVAL;
        strcat(strcat(strcat(buf, "&"), name), "=");
        return http_append_escaped(buf, size, value);
}

/* msi_res_id: mi_res_id is another service's spelling, and ignored here. */
static int make_url(const struct vault_config *c, char *buf, size_t size) {
        const char *version = c->identity == AZURE_IDENTITY_ARC ? "2019-11-01" : "2018-02-01";

        if (!endpoint_is_valid(c->metadata_endpoint) ||
            snprintf(buf, size, "%s/metadata/identity/oauth2/token?api-version=%s&resource=", c->metadata_endpoint,
                     version) >= (int) size || http_append_escaped(buf, size, c->resource) < 0 ||
            append_selector(buf, size, "client_id", c->client_id) < 0 ||
            append_selector(buf, size, "object_id", c->object_id) < 0 ||
            append_selector(buf, size, "msi_res_id", c->resource_id) < 0)
                return -EINVAL;
        return 0;
}

/* The agent's second answer, where the first was its challenge. */
static int answer_agent(struct imds *i, const struct http_request *q, struct http_response *y, struct token_fetched *f,
                        bool *ret_retry) {
        _cleanup_(secret_freep) struct secret *line = NULL;
        struct http_request second = *q;
        const char *why = "";
        int r;

        *ret_retry = false;
        r = arc_key_read(y->challenge, i->arc_directory, &line, &why);
        if (r == -ENOMEM || r == -EPERM)
                return say(f, VERDICT_UNREACHABLE, "memory", "no memory for what stays secret");
        if (r < 0)
                return say(f, r == -EBADMSG ? VERDICT_BROKEN : VERDICT_MISCONFIGURED, "metadata: challenge", why);
        http_response_clear(y);
        second.authorization = line;
        r = http_perform(i->http, &second, y);
        return token_take_reply(&endpoint, r, y, f, ret_retry);
}

static int try_once(void *user, const struct token_wish *w, struct token_fetched *f, bool *ret_retry) {
        _cleanup_(http_response_clear) struct http_response y = {};
        struct imds *i = user;
        char url[URL_MAX];
        const struct http_request q = {
                .url = url, .metadata = true, .carries_secret = true, .deadline_usec = w->deadline_usec,
        };
        int r;

        *ret_retry = false;
        if (make_url(i->config, url, sizeof(url)) < 0)
                return say(f, VERDICT_MISCONFIGURED, "metadata: configuration", "MetadataEndpoint= or Resource= is not usable");
        r = http_perform(i->http, &q, &y);
        if (r >= 0 && y.status == 401 && i->config->identity == AZURE_IDENTITY_ARC)
                return answer_agent(i, &q, &y, f, ret_retry);
        return token_take_reply(&endpoint, r, &y, f, ret_retry);
}

static int fetch(void *user, const struct token_wish *w, struct token_fetched *f) {
        const struct imds *i = user;
        int r = token_try(try_once, user, w, f);

        /* The agent's port is no privileged one: while the agent is down, who answers there may be anybody on this machine. */
        if (r < 0 && i->config->identity == AZURE_IDENTITY_ARC && f->failure.verdict == VERDICT_DENIED)
                f->failure.verdict = VERDICT_DENIED_WEAK;
        return r;
}

static void imds_free(void *user) {
        struct imds *i = user;

        http_pool_free(i->http);
        free(i);
}

int identity_imds_new(const struct vault_config *c, const char *arc_directory, struct identity **ret) {
        struct imds *i;

        i = calloc(1, sizeof(*i));
        if (!i || http_pool_new(NULL, &i->http) < 0) {
                free(i);
                return -ENOMEM;
        }
        i->config = c;
        i->arc_directory = arc_directory;
        return identity_new(&(struct token_source) { .fetch = fetch, .free = imds_free, .user = i }, ret);
}
