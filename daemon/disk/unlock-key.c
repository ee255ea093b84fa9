/* SPDX-License-Identifier: Apache-2.0 */
#include "unlock-key.h"

#include "common/algorithm.h"

#include <inttypes.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static void kdf_freep(EVP_KDF **p) { EVP_KDF_free(*p); }
static void kdf_ctx_freep(EVP_KDF_CTX **p) { EVP_KDF_CTX_free(*p); }
static void pkey_freep(EVP_PKEY **p) { EVP_PKEY_free(*p); }
static void pkey_ctx_freep(EVP_PKEY_CTX **p) { EVP_PKEY_CTX_free(*p); }
static void bn_freep(BIGNUM **p) { BN_free(*p); }

static int hkdf(const char *hash, const struct secret *key, const uint8_t *salt, size_t salt_size, const char *info,
                size_t size, struct secret **ret) {
        _cleanup_(kdf_freep) EVP_KDF *kdf = NULL;
        _cleanup_(kdf_ctx_freep) EVP_KDF_CTX *ctx = NULL;
        _cleanup_(secret_freep) struct secret *s = NULL;
        OSSL_PARAM params[5], *p = params;
        int r;

        r = secret_new(size, &s);
        if (r < 0)
                return r;
        kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
        ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
        if (!ctx)
                return -ENOMEM;
        *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *) hash, 0);
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *) secret_cdata(key), secret_size(key));
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *) info, strlen(info));
        if (salt)
                *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *) salt, salt_size);
        *p = OSSL_PARAM_construct_end();
        if (EVP_KDF_derive(ctx, secret_data(s), size, params) <= 0)
                return -EIO;
        *ret = TAKE_PTR(s);
        return 0;
}

int unlock_key_derive(const struct secret *w, const uint8_t salt[static DISK_SALT_SIZE], const char *uuid,
                      enum role role, uint64_t generation, struct secret **ret) {
        char info[128];

        if (secret_size(w) != DISK_W_SIZE || !uuid_is_valid(uuid) || (unsigned) role >= _ROLE_MAX || generation == 0)
                return -EINVAL;
        snprintf(info, sizeof(info), "cmkd unlock v1|%s|%s|%" PRIu64, uuid, role_to_string(role), generation);
        return hkdf("SHA512", w, salt, DISK_SALT_SIZE, info, UNLOCK_KEY_SIZE, ret);
}

int manifest_key_derive(const struct secret *volume_key, struct secret **ret) {
        if (!volume_key_size_is_valid(secret_size(volume_key)))
                return -EINVAL;
        return hkdf("SHA256", volume_key, NULL, 0, "cmkd manifest v1", DISK_DIGEST_SIZE, ret);
}

int bridge_key_derive(const struct secret *volume_key, struct secret **ret) {
        if (!volume_key_size_is_valid(secret_size(volume_key)))
                return -EINVAL;
        return hkdf("SHA512", volume_key, NULL, 0, "cmkd reencryption v1", UNLOCK_KEY_SIZE, ret);
}

int trust_digest_compute(const struct secret *volume_key, const char *uuid, const char *name, enum role role,
                         uint8_t ret[static DISK_DIGEST_SIZE]) {
        uint8_t digest[DISK_DIGEST_SIZE];
        char text[256];
        size_t n;

        if (!volume_key_size_is_valid(secret_size(volume_key)) || !uuid_is_valid(uuid) || !volume_name_is_valid(name) ||
            (unsigned) role >= _ROLE_MAX)
                return -EINVAL;
        snprintf(text, sizeof(text), "cmkd trust v1|%s|%s|%s", uuid, name, role_to_string(role));
        if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret_cdata(volume_key), secret_size(volume_key),
                       (const unsigned char *) text, strlen(text), digest, sizeof(digest), &n) || n != sizeof(digest))
                return -EIO;
        memcpy(ret, digest, sizeof(digest));
        return 0;
}

static int check_rsa(const EVP_PKEY *key, const char **why) {
        _cleanup_(bn_freep) BIGNUM *e = NULL, *n = NULL;
        int bits;

        *why = "not an RSA key";
        if (!EVP_PKEY_is_a(key, "RSA"))
                return -EINVAL;
        *why = "RSA keys have 2048, 3072 or 4096 bits here";
        bits = EVP_PKEY_get_bits(key);
        if (bits != 2048 && bits != 3072 && bits != 4096)
                return -EINVAL;
        *why = "an RSA key with an odd exponent from 65537 to 2^64 is needed";
        if (!EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) ||
            !EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n))
                return -EINVAL;
        if (!BN_is_odd(e) || !BN_is_odd(n) || BN_num_bits(e) < 17 || BN_num_bits(e) > 64)
                return -EINVAL;
        return bits / 8;
}

static int public_key_parse(const uint8_t *spki, size_t size, EVP_PKEY **ret, const char **why) {
        _cleanup_(pkey_freep) EVP_PKEY *key = NULL;
        const unsigned char *p = spki;
        int r;

        *why = "not a public key in DER (SubjectPublicKeyInfo)";
        if (size == 0 || size > DISK_SPKI_MAX)
                return -EINVAL;
        key = d2i_PUBKEY(NULL, &p, (long) size);
        if (!key || p != spki + size)
                return -EINVAL;
        r = check_rsa(key, why);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(key);
        return r;
}

int public_key_check(const uint8_t *spki, size_t size, const char **ret_why) {
        _cleanup_(pkey_freep) EVP_PKEY *key = NULL;
        const char *unused;

        return public_key_parse(spki, size, &key, ret_why ?: &unused);
}

int wrap_secret(const char *algorithm, const uint8_t *spki, size_t spki_size, const struct secret *w,
                uint8_t ret[static DISK_WRAPPED_MAX], size_t *ret_size) {
        const EVP_MD *md = streq(algorithm, ALGORITHM_RSA_SHA1) ? EVP_sha1() : EVP_sha256();
        _cleanup_(pkey_freep) EVP_PKEY *key = NULL;
        _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = NULL;
        uint8_t out[DISK_WRAPPED_MAX];
        size_t n = sizeof(out);
        const char *why;
        int block;

        block = algorithm_is_rsa(algorithm) ? public_key_parse(spki, spki_size, &key, &why) : -EINVAL;
        if (block < 0)
                return block;
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        if (!ctx)
                return -ENOMEM;
        if (EVP_PKEY_encrypt_init(ctx) <= 0 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) <= 0 ||
            EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) <= 0 || EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) <= 0 ||
            EVP_PKEY_encrypt(ctx, out, &n, secret_cdata(w), secret_size(w)) <= 0 || n != (size_t) block)
                return -EIO;
        memcpy(ret, out, n);
        *ret_size = n;
        return 0;
}

bool digest_equal(const uint8_t a[static DISK_DIGEST_SIZE], const uint8_t b[static DISK_DIGEST_SIZE]) {
        return CRYPTO_memcmp(a, b, DISK_DIGEST_SIZE) == 0;
}
