/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-login.h"

#include "secret-file.h"
#include "secret-id.h"
#include "transit-reply.h"
#include "transit-servers.h"
#include "transit-verdict.h"

#define FOR_EVER_SEC (24u * 3600u)      /* a token without an end is asked for again after that */
#define CERTIFICATES_MAX (64u * 1024u)
#define LIFETIME_MAX (32u * 24u * 3600u)

struct login {
        const struct vault_config *config;
        struct http_pool *http;
        struct transit_servers *servers;
        /* of the token that was given last; one thread at a time */
        bool renewable;
        uint64_t lifetime_sec;
        struct judgement note;
};

static int say(struct token_fetched *f, enum verdict v, const char *code, const char *what, const char *why) {
        judgement_set(&f->failure, v, code, "%s: %s", what, why);
        return -EACCES;
}

/* {"FIRST":"VALUE","SECOND":"of the file"}, all in secret memory. */
static int make_body(const char *first, const char *value, const char *second, const struct secret *s, struct secret **ret) {
        struct secret *body;
        int n, r;

        r = secret_new(SECRET_MAX, &body);
        if (r < 0)
                return r;
        n = snprintf((char *) secret_data(body), SECRET_MAX, "{\"%s\":\"%s\",\"%s\":\"%s\"}", first, value, second,
                     (const char *) secret_cdata(s));
        if (n >= (int) SECRET_MAX) {
                secret_free(body);
                return -EMSGSIZE;
        }
        secret_shrink(body, (size_t) n);
        *ret = body;
        return 0;
}

/* The certificate and its key are those of all connections from here on: read anew, they may have been replaced. */
static int prepare_certificate(struct login *l, struct token_fetched *f) {
        _cleanup_(freep) char *certificate = NULL;
        const struct vault_config *c = l->config;
        struct secret *key = NULL;
        const char *why = "";
        int r;

        r = read_small_file(c->client_certificate, CERTIFICATES_MAX, &certificate, NULL);
        if (r < 0)
                return say(f, VERDICT_MISCONFIGURED, "login: file", c->client_certificate, strerror(-r));
        r = secret_file_read(c->client_key, SECRET_FILE_PRIVATE | SECRET_FILE_PEM, &key, &why);
        if (r == -ENOMEM || r == -EPERM)
                return say(f, VERDICT_UNREACHABLE, "memory", c->client_key, why);
        if (r < 0)
                return say(f, VERDICT_MISCONFIGURED, "login: file", c->client_key, why);
        http_pool_set_client(l->http, TAKE_PTR(certificate), key);
        return 0;
}

/* What is sent to log in. */
static int prepare_body(struct login *l, uint64_t deadline_usec, struct secret **ret_body, struct token_fetched *f) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        const struct vault_config *c = l->config;
        const char *file = c->role_id ? c->secret_id_file : c->jwt_file, *why = "";
        int r;

        if (c->secret_id_wrapped && secret_id_unwrapped(c, l->servers, deadline_usec, &s, f) < 0)
                return -EACCES;
        r = s ? 0 : secret_file_read(file, c->role_id ? SECRET_FILE_PRIVATE : 0, &s, &why);
        if (r == -ENOMEM || r == -EPERM)
                return say(f, VERDICT_UNREACHABLE, "memory", file, why);
        if (r < 0)
                return say(f, VERDICT_MISCONFIGURED, "login: file", file, why);
        if (c->role_id)
                r = make_body("role_id", c->role_id, "secret_id", s, ret_body);
        else
                r = make_body("role", c->role, "jwt", s, ret_body);
        if (r == -EMSGSIZE)
                return say(f, VERDICT_MISCONFIGURED, "login: file", file, "it is too long");
        return r < 0 ? say(f, VERDICT_UNREACHABLE, "memory", file, "no memory for what stays secret") : 0;
}

static int ask(struct login *l, const struct transit_exchange *x, struct token_fetched *f, struct transit_token *ret) {
        _cleanup_(http_response_clear) struct http_response y = {};
        enum transit_next next;
        struct judgement j;
        const char *why = "";
        int r;

        r = transit_exchange(l->servers, x, &y);
        if (r < 0) {
                transit_judge_failure(r, &y, &j);
                return say(f, j.verdict, j.code, "login", j.text);
        }
        if (y.status != 200 || !y.json) {
                enum transit_call call = x->call == TRANSIT_LOGIN && l->config->role ? TRANSIT_LOGIN_VOUCHED : x->call;

                transit_judge(&(struct transit_evidence) { .call = call, .status = y.status, .json = y.json, .body = y.body,
                                                           .body_size = y.body_size }, &j, &next);
                f->retry_after_sec = y.retry_after_sec;
                return say(f, j.verdict, j.code, "login", j.text);
        }
        r = transit_parse_token(y.body, y.body_size, ret, &why);
        if (r == -EBADMSG)
                return say(f, VERDICT_BROKEN, "login: bad reply", "the reply to a login is not usable", why);
        return r < 0 ? say(f, VERDICT_UNREACHABLE, "memory", "login", "no memory for a token that stays secret") : 0;
}

static void take(struct login *l, struct transit_token *t, struct token_fetched *f) {
        uint64_t sec = t->lifetime_sec == 0 ? FOR_EVER_SEC : MIN_OF(t->lifetime_sec, (uint64_t) LIFETIME_MAX);

        l->renewable = t->renewable;
        f->note = l->note;
        f->token = TAKE_PTR(t->token);
        f->lifetime_sec = sec;
        f->refresh_sec = sec - sec / 3;
}

/* False: there is no more life in it than it had left. */
static bool renew(struct login *l, const struct secret *current, uint64_t deadline_usec, struct token_fetched *f) {
        const struct transit_exchange x = {
                .call = TRANSIT_RENEW, .path = "auth/token/renew-self", .body = "{}", .body_size = 2, .token = current, .carries_secret = true,
                .deadline_usec = deadline_usec,
        };
        struct transit_token t = {};

        if (ask(l, &x, f, &t) < 0)
                return false;
        if (t.lifetime_sec < l->lifetime_sec / 2) {
                secret_free(t.token);
                return false;
        }
        take(l, &t, f);
        return true;
}

static int fetch(void *user, const struct token_wish *w, struct token_fetched *f) {
        _cleanup_(secret_freep) struct secret *body = NULL;
        struct login *l = user;
        char path[TRANSIT_PATH_MAX];
        struct transit_exchange x = { .call = TRANSIT_LOGIN, .path = path, .carries_secret = true, .deadline_usec = w->deadline_usec };
        const struct vault_config *c = l->config;
        struct transit_token t = {};
        int r;

        if (w->current && l->renewable && renew(l, w->current, w->deadline_usec, f))
                return 0;
        if (c->client_key)
                r = prepare_certificate(l, f);
        else
                r = prepare_body(l, w->deadline_usec, &body, f);
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), "auth/%s/login", c->auth_mount ? c->auth_mount : c->role_id ? "approle" :
                 c->role ? "jwt" : "cert");
        x.body = body ? (const void *) secret_cdata(body) : "{}";
        x.body_size = body ? secret_size(body) : 2;
        r = ask(l, &x, f, &t);
        if (r < 0)
                return r;
        l->lifetime_sec = t.lifetime_sec;
        l->note = f->note;
        take(l, &t, f);
        return 0;
}

int identity_login_new(const struct vault_config *c, struct http_pool *http, struct transit_servers *servers, struct identity **ret) {
        struct login *l;

        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->config = c;
        l->http = http;
        l->servers = servers;
        return identity_new(&(struct token_source) { .fetch = fetch, .free = free, .user = l }, ret);
}
