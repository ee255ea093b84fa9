/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/client-key.c daemon/vault/pkcs11.c daemon/vault/pkcs11-verdict.c daemon/vault/pkcs11-key.c daemon/vault/rsa-public.c
// sources: daemon/vault/pkcs11-unwrap.c daemon/vault/pkcs11-session.c daemon/vault/pkcs11-thread.c daemon/vault/secret-file.c daemon/vault/pin-refused.c daemon/vault/kept.c daemon/vault/replace.c
// sources: daemon/vault/judgement.c daemon/vault/reply.c
// libs: p11-kit-1 json-c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/x509.h>

#include "fake-token.h"
#include "vault/client-key.h"
#include "vault/pkcs11-thread.h"

static char pin_file[] = "/tmp/test-client-key.XXXXXX";
static EVP_PKEY *pair, *other;
static struct vault_config config = { .name = (char *) "v", .client_key = (char *) "pkcs11:token=cmkd;object=k1;type=private" };
static const uint8_t digest[32] = { 1, 2, 3 };
static struct secret *signature;
static struct judgement why;

/* A vault whose client's key is in the fake token. */
static void open_vault(struct vault *v) {
        const struct pkcs11_place place = { .vault = "v", .module = "/nonexistent.so", .token = "cmkd", .pin_file = pin_file };
        struct pkcs11_session *s;

        *v = (struct vault) { .config = &config };
        fake_reset(pair);
        assert_int_equal(pkcs11_session_new(&place, &fake_list, &s), 0);
        assert_int_equal(pkcs11_thread_new(s, &v->pkcs11), 0);
}

static int sign_as(struct vault *v, EVP_PKEY *key) {
        uint8_t *spki = NULL;
        int size = i2d_PUBKEY(key, &spki), r;

        assert_true(size > 0);
        signature = secret_free(signature);
        why = (struct judgement) {};
        r = client_key_sign(v, digest, spki, (size_t) size, now_boottime_usec() + 10 * USEC_PER_SEC, &signature, &why);
        OPENSSL_free(spki);
        return r;
}

static void refused(struct vault *v, enum verdict verdict, const char *words) {
        assert_int_equal(sign_as(v, pair), -EACCES);
        assert_null(signature);
        if (why.verdict != verdict || !streq(why.code, "client key") || !strstr(why.text, words))
                fail_msg("%s %s: %s", verdict_to_string(why.verdict), why.code, why.text);
}

static void test_signature(void **state _unused_) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
        struct vault v;

        open_vault(&v);
        assert_int_equal(sign_as(&v, pair), 0);
        assert_true(EVP_PKEY_verify_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
                    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0 && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 32) > 0);
        assert_int_equal(EVP_PKEY_verify(ctx, secret_cdata(signature), secret_size(signature), digest, sizeof(digest)), 1);
        EVP_PKEY_CTX_free(ctx);
        assert_true(v.has_module && !v.is_over);
        /* the certificate is another key's */
        assert_int_equal(sign_as(&v, other), -EACCES);
        assert_null(signature);
        assert_int_equal(why.verdict, VERDICT_MISCONFIGURED);
        assert_non_null(strstr(why.text, "not the key of ClientCertificate="));
        pkcs11_thread_free(v.pkcs11);
}

/* Whatever would revoke a vault's key says nothing of it here. */
static void test_refusals(void **state _unused_) {
        static const struct { CK_RV rv; enum verdict verdict; const char *words; } rows[] = {
                { CKR_KEY_FUNCTION_NOT_PERMITTED, VERDICT_MISCONFIGURED, "CKA_SIGN" },
                { CKR_MECHANISM_INVALID, VERDICT_MISCONFIGURED, "RSA-PSS" }, { CKR_DEVICE_ERROR, VERDICT_UNREACHABLE, "CKR_DEVICE_ERROR" },
                { CKR_FUNCTION_REJECTED, VERDICT_MISCONFIGURED, "refused" }, { CKR_SESSION_COUNT, VERDICT_THROTTLED, "session" },
        };
        struct vault v;

        open_vault(&v);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                fake.fail[FAKE_SIGN] = rows[i].rv;
                refused(&v, rows[i].verdict, rows[i].words);
        }
        assert_true(v.is_over);        /* it was unreachable once */
        fake.fail[FAKE_SIGN] = CKR_SESSION_HANDLE_INVALID;
        fake.fail_times[FAKE_SIGN] = 1;
        assert_int_equal(sign_as(&v, pair), 0);
        for (size_t i = 0; i < 3; i++) {
                fake.claim_plain = (const CK_ULONG []) { 1, 255, 100000 }[i];
                refused(&v, VERDICT_BROKEN, "length");
        }
        fake.claim_plain = 0;
        fake.n_keys = 0;
        refused(&v, VERDICT_MISCONFIGURED, "key not found");
        fake.token_gone = true;
        refused(&v, VERDICT_UNREACHABLE, "the token does not work");
        pkcs11_thread_free(v.pkcs11);
}

static int setup(void **state _unused_) {
        int fd = mkstemp(pin_file);

        pair = EVP_RSA_gen(2048);
        other = EVP_RSA_gen(2048);
        return fd < 0 || write(fd, "1234\n", 5) != 5 || close(fd) < 0 ? -1 : 0;
}

static int teardown(void **state _unused_) {
        secret_free(signature);
        EVP_PKEY_free(pair);
        EVP_PKEY_free(other);
        return unlink(pin_file);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_signature), cmocka_unit_test(test_refusals) };

        return cmocka_run_group_tests_name("client-key", tests, setup, teardown);
}
