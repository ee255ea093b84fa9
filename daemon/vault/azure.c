/* SPDX-License-Identifier: Apache-2.0 */
#include "vault.h"

#include "arc-key.h"
#include "azure-challenge.h"
#include "azure-list.h"
#include "azure-reply.h"
#include "azure-verdict.h"
#include "client-key.h"
#include "common/algorithm.h"
#include "common/base64.h"
#include "common/config-azure.h"
#include "identity-aad.h"
#include "identity-imds.h"

#define URL_MAX 1536u
#define PAYLOAD_MAX (BASE64_SIZE(VAULT_BLOB_MAX) + 128u)

static bool is_ours(const struct vault *v, const char *algorithm) {
        return (algorithm_is_rsa(algorithm) || streq(algorithm, ALGORITHM_KW)) && config_allows_algorithm(v->config, algorithm);
}

/* What one operation asks for. */
struct exchange {
        const char *path;               /* behind the host: "/keys/NAME/VERSION/unwrapkey" */
        const char *query;              /* NULL: the API's version alone */
        const char *payload;            /* POST, or NULL: GET */
        bool carries_secret;
};

static int make_url(const struct vault *v, const struct exchange *x, char *buf, size_t size) {
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
static bool send_once(struct vault *v, const struct vault_call *c, const struct exchange *x, const struct secret *token,
                      struct http_response *answer, struct vault_reply *y) {
        const struct vault_request *q = c->request;
        char url[URL_MAX], id[96];
        const char *const headers[] = { id, NULL };
        const struct http_request h = {
                .url = url, .body = x->payload, .body_size = x->payload ? strlen(x->payload) : 0, .bearer = token,
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
                  const struct azure_challenge *challenge, struct vault_reply *y) {
        const char *tenant = v->config->tenant_id;
        struct judgement j;

        if (answer->status == 200)
                return vault_reply_set(y, VERDICT_BROKEN, "HTTP 200", "the reply is not JSON");
        azure_judge(&(struct azure_evidence) {
                .op = (enum vault_op) c->request->op, .status = answer->status, .vendor = answer->vendor, .json = answer->json,
                .body = answer->body, .body_size = answer->body_size,
        }, &j);
        vault_reply_judge(y, &j);
        if (j.verdict == VERDICT_DENIED_WEAK && answer->status == 401 && tenant && *challenge->tenant &&
            !streq(tenant, challenge->tenant))
                vault_reply_set(y, VERDICT_MISCONFIGURED, "tenant", "the vault belongs to tenant %s, TenantId= is %s: %s",
                                challenge->tenant, tenant, j.text);
}

/* Token, request, and once more with a new token where a 401 was for a cached one, or for lack of claims that the vault names.
 * True: status 200, the body is in answer; false: y says what it was. */
static bool run_exchange(struct vault *v, const struct vault_call *c, const struct exchange *x,
                         struct http_response *answer, struct vault_reply *y) {
        uint64_t not_before = c->request->flags & VAULT_FLAG_FRESH_TOKEN ? now_boottime_usec() : 0;
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
                        judge(v, c, answer, &challenge, y);
                        return false;
                }
                not_before = now_boottime_usec();
        }
}

static void azure_get_key(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        const struct key_uri *k = &c->request->key;
        const char *why = "";
        char path[URL_MAX];
        int r;

        snprintf(path, sizeof(path), "/keys/%s%s%s", k->name, *k->version ? "/" : "", k->version);
        if (!run_exchange(v, c, &(struct exchange) { .path = path }, &answer, y))
                return;
        r = azure_parse_key(answer.body, answer.body_size, k, y, &why);
        if (r < 0)
                return vault_reply_unusable(y, r, why);
        vault_reply_granted(y);
}

/* The body of wrapkey and unwrapkey, in secret memory: what is wrapped may be W. */
static int make_payload(const struct vault_call *c, struct secret **ret) {
        const struct vault_request *q = c->request;
        const uint8_t *data = c->made ? secret_cdata(c->made) : q->blob;
        size_t size = c->made ? secret_size(c->made) : q->blob_size;
        struct secret *s;
        char *p;
        int r, n;

        r = secret_new(PAYLOAD_MAX, &s);
        if (r < 0)
                return r;
        p = (char *) secret_data(s);
        n = snprintf(p, PAYLOAD_MAX, "{\"alg\":\"%s\",\"value\":\"", q->algorithm);
        base64url_encode(data, MIN_OF(size, (size_t) VAULT_BLOB_MAX), p + n);
        strcat(p, "\"}");
        *ret = s;
        return 0;
}

/* wrapkey and unwrapkey: the same form both ways. */
static void run_crypto(struct vault *v, const struct vault_call *c, const char *verb, struct vault_reply *y,
                       struct secret **ret_value) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        _cleanup_(azure_result_clear) struct azure_result result = {};
        const struct vault_request *q = c->request;
        _cleanup_(secret_freep) struct secret *payload = NULL;
        char path[URL_MAX];
        const char *why = "";
        int r;

        if (!is_ours(v, q->algorithm))
                return vault_reply_set(y, VERDICT_MISCONFIGURED, "algorithm", "%s is not supported", q->algorithm);
        r = make_payload(c, &payload);
        if (r < 0)
                return vault_reply_unusable(y, r, why);
        snprintf(path, sizeof(path), "/keys/%s/%s/%s", q->key.name, q->key.version, verb);
        if (!run_exchange(v, c, &(struct exchange) { .path = path, .payload = (const char *) secret_cdata(payload),
                                                      .carries_secret = c->made || q->flags & VAULT_FLAG_DELIVER }, &answer, y))
                return;
        r = azure_parse_result(answer.body, answer.body_size, &q->key, &result, &why);
        if (r < 0)
                return vault_reply_unusable(y, r, why);
        memcpy(y->kid, result.kid, sizeof(y->kid));
        *ret_value = TAKE_PTR(result.value);
        vault_reply_granted(y);
}

static void azure_wrap(struct vault *v, const struct vault_call *c, struct vault_reply *y, struct secret **ret_value) {
        run_crypto(v, c, "wrapkey", y, ret_value);
}

static void azure_unwrap(struct vault *v, const struct vault_call *c, struct vault_reply *y,
                         struct secret **ret_value) {
        run_crypto(v, c, "unwrapkey", y, ret_value);
}

static void azure_check_deleted(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        const struct key_uri *k = &c->request->key;
        const char *why = "";
        char path[URL_MAX];
        int r;

        snprintf(path, sizeof(path), "/deletedkeys/%s", k->name);
        if (!run_exchange(v, c, &(struct exchange) { .path = path }, &answer, y))
                return;
        r = azure_parse_deleted(answer.body, answer.body_size, k, y->kid, &why);
        if (r < 0)
                return vault_reply_unusable(y, r, why);
        vault_reply_granted(y);
}

/* The page that the blob names, or the first. */
static void azure_list(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        const struct vault_request *q = c->request;
        char path[192] = "/keys", query[AZURE_QUERY_MAX + 1] = "";
        struct azure_page page = { .vault = &q->key, .path = path, .versions = q->op == VAULT_OP_LIST_VERSIONS };
        const char *why = "";
        int r;

        if (page.versions)
                snprintf(path, sizeof(path), "/keys/%s/versions", q->key.name);
        if (q->blob_size > 0) {
                if (q->blob_size < sizeof(query))
                        memcpy(query, q->blob, q->blob_size);
                if (!azure_query_is_valid(query) || strlen(query) != q->blob_size)
                        return vault_reply_set(y, VERDICT_MISCONFIGURED, "request", "there is no such page");
        }
        if (!run_exchange(v, c, &(struct exchange) { .path = path, .query = *query ? query : NULL }, &answer, y))
                return;
        r = azure_parse_list(answer.body, answer.body_size, &page, c->list, query, &why);
        if (r < 0)
                return vault_reply_unusable(y, r, why);
        y->blob_size = strlen(query);
        memcpy(y->blob, query, y->blob_size);
        vault_reply_granted(y);
}

static int sign(void *user, const uint8_t digest[static 32], const uint8_t *spki, size_t spki_size, uint64_t deadline_usec,
                struct secret **ret, struct judgement *why) {
        return client_key_sign(user, digest, spki, spki_size, deadline_usec, ret, why);
}

static int azure_open(struct vault *v) {
        const struct token_signer signer = { .sign = sign, .user = v };
        const struct vault_config *c = v->config;
        struct http_pool *http;
        int r;

        if (c->identity == AZURE_IDENTITY_MANAGED || c->identity == AZURE_IDENTITY_ARC)
                return identity_imds_new(c, ARC_KEY_DIRECTORY, &v->identity);
        r = client_key_open(v);
        if (r >= 0)
                r = vault_new_pool(v, "AuthorityCAFile", c->authority_ca_file, &http);
        return r < 0 ? r : identity_aad_new(c, http, &signer, &v->identity);
}

const struct vault_ops azure_ops = {
        .provider = "azure",
        .open = azure_open,
        .get_key = azure_get_key,
        .wrap = azure_wrap,
        .unwrap = azure_unwrap,
        .check_deleted = azure_check_deleted,
        .list = azure_list,
};
