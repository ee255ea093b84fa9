/* SPDX-License-Identifier: Apache-2.0 */
#include "vault.h"

#include <sys/stat.h>

#include "common/algorithm.h"
#include "common/json-text.h"
#include "common/log.h"
#include "common/pkcs11-uri.h"
#include "pkcs11-thread.h"
#include "transit-servers.h"

#define CA_FILE_MAX (1024u * 1024u)

static const struct vault_ops *const providers[] = { &azure_ops, &transit_ops, &pkcs11_ops };

static int read_authorities(struct vault *v, const char *setting, const char *path, char **ret) {
        int r;

        if (!path)
                return 0;
        r = read_small_file(path, CA_FILE_MAX, ret, NULL);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                log_error("[Vault %s]: %s=%s cannot be read: %s", v->config->name, setting, path, strerror(-r));
        v->unusable |= r < 0;
        return 0;
}

int vault_new_pool(struct vault *v, const char *setting, const char *path, struct http_pool **ret) {
        _cleanup_(freep) char *pem = NULL, *proxy_pem = NULL;
        const struct vault_config *c = v->config;
        int r;

        r = read_authorities(v, setting, path, &pem);
        if (r >= 0)
                r = read_authorities(v, "ProxyCAFile", c->proxy_ca_file, &proxy_pem);
        if (r >= 0)
                r = http_pool_new(pem, ret);
        if (r >= 0)
                http_pool_set_proxy(*ret, c->proxy, c->proxy_credentials_file, TAKE_PTR(proxy_pem));
        return r;
}

static int vault_init(struct vault *v, const struct vault_config *c, bool fips) {
        int r;

        v->config = c;
        v->fips = fips;
        for (size_t i = 0; i < ELEMENTSOF(providers); i++)
                if (streq(providers[i]->provider, c->provider))
                        v->ops = providers[i];
        r = vault_new_pool(v, "CAFile", c->ca_file, &v->http);
        if (r >= 0)
                http_pool_set_checks(v->http, &(struct http_checks) {
                        .pins = c->pinned_keys, .crl_file = c->crl_file, .stapled = c->stapled_status,
                });
        return r < 0 || !v->ops ? r : v->ops->open(v);
}

int vaults_load(struct config *config, struct vaults **ret) {
        struct vaults *l;
        size_t n = 0;

        for (const struct vault_config *c = config->vaults; c; c = c->next)
                n++;
        l = calloc(1, sizeof(*l));
        if (!l || !(l->list = calloc(n + 1, sizeof(*l->list)))) {
                free(l);
                config_free(config);
                return -ENOMEM;
        }
        l->config = config;
        for (const struct vault_config *c = config->vaults; c; c = c->next)
                if (vault_init(l->list + l->n++, c, config->fips) < 0) {
                        vaults_free(l);
                        return -ENOMEM;
                }
        *ret = l;
        return 0;
}

struct vaults *vaults_free(struct vaults *v) {
        if (!v)
                return NULL;
        for (size_t i = 0; i < v->n; i++) {
                http_pool_free(v->list[i].http);
                identity_free(v->list[i].identity);
                pkcs11_thread_free(v->list[i].pkcs11);
                transit_servers_free(v->list[i].transit);
        }
        free(v->list);
        config_free(v->config);
        free(v);
        return NULL;
}

bool vaults_use_modules(const struct vaults *v) {
        for (size_t i = 0; i < v->n; i++)
                if (v->list[i].pkcs11)
                        return true;
        return false;
}

bool vaults_have_module(const struct vaults *v) {
        for (size_t i = 0; i < v->n; i++)
                if (v->list[i].has_module)
                        return true;
        return false;
}

bool vaults_are_over(const struct vaults *v) {
        for (size_t i = 0; i < v->n; i++)
                if (v->list[i].is_over)
                        return true;
        return false;
}

/* The vault of that name, if the key is on its list; the same check as in the manager, made again here. */
static struct vault *find_allowed(struct vaults *v, const struct vault_request *q) {
        for (size_t i = 0; i < v->n; i++) {
                const struct vault_config *c = v->list[i].config;

                if (!streq(c->name, q->vault))
                        continue;
                if (!streq(c->host, q->key.host) || c->port != q->key.port ||
                    (c->module && !pkcs11_uri_takes_module(&q->key, c->module)))
                        return NULL;
                for (char **k = c->keys; *k; k++)
                        if (streq(*k, q->key.name))
                                return v->list + i;
                return NULL;
        }
        return NULL;
}

/* The plaintext goes into the pipe or, a challenge's, into the reply; which of both its length must fit decides, so
 * that asking without deliver never shows W. */
static void hand_over(const struct vault_request *q, int pipe_fd, const struct secret *value, struct vault_reply *y) {
        bool deliver = q->op == VAULT_OP_UNWRAP && (q->flags & VAULT_FLAG_DELIVER);
        size_t wanted = deliver ? VAULT_SECRET_SIZE : VAULT_CHALLENGE_SIZE;
        int r;

        if (q->op == VAULT_OP_UNWRAP && secret_size(value) != wanted)
                return vault_reply_set(y, VERDICT_BROKEN, "length", "the vault returned %zu bytes where %zu belong",
                                       secret_size(value), wanted);
        if (!deliver) {
                memcpy(y->blob, secret_cdata(value), secret_size(value));
                y->blob_size = secret_size(value);
                return;
        }
        r = secret_write(pipe_fd, value);
        if (r < 0)
                return vault_reply_set(y, VERDICT_UNREACHABLE, "delivery", "the key could not be delivered: %s",
                                       strerror(-r));
        y->delivered = (uint32_t) secret_size(value);
}

static bool is_pipe(int fd) {
        struct stat st;

        return fd >= 0 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static bool is_about_stored(const struct vault_request *q) {
        return q->op == VAULT_OP_CHECK_STORED || q->op == VAULT_OP_MAY_STORE;
}

/* What the vault is to keep, or keeps, and the request do not go together: why not, else NULL. */
static const char *objection_to_stored(const struct vault *v, const struct vault_request *q) {
        if (!q->stored)
                return is_about_stored(q) ? "it is about a secret, and names none" : NULL;
        if (!v->ops->store || stored_key_objection(v->config))
                return "a wrapped key cannot be kept in this vault";
        if (q->op == VAULT_OP_UNWRAP && (q->blob_size == 0) != !!(q->flags & VAULT_FLAG_DELIVER))
                return "a release fetches what it unwraps, a challenge brings it along";
        return q->op == VAULT_OP_UNWRAP || q->op == VAULT_OP_WRAP_NEW || q->op == VAULT_OP_CHECK_DELETED || is_about_stored(q)
                ? NULL : "only W is kept in a vault";
}

/* False, with the reply filled, where nothing may be sent. */
static bool admit(struct vault *v, const struct vault_call *c, int pipe_fd, struct vault_reply *y) {
        const struct vault_request *q = c->request;
        bool deliver = q->flags & VAULT_FLAG_DELIVER;
        const char *objection;

        if (!v)
                vault_reply_set(y, VERDICT_MISCONFIGURED, "not allowed",
                                "[Vault %s] of the configuration does not allow this host, port and key", q->vault);
        else if (v->unusable || !v->ops)
                vault_reply_set(y, VERDICT_MISCONFIGURED, "configuration", "[Vault %s]: %s", q->vault,
                                v->ops ? "its CAFile= or AuthorityCAFile= cannot be read" : "its Provider= is not known");
        else if (deliver != (pipe_fd >= 0) || (deliver && (q->op != VAULT_OP_UNWRAP || !is_pipe(pipe_fd))))
                vault_reply_set(y, VERDICT_MISCONFIGURED, "pipe", "a pipe goes with a release, and with nothing else");
        else if ((objection = objection_to_stored(v, q)))
                vault_reply_set(y, VERDICT_MISCONFIGURED, "request", "%s", objection);
        else if ((q->op == VAULT_OP_WRAP || q->op == VAULT_OP_UNWRAP) && (!*q->key.version || (q->blob_size == 0 && !q->stored)))
                vault_reply_set(y, VERDICT_MISCONFIGURED, "request", "wrap and unwrap take a versioned key and a blob");
        else if (q->op == VAULT_OP_WRAP_NEW && (!*q->key.version || !*q->volume || q->blob_size > 0 ||
                                                (!algorithm_is_symmetric(q->algorithm) && !q->stored)))
                vault_reply_set(y, VERDICT_MISCONFIGURED, "request", "a secret is made for a volume and a versioned key, symmetric or of "
                                "a vault that keeps it");
        else if (now_boottime_usec() >= c->deadline_usec)
                vault_reply_set(y, VERDICT_UNREACHABLE, "timed out", "the deadline passed before the request was sent");
        else
                return true;
        return false;
}

/* The vault wraps what nobody else has seen; it comes back as W by a release only. */
static void wrap_new(struct vault *v, const struct vault_call *call, struct vault_reply *y, struct secret **ret_value) {
        _cleanup_(secret_freep) struct secret *made = NULL, *wrapped = NULL;
        struct vault_call c = *call;
        int r;

        r = secret_random(VAULT_SECRET_SIZE, &made);
        if (r < 0)
                return vault_reply_unusable(y, r, "");
        c.made = made;
        v->ops->wrap(v, &c, y, &wrapped);
        if (call->request->stored && y->verdict == VERDICT_GRANTED)
                v->ops->store(v, call, wrapped, y);
        else
                *ret_value = TAKE_PTR(wrapped);
}

void vault_run(struct vaults *v, const struct vault_call *call, int pipe_fd, struct vault_reply *ret,
               bool *ret_released) {
        _cleanup_(secret_freep) struct secret *value = NULL;
        struct vault *vault = find_allowed(v, call->request);
        struct vault_call limited = *call;
        const struct vault_call *c = &limited;

        *ret = (struct vault_reply) {};
        *ret_released = false;
        limited.begun_usec = now_boottime_usec();
        if (vault && call->request->timeout_ms == 0)
                limited.deadline_usec = MIN_OF(call->deadline_usec, limited.begun_usec + vault->config->timeout_usec);
        if (!admit(vault, c, pipe_fd, ret))
                return;
        switch ((enum vault_op) c->request->op) {
        case VAULT_OP_GET_KEY:
                vault->ops->get_key(vault, c, ret);
                break;
        case VAULT_OP_WRAP:
                vault->ops->wrap(vault, c, ret, &value);
                break;
        case VAULT_OP_UNWRAP:
                vault->ops->unwrap(vault, c, ret, &value);
                break;
        case VAULT_OP_CHECK_DELETED:
                vault->ops->check_deleted(vault, c, ret);
                break;
        case VAULT_OP_CHECK_STORED:
        case VAULT_OP_MAY_STORE:
                vault->ops->check_stored(vault, c, ret);
                break;
        case VAULT_OP_LIST_KEYS:
        case VAULT_OP_LIST_VERSIONS:
                if (vault->ops->list && c->list)
                        vault->ops->list(vault, c, ret);
                else
                        vault_reply_set(ret, VERDICT_MISCONFIGURED, "request", "keys of Provider=%s cannot be listed",
                                        vault->config->provider);
                break;
        case VAULT_OP_CHECK_EXCESS:
                if (vault->ops->check_excess)
                        vault->ops->check_excess(vault, c, ret);
                else
                        vault_reply_set(ret, VERDICT_MISCONFIGURED, "request", "permissions of Provider=%s cannot be asked for",
                                        vault->config->provider);
                break;
        case VAULT_OP_WRAP_NEW:
                wrap_new(vault, c, ret, &value);
                break;
        default:
                vault_reply_set(ret, VERDICT_MISCONFIGURED, "request", "no such operation");
        }
        if (ret->verdict == VERDICT_GRANTED && value)
                hand_over(c->request, pipe_fd, value, ret);
        *ret_released = (value && (c->request->flags & VAULT_FLAG_DELIVER)) || c->request->op == VAULT_OP_WRAP_NEW;
}
