/* SPDX-License-Identifier: Apache-2.0 */
#define OPENSSL_SUPPRESS_DEPRECATED         /* padding without a key: there is no newer call for it */
#include "pkcs11-key.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <time.h>

#include "common/base64.h"

#define VERSION_BYTES 16u

static void pkey_freep(EVP_PKEY **p) { EVP_PKEY_free(*p); }
static void pkey_ctx_freep(EVP_PKEY_CTX **p) { EVP_PKEY_CTX_free(*p); }
static void bn_freep(BIGNUM **p) { BN_free(*p); }
static void param_bld_freep(OSSL_PARAM_BLD **p) { OSSL_PARAM_BLD_free(*p); }
static void params_freep(OSSL_PARAM **p) { OSSL_PARAM_free(*p); }

static int make_pkey(BIGNUM *n, BIGNUM *e, EVP_PKEY **ret) {
        _cleanup_(param_bld_freep) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
        _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
        _cleanup_(params_freep) OSSL_PARAM *params = NULL;

        if (!bld || !ctx || OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
            OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) != 1 || !(params = OSSL_PARAM_BLD_to_param(bld)))
                return -ENOMEM;
        if (EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, ret, EVP_PKEY_PUBLIC_KEY, params) != 1)
                return -EBADMSG;
        return 0;
}

int pkcs11_key_public(const struct pkcs11_public *k, struct vault_reply *ret, char version[static 33]) {
        _cleanup_(bn_freep) BIGNUM *n = BN_bin2bn(k->modulus, (int) k->modulus_size, NULL);
        _cleanup_(bn_freep) BIGNUM *e = BN_bin2bn(k->exponent, (int) k->exponent_size, NULL);
        _cleanup_(pkey_freep) EVP_PKEY *pkey = NULL;
        uint8_t digest[SHA256_DIGEST_LENGTH];
        unsigned char *out = ret->spki;
        int size, r;

        if (!n || !e)
                return -ENOMEM;
        if (BN_num_bits(n) < 2048 || !BN_is_odd(n) || !BN_is_odd(e) || BN_num_bits(e) < 2)
                return -EBADMSG;
        r = make_pkey(n, e, &pkey);
        if (r < 0)
                return r;
        size = i2d_PUBKEY(pkey, NULL);
        if (size <= 0 || (size_t) size > sizeof(ret->spki) || i2d_PUBKEY(pkey, &out) != size)
                return -EBADMSG;
        ret->spki_size = (size_t) size;
        ret->key_bits = (uint16_t) BN_num_bits(n);
        SHA256(ret->spki, ret->spki_size, digest);
        hex_encode(digest, VERSION_BYTES, version);
        return 0;
}

int pkcs11_key_wrap(const struct vault_reply *key, const uint8_t *plain, size_t size, struct secret **ret) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        _cleanup_(pkey_freep) EVP_PKEY *pkey = NULL;
        _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = NULL;
        const unsigned char *p = key->spki;
        size_t length = PKCS11_MODULUS_MAX;
        int r;

        pkey = d2i_PUBKEY(NULL, &p, (long) key->spki_size);
        ctx = pkey ? EVP_PKEY_CTX_new(pkey, NULL) : NULL;
        if (!ctx)
                return -ENOMEM;
        r = secret_new(length, &s);
        if (r < 0)
                return r;
        if (EVP_PKEY_encrypt_init(ctx) <= 0 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) <= 0 ||
            EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) <= 0 || EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) <= 0 ||
            EVP_PKEY_encrypt(ctx, secret_data(s), &length, plain, size) <= 0)
                return -EBADMSG;
        secret_shrink(s, length);
        *ret = TAKE_PTR(s);
        return 0;
}

int pkcs11_key_unpad(struct secret **block, size_t modulus_size) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        int n, r;

        if (secret_size(*block) > modulus_size || modulus_size > PKCS11_MODULUS_MAX)
                return -EBADMSG;
        r = secret_new(modulus_size, &s);
        if (r < 0)
                return r;
        n = RSA_padding_check_PKCS1_OAEP_mgf1(secret_data(s), (int) modulus_size, secret_cdata(*block), (int) secret_size(*block),
                                              (int) modulus_size, NULL, 0, EVP_sha256(), EVP_sha256());
        if (n <= 0)
                return -EBADMSG;
        secret_shrink(s, (size_t) n);
        secret_free(*block);
        *block = TAKE_PTR(s);
        return 0;
}

static int number(const uint8_t *s, size_t n) {
        int v = 0;

        for (size_t i = 0; i < n; i++) {
                if (s[i] < '0' || s[i] > '9')
                        return -1;
                v = 10 * v + (s[i] - '0');
        }
        return v;
}

int pkcs11_key_date(const uint8_t *date, size_t size, bool end, uint64_t *ret) {
        struct tm tm, again;
        time_t t;

        if (size == 0) {
                *ret = 0;
                return 0;
        }
        if (size != sizeof(CK_DATE))
                return -EBADMSG;
        tm = (struct tm) { .tm_year = number(date, 4) - 1900, .tm_mon = number(date + 4, 2) - 1, .tm_mday = number(date + 6, 2) };
        again = tm;
        t = timegm(&again);
        /* what timegm() would carry into another day is no date */
        if (t <= 0 || tm.tm_year < 70 || again.tm_year != tm.tm_year || again.tm_mon != tm.tm_mon || again.tm_mday != tm.tm_mday)
                return -EBADMSG;
        *ret = (uint64_t) t + (end ? 86400 : 0);
        return 0;
}

static size_t field_length(const uint8_t *field, size_t size) {
        while (size > 0 && (field[size - 1] == ' ' || !field[size - 1]))
                size--;
        return size;
}

bool pkcs11_field_is(const uint8_t *field, size_t size, const char *text) {
        size_t n = field_length(field, size);

        return strlen(text) == n && memcmp(field, text, n) == 0;
}

bool pkcs11_field_text(const uint8_t *field, size_t size, char *buf, size_t buf_size) {
        size_t n = field_length(field, size);

        if (n == 0 || n >= buf_size)
                return false;
        for (size_t i = 0; i < n; i++)
                if (field[i] < ' ' || field[i] > '~')
                        return false;
        memcpy(buf, field, n);
        buf[n] = 0;
        return true;
}
