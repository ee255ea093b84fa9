/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The bodies of good replies (status 200) of OpenBao and HashiCorp Vault: {"request_id": ..., "data": {...}, "auth": {...}}.
 * Pure; nothing is believed: lengths and types must be right, a field that is there twice is an error.
 *
 * Plaintexts, ciphertexts and tokens are taken out of the receive buffer into a struct secret, and overwritten there before
 * the JSON library sees the text, as in azure-reply.h. A reply of decrypt does not say which key it is about: only a
 * challenge's answer proves that. */

#include "common/secret.h"
#include "common/vault-proto.h"

#define TRANSIT_CIPHERTEXT_MAX 1400u      /* vault:v4294967295: and the base64 of VAULT_BLOB_MAX bytes */

/* Keys have versions from 1 up; the number of one that is in an identifier, or 0. */
uint32_t transit_version(const struct key_uri *u);

/* vault:vVERSION:BASE64. buf has room for TRANSIT_CIPHERTEXT_MAX. */
void transit_format_ciphertext(uint32_t version, const uint8_t *blob, size_t size, char *buf);

/* The body of decrypt: its data.plaintext, decoded. It is changed: the value is overwritten, also where this fails. Returns
 * 0; -EBADMSG with *ret_why, a static text; -ENOMEM, -EPERM: no secret to be had. request_id: the vault's, or "". */
int transit_parse_plaintext(char *body, size_t size, char request_id[static 129], struct secret **ret, const char **ret_why);

/* The body of encrypt: the bytes of data.ciphertext, which must be of that version. Otherwise the same. */
int transit_parse_ciphertext(char *body, size_t size, uint32_t version, char request_id[static 129], struct secret **ret,
                             const char **ret_why);

/* The body of GET keys/NAME: fills kid, key_flags, key_bits, key_type, recovery_level and (RSA) spki of the version asked for, or
 * of the newest; PURGE_PROTECTED is a key that can be neither deleted nor taken out as it is set now. A version below
 * min_decryption_version, and a key that is soft-deleted, is not ENABLED. Returns 0, -EBADMSG with *ret_why, -ENOMEM, or
 * -EOPNOTSUPP with *ret_why: a key of a type that is not used here. */
int transit_parse_key(const char *body, size_t size, const struct key_uri *asked, struct vault_reply *ret,
                      const char **ret_why);

struct transit_token {
        struct secret *token;        /* with its NUL */
        uint64_t lifetime_sec;       /* 0: for ever */
        bool renewable;
};

/* The body of a login or of renew-self. Returns as transit_parse_plaintext(). */
int transit_parse_token(char *body, size_t size, struct transit_token *ret, const char **ret_why);

/* Whether a login, whose body this is, gave no token but wants a second factor. Nothing is copied out of one with a token. */
bool transit_wants_more(const char *body, size_t size);

/* The body of sys/wrapping/lookup: what made the token, "" where the vault says nothing. Returns 0 or -EBADMSG. */
int transit_parse_wrapping(const char *body, size_t size, char ret[static 257]);

/* The body of sys/wrapping/unwrap: data.secret_id, with a NUL. Returns as transit_parse_plaintext(). */
int transit_parse_secret_id(char *body, size_t size, struct secret **ret, const char **ret_why);

/* The body of sys/health. Returns 0, -EBADMSG or -EHOSTDOWN: it is sealed. ret: the cluster's id, "" where the vault says none. */
int transit_parse_cluster(const char *body, size_t size, char ret[static 65]);
