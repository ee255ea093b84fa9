/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether a key can be a volume's: what format and enroll ask its vault before anything is written.
 *
 *   get key, checks of key and vault, pin.h ─► wrapKey (this node may) ─► challenge by the public key that is about to be pinned
 *
 * With a symmetric key what is wrapped becomes the canary that is pinned, unless a volume of this node has one of that key already:
 * then it is polled by that. */

#include "common/key-digest.h"
#include "common/vault-proto.h"
#include "operation.h"

struct key_proof;

struct key_proof_request {
        const char *subject;             /* for messages: the device, the volume */
        const char *key;                 /* as it was said, with a version or without */
        const char *accept_unsafe;       /* the reason, or empty */
        bool nothing_lost;               /* with the key: of a drill's volume, purge protection or not */
        const char *use_id;              /* for the vault's own records */
        const char *known;               /* NULL, or a version that is not to be proven again: what was said of it then is all */
};

/* A key that is one. */
struct proven_key {
        struct key_uri uri;              /* with the version that the vault named */
        char vault[65];                  /* section of the configuration, as it was when this began */
        uint64_t timeout_usec;
        char algorithm[33];
        uint8_t spki[DISK_SPKI_MAX];     /* or the canary */
        size_t spki_size;
        char expected[KEY_DIGEST_SIZE];  /* what its public key is to be (pin.h); empty: nothing was said */
        bool stored;                     /* its wrapped key is to be kept in the vault: key_proof_check_store() */
        uint64_t time;                   /* of the proof, seconds since 1970 */
        struct vault_reply answer;       /* the last one: of the challenge, or the one that says why not */
};

/* o: done, or why not. k: with o done; else what is known of it. Both are valid during the call only. */
typedef void (*key_proof_done)(const struct outcome *o, const struct proven_key *k, void *user);

/* Parses the key and finds its vault. Returns 0 with *ret filled as far as that goes (expected stays), or -EINVAL (no key) or -EPERM (not
 * allowed) with the outcome filled in. */
int key_proof_check(struct manager *m, const char *key, struct proven_key *ret, struct outcome *o);

/* The same for a volume of role os, which is opened where no file of a login is: returns 0, or -EPERM with the outcome filled in. */
int key_proof_check_boot(struct manager *m, const struct proven_key *k, struct outcome *o);

/* Whether its vault can keep the wrapped key. Returns 0 with k->stored set, or -EPERM with the outcome filled in. */
int key_proof_check_store(struct manager *m, struct proven_key *k, struct outcome *o);

/* k: as key_proof_check() left it. The texts of q are copied. done is called exactly once, never from inside this call.
 * Returns 0 or -ENOMEM. */
int key_proof_start(struct manager *m, const struct key_proof_request *q, const struct proven_key *k, key_proof_done done,
                    void *user);

/* What a key that was proven goes by in a request of its own. blob stays empty. */
void key_proof_request(const struct proven_key *k, enum vault_op op, const char *use_id, struct vault_request *q);

/* Fills in what a request to cmkd-disk says of a key that is to be enrolled. */
void key_proof_fill(const struct proven_key *k, struct disk_request *q);
