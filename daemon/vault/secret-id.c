/* SPDX-License-Identifier: Apache-2.0 */
#include "secret-id.h"

#include <openssl/evp.h>
#include <stdarg.h>

#include "common/log.h"
#include "kept.h"
#include "secret-file.h"
#include "transit-reply.h"
#include "transit-verdict.h"

#define DIGEST_SIZE 32u

/* What is kept: SHA-256 of the token that it came out of, then the secret id and its NUL. */

struct wrapped {
        const struct vault_config *config;
        struct transit_servers *servers;
        uint64_t deadline_usec;
        unsigned place;
        struct secret *token;
        uint8_t digest[DIGEST_SIZE];
        char name[KEPT_NAME_MAX + 1];
};

static int _printf_(4, 5) say(struct token_fetched *f, enum verdict v, const char *code, const char *format, ...) {
        char text[513];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        judgement_set(&f->failure, v, code, "%s", text);
        return -EACCES;
}

static int no_memory(struct token_fetched *f) {
        return say(f, VERDICT_UNREACHABLE, "memory", "login: no memory for what stays secret");
}

/* 0 with an answer of status 200 in y; else f says why not. */
static int ask(struct wrapped *w, const char *path, const char *body, bool once, struct http_response *y, struct token_fetched *f) {
        const struct transit_exchange x = {
                .call = TRANSIT_UNWRAP, .path = path, .body = body, .body_size = body ? strlen(body) : 0, .token = w->token,
                .carries_secret = true, .fresh_connection = once, .same_place = once, .place = &w->place, .deadline_usec = w->deadline_usec,
        };
        enum transit_next next;
        struct judgement j;
        int r;

        r = transit_exchange(w->servers, &x, y);
        if (r < 0)
                transit_judge_failure(r, y, &j);
        else if (y->status != 200 || !y->json)
                transit_judge(&(struct transit_evidence) { .call = x.call, .status = y->status, .json = y->json, .body = y->body,
                                                           .body_size = y->body_size }, &j, &next);
        else
                return 0;
        f->retry_after_sec = y->retry_after_sec;
        if (streq(j.code, TRANSIT_CODE_TAKEN))
                return say(f, j.verdict, j.code, "SecretIdFile=%s: its token has been used, or its time is over: if it was not this node before "
                           "it was rebooted, somebody else has the secret id. Destroy it in the vault, and put a new one there",
                           w->config->secret_id_file);
        return say(f, j.verdict, j.code, "SecretIdFile=%s: %s", w->config->secret_id_file, j.text);
}

/* auth/MOUNT/role/NAME/secret-id. What somebody unwrapped and wrapped again says sys/wrapping/wrap. */
static bool path_is_right(const struct vault_config *c, const char *path) {
        const char *mount = c->auth_mount ? c->auth_mount : "approle";
        const char *p = startswith(path, "auth/");
        size_t n;

        p = p ? startswith(p, mount) : NULL;
        p = p ? startswith(p, "/role/") : NULL;
        n = p ? strcspn(p, "/") : 0;
        return n > 0 && streq(p + n, "/secret-id");
}

static int look_up(struct wrapped *w, struct token_fetched *f) {
        _cleanup_(http_response_clear) struct http_response y = {};
        char path[257];

        if (ask(w, "sys/wrapping/lookup", NULL, false, &y, f) < 0)
                return -EACCES;
        if (transit_parse_wrapping(y.body, y.body_size, path) < 0)
                return say(f, VERDICT_BROKEN, "login: bad reply", "the reply to sys/wrapping/lookup is not usable");
        if (!path_is_right(w->config, path))
                return say(f, VERDICT_MISCONFIGURED, VAULT_CODE_SECRET_ID_FOREIGN, "SecretIdFile=%s has a token that was made by %s, not by "
                           "auth/%s/role/NAME/secret-id: somebody may have unwrapped the secret id and wrapped it again. It is not used",
                           w->config->secret_id_file, *path ? path : "nobody", w->config->auth_mount ? w->config->auth_mount : "approle");
        return 0;
}

/* Kept before anything else is done with it. */
static int keep(struct wrapped *w, const struct secret *id, struct token_fetched *f) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        int r;

        if (secret_new(DIGEST_SIZE + secret_size(id), &s) < 0)
                return no_memory(f);
        memcpy(secret_data(s), w->digest, DIGEST_SIZE);
        memcpy(secret_data(s) + DIGEST_SIZE, secret_cdata(id), secret_size(id));
        r = kept_put(w->name, s);
        if (r < 0)
                log_warning("[Vault %s]: the secret id is kept by this process alone (%s): the next one wants a new one", w->config->name,
                            strerror(-r));
        else
                log_notice("[Vault %s]: the secret id was unwrapped", w->config->name);
        return 0;
}

static int unwrap(struct wrapped *w, struct secret **ret, struct token_fetched *f) {
        _cleanup_(http_response_clear) struct http_response y = {};
        _cleanup_(secret_freep) struct secret *id = NULL;
        const char *why = "";
        int r;

        if (ask(w, "sys/wrapping/unwrap", "{}", true, &y, f) < 0)
                return -EACCES;
        r = transit_parse_secret_id(y.body, y.body_size, &id, &why);
        if (r == -EBADMSG)
                return say(f, VERDICT_BROKEN, "login: bad reply", "the reply to sys/wrapping/unwrap is not usable: %s", why);
        if (r < 0)
                return no_memory(f);
        if (keep(w, id, f) < 0)
                return -EACCES;
        *ret = TAKE_PTR(id);
        return 0;
}

/* The secret id that is kept, or NULL: none is. *ret_same: it came out of the token that is in the file now. */
static struct secret *get_kept(struct wrapped *w, bool *ret_same) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        struct secret *id;
        size_t n;

        *ret_same = false;
        if (kept_get(w->name, &s) < 0 || secret_size(s) <= DIGEST_SIZE + 1 || secret_cdata(s)[secret_size(s) - 1] != 0)
                return NULL;
        n = secret_size(s) - DIGEST_SIZE;
        if (secret_new(n, &id) < 0)
                return NULL;
        memcpy(secret_data(id), secret_cdata(s) + DIGEST_SIZE, n);
        *ret_same = memcmp(secret_cdata(s), w->digest, DIGEST_SIZE) == 0;
        return id;
}

/* That somebody else may have the new one is told with each reply from here on. */
static void go_on_with_old(const struct wrapped *w, struct token_fetched *f) {
        const struct judgement *j = &f->failure;

        log_alert("[Vault %s]: %s (%s). The secret id from before goes on being used", w->config->name, j->text, j->code);
        if (streq(j->code, VAULT_CODE_SECRET_ID_TAKEN) || streq(j->code, VAULT_CODE_SECRET_ID_FOREIGN))
                judgement_set(&f->note, j->verdict, j->code, "%s. The secret id from before goes on being used", j->text);
}

static int get(struct wrapped *w, struct secret **ret, struct token_fetched *f) {
        _cleanup_(secret_freep) struct secret *old = NULL;
        const char *why = "";
        bool same;
        int r;

        r = secret_file_read(w->config->secret_id_file, SECRET_FILE_PRIVATE, &w->token, &why);
        if (r == -ENOMEM || r == -EPERM)
                return no_memory(f);
        if (r >= 0)
                EVP_Digest(secret_cdata(w->token), secret_size(w->token) - 1, w->digest, NULL, EVP_sha256(), NULL);
        old = get_kept(w, &same);
        if (old && (same || r == -ENOENT)) {
                *ret = TAKE_PTR(old);
                return 0;
        }
        if (r < 0)
                return say(f, VERDICT_MISCONFIGURED, "login: file", "SecretIdFile=%s: %s", w->config->secret_id_file, why);
        if (look_up(w, f) >= 0 && unwrap(w, ret, f) >= 0) {
                if (old)
                        judgement_set(&f->note, VERDICT_GRANTED, VAULT_CODE_SECRET_ID_REPLACED, "SecretIdFile=%s: another secret id was "
                                      "unwrapped and is used from now on", w->config->secret_id_file);
                return 0;
        }
        if (!old)
                return -EACCES;
        go_on_with_old(w, f);
        *ret = TAKE_PTR(old);
        return 0;
}

int secret_id_unwrapped(const struct vault_config *c, struct transit_servers *servers, uint64_t deadline_usec, struct secret **ret,
                        struct token_fetched *f) {
        struct wrapped w = { .config = c, .servers = servers, .deadline_usec = deadline_usec };
        int r;

        snprintf(w.name, sizeof(w.name), "secret-id-%s", c->name);
        r = get(&w, ret, f);
        secret_free(w.token);
        return r;
}
