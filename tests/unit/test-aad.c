/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/aad-reply.c daemon/vault/judgement.c daemon/vault/client-assertion.c
// libs: json-c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "common/base64.h"
#include "vault/aad-reply.h"
#include "vault/client-assertion.h"

/* Every row of the protocol notes' table of refusals, and what has been seen to vary in them. */
static void test_table(void **state _unused_) {
        static const struct { unsigned status; const char *error; unsigned number; enum verdict verdict; } rows[] = {
                { 400, "unauthorized_client", 700016, VERDICT_DENIED },        /* app deleted, or not in the tenant */
                { 401, "invalid_client", 700016, VERDICT_DENIED },
                { 400, "unauthorized_client", 7000112, VERDICT_DENIED },       /* service principal disabled */
                { 401, "invalid_client", 7000112, VERDICT_DENIED },
                { 401, "invalid_client", 7000215, VERDICT_MISCONFIGURED },     /* secret wrong */
                { 401, "invalid_client", 7000222, VERDICT_MISCONFIGURED },     /* secret expired */
                { 401, "invalid_client", 700027, VERDICT_MISCONFIGURED },      /* certificate not registered */
                { 400, "invalid_request", 70021, VERDICT_MISCONFIGURED },      /* federated credential does not match */
                { 401, "invalid_client", 700213, VERDICT_MISCONFIGURED },
                { 401, "invalid_client", 700024, VERDICT_MISCONFIGURED },      /* assertion expired */
                { 400, "invalid_grant", 53003, VERDICT_DENIED },               /* conditional access */
                { 400, "invalid_request", 90002, VERDICT_DENIED },             /* tenant not found */
                { 400, "invalid_resource", 500011, VERDICT_MISCONFIGURED },    /* resource unknown in the tenant */
                { 400, "invalid_resource", 50001, VERDICT_MISCONFIGURED },
                { 429, "temporarily_unavailable", 0, VERDICT_THROTTLED },
                { 429, "invalid_client", 7000215, VERDICT_THROTTLED },
                { 400, "temporarily_unavailable", 90055, VERDICT_THROTTLED },
                { 400, "invalid_grant", 50196, VERDICT_THROTTLED },
                { 503, "temporarily_unavailable", 90055, VERDICT_THROTTLED },
                { 400, "temporarily_unavailable", 0, VERDICT_UNREACHABLE },
                { 500, "server_error", 0, VERDICT_UNREACHABLE },
                { 503, "unauthorized_client", 700016, VERDICT_UNREACHABLE },
                /* the word alone */
                { 400, "unauthorized_client", 1, VERDICT_DENIED }, { 403, "access_denied", 0, VERDICT_DENIED },
                { 401, "invalid_client", 0, VERDICT_MISCONFIGURED }, { 400, "invalid_scope", 70011, VERDICT_MISCONFIGURED },
                { 400, "invalid_grant", 0, VERDICT_MISCONFIGURED }, { 400, "unsupported_grant_type", 0, VERDICT_MISCONFIGURED },
                { 400, "something_new", 0, VERDICT_DENIED }, { 418, "something_new", 12345, VERDICT_DENIED },
                { 302, "unauthorized_client", 700016, VERDICT_BROKEN }, { 204, "unauthorized_client", 0, VERDICT_BROKEN },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (unsigned where = 0; where < 2; where++) {
                        char body[512], code[129];
                        struct judgement j;
                        bool retry;

                        /* the number in the list, or only in the text */
                        snprintf(body, sizeof(body), where == 0 ? "{\"error\":\"%s\",\"error_description\":\"x\",\"error_codes\":[%u]}" :
                                 "{\"error\":\"%s\",\"error_description\":\"AADSTS%u: x\"}", rows[i].error, rows[i].number);
                        aad_judge((uint16_t) rows[i].status, true, body, strlen(body), &j, &retry);
                        if (j.verdict != rows[i].verdict || retry != (j.verdict == VERDICT_UNREACHABLE))
                                fail_msg("row %zu: %s %s", i, verdict_to_string(j.verdict), j.code);
                        snprintf(code, sizeof(code), rows[i].number > 0 ? "aad: %s/AADSTS%u" : "aad: %s", rows[i].error,
                                 rows[i].number);
                        assert_string_equal(j.code, code);
                }
}

static void test_what_is_no_refusal(void **state _unused_) {
        static const struct { unsigned status; bool json; const char *body; enum verdict verdict; } rows[] = {
                { 400, true, "", VERDICT_BROKEN }, { 400, true, "<html>unauthorized_client</html>", VERDICT_BROKEN },
                { 400, false, "{\"error\":\"unauthorized_client\"}", VERDICT_BROKEN },
                { 400, true, "{\"error\":7}", VERDICT_BROKEN }, { 400, true, "{\"error\":\"\"}", VERDICT_BROKEN },
                { 400, true, "{\"error\":{\"code\":\"x\"}}", VERDICT_BROKEN },
                { 401, true, "{\"error\":\"a\",\"error\":\"b\"}", VERDICT_BROKEN },
                { 502, false, "<html>", VERDICT_UNREACHABLE }, { 429, false, "", VERDICT_THROTTLED },
                { 302, false, "", VERDICT_BROKEN },
        };
        struct judgement j;
        bool retry;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                aad_judge((uint16_t) rows[i].status, rows[i].json, rows[i].body, strlen(rows[i].body), &j, &retry);
                if (j.verdict != rows[i].verdict)
                        fail_msg("row %zu: %s %s", i, verdict_to_string(j.verdict), j.code);
        }
}

static void test_numbers(void **state _unused_) {
        static const struct { const char *rest; enum verdict verdict; const char *code; } rows[] = {
                { "\"error_codes\":[1,7000112]", VERDICT_DENIED, "aad: invalid_client/AADSTS7000112" },
                { "\"error_codes\":[\"7000112\"]", VERDICT_MISCONFIGURED, "aad: invalid_client" },
                { "\"error_codes\":7000112", VERDICT_MISCONFIGURED, "aad: invalid_client" },
                { "\"error_codes\":[-7000112, 4294967296, 1.5, null]", VERDICT_MISCONFIGURED, "aad: invalid_client" },
                { "\"error_codes\":[1,2,3,4,5,6,7,8,7000112]", VERDICT_MISCONFIGURED, "aad: invalid_client/AADSTS1" },
                { "\"error_description\":\"AADSTS\"", VERDICT_MISCONFIGURED, "aad: invalid_client" },
                { "\"error_description\":\"AADSTS99999999999999999999999\"", VERDICT_MISCONFIGURED, NULL },
                { "\"error_description\":\"see AADSTS7000112\"", VERDICT_MISCONFIGURED, "aad: invalid_client" },
        };
        struct judgement j;
        char body[512];
        bool retry;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                snprintf(body, sizeof(body), "{\"error\":\"invalid_client\",%s}", rows[i].rest);
                aad_judge(401, true, body, strlen(body), &j, &retry);
                if (j.verdict != rows[i].verdict || (rows[i].code && !streq(j.code, rows[i].code)))
                        fail_msg("row %zu: %s %s", i, verdict_to_string(j.verdict), j.code);
        }
}

/* ---- assertions ---- */

#define AUDIENCE "https://login.example/t/oauth2/v2.0/token"
#define CLIENT "a8483526-f54d-7d3d-8648-2a745fc2ab8b"

struct pair {
        EVP_PKEY *pkey;
        X509 *x509;
        char *certificate;
        struct secret *key;
};

static char *take_text(BIO *b) {
        char *data, *text;
        long n = BIO_get_mem_data(b, &data);

        text = strndup(data, (size_t) n);
        assert_non_null(text);
        BIO_free(b);
        return text;
}

static void make_pair(struct pair *p, EVP_PKEY *pkey) {
        BIO *b = BIO_new(BIO_s_mem());
        char *text;

        assert_non_null(pkey);
        p->pkey = pkey;
        p->x509 = X509_new();
        assert_true(X509_set_pubkey(p->x509, pkey) && X509_gmtime_adj(X509_getm_notBefore(p->x509), 0) &&
                    X509_gmtime_adj(X509_getm_notAfter(p->x509), 3600) && X509_sign(p->x509, pkey, EVP_sha256()) > 0);
        assert_int_equal(PEM_write_bio_X509(b, p->x509), 1);
        p->certificate = take_text(b);
        b = BIO_new(BIO_s_mem());
        assert_int_equal(PEM_write_bio_PrivateKey(b, pkey, NULL, NULL, 0, NULL, NULL), 1);
        text = take_text(b);
        assert_int_equal(secret_take(text, strlen(text) + 1, &p->key), 0);
        free(text);
}

static void free_pair(struct pair *p) {
        EVP_PKEY_free(p->pkey);
        X509_free(p->x509);
        free(p->certificate);
        secret_free(p->key);
}

static struct json_object *decode_part(const char *text, size_t n) {
        uint8_t bytes[2048];
        size_t size;

        assert_int_equal(base64url_decode(text, n, bytes, sizeof(bytes) - 1, &size), 0);
        assert_int_equal(text[n - 1] == '=', 0);
        bytes[size] = 0;
        return json_tokener_parse((const char *) bytes);
}

static const char *text_of(struct json_object *o, const char *name) {
        return json_object_get_string(json_object_object_get(o, name));
}

static int64_t number_of(struct json_object *o, const char *name) {
        return json_object_get_int64(json_object_object_get(o, name));
}

static void check_signature(const struct pair *p, const char *jwt, const char *last) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *pk;
        uint8_t signature[1024];
        size_t n;

        assert_int_equal(base64url_decode(last + 1, strlen(last + 1), signature, sizeof(signature), &n), 0);
        assert_int_equal(EVP_DigestVerifyInit(ctx, &pk, EVP_sha256(), NULL, p->pkey), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pk, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pk, 32), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(pk, EVP_sha256()), 1);
        assert_int_equal(EVP_DigestVerify(ctx, signature, n, (const uint8_t *) jwt, (size_t) (last - jwt)), 1);
        EVP_MD_CTX_free(ctx);
}

static void test_assertion(void **state _unused_) {
        const struct assertion a = { .audience = AUDIENCE, .client_id = CLIENT, .now_sec = 1700000000 };
        char x5t[BASE64_SIZE(32) + 1], first_jti[64] = "";
        struct pair p;
        uint8_t der[32];
        unsigned n = sizeof(der);

        make_pair(&p, EVP_RSA_gen(2048));
        assert_int_equal(X509_digest(p.x509, EVP_sha256(), der, &n), 1);
        base64url_encode(der, sizeof(der), x5t);
        for (int i = 0; i < 2; i++) {
                struct secret *s = NULL;
                const char *why = NULL, *jwt, *dot, *last;
                struct json_object *head, *claims;

                assert_int_equal(client_assertion_new(&a, p.certificate, &(struct assertion_key) { .pem = p.key }, &s, &why), 0);
                jwt = (const char *) secret_cdata(s);
                assert_int_equal(strlen(jwt), secret_size(s) - 1);
                dot = strchr(jwt, '.');
                last = strrchr(jwt, '.');
                head = decode_part(jwt, (size_t) (dot - jwt));
                claims = decode_part(dot + 1, (size_t) (last - dot - 1));
                assert_string_equal(text_of(head, "alg"), "PS256");
                assert_string_equal(text_of(head, "typ"), "JWT");
                assert_string_equal(text_of(head, "x5t#S256"), x5t);
                assert_string_equal(text_of(claims, "aud"), AUDIENCE);
                assert_string_equal(text_of(claims, "iss"), CLIENT);
                assert_string_equal(text_of(claims, "sub"), CLIENT);
                assert_int_equal(number_of(claims, "nbf"), 1700000000);
                assert_int_equal(number_of(claims, "iat"), 1700000000);
                assert_int_equal(number_of(claims, "exp"), 1700000300);
                assert_true(uuid_is_valid(text_of(claims, "jti")) && !streq(text_of(claims, "jti"), first_jti));
                snprintf(first_jti, sizeof(first_jti), "%s", text_of(claims, "jti"));
                check_signature(&p, jwt, last);
                json_object_put(head);
                json_object_put(claims);
                secret_free(s);
        }
        free_pair(&p);
}

static int sign_as_asked(void *user, const uint8_t digest[static 32], const uint8_t *spki, size_t spki_size, struct secret **ret) {
        const struct pair *p = user;
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(p->pkey, NULL);
        uint8_t signature[512], *own = NULL;
        size_t n = sizeof(signature);

        assert_int_equal(i2d_PUBKEY(p->pkey, &own), spki_size);
        assert_memory_equal(own, spki, spki_size);
        OPENSSL_free(own);
        assert_true(EVP_PKEY_sign_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
                    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0 && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 32) > 0 &&
                    EVP_PKEY_sign(ctx, signature, &n, digest, 32) > 0);
        EVP_PKEY_CTX_free(ctx);
        return secret_take(signature, n, ret);
}

static int sign_not(void *user _unused_, const uint8_t digest[static 32] _unused_, const uint8_t *spki _unused_,
                    size_t spki_size _unused_, struct secret **ret _unused_) {
        return -EACCES;
}

static int sign_much(void *user _unused_, const uint8_t digest[static 32] _unused_, const uint8_t *spki _unused_,
                     size_t spki_size _unused_, struct secret **ret) {
        return secret_random(2000, ret);
}

/* The key is elsewhere: the same assertion, of the same certificate. */
static void test_signed_elsewhere(void **state _unused_) {
        const struct assertion a = { .audience = AUDIENCE, .client_id = CLIENT, .now_sec = 1700000000 };
        struct secret *s = NULL;
        struct pair p, curve;
        const char *why = "";

        make_pair(&p, EVP_RSA_gen(3072));
        make_pair(&curve, EVP_EC_gen("P-256"));
        assert_int_equal(client_assertion_new(&a, p.certificate, &(struct assertion_key) { .sign = sign_as_asked, .user = &p }, &s, &why), 0);
        check_signature(&p, (const char *) secret_cdata(s), strrchr((const char *) secret_cdata(s), '.'));
        s = secret_free(s);
        assert_int_equal(client_assertion_new(&a, p.certificate, &(struct assertion_key) { .sign = sign_not }, &s, &why), -EACCES);
        assert_int_equal(client_assertion_new(&a, p.certificate, &(struct assertion_key) { .sign = sign_much }, &s, &why), -EBADMSG);
        assert_int_equal(client_assertion_new(&a, curve.certificate, &(struct assertion_key) { .sign = sign_not }, &s, &why), -EBADMSG);
        assert_non_null(strstr(why, "not of an RSA key"));
        assert_null(s);
        free_pair(&p);
        free_pair(&curve);
}

static void expect_refusal(const char *certificate, const struct secret *key, const char *words) {
        const struct assertion a = { .audience = AUDIENCE, .client_id = CLIENT, .now_sec = 1700000000 };
        struct secret *s = NULL;
        const char *why = "";

        assert_int_equal(client_assertion_new(&a, certificate, &(struct assertion_key) { .pem = key }, &s, &why), -EBADMSG);
        assert_null(s);
        if (!strstr(why, words))
                fail_msg("said \"%s\", not \"%s\"", why, words);
}

static void test_keys_that_will_not_do(void **state _unused_) {
        struct secret *locked, *nothing;
        struct pair p, other, small, curve;
        BIO *b = BIO_new(BIO_s_mem());
        char *text;

        make_pair(&p, EVP_RSA_gen(2048));
        make_pair(&other, EVP_RSA_gen(2048));
        make_pair(&small, EVP_RSA_gen(1024));
        make_pair(&curve, EVP_EC_gen("P-256"));
        assert_int_equal(PEM_write_bio_PrivateKey(b, p.pkey, EVP_aes_256_cbc(), (unsigned char *) "word", 4, NULL, NULL), 1);
        text = take_text(b);
        assert_int_equal(secret_take(text, strlen(text) + 1, &locked), 0);
        free(text);
        assert_int_equal(secret_new(1, &nothing), 0);
        expect_refusal(p.certificate, other.key, "is not the key of ClientCertificate=");
        expect_refusal(small.certificate, small.key, "not an RSA key of 2048 bits");
        expect_refusal(curve.certificate, curve.key, "not an RSA key");
        expect_refusal(p.certificate, locked, "without a passphrase");
        expect_refusal(p.certificate, nothing, "no private key");
        expect_refusal("", p.key, "no certificate");
        expect_refusal((const char *) secret_cdata(p.key), p.key, "no certificate");
        secret_free(locked);
        secret_free(nothing);
        free_pair(&p);
        free_pair(&other);
        free_pair(&small);
        free_pair(&curve);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table), cmocka_unit_test(test_what_is_no_refusal), cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_assertion), cmocka_unit_test(test_signed_elsewhere), cmocka_unit_test(test_keys_that_will_not_do),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
