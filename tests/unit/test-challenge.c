/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/challenge.c

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "manager/challenge.h"

static EVP_PKEY *key;
static uint8_t spki[1024];
static size_t spki_size;

static size_t to_spki(EVP_PKEY *k, uint8_t *out, size_t max) {
        unsigned char *der = NULL;
        int n = i2d_PUBKEY(k, &der);

        assert_true(n > 0 && (size_t) n <= max);
        memcpy(out, der, (size_t) n);
        OPENSSL_free(der);
        return (size_t) n;
}

static int setup(void **state _unused_) {
        key = EVP_RSA_gen(2048);
        if (!key)
                return -1;
        spki_size = to_spki(key, spki, sizeof(spki));
        return 0;
}

static int teardown(void **state _unused_) {
        EVP_PKEY_free(key);
        return 0;
}

/* What the vault does. */
static size_t unwrap(EVP_PKEY *k, const EVP_MD *md, const uint8_t *in, size_t size, uint8_t *out, size_t max) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k, NULL);
        size_t n = max;
        bool ok;

        ok = EVP_PKEY_decrypt_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
             EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) > 0 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) > 0 &&
             EVP_PKEY_decrypt(ctx, out, &n, in, size) > 0;
        EVP_PKEY_CTX_free(ctx);
        return ok ? n : 0;
}

static struct challenge *ask(uint8_t answer[static 512]) {
        struct challenge *c = NULL;
        const uint8_t *wrapped;
        size_t size;

        assert_int_equal(challenge_new(ALGORITHM_RSA, spki, spki_size, &c), 0);
        wrapped = challenge_wrapped(c, &size);
        assert_int_equal(size, 256);
        assert_int_equal(unwrap(key, EVP_sha256(), wrapped, size, answer, 512), CHALLENGE_SIZE);
        return c;
}

static void test_right_answer_once(void **state _unused_) {
        uint8_t answer[512];
        struct challenge *c = ask(answer);

        assert_int_equal(challenge_check(c, answer, CHALLENGE_SIZE, instant_now(), USEC_PER_SEC * 60), 0);
        assert_int_equal(challenge_check(c, answer, CHALLENGE_SIZE, instant_now(), USEC_PER_SEC * 60), -EALREADY);
        challenge_free(c);
}

static void test_wrong_answers(void **state _unused_) {
        uint8_t answer[512] = {}, other[512];
        struct challenge *c, *d;

        for (size_t i = 0; i < CHALLENGE_SIZE; i++) {
                c = ask(answer);
                answer[i] ^= 0x80;
                assert_int_equal(challenge_check(c, answer, CHALLENGE_SIZE, instant_now(), USEC_PER_SEC * 60),
                        -EBADMSG);
                answer[i] ^= 0x80;
                /* spent: the right answer after a wrong one comes too late */
                assert_int_equal(challenge_check(c, answer, CHALLENGE_SIZE, instant_now(), USEC_PER_SEC * 60),
                        -EALREADY);
                challenge_free(c);
                if (i == 2)
                        break;
        }
        for (size_t size = 0; size <= 64; size += 31) {
                c = ask(answer);
                assert_int_equal(challenge_check(c, answer, size, instant_now(), USEC_PER_SEC * 60), -EBADMSG);
                challenge_free(c);
        }
        /* an answer from memory: that of another challenge */
        c = ask(answer);
        d = ask(other);
        assert_memory_not_equal(answer, other, CHALLENGE_SIZE);
        assert_int_equal(challenge_check(d, answer, CHALLENGE_SIZE, instant_now(), USEC_PER_SEC * 60), -EBADMSG);
        challenge_free(c);
        challenge_free(d);
}

static void test_late_answers(void **state _unused_) {
        uint8_t answer[512];
        struct instant at;

        for (int i = 0; i < 4; i++) {
                struct challenge *c = ask(answer);

                at = challenge_issued(c);
                at.boottime_usec += i == 0 ? 10 * USEC_PER_SEC + 1 : 0;
                at.realtime_usec += i == 1 ? 10 * USEC_PER_SEC + 1 : 0;
                at.realtime_usec -= i == 2 ? 3600 * USEC_PER_SEC : 0;
                at.boottime_usec += i == 3 ? 10 * USEC_PER_SEC : 0;
                assert_int_equal(challenge_check(c, answer, CHALLENGE_SIZE, at, 10 * USEC_PER_SEC), i < 2 ? -ETIME : 0);
                assert_int_equal(challenge_check(c, answer, CHALLENGE_SIZE, at, 10 * USEC_PER_SEC), -EALREADY);
                challenge_free(c);
        }
}

static void test_issued_is_before(void **state _unused_) {
        struct instant before = instant_now(), issued;
        uint8_t answer[512];
        struct challenge *c = ask(answer);

        issued = challenge_issued(c);
        assert_true(issued.boottime_usec >= before.boottime_usec && issued.boottime_usec <= now_boottime_usec());
        challenge_free(c);
        assert_null(challenge_free(NULL));
}

static void test_digest_of_the_padding(void **state _unused_) {
        for (int sha1 = 0; sha1 < 2; sha1++) {
                struct challenge *c = NULL;
                const uint8_t *wrapped;
                uint8_t out[512];
                size_t size;

                assert_int_equal(challenge_new(sha1 ? ALGORITHM_RSA_SHA1 : ALGORITHM_RSA, spki, spki_size, &c), 0);
                wrapped = challenge_wrapped(c, &size);
                assert_int_equal(unwrap(key, sha1 ? EVP_sha256() : EVP_sha1(), wrapped, size, out, sizeof(out)), 0);
                assert_int_equal(unwrap(key, sha1 ? EVP_sha1() : EVP_sha256(), wrapped, size, out, sizeof(out)), CHALLENGE_SIZE);
                assert_int_equal(challenge_check(c, out, CHALLENGE_SIZE, instant_now(), USEC_PER_SEC * 60), 0);
                challenge_free(c);
        }
}

static void test_sizes_of_keys(void **state _unused_) {
        static const struct { unsigned bits; int r; } table[] = {
                { 1024, -EKEYREJECTED }, { 2048, 0 }, { 2056, -EKEYREJECTED }, { 3072, 0 },
        };
        uint8_t der[1024];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                EVP_PKEY *k = EVP_RSA_gen(table[i].bits);
                struct challenge *c = NULL;
                unsigned bits = 0;
                size_t n;

                assert_non_null(k);
                n = to_spki(k, der, sizeof(der));
                assert_int_equal(challenge_check_key(ALGORITHM_RSA, der, n, &bits), table[i].r);
                assert_int_equal(bits, table[i].r == 0 ? table[i].bits : 0);
                assert_int_equal(challenge_new(ALGORITHM_RSA, der, n, &c), table[i].r);
                challenge_free(c);
                EVP_PKEY_free(k);
        }
}

/* A public key of that modulus' size with any exponent: nothing of it is ever used to compute. */
static size_t make_spki(int bits, const char *exponent, uint8_t *out, size_t max) {
        OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
        BIGNUM *n = BN_new(), *e = NULL;
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
        EVP_PKEY *k = NULL;
        OSSL_PARAM *params;
        size_t size;

        assert_true(BN_rand(n, bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD) && BN_hex2bn(&e, exponent));
        assert_true(OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n) && OSSL_PARAM_BLD_push_BN(b,
                OSSL_PKEY_PARAM_RSA_E, e));
        params = OSSL_PARAM_BLD_to_param(b);
        assert_true(EVP_PKEY_fromdata_init(ctx) > 0);
        assert_true(EVP_PKEY_fromdata(ctx, &k, EVP_PKEY_PUBLIC_KEY, params) > 0);
        size = to_spki(k, out, max);
        OSSL_PARAM_free(params);
        OSSL_PARAM_BLD_free(b);
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(k);
        BN_free(n);
        BN_free(e);
        return size;
}

static void test_exponents(void **state _unused_) {
        static const struct { const char *hex; int r; } table[] = {
                { "1", -EKEYREJECTED }, { "3", -EKEYREJECTED }, { "10000", -EKEYREJECTED }, { "10001", 0 },
                { "10002", -EKEYREJECTED }, { "10003", 0 }, { "1000000000000000001", -EKEYREJECTED },
        };
        uint8_t der[1024];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                size_t n = make_spki(4096, table[i].hex, der, sizeof(der));

                if (challenge_check_key(ALGORITHM_RSA, der, n, NULL) != table[i].r)
                        fail_msg("exponent 0x%s", table[i].hex);
        }
}

static void test_not_a_key(void **state _unused_) {
        uint8_t der[1024] = {};
        struct challenge *c = NULL;
        EVP_PKEY *ec = EVP_EC_gen("P-256");
        size_t n;

        n = to_spki(ec, der, sizeof(der));
        assert_int_equal(challenge_check_key(ALGORITHM_RSA, der, n, NULL), -EKEYREJECTED);
        EVP_PKEY_free(ec);
        assert_int_equal(challenge_new(ALGORITHM_RSA, der, 0, &c), -EINVAL);
        for (n = 0; n < spki_size; n++)
                assert_int_equal(challenge_check_key(ALGORITHM_RSA, spki, n, NULL), -EINVAL);
        memcpy(der, spki, spki_size);
        der[spki_size] = 0;
        assert_int_equal(challenge_check_key(ALGORITHM_RSA, der, spki_size + 1, NULL), -EINVAL);
        assert_null(c);
        /* no flipped bit crashes or passes for another size */
        for (size_t i = 0; i < 40; i++)
                for (int bit = 0; bit < 8; bit++) {
                        memcpy(der, spki, spki_size);
                        der[i] ^= (uint8_t) (1 << bit);
                        (void) challenge_check_key(ALGORITHM_RSA, der, spki_size, NULL);
                }
}

/* The vault is asked the same each time; what it answers is not kept, only its digest. */
static void check_canary(const char *algorithm, size_t overhead) {
        uint8_t plain[CANARY_PLAIN_SIZE], wrapped[CANARY_WRAPPED_MAX + 1], pin[CANARY_SIZE_MAX], wrong[CANARY_PLAIN_SIZE];
        size_t wrapped_size = sizeof(plain) + overhead, pin_size = 1 + CANARY_DIGEST_SIZE + wrapped_size;
        struct challenge *c = NULL;
        const uint8_t *sent;
        unsigned bits = 7;
        size_t size;

        random_bytes(plain, sizeof(plain));
        random_bytes(wrapped, sizeof(wrapped));
        assert_int_equal(challenge_make_canary(algorithm, plain, wrapped, wrapped_size - 1, pin), -EINVAL);
        assert_int_equal(challenge_make_canary(algorithm, plain, wrapped, wrapped_size + 1, pin), -EINVAL);
        assert_int_equal(challenge_make_canary(ALGORITHM_RSA, plain, wrapped, sizeof(plain), pin), -EINVAL);
        assert_int_equal(challenge_make_canary(algorithm, plain, wrapped, wrapped_size, pin), 0);
        assert_int_equal(canary_size(algorithm), pin_size);
        assert_null(memmem(pin, pin_size, plain, sizeof(plain)));
        assert_int_equal(challenge_check_key(algorithm, pin, pin_size, &bits), 0);
        assert_int_equal(bits, 0);
        for (unsigned n = 0; n < 2; n++) {
                assert_int_equal(challenge_new(algorithm, pin, pin_size, &c), 0);
                sent = challenge_wrapped(c, &size);
                assert_int_equal(size, wrapped_size);
                assert_memory_equal(sent, wrapped, size);
                assert_int_equal(challenge_check(c, plain, sizeof(plain), instant_now(), USEC_PER_SEC * 60), 0);
                assert_int_equal(challenge_check(c, plain, sizeof(plain), instant_now(), USEC_PER_SEC * 60), -EALREADY);
                c = challenge_free(c);
        }
        memcpy(wrong, plain, sizeof(wrong));
        wrong[31] ^= 1;
        assert_int_equal(challenge_new(algorithm, pin, pin_size, &c), 0);
        assert_int_equal(challenge_check(c, wrong, sizeof(wrong), instant_now(), USEC_PER_SEC * 60), -EBADMSG);
        c = challenge_free(c);
        /* the digest is no answer, nor is a part of one */
        assert_int_equal(challenge_new(algorithm, pin, pin_size, &c), 0);
        assert_int_equal(challenge_check(c, pin + 1, CANARY_DIGEST_SIZE, instant_now(), USEC_PER_SEC * 60), -EBADMSG);
        c = challenge_free(c);
        assert_int_equal(challenge_new(algorithm, pin, pin_size, &c), 0);
        assert_int_equal(challenge_check(c, plain, 31, instant_now(), USEC_PER_SEC * 60), -EBADMSG);
        c = challenge_free(c);
        /* another algorithm's, and none's */
        assert_int_equal(challenge_check_key(overhead == 8 ? ALGORITHM_AES : ALGORITHM_KW, pin, pin_size, NULL), -EINVAL);
        assert_int_equal(challenge_check_key(ALGORITHM_RSA, pin, pin_size, NULL), -EINVAL);
        assert_int_equal(challenge_check_key("A128KW", pin, pin_size, NULL), -EINVAL);
        assert_int_equal(challenge_check_key(algorithm, spki, spki_size, NULL), -EINVAL);
        pin[0] = 2;
        assert_int_equal(challenge_check_key(algorithm, pin, pin_size, NULL), -EINVAL);
        assert_int_equal(challenge_check_key(algorithm, pin, pin_size - 1, NULL), -EINVAL);
}

static void test_canary(void **state _unused_) {
        check_canary(ALGORITHM_AES, 28);
        check_canary(ALGORITHM_CHACHA, 28);
        check_canary(ALGORITHM_KW, 8);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_right_answer_once),
                cmocka_unit_test(test_wrong_answers),
                cmocka_unit_test(test_late_answers),
                cmocka_unit_test(test_issued_is_before),
                cmocka_unit_test(test_digest_of_the_padding),
                cmocka_unit_test(test_sizes_of_keys),
                cmocka_unit_test(test_exponents),
                cmocka_unit_test(test_not_a_key),
                cmocka_unit_test(test_canary),
        };
        return cmocka_run_group_tests_name("challenge", tests, setup, teardown);
}
