/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The auditor's RSA key: the node has its public half and wraps the first key of an epoch to it (RSA-OAEP with SHA-256,
 * as vaults unwrap it); the private half is with the auditor, in a file or in a vault. */

#include "seal.h"

#define SEAL_BITS_MIN 2048
#define SEAL_BITS_MAX 4096
#define SEAL_WRAPPED_MAX 684u              /* characters of base64: 4096 bits */
#define SEAL_ALGORITHM "RSA-OAEP-256"

struct seal_public;
struct seal_private;

/* Reads a PEM file with a public key (SPKI). *ret_why: static text. Returns 0, -EINVAL (no public key), -EKEYREJECTED (not
 * RSA of 2048 to 4096 bits), -ENOMEM, or what reading says. */
int seal_public_load(const char *path, struct seal_public **ret, const char **ret_why);
struct seal_public *seal_public_free(struct seal_public *p);
static inline void seal_public_freep(struct seal_public **p) { seal_public_free(*p); }

/* SHA-256 of its SPKI, in hex: which key an epoch is wrapped to. */
const char *seal_public_digest(const struct seal_public *p);

/* Wraps the key; ret: base64 and NUL. Returns 0, -ENOMEM or -EIO. */
int seal_public_wrap(const struct seal_public *p, struct seal_key *k, char ret[static SEAL_WRAPPED_MAX + 1]);

/* The same for a private key; one with a passphrase has it asked for on the terminal. */
int seal_private_load(const char *path, struct seal_private **ret, const char **ret_why);
struct seal_private *seal_private_free(struct seal_private *p);
static inline void seal_private_freep(struct seal_private **p) { seal_private_free(*p); }
const char *seal_private_digest(const struct seal_private *p);

/* Unwraps base64 into the key. Returns 0, -EINVAL (not base64 of the right length), -EKEYREJECTED (not wrapped to this
 * key, or not a key), -ENOMEM or what secret_new() says. */
int seal_private_unwrap(const struct seal_private *p, const char *wrapped, struct seal_key *ret);
