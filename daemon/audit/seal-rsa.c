/* SPDX-License-Identifier: Apache-2.0 */
#include "seal-rsa.h"

#include "common/base64.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

struct seal_public {
        EVP_PKEY *key;
        char digest[CHAIN_HEX_SIZE + 1];
};

struct seal_private {
        struct seal_public half;           /* its key has both */
};

static void pkey_ctx_freep(EVP_PKEY_CTX **p) { EVP_PKEY_CTX_free(*p); }

static int compute_digest(struct seal_public *p) {
        uint8_t hash[CHAIN_HASH_SIZE], *der = NULL;
        int n = i2d_PUBKEY(p->key, &der);
        bool good;

        good = n > 0 && EVP_Digest(der, (size_t) n, hash, NULL, EVP_sha256(), NULL) > 0;
        OPENSSL_free(der);
        if (!good)
                return -EIO;
        chain_to_hex(hash, p->digest);
        return 0;
}

typedef EVP_PKEY *(*pem_reader)(FILE *, EVP_PKEY **, pem_password_cb *, void *);

static int load(const char *path, pem_reader reader, struct seal_public *ret, const char **ret_why) {
        _cleanup_(fclosep) FILE *f = fopen(path, "re");

        if (!f) {
                *ret_why = strerrordesc_np(errno);
                return -errno;
        }
        ret->key = reader(f, NULL, NULL, NULL);
        if (!ret->key) {
                *ret_why = "it is not such a key in PEM";
                return -EINVAL;
        }
        if (EVP_PKEY_get_base_id(ret->key) != EVP_PKEY_RSA || EVP_PKEY_get_bits(ret->key) < SEAL_BITS_MIN ||
            EVP_PKEY_get_bits(ret->key) > SEAL_BITS_MAX) {
                *ret_why = "it is not an RSA key of 2048 to 4096 bits";
                return -EKEYREJECTED;
        }
        *ret_why = "OpenSSL does not encode it";
        return compute_digest(ret);
}

int seal_public_load(const char *path, struct seal_public **ret, const char **ret_why) {
        _cleanup_(seal_public_freep) struct seal_public *p = calloc(1, sizeof(*p));
        int r;

        *ret_why = "out of memory";
        r = p ? load(path, PEM_read_PUBKEY, p, ret_why) : -ENOMEM;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

struct seal_public *seal_public_free(struct seal_public *p) {
        if (p)
                EVP_PKEY_free(p->key);
        free(p);
        return NULL;
}

const char *seal_public_digest(const struct seal_public *p) { return p->digest; }

static bool set_padding(EVP_PKEY_CTX *ctx) {
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
               EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) > 0 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0;
}

int seal_public_wrap(const struct seal_public *p, struct seal_key *k, char ret[static SEAL_WRAPPED_MAX + 1]) {
        _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(p->key, NULL);
        uint8_t wrapped[SEAL_BITS_MAX / 8];
        size_t n = sizeof(wrapped);

        if (!ctx)
                return -ENOMEM;
        if (EVP_PKEY_encrypt_init(ctx) <= 0 || !set_padding(ctx) ||
            EVP_PKEY_encrypt(ctx, wrapped, &n, seal_key_data(k), SEAL_KEY_SIZE) <= 0)
                return -EIO;
        base64_encode(wrapped, n, ret);
        return 0;
}

int seal_private_load(const char *path, struct seal_private **ret, const char **ret_why) {
        _cleanup_(seal_private_freep) struct seal_private *p = calloc(1, sizeof(*p));
        int r;

        *ret_why = "out of memory";
        r = p ? load(path, PEM_read_PrivateKey, &p->half, ret_why) : -ENOMEM;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

struct seal_private *seal_private_free(struct seal_private *p) {
        if (p)
                EVP_PKEY_free(p->half.key);
        free(p);
        return NULL;
}

const char *seal_private_digest(const struct seal_private *p) { return p->half.digest; }

int seal_private_unwrap(const struct seal_private *p, const char *wrapped, struct seal_key *ret) {
        _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(p->half.key, NULL);
        _cleanup_(secret_freep) struct secret *plain = NULL;
        uint8_t bytes[SEAL_BITS_MAX / 8];
        size_t n, size = SEAL_BITS_MAX / 8;
        int r;

        if (strlen(wrapped) > SEAL_WRAPPED_MAX || base64_decode(wrapped, strlen(wrapped), bytes, sizeof(bytes), &n) < 0)
                return -EINVAL;
        r = ctx ? secret_new(size, &plain) : -ENOMEM;
        if (r < 0)
                return r;
        if (EVP_PKEY_decrypt_init(ctx) <= 0 || !set_padding(ctx) ||
            EVP_PKEY_decrypt(ctx, secret_data(plain), &size, bytes, n) <= 0 || size != SEAL_KEY_SIZE)
                return -EKEYREJECTED;
        memcpy(seal_key_data(ret), secret_cdata(plain), SEAL_KEY_SIZE);
        return 0;
}
