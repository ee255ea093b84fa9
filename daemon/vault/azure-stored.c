/* SPDX-License-Identifier: Apache-2.0 */
#include "azure-stored.h"

#include "azure-exchange.h"
#include "azure-secret-reply.h"
#include "common/base64.h"

#include <openssl/evp.h>

#define PAYLOAD_MAX (BASE64_SIZE(VAULT_BLOB_MAX) + 512u)

static bool get_digest(const uint8_t *data, size_t size, uint8_t ret[static STORED_DIGEST_SIZE]) {
        return EVP_Digest(data, size, ret, NULL, EVP_sha256(), NULL) > 0;
}

/* The vault's own text names the action at most; which permission of the customer's that is belongs beside it. */
static void name_permission(struct vault_reply *y, const char *permission, const char *name) {
        struct vault_reply said = *y;

        if (y->verdict == VERDICT_DENIED)
                vault_reply_set(y, said.verdict, said.code, "this node needs the permission \"%s\" on secrets, here %s: %s", permission,
                                name, said.text);
}

/* True: the secret is as it was enrolled. */
static bool fetch(struct vault *v, const struct vault_call *c, struct vault_reply *y, struct azure_secret_reply *ret) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        const struct vault_request *q = c->request;
        uint8_t digest[STORED_DIGEST_SIZE];
        char path[AZURE_PATH_MAX], name[STORED_NAME_SIZE];
        struct azure_secret_reply s = {};
        const char *why = "";
        int r;

        stored_key_name(q->volume, q->digest, name);
        snprintf(path, sizeof(path), "/secrets/%s", name);
        if (!azure_exchange(v, c, &(struct azure_request) { .path = path, .secret = AZURE_SECRET_GET }, &answer, y)) {
                name_permission(y, "get", name);
                return false;
        }
        r = azure_parse_secret(answer.body, answer.body_size, &q->key, name, &s, &why);
        if (r < 0)
                vault_reply_unusable(y, r, why);
        else if (!s.enabled)
                vault_reply_set(y, VERDICT_REVOKED, "Forbidden/SecretDisabled", "secret %s is disabled", name);
        else if (!get_digest(s.value, s.value_size, digest) || memcmp(digest, q->digest, sizeof(digest)) != 0)
                vault_reply_set(y, VERDICT_BROKEN, "secret altered", "secret %s does not hold the wrapped key that was enrolled: somebody "
                                "wrote a new version of it. Its version before that is in the vault still", name);
        else {
                *ret = s;
                return true;
        }
        return false;
}

bool azure_stored_get(struct vault *v, const struct vault_call *c, struct vault_reply *y, struct vault_request *into) {
        struct azure_secret_reply s;

        if (!fetch(v, c, y, &s))
                return false;
        if (into) {
                memcpy(into->blob, s.value, s.value_size);
                into->blob_size = s.value_size;
        }
        return true;
}

/* Asks to set a secret of a name that is never used, to no value: refused as a mistake of ours by a vault that would let us, and for
 * want of permission by one that would not. Which of the two a vault looks at first nobody promises, so that only the second proves
 * anything. */
static void may_store(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        static const uint8_t none[STORED_DIGEST_SIZE];
        _cleanup_(http_response_clear) struct http_response answer = {};
        char path[AZURE_PATH_MAX], name[STORED_NAME_SIZE];

        stored_key_name(c->request->volume, none, name);
        snprintf(path, sizeof(path), "/secrets/%s", name);
        if (azure_exchange(v, c, &(struct azure_request) { .path = path, .payload = "{}", .secret = AZURE_SECRET_SET }, &answer, y))
                vault_reply_set(y, VERDICT_BROKEN, "bad reply", "the vault took a secret without a value as %s", name);
        else if (y->verdict == VERDICT_MISCONFIGURED && (y->http_status == 400 || y->http_status == 409))
                vault_reply_granted(y);
        else
                name_permission(y, "set", name);
}

void azure_check_stored(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        struct azure_secret_reply s;

        if (c->request->op == VAULT_OP_MAY_STORE)
                return may_store(v, c, y);
        if (!fetch(v, c, y, &s))
                return;
        y->key_flags = s.flags;
        memcpy(y->recovery_level, s.recovery_level, sizeof(y->recovery_level));
        vault_reply_granted(y);
}

bool azure_stored_is_deleted(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        const struct vault_request *q = c->request;
        char path[AZURE_PATH_MAX], name[STORED_NAME_SIZE];
        struct azure_secret_reply s = {};
        const char *why = "";

        stored_key_name(q->volume, q->digest, name);
        snprintf(path, sizeof(path), "/deletedsecrets/%s", name);
        if (!azure_exchange(v, c, &(struct azure_request) { .path = path, .secret = AZURE_SECRET_DELETED }, &answer, y) ||
            azure_parse_deleted_secret(answer.body, answer.body_size, &q->key, name, &s, &why) < 0)
                return false;
        y->expires = s.purge;
        vault_reply_granted(y);
        return true;
}

static void make_payload(const struct vault_request *q, const struct secret *wrapped, char buf[static PAYLOAD_MAX]) {
        char value[BASE64_SIZE(VAULT_BLOB_MAX) + 1];

        base64url_encode(secret_cdata(wrapped), secret_size(wrapped), value);
        snprintf(buf, PAYLOAD_MAX, "{\"value\":\"%s\",\"contentType\":\"application/x-cmkd-wrapped-key\","
                 "\"tags\":{\"cmkd-volume\":\"%s\",\"cmkd-key\":\"%s/%s\"}}", value, q->volume, q->key.name, q->key.version);
}

void azure_store(struct vault *v, const struct vault_call *c, const struct secret *wrapped, struct vault_reply *y) {
        _cleanup_(http_response_clear) struct http_response answer = {};
        const struct vault_request *q = c->request;
        char path[AZURE_PATH_MAX], payload[PAYLOAD_MAX], name[STORED_NAME_SIZE];
        uint8_t digest[STORED_DIGEST_SIZE];
        struct azure_secret_reply s = {};
        const char *why = "";
        int r;

        if (secret_size(wrapped) > VAULT_BLOB_MAX || !get_digest(secret_cdata(wrapped), secret_size(wrapped), digest))
                return vault_reply_unusable(y, -ENOMEM, "");
        stored_key_name(q->volume, digest, name);
        snprintf(path, sizeof(path), "/secrets/%s", name);
        make_payload(q, wrapped, payload);
        if (!azure_exchange(v, c, &(struct azure_request) { .path = path, .payload = payload, .secret = AZURE_SECRET_SET }, &answer, y))
                return name_permission(y, "set", name);
        r = azure_parse_secret(answer.body, answer.body_size, &q->key, name, &s, &why);
        if (r < 0)
                return vault_reply_unusable(y, r, why);
        if (s.value_size != secret_size(wrapped) || memcmp(s.value, secret_cdata(wrapped), s.value_size) != 0)
                return vault_reply_set(y, VERDICT_BROKEN, "secret altered", "the vault did not keep what it was given as %s", name);
        memcpy(y->blob, digest, sizeof(digest));
        y->blob_size = sizeof(digest);
        vault_reply_granted(y);
}
