/* SPDX-License-Identifier: Apache-2.0 */
#include "client-key.h"

#include "common/config-azure.h"
#include "pkcs11-thread.h"
#include "replace.h"

int client_key_open(struct vault *v) {
        const struct vault_config *c = v->config;
        struct key_uri u;

        if (!config_azure_key_is_in_token(c) || key_uri_parse(c->client_key, &u, NULL) < 0)
                return 0;
        return pkcs11_prepare(v, u.host);
}

static int refuse(struct judgement *why, enum verdict verdict, const char *code, const char *text) {
        judgement_set(why, verdict, "client key", "ClientKey=: %s%s%s", code, *code && *text ? ": " : "", text);
        return -EACCES;
}

/* An owner of the vault's key has said nothing in any of this. */
static enum verdict of_identity(enum verdict v) {
        return v == VERDICT_REVOKED || v == VERDICT_DENIED || v == VERDICT_DENIED_WEAK ? VERDICT_MISCONFIGURED : v;
}

int client_key_sign(struct vault *v, const uint8_t digest[static 32], const uint8_t *spki, size_t spki_size, uint64_t deadline_usec,
                    struct secret **ret, struct judgement *why) {
        _cleanup_(freep) struct pkcs11_question *q = calloc(1, sizeof(*q));
        _cleanup_(freep) struct vault_reply *y = calloc(1, sizeof(*y));
        _cleanup_(secret_freep) struct secret *signature = NULL;

        if (!q || !y || key_uri_parse(v->config->client_key, &q->key, NULL) < 0)
                return refuse(why, VERDICT_UNREACHABLE, "memory", "no memory");
        q->sign = true;
        memcpy(q->blob, digest, 32);
        q->blob_size = 32;
        v->has_module = true;
        pkcs11_thread_ask(v->pkcs11, q, deadline_usec, y, &signature);
        if (y->verdict == VERDICT_UNREACHABLE)
                replace_worker(v);
        if (y->verdict != VERDICT_GRANTED)
                return refuse(why, of_identity(y->verdict), y->code, y->text);
        if (y->spki_size != spki_size || memcmp(y->spki, spki, spki_size) != 0)
                return refuse(why, VERDICT_MISCONFIGURED, "other key", "it is not the key of ClientCertificate=");
        *ret = TAKE_PTR(signature);
        return 0;
}
