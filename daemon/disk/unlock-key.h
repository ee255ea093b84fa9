/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Every derivation from a key, and the wrapping of W. Nothing here knows headers or devices.
 *
 *   W ── HKDF-SHA512(salt of the token, "cmkd unlock v1|UUID|role|generation") ──► unlock key (64): opens the keyslot
 *   volume key ── HMAC-SHA256("cmkd trust v1|UUID|NAME|ROLE") ──► trust digest (32): on the node's list
 *              ── HKDF-SHA256("cmkd manifest v1") ──► manifest key (32)
 *              ── HKDF-SHA512("cmkd reencryption v1") ──► bridge (64): opens the new volume key while its header is made
 *   W ── RSA-OAEP with SHA-256 and MGF1-SHA-256, pinned public key ──► wrapped W
 *
 * The derived keys are struct secret; OpenSSL's copies are wiped by it when it frees them. */

#include "common/disk-proto.h"
#include "common/secret.h"

#define UNLOCK_KEY_SIZE 64u
#define VOLUME_KEY_SIZE 64u
#define VOLUME_KEY_SIZE_MAX 128u         /* with a key for integrity tags behind it (activation.h) */

static inline bool volume_key_size_is_valid(size_t size) {
        return size == VOLUME_KEY_SIZE || size == VOLUME_KEY_SIZE + 32 || size == VOLUME_KEY_SIZE_MAX;
}

/* Each returns 0, -EINVAL (sizes, names that are not valid), -ENOMEM, -EPERM (as of secret_new()) or -EIO (OpenSSL
 * refuses; does not happen with these sizes). */
int unlock_key_derive(const struct secret *w, const uint8_t salt[static DISK_SALT_SIZE], const char *uuid,
                      enum role role, uint64_t generation, struct secret **ret);
int manifest_key_derive(const struct secret *volume_key, struct secret **ret);
int bridge_key_derive(const struct secret *volume_key, struct secret **ret);
int trust_digest_compute(const struct secret *volume_key, const char *uuid, const char *name, enum role role,
                         uint8_t ret[static DISK_DIGEST_SIZE]);

/* Checks a pinned public key: DER SubjectPublicKeyInfo with nothing after it, RSA of 2048, 3072 or 4096 bits, an odd
 * exponent from 65537 to 2^64. Returns the bytes of one block (256, 384, 512) or -EINVAL; *ret_why (may be NULL) then
 * is a static text. */
int public_key_check(const uint8_t *spki, size_t size, const char **ret_why);

/* Wraps w with the public key. Returns 0, -EINVAL (key as of public_key_check(), or no algorithm of RSA keys), -ENOMEM or -EIO. */
int wrap_secret(const char *algorithm, const uint8_t *spki, size_t spki_size, const struct secret *w,
                uint8_t ret[static DISK_WRAPPED_MAX], size_t *ret_size);

/* Constant time. */
bool digest_equal(const uint8_t a[static DISK_DIGEST_SIZE], const uint8_t b[static DISK_DIGEST_SIZE]);
