/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One token, reached by one module: what is asked of it, from the load of the module to the plaintext. One thread at a time, and
 * any call may hang or crash in the module: pkcs11-thread.c sees to that.
 *
 *   pkcs11_session_ask ─► token there (label, serial)? ─► session, login ─► private key (label, id, version) ─► attributes
 *            ▲                                                                                             │ └─► C_Decrypt, or
 *            └──── once more on a new session, where what was kept is over ◄─────────── pkcs11-verdict.c ◄─┘     C_UnwrapKey
 *
 * Nothing that a module says is believed to be of a sensible length. Nothing is written to the token. */

#include "pkcs11-key.h"
#include "pkcs11-verdict.h"

struct pkcs11_session;

struct pkcs11_place {
        const char *vault;               /* NAME of [Vault NAME] */
        const char *module;              /* path */
        const char *token;               /* label, copied */
        const char *pin_file;            /* or NULL: no login */
        bool whole_oaep;                 /* the module has to do it: no padding is taken off here */
};

struct pkcs11_question {
        enum vault_op op;                /* get key, wrap, unwrap */
        bool volumes;                    /* unwrap: the blob is a volume's, not a challenge of the public half that is asked for */
        bool sign;                       /* none of these: RSA-PSS of the SHA-256 in blob; the reply has spki then */
        struct key_uri key;
        bool fresh;                      /* on a new session, with a new login */
        uint8_t blob[VAULT_BLOB_MAX];
        size_t blob_size;
};

/* The texts of place must outlive the session. list: the module's functions, or NULL: it is loaded with the first question.
 * Returns 0 or -ENOMEM. */
int pkcs11_session_new(const struct pkcs11_place *place, CK_FUNCTION_LIST *list, struct pkcs11_session **ret);

/* Forgets; says nothing to the module, whose last call may have been one too many. Accepts NULL, returns NULL. */
struct pkcs11_session *pkcs11_session_free(struct pkcs11_session *s);

/* Fills y completely. *ret_value: as vault.h has it. */
void pkcs11_session_ask(struct pkcs11_session *s, const struct pkcs11_question *q, struct vault_reply *y,
                        struct secret **ret_value);
