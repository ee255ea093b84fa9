/* SPDX-License-Identifier: Apache-2.0 */
#include "key-proof.h"

#include "challenge.h"
#include "common/config-azure.h"
#include "common/config-vault.h"
#include "key.h"
#include "manager.h"
#include "pin.h"

#define CHALLENGE_TIMEOUT_USEC (60 * USEC_PER_SEC)

struct key_proof {
        struct manager *manager;
        struct proven_key key;
        char subject[257], text[513], use_id[37];
        char known[33];
        bool accept_unsafe;
        bool transit;                   /* Provider= */
        uint8_t plain[CHALLENGE_SIZE];  /* sent to be wrapped: of no value, or of a canary to be */
        struct challenge *challenge;
        key_proof_done done;
        void *user;
};

static void end(struct key_proof *p, const struct outcome *o) {
        p->done(o, &p->key, p->user);
        challenge_free(p->challenge);
        explicit_bzero(p->plain, sizeof(p->plain));
        free(p);
}

static void refuse(struct key_proof *p, enum exit_code code, const char *why) {
        struct outcome o = {};

        outcome_set(&o, code, "%s: key %s is refused: %s", p->subject, p->text, why);
        end(p, &o);
}

static void out_of_memory(struct key_proof *p) {
        struct outcome o = {};

        outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory", p->subject);
        end(p, &o);
}

static int ask(struct key_proof *p, enum vault_op op, const uint8_t *blob, size_t size, worker_callback callback) {
        _cleanup_(freep) struct vault_request *q = calloc(1, sizeof(*q));

        if (!q)
                return -ENOMEM;
        key_proof_request(&p->key, op, p->use_id, q);
        if (size > 0)
                memcpy(q->blob, blob, size);
        q->blob_size = size;
        return worker_ask(p->manager->worker, q, -EBADF, callback, p);
}

static bool is_first_contact(const struct key_proof *p) {
        const struct manager *m = p->manager;
        const struct key *k;

        LIST_FOREACH(k, &m->keys, keys)
                if (key_uri_same_key(&k->uri, &p->key.uri))
                        return false;
        return true;
}

/* A mount or a namespace that never was there nobody took away. */
static bool is_misnamed(const struct key_proof *p, const struct vault_reply *y) {
        return (streq(y->code, VAULT_CODE_NO_MOUNT) || streq(y->code, VAULT_CODE_NO_NAMESPACE)) && is_first_contact(p);
}

/* True when the vault did what it was asked; else this has ended. */
static bool granted(struct key_proof *p, const struct vault_reply *y) {
        bool misnamed = is_misnamed(p, y);
        struct outcome o = {};
        char uri[KEY_URI_MAX];

        p->key.answer = *y;
        if (y->verdict == VERDICT_GRANTED)
                return true;
        if (misnamed)
                p->key.answer.verdict = VERDICT_MISCONFIGURED;
        key_uri_format(&p->key.uri, uri, sizeof(uri));
        outcome_from_vault(&o, p->subject, uri, &p->key.answer);
        if (misnamed)
                outcome_add(&o, ": Mount=, AuthMount= or Namespace= names what the vault does not have");
        end(p, &o);
        return false;
}

static void on_challenged(const struct vault_reply *y, void *user) {
        struct key_proof *p = user;
        struct outcome o = {};

        if (!granted(p, y))
                return;
        if (challenge_check(p->challenge, y->blob, y->blob_size, instant_now(), CHALLENGE_TIMEOUT_USEC) < 0) {
                refuse(p, EXIT_CODE_UNREACHABLE, "the vault does not hold the private key of the public key it gave out");
                return;
        }
        p->key.time = instant_now().realtime_usec / USEC_PER_SEC;
        end(p, &o);
}

static void challenge(struct key_proof *p) {
        const uint8_t *wrapped;
        size_t size;
        int r;

        r = challenge_new(p->key.algorithm, p->key.spki, p->key.spki_size, &p->challenge);
        if (r < 0) {
                refuse(p, EXIT_CODE_POLICY, "it is not an RSA key of 2048, 3072 or 4096 bits");
                return;
        }
        wrapped = challenge_wrapped(p->challenge, &size);
        if (ask(p, VAULT_OP_UNWRAP, wrapped, size, on_challenged) < 0)
                out_of_memory(p);
}

/* A Managed HSM tells the size of a symmetric key in no other way. */
static bool is_of_another_size(const struct key_proof *p, const struct vault_reply *y) {
        return streq(p->key.algorithm, ALGORITHM_KW) && y->verdict == VERDICT_MISCONFIGURED && y->http_status == 400;
}

/* The vault wrapped 32 bytes: this node may wrap. */
static void on_wrapped(const struct vault_reply *y, void *user) {
        struct key_proof *p = user;

        if (is_of_another_size(p, y)) {
                p->key.answer = *y;
                refuse(p, EXIT_CODE_POLICY, "it is a symmetric key that does not wrap with " ALGORITHM_KW ": not one of 256 bits");
                return;
        }
        if (!granted(p, y))
                return;
        if (algorithm_is_symmetric(p->key.algorithm) && p->key.spki_size == 0) {
                if (challenge_make_canary(p->key.algorithm, p->plain, y->blob, y->blob_size, p->key.spki) < 0) {
                        refuse(p, EXIT_CODE_UNREACHABLE, "the vault did not wrap as keys of its type do");
                        return;
                }
                p->key.spki_size = canary_size(p->key.algorithm);
        }
        challenge(p);
}

/* One canary of a key is enough for all its volumes, and for one poll. */
static void take_known_canary(struct key_proof *p) {
        const struct manager *m = p->manager;
        struct key *k;

        LIST_FOREACH(k, &m->keys, keys)
                if (streq(k->algorithm, p->key.algorithm) && key_uri_same_key(&k->uri, &p->key.uri) &&
                    streq(k->uri.version, p->key.uri.version) && canary_is_valid(k->algorithm, k->spki, k->spki_size)) {
                        memcpy(p->key.spki, k->spki, k->spki_size);
                        p->key.spki_size = k->spki_size;
                        return;
                }
}

/* What the key's owner and the vault must have arranged. Returns NULL or what is missing. */
static const char *unfit(const struct key_proof *p, const struct vault_reply *y) {
        uint64_t now = instant_now().realtime_usec / USEC_PER_SEC;

        if (!(y->key_flags & VAULT_KEY_ENABLED))
                return "it is disabled";
        if ((y->not_before > 0 && now < y->not_before) || (y->expires > 0 && now >= y->expires))
                return "it is outside its dates of validity";
        if (!(y->key_flags & VAULT_KEY_CAN_WRAP) || !(y->key_flags & VAULT_KEY_CAN_UNWRAP))
                return "its permitted operations lack wrapKey or unwrapKey";
        if (p->key.stored && algorithm_is_symmetric(y->key_type))
                return "wrapped keys of symmetric keys stay in the header (--store=token)";
        if (!algorithm_is_symmetric(y->key_type) && challenge_check_key(p->key.algorithm, y->spki, y->spki_size, NULL) < 0)
                return "it is neither an RSA key of 2048, 3072 or 4096 bits nor a symmetric key of a type that is known here";
        if (!(y->key_flags & VAULT_KEY_PURGE_PROTECTED) && !p->accept_unsafe && p->transit)
                return "it may be deleted for good, or taken out of the vault (deletion_allowed, exportable or "
                       "allow_plaintext_backup is true). Switch that off, or say --accept-unsafe-vault=REASON";
        if (!(y->key_flags & VAULT_KEY_PURGE_PROTECTED) && !p->accept_unsafe && key_uri_is_pkcs11(&p->key.uri))
                return "it may be taken out of the token (CKA_EXTRACTABLE is true, or CKA_SENSITIVE is false). Make another, or say "
                       "--accept-unsafe-vault=REASON";
        if (!(y->key_flags & VAULT_KEY_PURGE_PROTECTED) && !p->accept_unsafe)
                return "its vault has no purge protection: a deleted key could not be recovered. Switch it on, or say "
                       "--accept-unsafe-vault=REASON";
        return NULL;
}

/* What is about to be pinned; of a symmetric key that is made later, where none is known. */
static void take_key(struct key_proof *p, const struct vault_reply *y) {
        if (algorithm_is_symmetric(y->key_type)) {
                snprintf(p->key.algorithm, sizeof(p->key.algorithm), "%s", y->key_type);
                take_known_canary(p);
                return;
        }
        memcpy(p->key.spki, y->spki, y->spki_size);
        p->key.spki_size = y->spki_size;
}

static void on_key(const struct vault_reply *y, void *user) {
        struct key_proof *p = user;
        struct key_uri u, *wanted = &p->key.uri;
        struct outcome o = {};
        const char *why;

        if (!granted(p, y))
                return;
        why = key_uri_parse(y->kid, &u, NULL) < 0 || !key_uri_answers(wanted, &u) ? "the vault answered with another key" : NULL;
        if (!why && *p->known && streq(u.version, p->known)) {
                *wanted = u;
                end(p, &o);
                return;
        }
        if (!why)
                why = unfit(p, y);
        if (why) {
                refuse(p, EXIT_CODE_POLICY, why);
                return;
        }
        *wanted = u;
        take_key(p, y);
        if (!config_find_vault_for(p->manager->config, wanted, p->key.algorithm, &why)) {
                refuse(p, EXIT_CODE_POLICY, why);
                return;
        }
        if (pin_check(p->manager->config, &p->key, p->key.spki, p->key.spki_size, p->subject, &o) < 0) {
                end(p, &o);
                return;
        }
        random_bytes(p->plain, sizeof(p->plain));
        if (ask(p, VAULT_OP_WRAP, p->plain, sizeof(p->plain), on_wrapped) < 0)
                out_of_memory(p);
}

int key_proof_check(struct manager *m, const char *key, struct proven_key *ret, struct outcome *o) {
        const struct vault_config *vault;
        struct proven_key k = {};
        const char *why;

        if (key_uri_parse(key, &k.uri, &why) < 0) {
                outcome_set(o, EXIT_CODE_USAGE, "%s is no key: %s", key, why);
                return -EINVAL;
        }
        vault = config_find_vault(m->config, &k.uri, &why);
        if (!vault) {
                outcome_set(o, EXIT_CODE_POLICY, "Key %s is refused: %s. Allowed vaults are in /etc/cmkd/cmkd.conf, [Vault NAME]",
                            key, why);
                return -EPERM;
        }
        snprintf(k.vault, sizeof(k.vault), "%s", vault->name);
        snprintf(k.algorithm, sizeof(k.algorithm), "%s", vault->rsa_algorithm ? vault->rsa_algorithm : ALGORITHM_RSA);
        k.timeout_usec = vault->timeout_usec;
        memcpy(k.expected, ret->expected, sizeof(k.expected));
        *ret = k;
        return 0;
}

int key_proof_check_boot(struct manager *m, const struct proven_key *k, struct outcome *o) {
        const struct vault_config *vault = config_vault_by_name(m->config, k->vault);
        const char *what = vault ? config_vault_login_on_disk(vault) : NULL;
        char uri[KEY_URI_MAX];

        if (!what)
                return 0;
        key_uri_format(&k->uri, uri, sizeof(uri));
        outcome_set(o, EXIT_CODE_POLICY, "Key %s is refused for role os: [Vault %s] has %s, and nothing of that is in an initramfs, which "
                    "anybody can read. Use a key that the machine's managed identity opens", uri, k->vault, what);
        return -EPERM;
}

int key_proof_check_store(struct manager *m, struct proven_key *k, struct outcome *o) {
        const struct vault_config *vault = config_vault_by_name(m->config, k->vault);
        const char *why = vault ? stored_key_objection(vault) : NULL;
        char uri[KEY_URI_MAX];

        k->stored = !why;
        if (!why)
                return 0;
        key_uri_format(&k->uri, uri, sizeof(uri));
        outcome_set(o, EXIT_CODE_POLICY, "Key %s is refused: %s", uri, why);
        return -EPERM;
}

int key_proof_start(struct manager *m, const struct key_proof_request *q, const struct proven_key *k, key_proof_done done,
                    void *user) {
        const struct vault_config *vault = config_vault_by_name(m->config, k->vault);
        struct key_proof *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        p->manager = m;
        p->key = *k;
        p->transit = vault && streq(vault->provider, "transit");
        p->accept_unsafe = q->nothing_lost || *q->accept_unsafe || (vault && vault->accept_unsafe);
        snprintf(p->subject, sizeof(p->subject), "%s", q->subject);
        snprintf(p->text, sizeof(p->text), "%s", q->key);
        snprintf(p->use_id, sizeof(p->use_id), "%s", q->use_id);
        snprintf(p->known, sizeof(p->known), "%s", strempty(q->known));
        p->done = done;
        p->user = user;
        r = ask(p, VAULT_OP_GET_KEY, NULL, 0, on_key);
        if (r < 0)
                free(p);
        return r;
}

void key_proof_request(const struct proven_key *k, enum vault_op op, const char *use_id, struct vault_request *q) {
        q->op = (uint8_t) op;
        q->key = k->uri;
        q->timeout_ms = (uint32_t) (k->timeout_usec / USEC_PER_MSEC);
        snprintf(q->vault, sizeof(q->vault), "%s", k->vault);
        snprintf(q->algorithm, sizeof(q->algorithm), "%s", k->algorithm);
        snprintf(q->client_request_id, sizeof(q->client_request_id), "%s", use_id);
}

void key_proof_fill(const struct proven_key *k, struct disk_request *q) {
        q->generation = 1;
        q->proof_time = k->time;
        key_uri_format(&k->uri, q->key, sizeof(q->key));
        snprintf(q->algorithm, sizeof(q->algorithm), "%s", k->algorithm);
        snprintf(q->proof_request_id, sizeof(q->proof_request_id), "%s", k->answer.request_id);
        memcpy(q->spki, k->spki, k->spki_size);
        q->spki_size = k->spki_size;
}
