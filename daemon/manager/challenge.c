/* SPDX-License-Identifier: Apache-2.0 */
#include "challenge.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define EXPONENT_MIN 65537u

struct challenge {
        bool canary;
        uint8_t plain[CHALLENGE_SIZE];     /* or, of a canary, its SHA-256 */
        uint8_t wrapped[CHALLENGE_WRAPPED_MAX];
        size_t wrapped_size;
        struct instant issued;
        bool spent;
};

static void pkey_freep(EVP_PKEY **p) { EVP_PKEY_free(*p); }
static void pkey_ctx_freep(EVP_PKEY_CTX **p) { EVP_PKEY_CTX_free(*p); }
static void bn_freep(BIGNUM **p) { BN_free(*p); }

static int load_key(const uint8_t *spki, size_t spki_size, EVP_PKEY **ret, unsigned *ret_bits) {
        _cleanup_(pkey_freep) EVP_PKEY *key = NULL;
        _cleanup_(bn_freep) BIGNUM *e = NULL;
        const unsigned char *p = spki;
        int bits;

        if (spki_size == 0 || spki_size > LONG_MAX)
                return -EINVAL;
        key = d2i_PUBKEY(NULL, &p, (long) spki_size);
        if (!key || p != spki + spki_size)
                return -EINVAL;
        bits = EVP_PKEY_get_bits(key);
        if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || (bits != 2048 && bits != 3072 && bits != 4096))
                return -EKEYREJECTED;
        if (!EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e))
                return -EIO;
        /* a huge exponent is a slow one, and no key service makes them */
        if (!BN_is_odd(e) || BN_num_bits(e) > 64 || BN_get_word(e) < EXPONENT_MIN)
                return -EKEYREJECTED;
        *ret = TAKE_PTR(key);
        *ret_bits = (unsigned) bits;
        return 0;
}

/* *ret_key: NULL of a canary. */
static int load_pinned(const char *algorithm, const uint8_t *pin, size_t size, EVP_PKEY **ret_key, unsigned *ret_bits) {
        if (algorithm_is_symmetric(algorithm))
                return canary_is_valid(algorithm, pin, size) ? 0 : -EINVAL;
        return algorithm_is_rsa(algorithm) ? load_key(pin, size, ret_key, ret_bits) : -EINVAL;
}

int challenge_check_key(const char *algorithm, const uint8_t *spki, size_t spki_size, unsigned *ret_bits) {
        _cleanup_(pkey_freep) EVP_PKEY *key = NULL;
        unsigned bits = 0;
        int r;

        r = load_pinned(algorithm, spki, spki_size, &key, &bits);
        if (r >= 0 && ret_bits)
                *ret_bits = bits;
        return r;
}

static int wrap(const char *algorithm, EVP_PKEY *key, struct challenge *c) {
        _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
        const EVP_MD *md = streq(algorithm, ALGORITHM_RSA_SHA1) ? EVP_sha1() : EVP_sha256();

        if (!ctx)
                return -ENOMEM;
        c->wrapped_size = sizeof(c->wrapped);
        if (EVP_PKEY_encrypt_init(ctx) <= 0 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) <= 0 ||
            EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) <= 0 || EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) <= 0 ||
            EVP_PKEY_encrypt(ctx, c->wrapped, &c->wrapped_size, c->plain, sizeof(c->plain)) <= 0)
                return -EIO;
        return 0;
}

_Static_assert(CHALLENGE_SIZE == CANARY_DIGEST_SIZE && CHALLENGE_SIZE == CANARY_PLAIN_SIZE, "one length for both");

static void take_canary(const uint8_t *pin, size_t size, struct challenge *c) {
        c->canary = true;
        memcpy(c->plain, pin + 1, CANARY_DIGEST_SIZE);
        c->wrapped_size = size - 1 - CANARY_DIGEST_SIZE;
        memcpy(c->wrapped, pin + 1 + CANARY_DIGEST_SIZE, c->wrapped_size);
}

int challenge_new(const char *algorithm, const uint8_t *spki, size_t spki_size, struct challenge **ret) {
        _cleanup_(challenge_freep) struct challenge *c = NULL;
        _cleanup_(pkey_freep) EVP_PKEY *key = NULL;
        unsigned bits;
        int r;

        r = load_pinned(algorithm, spki, spki_size, &key, &bits);
        if (r < 0)
                return r;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->issued = instant_now();
        if (!key)
                take_canary(spki, spki_size, c);
        else {
                random_bytes(c->plain, sizeof(c->plain));
                r = wrap(algorithm, key, c);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

static int digest(const void *data, size_t size, uint8_t ret[static CANARY_DIGEST_SIZE]) {
        return EVP_Digest(data, size, ret, NULL, EVP_sha256(), NULL) > 0 ? 0 : -EIO;
}

int challenge_make_canary(const char *algorithm, const uint8_t plain[static CANARY_PLAIN_SIZE], const uint8_t *wrapped, size_t size,
                          uint8_t ret[static CANARY_SIZE_MAX]) {
        if (!algorithm_is_symmetric(algorithm) || size != CANARY_PLAIN_SIZE + algorithm_overhead(algorithm) ||
            digest(plain, CANARY_PLAIN_SIZE, ret + 1) < 0)
                return -EINVAL;
        ret[0] = CANARY_FORM;
        memcpy(ret + 1 + CANARY_DIGEST_SIZE, wrapped, size);
        return 0;
}

struct challenge *challenge_free(struct challenge *c) {
        if (c)
                explicit_bzero(c, sizeof(*c));
        free(c);
        return NULL;
}

const uint8_t *challenge_wrapped(const struct challenge *c, size_t *ret_size) {
        *ret_size = c->wrapped_size;
        return c->wrapped;
}

struct instant challenge_issued(const struct challenge *c) {
        return c->issued;
}

static bool is_within(uint64_t issued, uint64_t now, uint64_t max_age) {
        return now < issued || now - issued <= max_age;
}

int challenge_check(struct challenge *c, const void *answer, size_t size, struct instant now, uint64_t max_age_usec) {
        uint8_t hash[CANARY_DIGEST_SIZE];
        bool same;

        if (c->spent)
                return -EALREADY;
        c->spent = true;
        same = size == sizeof(c->plain);
        if (same && c->canary) {
                same = digest(answer, size, hash) >= 0;
                answer = hash;
        }
        same = same && CRYPTO_memcmp(c->plain, answer, sizeof(c->plain)) == 0;
        explicit_bzero(c->plain, sizeof(c->plain));
        if (!same)
                return -EBADMSG;
        if (!is_within(c->issued.boottime_usec, now.boottime_usec, max_age_usec) ||
            !is_within(c->issued.realtime_usec, now.realtime_usec, max_age_usec))
                return -ETIME;
        return 0;
}
