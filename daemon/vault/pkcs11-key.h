/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a module says of a key, made into what the worker says of it. Pure; every length is the caller's buffer's, already checked. */

#include <p11-kit/pkcs11.h>

#include "common/secret.h"
#include "common/vault-proto.h"

#define PKCS11_MODULUS_MAX 512u
#define PKCS11_EXPONENT_MAX 8u

struct pkcs11_public {
        uint8_t modulus[PKCS11_MODULUS_MAX], exponent[PKCS11_EXPONENT_MAX];
        size_t modulus_size, exponent_size;
};

/* Fills spki, key_bits and *version (what pkcs11-uri.h's cmkd-version is: the first 16 bytes of the SHA-256 of spki). Returns 0,
 * -EBADMSG (no RSA key of 2048 to 4096 bits), -ENOMEM. */
int pkcs11_key_public(const struct pkcs11_public *k, struct vault_reply *ret, char version[static 33]);

/* RSA-OAEP with SHA-256 and no label, by the public key, of what is no secret: a challenge. Returns 0, -EBADMSG or -ENOMEM. */
int pkcs11_key_wrap(const struct vault_reply *key, const uint8_t *plain, size_t size, struct secret **ret);

/* Takes the padding of RSA-OAEP with SHA-256 off what plain RSA left: block is replaced by the message, in time that does not
 * depend on it. size: of the modulus; block may be shorter (leading zeros). Returns 0, -EBADMSG (it is none), or what
 * secret_new() says. */
int pkcs11_key_unpad(struct secret **block, size_t modulus_size);

/* CK_DATE, or nothing where size is 0: the first second of that day, or (end) the first one after it; 0: none. Returns 0 or
 * -EBADMSG. */
int pkcs11_key_date(const uint8_t *date, size_t size, bool end, uint64_t *ret);

/* A field of CK_TOKEN_INFO: padded with blanks (some modules: with NULs), not terminated. */
bool pkcs11_field_is(const uint8_t *field, size_t size, const char *text);

/* The same, as text: false where it is empty, has a character that is not printable, or does not fit into buf. */
bool pkcs11_field_text(const uint8_t *field, size_t size, char *buf, size_t buf_size);
