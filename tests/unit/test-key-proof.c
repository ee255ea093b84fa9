/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/key-proof.c daemon/manager/pin.c daemon/manager/outcome.c daemon/manager/stored.c daemon/manager/challenge.c
// libs: libcrypto libsystemd

/* A key before it becomes a volume's: the worker is a model, the challenge is real. A worker that has been taken over has a key of its own,
 * and proves that one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "common/algorithm.h"
#include "manager/challenge.h"
#include "manager/key-proof.h"
#include "manager/key.h"
#include "manager/manager.h"
#include "manager/pin.h"

#define KEY "https://v.test/keys/k"

static EVP_PKEY *vaults, *workers;      /* whose private halves the vault, and a worker that lies, have */
static struct config config;
static struct vault_config vault;
static struct manager manager;

static bool lies, says_symmetric;
static const char *no_place;            /* the code that says so */
static char asked[64];                  /* the operations, a letter each */
static struct outcome end;
static struct proven_key got;

static size_t spki_of(EVP_PKEY *p, uint8_t *buf) {
        unsigned char *out = buf;
        int n = i2d_PUBKEY(p, &out);

        assert_true(n > 0 && n <= (int) VAULT_SPKI_MAX);
        return (size_t) n;
}

static void unwrap(EVP_PKEY *p, const struct vault_request *q, struct vault_reply *y) {
        EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(p, NULL);

        y->blob_size = sizeof(y->blob);
        assert_true(EVP_PKEY_decrypt_init(c) > 0 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) > 0);
        assert_true(EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_sha256()) > 0 && EVP_PKEY_CTX_set_rsa_mgf1_md(c, EVP_sha256()) > 0);
        if (EVP_PKEY_decrypt(c, y->blob, &y->blob_size, q->blob, q->blob_size) <= 0)
                y->verdict = VERDICT_MISCONFIGURED;
        EVP_PKEY_CTX_free(c);
}

/* The answer comes at once: key-proof.c does not mind. */
int worker_ask(struct worker_link *w _unused_, const struct vault_request *q, int fd _unused_, worker_callback callback, void *user) {
        struct vault_reply y = { .verdict = VERDICT_GRANTED };
        EVP_PKEY *p = lies ? workers : vaults;
        struct vault_request copy = *q;

        if (no_place) {
                y.verdict = streq(no_place, VAULT_CODE_NO_MOUNT) ? VERDICT_UNREACHABLE : VERDICT_DENIED;
                y.http_status = 404;
                snprintf(y.code, sizeof(y.code), "%s", no_place);
                callback(&y, user);
                return 0;
        }
        asked[strlen(asked)] = q->op == VAULT_OP_GET_KEY ? 'g' : q->op == VAULT_OP_WRAP ? 'w' : 'u';
        if (q->op == VAULT_OP_GET_KEY) {
                strcpy(y.kid, KEY "/1");
                strcpy(y.key_type, says_symmetric ? ALGORITHM_AES : "RSA");
                y.key_flags = VAULT_KEY_ENABLED|VAULT_KEY_CAN_WRAP|VAULT_KEY_CAN_UNWRAP|VAULT_KEY_PURGE_PROTECTED;
                y.key_bits = 2048;
                y.spki_size = says_symmetric ? 0 : spki_of(p, y.spki);
        } else if (q->op == VAULT_OP_UNWRAP && !says_symmetric)
                unwrap(p, q, &y);
        else
                y.blob_size = algorithm_is_symmetric(copy.algorithm) && q->op == VAULT_OP_WRAP ? CANARY_PLAIN_SIZE + algorithm_overhead(copy.algorithm) : 32;
        callback(&y, user);
        return 0;
}

static void on_proven(const struct outcome *o, const struct proven_key *k, void *user _unused_) {
        end = *o;
        got = *k;
}

/* expected: a key, or NULL. */
static enum exit_code prove(EVP_PKEY *expected) {
        const struct key_proof_request q = { .subject = "data1", .key = KEY, .accept_unsafe = "", .use_id = "" };
        struct proven_key k = {};
        uint8_t spki[VAULT_SPKI_MAX];

        *asked = 0;
        memset(asked, 0, sizeof(asked));
        if (expected)
                pin_digest(spki, spki_of(expected, spki), k.expected);
        assert_int_equal(key_proof_check(&manager, KEY, &k, &end), 0);
        assert_int_equal(key_proof_start(&manager, &q, &k, on_proven, NULL), 0);
        return end.code;
}

static bool has_pinned(EVP_PKEY *p) {
        uint8_t spki[VAULT_SPKI_MAX];
        size_t n = spki_of(p, spki);

        return got.spki_size == n && memcmp(got.spki, spki, n) == 0;
}

static int set_up(void **state _unused_) {
        static char *keys[] = { (char *) "k", NULL };

        lies = says_symmetric = false;
        no_place = NULL;
        vault = (struct vault_config) { .name = (char *) "main", .provider = (char *) "azure", .host = (char *) "v.test", .port = 443, .keys = keys };
        config.vaults = &vault;
        manager.config = &config;
        return 0;
}

static int make_keys(void **state _unused_) {
        vaults = EVP_RSA_gen(2048);
        workers = EVP_RSA_gen(2048);
        return vaults && workers ? 0 : -1;
}

static int free_keys(void **state _unused_) {
        EVP_PKEY_free(vaults);
        EVP_PKEY_free(workers);
        return 0;
}

/* Which is why the rest is there. */
static void without_an_expectation_the_workers_word_counts(void **state _unused_) {
        assert_int_equal(prove(NULL), EXIT_CODE_DONE);
        assert_string_equal(asked, "gwu");
        assert_true(has_pinned(vaults));
        lies = true;
        assert_int_equal(prove(NULL), EXIT_CODE_DONE);
        assert_true(has_pinned(workers));
}

static void with_one_nothing_else_is_asked(void **state _unused_) {
        assert_int_equal(prove(vaults), EXIT_CODE_DONE);
        assert_string_equal(asked, "gwu");
        assert_true(has_pinned(vaults));
        lies = true;
        assert_int_equal(prove(vaults), EXIT_CODE_POLICY);
        assert_string_equal(asked, "g");
        assert_true(has_pinned(workers));           /* what the record shows */
        assert_non_null(strstr(end.message, KEY "/1"));
        lies = false;
        says_symmetric = true;
        assert_int_equal(prove(vaults), EXIT_CODE_POLICY);
        assert_string_equal(asked, "g");
}

/* Unless a volume has that key: then it was there, and the vault's word stands. */
static void a_place_that_never_was_is_named_wrongly(void **state _unused_) {
        static struct key known;

        for (unsigned i = 0; i < 2; i++) {
                no_place = i == 0 ? VAULT_CODE_NO_MOUNT : VAULT_CODE_NO_NAMESPACE;
                assert_int_equal(prove(NULL), EXIT_CODE_FAILED);
                assert_int_equal(got.answer.verdict, VERDICT_MISCONFIGURED);
                assert_non_null(strstr(end.message, "MISCONFIGURED (HTTP 404, no such "));
                assert_non_null(strstr(end.message, "Mount="));
        }
        no_place = "standby";
        assert_int_equal(prove(NULL), EXIT_CODE_REVOKED);
        no_place = VAULT_CODE_NO_MOUNT;
        assert_int_equal(key_uri_parse(KEY "/1", &known.uri, NULL), 0);
        LIST_INSERT_HEAD(&manager.keys, &known, keys);
        assert_int_equal(prove(NULL), EXIT_CODE_UNREACHABLE);
        assert_int_equal(got.answer.verdict, VERDICT_UNREACHABLE);
        assert_null(strstr(end.message, "Mount="));
        LIST_REMOVE(&known, keys);
}

static void the_configuration_says_it_too(void **state _unused_) {
        char text[sizeof("sha256:") + KEY_DIGEST_SIZE], digest[KEY_DIGEST_SIZE];
        char *list[] = { text, NULL };
        uint8_t spki[VAULT_SPKI_MAX];

        pin_digest(spki, spki_of(vaults, spki), digest);
        snprintf(text, sizeof(text), "sha256:%s", digest);
        vault.public_keys = list;
        assert_int_equal(prove(NULL), EXIT_CODE_DONE);
        lies = true;
        assert_int_equal(prove(NULL), EXIT_CODE_POLICY);
        assert_string_equal(asked, "g");
        assert_int_equal(prove(workers), EXIT_CODE_POLICY);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(without_an_expectation_the_workers_word_counts, set_up),
                cmocka_unit_test_setup(with_one_nothing_else_is_asked, set_up),
                cmocka_unit_test_setup(a_place_that_never_was_is_named_wrongly, set_up),
                cmocka_unit_test_setup(the_configuration_says_it_too, set_up),
        };

        return cmocka_run_group_tests(tests, make_keys, free_keys);
}
