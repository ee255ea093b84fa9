/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The LUKS2 token of type "cmkd", schema version 1. Strings in, strings out, no I/O.
 *
 *   {"type":"cmkd", "keyslots":["0"], "version":1, "uuid":UUID, "name":NAME, "role":ROLE, "generation":"1",
 *    "key":"https://HOST/keys/NAME/VERSION", "algorithm":"RSA-OAEP-256", "store":"token", "wrapped":BASE64,
 *    "salt":BASE64, "public_key":BASE64, "proof":{"time":"SECONDS","request_id":TEXT},
 *    "manifest":{"version":1,"mac":BASE64}}
 *
 * The algorithm may be RSA-OAEP too, which a cmkd from before it refuses. With a symmetric key (algorithm.h) the version is 2, and "canary" stands in the place of "public_key".
 * With an RSA key whose wrapped key the vault keeps (common/stored-key.h) it is 3, store is "vault", and "wrapped_sha256" stands in the
 * place of "wrapped".
 *
 * Who can write to the disk can write a token: until the manifest holds, nothing in it is more than a claim. Version 1
 * has exactly these members; whatever else comes needs a new version. Numbers of 64 bits are strings, as in LUKS2. */

#include "common/disk-proto.h"

#define TOKEN_TYPE "cmkd"
#define TOKEN_VERSION 1
#define TOKEN_VERSION_SYMMETRIC 2
#define TOKEN_VERSION_STORED 3
#define TOKEN_JSON_MAX 8192u
#define TOKEN_MAC_SIZE 32u
#define TOKEN_KEYSLOTS_MAX 32

struct token {
        int keyslot;
        char uuid[37];
        char name[65];
        enum role role;
        uint64_t generation;           /* from 1 */
        char key[513];                 /* canonical, with a version */
        char algorithm[33];
        bool stored;
        uint8_t wrapped[DISK_WRAPPED_MAX];     /* stored: its SHA-256 */
        size_t wrapped_size;
        uint8_t salt[DISK_SALT_SIZE];
        uint8_t spki[DISK_SPKI_MAX];   /* or the canary */
        size_t spki_size;
        uint64_t proof_time;           /* seconds since 1970; 0: none yet */
        char proof_request_id[129];
        uint8_t mac[TOKEN_MAC_SIZE];
};

/* Parses and checks everything that can be checked without a key: characters, lengths, that wrapped fits the public
 * key, that the key's identifier names a version. Returns 0, -EFBIG (more than TOKEN_JSON_MAX bytes), -EPROTONOSUPPORT
 * (a newer version), -EBADMSG (anything else) or -ENOMEM. *ret_why (may be NULL) is a static text on failure. */
int token_parse(const char *text, size_t size, struct token *ret, const char **ret_why);

/* Writes what token_parse() reads. The caller frees *ret. Returns 0, -EINVAL (the result would not be accepted) or
 * -ENOMEM. */
int token_format(const struct token *t, char **ret);
