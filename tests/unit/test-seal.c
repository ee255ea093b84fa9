/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/seal.c daemon/audit/seal-rsa.c daemon/audit/chain.c
// The row of keys: known answers computed elsewhere, what a line's seal covers, and the auditor's key pair.

#include "audit/seal-rsa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <unistd.h>

static struct seal_key *key;
static char dir[] = "/tmp/test-seal.XXXXXX", public[64], private[64];

/* Of the key 00 01 ... 1f, by Python's hmac: HMAC(HMAC(K, label, 01), line) and HMAC(K, label, 01) */
static const char line[] = "{\"v\":2,\"seq\":1,\"prev\":\"x\"";
static const char known_mac[] = "0d5010923843071c50193cdd08e75e4591c4eab2cb0367f366ed61961cb364ef";
static const char known_next[] = "9dddf2d04b345fb537197a75185c1011c912343cba91e6171eb6d2178d923b3c";
static const char known_third[] = "a6d8f2078713c441cface700bf58b2d8431cdc5e87847070b87056a3001cf8e0";

static int set_up(void **state _unused_) {
        if (seal_key_new(&key) < 0)
                return -1;
        for (uint8_t i = 0; i < SEAL_KEY_SIZE; i++)
                seal_key_data(key)[i] = i;
        return 0;
}

static int tear_down(void **state _unused_) {
        key = seal_key_free(key);
        return 0;
}

static void expect_hex(const uint8_t *bytes, const char *expected) {
        char hex[CHAIN_HEX_SIZE + 1];

        chain_to_hex(bytes, hex);
        assert_string_equal(hex, expected);
}

static void known_answers(void **state _unused_) {
        uint8_t mac[SEAL_SIZE];

        assert_int_equal(seal_mac(key, line, sizeof(line) - 1, mac), 0);
        expect_hex(mac, known_mac);
        assert_int_equal(seal_mac(key, line, sizeof(line) - 1, mac), 0);
        expect_hex(mac, known_mac);
        assert_int_equal(seal_next(key, 1), 0);
        expect_hex(seal_key_data(key), known_next);
        assert_int_equal(seal_next(key, 2), 0);
        expect_hex(seal_key_data(key), known_third);
        assert_int_equal(seal_next(key, 0), 0);
        expect_hex(seal_key_data(key), known_third);
}

/* What was derived is not left beside the key. */
static void nothing_derived_is_left(void **state _unused_) {
        static const uint8_t zero[SEAL_KEY_SIZE];
        uint8_t mac[SEAL_SIZE];

        assert_int_equal(seal_mac(key, line, 5, mac), 0);
        assert_memory_equal(seal_key_data(key) + SEAL_KEY_SIZE, zero, sizeof(zero));
        assert_int_equal(seal_next(key, 3), 0);
        assert_memory_equal(seal_key_data(key) + SEAL_KEY_SIZE, zero, sizeof(zero));
        seal_key_wipe(key);
        assert_memory_equal(seal_key_data(key), zero, sizeof(zero));
}

static void every_byte_before_the_mac_is_covered(void **state _unused_) {
        char whole[512], hash[CHAIN_HEX_SIZE + 1] = "";
        size_t n;

        memset(hash, '0', CHAIN_HEX_SIZE);
        n = (size_t) snprintf(whole, sizeof(whole), "%s,\"mac\":\"%s\",\"hash\":\"%s\"}", line, known_mac, hash);
        assert_int_equal(seal_check_line(key, whole, n), 0);
        for (size_t i = 0; i < n - CHAIN_TAIL_SIZE; i++) {
                int r;

                whole[i] ^= 1;
                r = seal_check_line(key, whole, n);
                assert_true(r == -EKEYREJECTED || (r == -EBADMSG && i >= sizeof(line) - 1));
                whole[i] ^= 1;
        }
        assert_int_equal(seal_next(key, 1), 0);
        assert_int_equal(seal_check_line(key, whole, n), -EKEYREJECTED);
        n = (size_t) snprintf(whole, sizeof(whole), "%s,\"hash\":\"%s\"}", line, hash);
        assert_int_equal(seal_check_line(key, whole, n), -EBADMSG);
        assert_int_equal(seal_check_line(key, "", 0), -EBADMSG);
}

static void write_keys(int type, unsigned bits) {
        EVP_PKEY *k = type == EVP_PKEY_RSA ? EVP_RSA_gen(bits) : EVP_EC_gen("P-256");
        FILE *f;

        assert_non_null(k);
        assert_non_null(f = fopen(public, "w"));
        PEM_write_PUBKEY(f, k);
        fclose(f);
        assert_non_null(f = fopen(private, "w"));
        PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL);
        fclose(f);
        EVP_PKEY_free(k);
}

static void wrapped_for_one_and_no_other(void **state _unused_) {
        _cleanup_(seal_private_freep) struct seal_private *q = NULL, *other = NULL;
        _cleanup_(seal_public_freep) struct seal_public *p = NULL;
        _cleanup_(seal_key_freep) struct seal_key *back = NULL;
        char wrapped[SEAL_WRAPPED_MAX + 1], again[SEAL_WRAPPED_MAX + 1];
        const char *why;

        write_keys(EVP_PKEY_RSA, 2048);
        assert_int_equal(seal_public_load(public, &p, &why), 0);
        assert_int_equal(seal_private_load(private, &q, &why), 0);
        assert_string_equal(seal_public_digest(p), seal_private_digest(q));
        assert_int_equal(seal_public_wrap(p, key, wrapped), 0);
        assert_int_equal(seal_public_wrap(p, key, again), 0);
        assert_string_not_equal(wrapped, again);
        assert_int_equal(seal_key_new(&back), 0);
        assert_int_equal(seal_private_unwrap(q, wrapped, back), 0);
        assert_memory_equal(seal_key_data(back), seal_key_data(key), SEAL_KEY_SIZE);
        wrapped[20] = wrapped[20] == 'A' ? 'B' : 'A';
        assert_int_equal(seal_private_unwrap(q, wrapped, back), -EKEYREJECTED);
        assert_int_equal(seal_private_unwrap(q, "", back), -EKEYREJECTED);
        assert_int_equal(seal_private_unwrap(q, "####", back), -EINVAL);
        write_keys(EVP_PKEY_RSA, 2048);
        assert_int_equal(seal_private_load(private, &other, &why), 0);
        assert_int_equal(seal_private_unwrap(other, again, back), -EKEYREJECTED);
}

static void unfit_keys_are_refused(void **state _unused_) {
        static const struct { int type; unsigned bits; } unfit[] = { { EVP_PKEY_RSA, 1024 }, { EVP_PKEY_EC, 0 } };
        struct seal_private *q;
        struct seal_public *p;
        const char *why = NULL;

        for (size_t i = 0; i < ELEMENTSOF(unfit); i++) {
                write_keys(unfit[i].type, unfit[i].bits);
                assert_int_equal(seal_public_load(public, &p, &why), -EKEYREJECTED);
                assert_non_null(strstr(why, "2048"));
                assert_int_equal(seal_private_load(private, &q, &why), -EKEYREJECTED);
        }
        assert_int_equal(seal_public_load(private, &p, &why), -EINVAL);
        assert_int_equal(seal_private_load(public, &q, &why), -EINVAL);
        assert_int_equal(seal_public_load("/nonexistent", &p, &why), -ENOENT);
}

static void ids_of_epochs(void **state _unused_) {
        assert_true(seal_epoch_is_valid("0123456789abcdef0123456789abcdef"));
        assert_false(seal_epoch_is_valid("0123456789abcdef0123456789abcdeF"));
        assert_false(seal_epoch_is_valid("0123456789abcdef0123456789abcde"));
        assert_false(seal_epoch_is_valid("0123456789abcdef0123456789abcdef0"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(known_answers), TEST(nothing_derived_is_left), TEST(every_byte_before_the_mac_is_covered),
                TEST(wrapped_for_one_and_no_other), TEST(unfit_keys_are_refused), TEST(ids_of_epochs),
        };
        int failed;

        if (!mkdtemp(dir))
                return 1;
        snprintf(public, sizeof(public), "%s/public.pem", dir);
        snprintf(private, sizeof(private), "%s/private.pem", dir);
        failed = cmocka_run_group_tests_name("seal", tests, NULL, NULL);
        (void) unlink(public);
        (void) unlink(private);
        (void) rmdir(dir);
        return failed;
}
