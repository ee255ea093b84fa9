/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/unlock-key.c daemon/disk/manifest.c daemon/disk/strict-json.c
// libs: json-c

/* Derivations against values computed with another implementation (Python's cryptography), and wrapping against the
 * private key. */

#include "common/base64.h"
#include "disk/manifest.h"
#include "disk/strict-json.h"
#include "disk/unlock-key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define UUID "8d2f6e3c-5b1a-4f7e-9c0d-112233445566"

static struct secret *counting(size_t size) {
        struct secret *s;

        assert_int_equal(secret_new(size, &s), 0);
        for (size_t i = 0; i < size; i++)
                secret_data(s)[i] = (uint8_t) i;
        return s;
}

static void expect_hex(const uint8_t *p, size_t size, const char *hex) {
        char text[257];

        hex_encode(p, size, text);
        assert_string_equal(text, hex);
}

static void test_derivations(void **state) {
        _cleanup_(secret_freep) struct secret *w = counting(64), *key = NULL, *manifest = NULL;
        uint8_t salt[DISK_SALT_SIZE], digest[DISK_DIGEST_SIZE];

        (void) state;
        memcpy(salt, secret_cdata(w), sizeof(salt));
        assert_int_equal(unlock_key_derive(w, salt, UUID, ROLE_DATA, 1, &key), 0);
        assert_int_equal(secret_size(key), UNLOCK_KEY_SIZE);
        expect_hex(secret_cdata(key), 64, "95b83298c23c7019cc0bc876241b66e22cfe821fc6ff5a496755303e915e420c"
                                          "76173b9bff12449a29ce10491af3be6048859a10ff9e388d4da2a7faffaacadc");
        assert_int_equal(manifest_key_derive(w, &manifest), 0);
        expect_hex(secret_cdata(manifest), 32, "b1ac3e0a6e4b582e4a6c9a3f8eaa65d9c11690c11decf2b8fac84a9c3cba5fe5");
        assert_int_equal(trust_digest_compute(w, UUID, "data1", ROLE_DATA, digest), 0);
        expect_hex(digest, 32, "41cb32a49b603b775cc64ba635bd8682ead20208124ca888032edafbfb7a5cae");
}

static void test_derivations_differ(void **state) {
        _cleanup_(secret_freep) struct secret *w = counting(64), *a = NULL, *b = NULL, *c = NULL, *d = NULL;
        uint8_t salt[DISK_SALT_SIZE] = {}, x[DISK_DIGEST_SIZE], y[DISK_DIGEST_SIZE];

        (void) state;
        assert_int_equal(unlock_key_derive(w, salt, UUID, ROLE_DATA, 1, &a), 0);
        assert_int_equal(unlock_key_derive(w, salt, UUID, ROLE_DATA, 2, &b), 0);
        assert_int_equal(unlock_key_derive(w, salt, UUID, ROLE_OS, 1, &c), 0);
        salt[31] = 1;
        assert_int_equal(unlock_key_derive(w, salt, UUID, ROLE_DATA, 1, &d), 0);
        assert_false(secret_equal(a, b) || secret_equal(a, c) || secret_equal(a, d));
        assert_int_equal(trust_digest_compute(w, UUID, "data1", ROLE_DATA, x), 0);
        assert_int_equal(trust_digest_compute(w, UUID, "data2", ROLE_DATA, y), 0);
        assert_false(digest_equal(x, y));
        assert_int_equal(trust_digest_compute(w, UUID, "data1", ROLE_OS, y), 0);
        assert_false(digest_equal(x, y));
}

static void test_bad_arguments(void **state) {
        _cleanup_(secret_freep) struct secret *w = counting(64), *small = counting(63);
        uint8_t salt[DISK_SALT_SIZE] = {}, digest[DISK_DIGEST_SIZE];
        struct secret *key = NULL;

        (void) state;
        assert_int_equal(unlock_key_derive(small, salt, UUID, ROLE_DATA, 1, &key), -EINVAL);
        assert_int_equal(unlock_key_derive(w, salt, "x|y", ROLE_DATA, 1, &key), -EINVAL);
        assert_int_equal(unlock_key_derive(w, salt, UUID, ROLE_DATA, 0, &key), -EINVAL);
        assert_int_equal(unlock_key_derive(w, salt, UUID, _ROLE_MAX, 1, &key), -EINVAL);
        assert_int_equal(trust_digest_compute(w, UUID, "a|b", ROLE_DATA, digest), -EINVAL);
        assert_int_equal(trust_digest_compute(small, UUID, "a", ROLE_DATA, digest), -EINVAL);
        assert_null(key);
}

static size_t encode_public(EVP_PKEY *key, uint8_t *buf) {
        unsigned char *p = buf;

        return (size_t) i2d_PUBKEY(key, &p);
}

static void check_wrap(const char *algorithm, const EVP_MD *md) {
        _cleanup_(secret_freep) struct secret *w = counting(64);
        EVP_PKEY *key = EVP_RSA_gen(2048);
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
        uint8_t spki[DISK_SPKI_MAX], wrapped[DISK_WRAPPED_MAX], out[DISK_WRAPPED_MAX];
        size_t n, size = encode_public(key, spki), plain = sizeof(out);

        assert_int_equal(public_key_check(spki, size, NULL), 256);
        assert_int_equal(wrap_secret("RSA1_5", spki, size, w, wrapped, &n), -EINVAL);
        assert_int_equal(wrap_secret(algorithm, spki, size, w, wrapped, &n), 0);
        assert_int_equal(n, 256);
        assert_true(EVP_PKEY_decrypt_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
                    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) > 0 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) > 0);
        assert_true(EVP_PKEY_decrypt(ctx, out, &plain, wrapped, n) > 0);
        assert_int_equal(plain, 64);
        assert_memory_equal(out, secret_cdata(w), 64);
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(key);
}

static void test_wrap(void **state _unused_) {
        check_wrap("RSA-OAEP-256", EVP_sha256());
        check_wrap("RSA-OAEP", EVP_sha1());
}

static size_t rsa_with_exponent(unsigned bits, uint64_t exponent, uint8_t *buf) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        BIGNUM *n = BN_new(), *e = BN_new();
        EVP_PKEY *key = NULL;
        OSSL_PARAM *params;
        size_t size;

        BN_rand(n, (int) bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD);
        BN_set_word(e, exponent);
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n);
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e);
        params = OSSL_PARAM_BLD_to_param(build);
        assert_true(EVP_PKEY_fromdata_init(ctx) > 0 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) > 0);
        size = encode_public(key, buf);
        EVP_PKEY_free(key);
        EVP_PKEY_CTX_free(ctx);
        OSSL_PARAM_free(params);
        OSSL_PARAM_BLD_free(build);
        BN_free(n);
        BN_free(e);
        return size;
}

static void test_public_keys(void **state) {
        static const struct { unsigned bits; uint64_t e; int result; } cases[] = {
                { 2048, 65537, 256 }, { 3072, 65537, 384 }, { 4096, 65537, 512 },
                { 1024, 65537, -EINVAL }, { 2056, 65537, -EINVAL }, { 2048, 3, -EINVAL }, { 2048, 65538, -EINVAL },
        };
        uint8_t spki[DISK_SPKI_MAX + 1];
        const char *why;
        EVP_PKEY *ec = EVP_EC_gen("P-256");
        size_t n;

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                n = rsa_with_exponent(cases[i].bits, cases[i].e, spki);
                assert_int_equal(public_key_check(spki, n, &why), cases[i].result);
        }
        n = rsa_with_exponent(2048, 65537, spki);
        assert_int_equal(public_key_check(spki, n + 1, &why), -EINVAL);
        assert_int_equal(public_key_check(spki, n - 1, &why), -EINVAL);
        assert_int_equal(public_key_check(spki, 0, &why), -EINVAL);
        assert_int_equal(public_key_check(spki, sizeof(spki), &why), -EINVAL);
        assert_int_equal(public_key_check(spki, encode_public(ec, spki), &why), -EINVAL);
        assert_string_equal(why, "not an RSA key");
        EVP_PKEY_free(ec);
}

static void compute(const char *text, uint8_t mac[static TOKEN_MAC_SIZE]) {
        _cleanup_(secret_freep) struct secret *key = counting(64);
        _cleanup_(json_object_putp) struct json_object *o = NULL;

        assert_int_equal(strict_json_parse(text, strlen(text), &o, NULL), 0);
        assert_int_equal(manifest_compute(o, UUID, key, mac), 0);
        assert_int_equal(manifest_verify(o, UUID, key, mac), 0);
}

#define BASE "{\"a\":[1,true,null,\"x\"],\"tokens\":{\"0\":{\"type\":\"cmkd\",\"manifest\":{\"version\":1,\"mac\":\"zz\"}}}}"

static void test_manifest(void **state) {
        static const char *const same[] = {
                "{ \"tokens\" : {\"0\":{\"manifest\":{\"mac\":\"yyyy\",\"version\":1}, \"type\":\"cmkd\"}},\"a\":[1,true,null,\"x\"]}",
                "{\"a\":[1,true,null,\"\\u0078\"],\"tokens\":{\"0\":{\"type\":\"cmkd\",\"manifest\":{\"version\":1}}}}",
        };
        static const char *const different[] = {
                "{\"a\":[1,true,null,\"y\"],\"tokens\":{\"0\":{\"type\":\"cmkd\",\"manifest\":{\"version\":1,\"mac\":\"zz\"}}}}",
                "{\"a\":[1,true,null],\"tokens\":{\"0\":{\"type\":\"cmkd\",\"manifest\":{\"version\":1,\"mac\":\"zz\"}}}}",
                "{\"a\":[true,1,null,\"x\"],\"tokens\":{\"0\":{\"type\":\"cmkd\",\"manifest\":{\"version\":1,\"mac\":\"zz\"}}}}",
                "{\"a\":[\"1\",true,null,\"x\"],\"tokens\":{\"0\":{\"type\":\"cmkd\",\"manifest\":{\"version\":1,\"mac\":\"zz\"}}}}",
                "{\"a\":[1,true,null,\"x\"],\"tokens\":{\"1\":{\"type\":\"cmkd\",\"manifest\":{\"version\":1,\"mac\":\"zz\"}}}}",
                "{\"a\":[1,true,null,\"x\"],\"tokens\":{\"0\":{\"type\":\"cmkd\",\"manifest\":{\"version\":2,\"mac\":\"zz\"}}}}",
                /* a foreign token, and a mac that is not ours */
                "{\"a\":[1,true,null,\"x\"],\"tokens\":{\"0\":{\"type\":\"cmkd\",\"manifest\":{\"version\":1}},\"1\":{\"type\":\"x\"}}}",
                "{\"a\":[1,true,null,\"x\"],\"tokens\":{\"0\":{\"type\":\"cmkE\",\"manifest\":{\"version\":1,\"mac\":\"zz\"}}}}",
                "{\"a\":[1,true,null,\"x\"],\"b\":{\"mac\":1},\"tokens\":{\"0\":{\"type\":\"cmkd\",\"manifest\":{\"version\":1}}}}",
        };
        uint8_t base[TOKEN_MAC_SIZE], mac[TOKEN_MAC_SIZE];

        (void) state;
        compute(BASE, base);
        expect_hex(base, 32, "9d063a06e1433726da80b073943319eb104cb3c5cfd4a156ebcef11ad2816b17");
        for (size_t i = 0; i < ELEMENTSOF(same); i++) {
                compute(same[i], mac);
                assert_memory_equal(mac, base, sizeof(mac));
        }
        for (size_t i = 0; i < ELEMENTSOF(different); i++) {
                compute(different[i], mac);
                assert_memory_not_equal(mac, base, sizeof(mac));
        }
}

static void test_manifest_refuses(void **state) {
        _cleanup_(secret_freep) struct secret *key = counting(64), *other = NULL;
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        uint8_t mac[TOKEN_MAC_SIZE];

        (void) state;
        compute(BASE, mac);
        assert_int_equal(strict_json_parse(BASE, strlen(BASE), &o, NULL), 0);
        assert_int_equal(manifest_verify(o, "11111111-5b1a-4f7e-9c0d-112233445566", key, mac), -EUCLEAN);
        assert_int_equal(secret_random(64, &other), 0);
        assert_int_equal(manifest_verify(o, UUID, other, mac), -EUCLEAN);
        mac[31] ^= 1;
        assert_int_equal(manifest_verify(o, UUID, key, mac), -EUCLEAN);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_derivations), cmocka_unit_test(test_derivations_differ),
                cmocka_unit_test(test_bad_arguments), cmocka_unit_test(test_wrap), cmocka_unit_test(test_public_keys),
                cmocka_unit_test(test_manifest), cmocka_unit_test(test_manifest_refuses),
        };

        return cmocka_run_group_tests_name("unlock-key", tests, NULL, NULL);
}
