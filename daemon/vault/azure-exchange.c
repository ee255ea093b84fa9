/* SPDX-License-Identifier: Apache-2.0 */
#include "azure-exchange.h"

#include "azure-challenge.h"

#define URL_MAX 1536u

static int make_url(const struct vault *v, const struct azure_request *x, char *buf, size_t size) {
        const char *query = x->query ? x->query : "api-version=";
        const struct vault_config *c = v->config;
        int n;

        if (c->port == 443)
                n = snprintf(buf, size, "https://%s%s?%s", c->host, x->path, query);
        else
                n = snprintf(buf, size, "https://%s:%u%s?%s", c->host, c->port, x->path, query);
        if (n < 0 || (size_t) n >= size)
                return -EINVAL;
        return !x->query && http_append_escaped(buf, size, c->api_version) < 0 ? -EINVAL : 0;
}

/* One request with that token. True: an HTTP answer came. */
static bool send_once(struct vault *v, const struct vault_call *c, const struct azure_request *x, const struct secret *token,
                      struct http_response *answer, struct vault_reply *y) {
        const struct vault_request *q = c->request;
        char url[URL_MAX], id[96];
        const char *const headers[] = { id, NULL };
        const struct http_request h = {
                .url = url, .body = x->payload, .body_size = x->payload ? strlen(x->payload) : 0, .bearer = token,
                .put = x->secret == AZURE_SECRET_SET,
                .headers = headers, .carries_secret = x->carries_secret,
                .fresh_connection = q->flags & VAULT_FLAG_FRESH_CONNECTION, .deadline_usec = c->deadline_usec,
        };
        struct judgement j;
        int r;

        snprintf(id, sizeof(id), "x-ms-client-request-id: %s", q->client_request_id);
        if (make_url(v, x, url, sizeof(url)) < 0) {
                vault_reply_set(y, VERDICT_MISCONFIGURED, "configuration", "the request's URL is too long");
                return false;
        }
        r = http_perform(v->http, &h, answer);
        y->round_trip_usec = answer->usec;
        y->http_status = answer->status;
        y->retry_after_sec = answer->retry_after_sec;
        memcpy(y->request_id, answer->request_id, sizeof(y->request_id));
        if (r < 0) {
                http_judge_failure(r, answer, &j);
                vault_reply_judge(y, &j);
        }
        return r >= 0;
}

static bool get_token(struct vault *v, const struct vault_call *c, uint64_t not_before_usec, const char *claims,
                      struct token_result *t, struct vault_reply *y) {
        const struct token_request q = { .not_before_usec = not_before_usec, .claims = *claims ? claims : NULL,
                                          .deadline_usec = c->deadline_usec };
        int r;

        r = identity_get_token(v->identity, &q, t);
        y->token_usec += t->usec;
        if (r >= 0)
                return true;
        vault_reply_judge(y, &t->failure);
        y->http_status = 0;
        y->request_id[0] = 0;
        y->retry_after_sec = t->retry_after_sec;
        return false;
}

/* Any answer but a good one. */
static void judge(struct vault *v, const struct vault_call *c, const struct http_response *answer,
                  const struct azure_request *x, const struct azure_challenge *challenge, struct vault_reply *y) {
        const char *tenant = v->config->tenant_id;
        struct judgement j;

        if (answer->status == 200)
                return vault_reply_set(y, VERDICT_BROKEN, "HTTP 200", "the reply is not JSON");
        azure_judge(&(struct azure_evidence) {
                .op = (enum vault_op) c->request->op, .secret = x->secret, .status = answer->status, .vendor = answer->vendor, .json = answer->json,
                .body = answer->body, .body_size = answer->body_size,
        }, &j);
        vault_reply_judge(y, &j);
        if (j.verdict == VERDICT_DENIED_WEAK && answer->status == 401 && tenant && *challenge->tenant &&
            !streq(tenant, challenge->tenant))
                vault_reply_set(y, VERDICT_MISCONFIGURED, "tenant", "the vault belongs to tenant %s, TenantId= is %s: %s",
                                challenge->tenant, tenant, j.text);
}

bool azure_exchange(struct vault *v, const struct vault_call *c, const struct azure_request *x,
                         struct http_response *answer, struct vault_reply *y) {
        uint64_t not_before = c->request->flags & VAULT_FLAG_FRESH_TOKEN ? c->begun_usec : 0;
        struct azure_challenge challenge = {};

        for (unsigned n = 0; ; n++) {
                struct token_result t;
                bool answered;

                if (!get_token(v, c, not_before, challenge.claims, &t, y))
                        return false;
                http_response_clear(answer);
                answered = send_once(v, c, x, t.token, answer, y);
                secret_free(t.token);
                if (!answered)
                        return false;
                if (answer->status == 200 && answer->json)
                        return true;
                challenge = (struct azure_challenge) {};
                if (answer->status == 401)
                        (void) azure_challenge_parse(answer->challenge, v->config->host, &challenge);
                if (answer->status != 401 || n > 0 || (!t.cached && !*challenge.claims)) {
                        judge(v, c, answer, x, &challenge, y);
                        return false;
                }
                not_before = now_boottime_usec();
        }
}
