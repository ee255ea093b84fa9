/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-aad.h"

#include "aad-reply.h"
#include "client-assertion.h"
#include "common/config-azure.h"
#include "identity-http.h"
#include "secret-file.h"

#define URL_MAX 512u
#define CERTIFICATES_MAX (64u * 1024u)
#define ASSERTION "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

struct aad {
        const struct vault_config *config;
        struct http_pool *http;
        struct token_signer signer;
        char url[URL_MAX];
};

static void judge(const struct http_response *y, struct judgement *ret, bool *ret_retry) {
        aad_judge(y->status, y->json, y->body, y->body_size, ret, ret_retry);
}

static const struct token_speaker authority = { "the authority", "aad", judge };

static int say(struct token_fetched *f, enum verdict v, const char *code, const char *what, const char *why) {
        judgement_set(&f->failure, v, code, "%s: %s", what, why);
        return -EACCES;
}

static int say_file(struct token_fetched *f, int r, const char *path, const char *why) {
        if (r == -ENOMEM || r == -EPERM)
                return say(f, VERDICT_UNREACHABLE, "memory", path, "no memory for what stays secret");
        return say(f, VERDICT_MISCONFIGURED, "aad: file", path, why);
}

/* One signature by a key that is no file. */
struct signing {
        const struct aad *aad;
        uint64_t deadline_usec;
        struct token_fetched *fetched;
};

static int sign(void *user, const uint8_t digest[static 32], const uint8_t *spki, size_t spki_size, struct secret **ret) {
        struct signing *s = user;
        const struct token_signer *t = &s->aad->signer;

        return t->sign(t->user, digest, spki, spki_size, s->deadline_usec, ret, &s->fetched->failure);
}

static int make_assertion(const struct aad *a, uint64_t deadline_usec, struct secret **ret, struct token_fetched *f) {
        const struct vault_config *c = a->config;
        const struct assertion what = { .audience = a->url, .client_id = c->client_id,
                                        .now_sec = instant_now().realtime_usec / USEC_PER_SEC };
        struct signing signing = { .aad = a, .deadline_usec = deadline_usec, .fetched = f };
        struct assertion_key where = { .sign = sign, .user = &signing };
        _cleanup_(secret_freep) struct secret *key = NULL;
        _cleanup_(freep) char *certificate = NULL;
        const char *why = "";
        int r;

        r = read_small_file(c->client_certificate, CERTIFICATES_MAX, &certificate, NULL);
        if (r < 0)
                return say_file(f, r, c->client_certificate, strerror(-r));
        if (!config_azure_key_is_in_token(c))
                r = secret_file_read(c->client_key, SECRET_FILE_PRIVATE | SECRET_FILE_PEM, &key, &why);
        where.pem = key;
        if (r >= 0)
                r = client_assertion_new(&what, certificate, &where, ret, &why);
        if (r == -EACCES && config_azure_key_is_in_token(c))
                return r;          /* said already */
        return r < 0 ? say_file(f, r, c->client_key, why) : 0;
}

/* What the node proves to be the client with: an assertion, or the secret. */
static int get_credential(const struct aad *a, uint64_t deadline_usec, struct secret **ret, struct token_fetched *f) {
        const struct vault_config *c = a->config;
        const char *why = "";
        int r;

        if (c->identity != AZURE_IDENTITY_CERTIFICATE) {
                const char *path = c->identity == AZURE_IDENTITY_SECRET ? c->client_secret_file : c->jwt_file;

                r = secret_file_read(path, c->identity == AZURE_IDENTITY_SECRET ? SECRET_FILE_PRIVATE | SECRET_FILE_PEM : 0, ret,
                                     &why);
                return r < 0 ? say_file(f, r, path, why) : 0;
        }
        return make_assertion(a, deadline_usec, ret, f);
}

/* Appends "NAME=VALUE", after the first with an ampersand. */
static int append(struct secret *form, const char *name, const char *value) {
        char *text = (char *) secret_data(form);
        size_t n = strlen(text);

        if (n + strlen(name) + 3 > secret_size(form))
                return -ENOSPC;
        snprintf(text + n, secret_size(form) - n, "%s%s=", n > 0 ? "&" : "", name);
        return http_append_escaped(text, secret_size(form), value);
}

static int make_form(const struct aad *a, const struct secret *credential, const char *claims, struct secret **ret) {
        _cleanup_(secret_freep) struct secret *form = NULL;
        const struct vault_config *c = a->config;
        const char *value = (const char *) secret_cdata(credential);
        char scope[300];
        int r;

        r = secret_new(SECRET_MAX, &form);
        if (r < 0)
                return r;
        snprintf(scope, sizeof(scope), "%s/.default", c->resource);
        r = append(form, "grant_type", "client_credentials");
        if (r >= 0)
                r = append(form, "client_id", c->client_id);
        if (r >= 0)
                r = append(form, "scope", scope);
        if (r >= 0 && c->identity != AZURE_IDENTITY_SECRET)
                r = append(form, "client_assertion_type", ASSERTION);
        if (r >= 0)
                r = append(form, c->identity == AZURE_IDENTITY_SECRET ? "client_secret" : "client_assertion", value);
        if (r >= 0 && claims)
                r = append(form, "claims", claims);
        if (r < 0)
                return r;
        secret_shrink(form, strlen((const char *) secret_cdata(form)) + 1);
        *ret = TAKE_PTR(form);
        return 0;
}

static int try_once(void *user, const struct token_wish *w, struct token_fetched *f, bool *ret_retry) {
        _cleanup_(http_response_clear) struct http_response y = {};
        _cleanup_(secret_freep) struct secret *credential = NULL, *form = NULL;
        struct aad *a = user;
        struct http_request q = { .url = a->url, .form = true, .carries_secret = true, .deadline_usec = w->deadline_usec };
        int r;

        *ret_retry = false;
        r = get_credential(a, w->deadline_usec, &credential, f);
        if (r < 0)
                return r;
        r = make_form(a, credential, w->claims, &form);
        if (r == -ENOSPC)
                return say(f, VERDICT_MISCONFIGURED, "aad: file", a->config->name, "what the authority is to see is too long");
        if (r < 0)
                return say_file(f, r, a->config->name, "");
        q.body = (const char *) secret_cdata(form);
        q.body_size = secret_size(form) - 1;
        r = http_perform(a->http, &q, &y);
        return token_take_reply(&authority, r, &y, f, ret_retry);
}

static int fetch(void *user, const struct token_wish *w, struct token_fetched *f) {
        return token_try(try_once, user, w, f);
}

static void aad_free(void *user) {
        struct aad *a = user;

        http_pool_free(a->http);
        free(a);
}

int identity_aad_new(const struct vault_config *c, struct http_pool *http, const struct token_signer *signer, struct identity **ret) {
        struct aad *a;

        a = calloc(1, sizeof(*a));
        if (!a) {
                http_pool_free(http);
                return -ENOMEM;
        }
        a->http = http;
        a->config = c;
        a->signer = *signer;
        snprintf(a->url, sizeof(a->url), "%s/%s/oauth2/v2.0/token", c->authority, c->tenant_id);
        return identity_new(&(struct token_source) { .fetch = fetch, .free = aad_free, .user = a }, ret);
}
