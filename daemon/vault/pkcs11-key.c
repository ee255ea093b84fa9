/* SPDX-License-Identifier: Apache-2.0 */
#define OPENSSL_SUPPRESS_DEPRECATED         /* padding without a key: there is no newer call for it */
#include "pkcs11-key.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <time.h>

#include "common/base64.h"
#include "rsa-public.h"

#define VERSION_BYTES 16u

static void pkey_freep(EVP_PKEY **p) { EVP_PKEY_free(*p); }
static void pkey_ctx_freep(EVP_PKEY_CTX **p) { EVP_PKEY_CTX_free(*p); }
int pkcs11_key_public(const struct pkcs11_public *k, struct vault_reply *ret, char version[static 33]) {
        const struct rsa_numbers n = {
                .modulus = k->modulus, .modulus_size = k->modulus_size, .exponent = k->exponent, .exponent_size = k->exponent_size,
        };
        uint8_t digest[SHA256_DIGEST_LENGTH];
        const char *why;
        int r;

        r = rsa_public_encode(&n, ret, &why);
        if (r < 0)
                return r;
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
