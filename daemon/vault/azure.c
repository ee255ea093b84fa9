/* SPDX-License-Identifier: Apache-2.0 */
#include "vault.h"

#include "arc-key.h"
#include "azure-exchange.h"
#include "azure-list.h"
#include "azure-reply.h"
#include "azure-stored.h"
#include "client-key.h"
#include "common/algorithm.h"
#include "common/base64.h"
#include "common/config-azure.h"
#include "identity-aad.h"
#include "identity-imds.h"

#define PAYLOAD_MAX (BASE64_SIZE(VAULT_BLOB_MAX) + 128u)

static bool is_ours(const struct vault *v, const char *algorithm) {
        return (algorithm_is_rsa(algorithm) || streq(algorithm, ALGORITHM_KW)) && config_allows_algorithm(v->config, algorithm);
}

static void azure_get_key(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        const struct key_uri *k = &c->request->key;
        const char *why = "";
        char path[AZURE_PATH_MAX];
        int r;

        snprintf(path, sizeof(path), "/keys/%s%s%s", k->name, *k->version ? "/" : "", k->version);
        if (!azure_exchange(v, c, &(struct azure_request) { .path = path }, &answer, y))
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
        char path[AZURE_PATH_MAX];
        const char *why = "";
        int r;

        if (!is_ours(v, q->algorithm))
                return vault_reply_set(y, VERDICT_MISCONFIGURED, "algorithm", "%s is not supported", q->algorithm);
        r = make_payload(c, &payload);
        if (r < 0)
                return vault_reply_unusable(y, r, why);
        snprintf(path, sizeof(path), "/keys/%s/%s/%s", q->key.name, q->key.version, verb);
        if (!azure_exchange(v, c, &(struct azure_request) { .path = path, .payload = (const char *) secret_cdata(payload),
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

/* What the vault keeps has to be there, as it was when it was enrolled; a release unwraps that, a challenge what came along. */
static void azure_unwrap(struct vault *v, const struct vault_call *c, struct vault_reply *y,
                         struct secret **ret_value) {
        struct vault_request whole = *c->request;
        struct vault_call with_blob = *c;

        with_blob.request = &whole;
        if (whole.stored && !azure_stored_get(v, c, y, whole.blob_size > 0 ? NULL : &whole))
                return;
        run_crypto(v, &with_blob, "unwrapkey", y, ret_value);
}

static void azure_check_deleted(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        const struct key_uri *k = &c->request->key;
        const char *why = "";
        char path[AZURE_PATH_MAX];
        int r;

        if (c->request->stored && azure_stored_is_deleted(v, c, y))
                return;
        snprintf(path, sizeof(path), "/deletedkeys/%s", k->name);
        if (!azure_exchange(v, c, &(struct azure_request) { .path = path }, &answer, y))
                return;
        r = azure_parse_deleted(answer.body, answer.body_size, k, y, &why);
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
        if (!azure_exchange(v, c, &(struct azure_request) { .path = path, .query = *query ? query : NULL }, &answer, y))
                return;
        r = azure_parse_list(answer.body, answer.body_size, &page, c->list, query, &why);
        if (r < 0)
                return vault_reply_unusable(y, r, why);
        y->blob_size = strlen(query);
        memcpy(y->blob, query, y->blob_size);
        vault_reply_granted(y);
}

/* True: this node may, and it is in what. False: it may not, or (y says so) nobody knows. */
static bool is_allowed(struct vault *v, const struct vault_call *c, struct vault_reply *y, const struct azure_request *x) {
        _cleanup_(http_response_clear) struct http_response answer = {};

        return azure_exchange(v, c, x, &answer, y);
}

/* Two that change nothing and that nobody has who has no more than the role Crypto Service Encryption User. Those that would change
 * something are not tried: who may delete a key and neither of these is not found out. */
static void azure_check_excess(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        const struct key_uri *k = &c->request->key;
        char policy[AZURE_PATH_MAX], encrypt[AZURE_PATH_MAX], payload[128], value[BASE64_SIZE(VAULT_CHALLENGE_SIZE) + 1], found[64] = "";
        const struct { const char *permission; struct azure_request request; } tries[] = {
                { "getrotationpolicy", { .path = policy } }, { "encrypt", { .path = encrypt, .payload = payload } },
        };
        uint8_t plain[VAULT_CHALLENGE_SIZE];

        random_bytes(plain, sizeof(plain));
        base64url_encode(plain, sizeof(plain), value);
        snprintf(payload, sizeof(payload), "{\"alg\":\"" ALGORITHM_RSA "\",\"value\":\"%s\"}", value);
        snprintf(policy, sizeof(policy), "/keys/%s/rotationpolicy", k->name);
        snprintf(encrypt, sizeof(encrypt), "/keys/%s/%s/encrypt", k->name, k->version);
        for (size_t i = 0; i < ELEMENTSOF(tries); i++)
                if (is_allowed(v, c, y, &tries[i].request))
                        snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%s", *found ? ", " : "", tries[i].permission);
                else if (y->verdict != VERDICT_DENIED && y->verdict != VERDICT_MISCONFIGURED)
                        return;
        if (*found)
                vault_reply_set(y, VERDICT_GRANTED, "more permissions", "%s", found);
        else
                vault_reply_set(y, VERDICT_DENIED, "no more permissions", "neither getrotationpolicy nor encrypt");
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
        .store = azure_store,
        .check_stored = azure_check_stored,
        .check_excess = azure_check_excess,
        .list = azure_list,
};
