/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* ClientKey=pkcs11:...: a service principal's key that stays in a token, as the keys of Provider=pkcs11 do. It signs there; what the
 * token says is the node's own trouble and never a verdict on the vault's key.
 *
 *   identity-aad ─► client-assertion ─ digest ─► client_key_sign ─► pkcs11-thread ─► C_Sign, CKM_RSA_PKCS_PSS */

#include "vault.h"

/* The session and its thread, which become the vault's (v->pkcs11); nothing where ClientKey= is a file. Before there are threads. Returns
 * 0, -ENOMEM or -errno (of setenv(3)). */
int client_key_open(struct vault *v);

/* RSA-PSS of a SHA-256, salt of the same length, by the key whose public half spki is. Returns 0 with *ret, the signature; or -EACCES
 * with why filled. deadline_usec: CLOCK_BOOTTIME. */
int client_key_sign(struct vault *v, const uint8_t digest[static 32], const uint8_t *spki, size_t spki_size, uint64_t deadline_usec,
                    struct secret **ret, struct judgement *why);
