/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What all providers share: a vault of the configuration, and the operations that a provider fills in.
 *
 *   serve ─ vault_run() ─► allow-list ─► vault_ops of the provider ─► http, identity ─► TLS
 *                              │ not on it: MISCONFIGURED, nothing is sent
 *
 * HTTP statuses, CURLcodes and the like never leave a provider's file; a struct vault_reply does. One vault may be
 * used by many threads at once; nothing in it changes after vaults_load() but what is behind the locks of http, identity and
 * pkcs11, and what is atomic. */

#include "common/config.h"
#include "common/secret.h"
#include "common/vault-proto.h"
#include "http.h"
#include "identity.h"

struct vault_ops;
struct pkcs11_thread;
struct transit_servers;

struct vault {
        const struct vault_config *config;
        const struct vault_ops *ops;
        struct http_pool *http;
        struct identity *identity;        /* NULL: the provider needs none */
        struct pkcs11_thread *pkcs11;     /* of the provider, or (azure) of ClientKey=; else NULL */
        struct transit_servers *transit;  /* the same */
        bool fips;                        /* Fips=yes */
        bool unusable;                    /* a file of authorities could not be read */
        _Atomic bool has_module;          /* code that is not ours runs here: the process is left by _exit(2) */
        _Atomic bool is_over;             /* a new process is worth more than this one, once nothing is under way */
};

struct vaults {
        struct config *config;
        struct vault *list;
        size_t n;
};

/* One request while it is served. */
struct vault_call {
        const struct vault_request *request;
        uint64_t begun_usec;              /* CLOCK_BOOTTIME, filled by vault_run(): a fresh token is one asked for since then */
        uint64_t deadline_usec;           /* CLOCK_BOOTTIME */
        struct vault_list *list;          /* where vault_op_lists(), else NULL */
        const struct secret *made;        /* WRAP_NEW: what to wrap, in place of the request's blob */
};

/* Each fills *y completely (verdict, code, text, ...). The result of wrap and unwrap is a secret, *ret_value, only
 * where the verdict is GRANTED. */
struct vault_ops {
        const char *provider;             /* Provider= */
        int (*open)(struct vault *v);     /* makes v->identity, v->http is there: 0 or -ENOMEM */
        void (*get_key)(struct vault *v, const struct vault_call *c, struct vault_reply *y);
        void (*wrap)(struct vault *v, const struct vault_call *c, struct vault_reply *y, struct secret **ret_value);
        void (*unwrap)(struct vault *v, const struct vault_call *c, struct vault_reply *y, struct secret **ret_value);
        void (*check_deleted)(struct vault *v, const struct vault_call *c, struct vault_reply *y);
        /* Keeps what wrap() made of a volume's W; where GRANTED the reply's blob is its digest. NULL: it cannot */
        void (*store)(struct vault *v, const struct vault_call *c, const struct secret *wrapped, struct vault_reply *y);
        /* CHECK_STORED and MAY_STORE. NULL: the same */
        void (*check_stored)(struct vault *v, const struct vault_call *c, struct vault_reply *y);
        void (*check_excess)(struct vault *v, const struct vault_call *c, struct vault_reply *y);      /* NULL: it cannot */
        void (*list)(struct vault *v, const struct vault_call *c, struct vault_reply *y);    /* NULL: it cannot */
};

extern const struct vault_ops azure_ops, transit_ops, pkcs11_ops;

/* Takes over the configuration and reads the CA files: needs what the worker gives up later. A CA file that cannot be
 * read makes that vault unusable (MISCONFIGURED), not the others. Returns 0 or -ENOMEM (config is freed then too). */
int vaults_load(struct config *config, struct vaults **ret);

/* No request may be under way. Accepts NULL, returns NULL. */
struct vaults *vaults_free(struct vaults *v);

/* What one of them says: see struct vault. */
bool vaults_use_modules(const struct vaults *v);      /* or will */
bool vaults_have_module(const struct vaults *v);
bool vaults_are_over(const struct vaults *v);

/* Serves one request: checks it against the allow-list, runs it, delivers a release into pipe_fd (-EBADF: none came).
 * The reply is always complete. A request without a time-out of its own has the vault's TimeoutSec=. *ret_released: a
 * secret W was in this process's memory. */
void vault_run(struct vaults *v, const struct vault_call *call, int pipe_fd, struct vault_reply *ret,
               bool *ret_released);

/* For providers, while vaults are loaded: v->pkcs11, by Module=, PinFile= and ModuleEnvironment=. Returns 0, -ENOMEM or -errno (of
 * setenv(3)). */
int pkcs11_prepare(struct vault *v, const char *token);

/* For providers, while vaults are loaded: a pool for one host, through the vault's proxy if it has one. path: a PEM file of authorities,
 * the value of that setting; NULL: the system's. One that cannot be read makes the vault unusable, which is logged. Returns 0 or
 * -ENOMEM. */
int vault_new_pool(struct vault *v, const char *setting, const char *path, struct http_pool **ret);

/* For providers: verdict, code and text of a reply. */
void vault_reply_set(struct vault_reply *y, enum verdict v, const char *code, const char *format, ...) _printf_(4, 5);
void vault_reply_judge(struct vault_reply *y, const struct judgement *j);
void vault_reply_granted(struct vault_reply *y);

/* The parser of a good reply's body said r: -EBADMSG and why, or no memory. */
void vault_reply_unusable(struct vault_reply *y, int r, const char *why);
