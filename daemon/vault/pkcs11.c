/* SPDX-License-Identifier: Apache-2.0 */
#include "vault.h"

#include "pkcs11-thread.h"
#include "replace.h"

/* What the module's own configuration is told by, before there are threads. */
static int set_environment(char **list) {
        for (; list && *list; list++) {
                _cleanup_(freep) char *name = strdup(*list);
                char *equals = name ? strchr(name, '=') : NULL;

                if (!equals)
                        return -ENOMEM;
                *equals = 0;
                if (setenv(name, equals + 1, true) < 0)
                        return -errno;
        }
        return 0;
}

int pkcs11_prepare(struct vault *v, const char *token) {
        const struct vault_config *c = v->config;
        const struct pkcs11_place place = {
                .vault = c->name, .module = c->module, .token = token, .pin_file = c->pin_file, .whole_oaep = v->fips,
        };
        struct pkcs11_session *s;
        int r;

        r = set_environment(c->module_environment);
        if (r >= 0)
                r = pkcs11_session_new(&place, NULL, &s);
        return r < 0 ? r : pkcs11_thread_new(s, &v->pkcs11);
}

static int pkcs11_open(struct vault *v) {
        return pkcs11_prepare(v, v->config->host);
}

/* A module that was of no use is loaded anew: most look for tokens when they are initialized and not again. */
static void ask(struct vault *v, const struct vault_call *c, struct vault_reply *y, struct secret **ret_value) {
        const struct vault_request *q = c->request;
        struct pkcs11_question *question = calloc(1, sizeof(*question));
        uint64_t began = now_boottime_usec();

        if (!question)
                return vault_reply_set(y, VERDICT_UNREACHABLE, "memory", "no memory");
        question->op = q->op;
        question->key = q->key;
        question->fresh = q->flags & (VAULT_FLAG_FRESH_CONNECTION | VAULT_FLAG_FRESH_TOKEN);
        question->volumes = q->flags & VAULT_FLAG_DELIVER;
        memcpy(question->blob, q->blob, q->blob_size);
        question->blob_size = q->blob_size;
        v->has_module = true;
        pkcs11_thread_ask(v->pkcs11, question, c->deadline_usec, y, ret_value);
        y->round_trip_usec = (uint32_t) MIN_OF(now_boottime_usec() - began, (uint64_t) UINT32_MAX);
        if (y->verdict == VERDICT_UNREACHABLE)
                replace_worker(v);
        free(question);
}

static void pkcs11_get_key(struct vault *v, const struct vault_call *c, struct vault_reply *y) {
        struct secret *none = NULL;

        ask(v, c, y, &none);
}

/* Both ways the request is checked here, the key's identifier by find_allowed(). */
static void pkcs11_crypt(struct vault *v, const struct vault_call *c, struct vault_reply *y, struct secret **ret_value) {
        if (!streq(c->request->algorithm, "RSA-OAEP-256"))
                return vault_reply_set(y, VERDICT_MISCONFIGURED, "algorithm", "%s is not supported", c->request->algorithm);
        ask(v, c, y, ret_value);
}

static void pkcs11_check_deleted(struct vault *v _unused_, const struct vault_call *c _unused_, struct vault_reply *y) {
        vault_reply_set(y, VERDICT_DENIED, "no list", "a token lists no deleted keys");
}

const struct vault_ops pkcs11_ops = {
        .provider = "pkcs11",
        .open = pkcs11_open,
        .get_key = pkcs11_get_key,
        .wrap = pkcs11_crypt,
        .unwrap = pkcs11_crypt,
        .check_deleted = pkcs11_check_deleted,
};
