/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/pkcs11-verdict.c daemon/vault/pkcs11-key.c daemon/vault/rsa-public.c daemon/vault/pkcs11-unwrap.c daemon/vault/pkcs11-session.c daemon/vault/secret-file.c daemon/vault/pin-refused.c daemon/vault/kept.c daemon/vault/judgement.c daemon/vault/reply.c
// libs: p11-kit-1 json-c

/* A label that many keys of a token have: what does not come first is there too. The rest of a session is in test-pkcs11.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "fake-token.h"
#include "vault/pkcs11-session.h"

static EVP_PKEY *ours, *other, *third;

/* What is said of our key, which is the last of n; hidden: its exponent is only in its public half; public: of those before it all but the
 * first are only public ones. */
static const char *ask(size_t n, CK_ULONG at_a_time, bool hidden, bool public) {
        const struct pkcs11_place place = { .vault = "v", .module = "/nonexistent.so", .token = "cmkd" };
        struct pkcs11_question q = { .op = VAULT_OP_GET_KEY };
        struct secret *none = NULL;
        struct pkcs11_session *s;
        struct vault_reply y;
        static char text[128];

        fake_reset(ours);
        fake.token_flags &= ~CKF_LOGIN_REQUIRED;
        fake.keys[0].hidden_exponent = hidden;
        assert_int_equal(pkcs11_session_new(&place, &fake_list, &s), 0);
        assert_int_equal(key_uri_parse("pkcs11:token=cmkd;object=k1", &q.key, NULL), 0);
        pkcs11_session_ask(s, &q, &y, &none);
        assert_int_equal(y.verdict, VERDICT_GRANTED);
        assert_int_equal(key_uri_parse(y.kid, &q.key, NULL), 0);
        assert_true(n <= ELEMENTSOF(fake.keys));
        for (size_t i = n; i-- > 0;) {
                fake.keys[i] = fake.keys[0];
                fake.keys[i].key = i == n - 1 ? ours : other;
                fake.keys[i].only_public = public && i > 0 && i < n - 1;
                if (fake.keys[i].only_public)
                        fake.keys[i].key = third;
        }
        fake.n_keys = n;
        fake.at_a_time = at_a_time;
        pkcs11_session_ask(s, &q, &y, &none);
        pkcs11_session_free(s);
        snprintf(text, sizeof(text), "%s %s", verdict_to_string(y.verdict), y.code);
        return text;
}

static void test_ours_is_the_last(void **state _unused_) {
        static const struct { size_t n; CK_ULONG at_a_time; } rows[] = { { 2, 1 }, { 16, 0 }, { 17, 0 }, { 17, 1 }, { 40, 16 }, { 256, 0 } };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (int hidden = 0; hidden < 2; hidden++)
                        if (!streq(ask(rows[i].n, rows[i].at_a_time, hidden, false), "GRANTED "))
                                fail_msg("%zu keys: %s", rows[i].n, ask(rows[i].n, rows[i].at_a_time, hidden, false));
}

/* Whoever has no PIN may make them, as many as he likes. */
static void test_public_ones_are_no_matter(void **state _unused_) {
        assert_string_equal(ask(300, 0, true, true), "GRANTED ");
        assert_string_equal(ask(300, 7, false, true), "GRANTED ");
}

/* Nobody has taken ours away only because it was not looked at. */
static void test_too_many(void **state _unused_) {
        assert_string_equal(ask(257, 0, false, false), "MISCONFIGURED too many keys");
        assert_string_equal(ask(300, 7, false, false), "MISCONFIGURED too many keys");
        assert_string_equal(ask(300, 0, true, false), "MISCONFIGURED too many keys");
}

static int set_up(void **state _unused_) {
        ours = EVP_RSA_gen(2048);
        other = EVP_RSA_gen(2048);
        third = EVP_RSA_gen(2048);
        return ours && other && third ? 0 : -1;
}

static int tear_down(void **state _unused_) {
        EVP_PKEY_free(ours);
        EVP_PKEY_free(other);
        EVP_PKEY_free(third);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_ours_is_the_last), cmocka_unit_test(test_too_many), cmocka_unit_test(test_public_ones_are_no_matter) };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
