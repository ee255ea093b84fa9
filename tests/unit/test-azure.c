/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/azure-verdict.c daemon/vault/judgement.c daemon/vault/azure-reply.c daemon/vault/azure-attributes.c daemon/vault/azure-secret-reply.c daemon/vault/rsa-public.c daemon/vault/reply-secret.c
// libs: json-c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/algorithm.h"
#include "common/base64.h"
#include "vault/azure-reply.h"
#include "vault/azure-secret-reply.h"
#include "vault/azure-verdict.h"

#define KID "https://vault.test/keys/k/0123456789abcdef0123456789abcdef"

static const struct key_uri asked = {
        .host = "vault.test", .port = 443, .name = "k", .version = "0123456789abcdef0123456789abcdef",
};

static struct judgement judge_full(enum vault_op op, unsigned status, bool vendor, bool json, const char *body) {
        struct judgement j;

        azure_judge(&(struct azure_evidence) { .op = op, .status = (uint16_t) status, .vendor = vendor, .json = json,
                                               .body = body, .body_size = strlen(body) }, &j);
        return j;
}

static enum verdict judge(unsigned status, const char *code, const char *inner, const char *message) {
        char body[512];

        if (inner)
                snprintf(body, sizeof(body),
                         "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"innererror\":{\"code\":\"%s\"}}}",
                         code, message, inner);
        else
                snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}", code, message);
        return judge_full(VAULT_OP_UNWRAP, status, true, true, body).verdict;
}

static void test_table(void **state _unused_) {
        static const struct { unsigned status; const char *code, *inner, *message; enum verdict verdict; } rows[] = {
                { 403, "Forbidden", "KeyDisabled", "", VERDICT_REVOKED },
                { 403, "forbidden", "KEYDISABLED", "", VERDICT_REVOKED },
                { 404, "KeyNotFound", NULL, "", VERDICT_REVOKED },
                { 403, "Forbidden", "ForbiddenByPolicy", "", VERDICT_DENIED },
                { 403, "Forbidden", "ForbiddenByRbac", "", VERDICT_DENIED },
                { 403, "Forbidden", "AccessDenied", "", VERDICT_DENIED },
                { 403, "AccessDenied", NULL, "", VERDICT_DENIED },
                { 403, "Forbidden", "ForbiddenByFirewall", "", VERDICT_DENIED_WEAK },
                { 403, "Forbidden", "ForbiddenByConnection", "", VERDICT_DENIED_WEAK },
                { 401, "Unauthorized", NULL, "AKV10000: no token", VERDICT_DENIED_WEAK },
                { 401, "Unauthorized", NULL, "AKV10046: no key", VERDICT_DENIED_WEAK },
                { 401, "Unauthorized", NULL, "AKV10022: audience", VERDICT_MISCONFIGURED },
                { 401, "Unauthorized", NULL, "AKV10032: issuer", VERDICT_MISCONFIGURED },
                { 401, "Unauthorized", NULL, "something else", VERDICT_DENIED_WEAK },
                { 401, "AccessDenied", NULL, "Not authorized to access", VERDICT_DENIED },
                { 401, "AccessDenied", NULL, "AKV10000: no token", VERDICT_DENIED_WEAK },
                { 400, "BadParameter", NULL, "", VERDICT_MISCONFIGURED },
                { 400, "BadArgument", NULL, "", VERDICT_MISCONFIGURED },
                { 429, "Throttled", NULL, "", VERDICT_THROTTLED },
                { 408, "RequestTimeout", NULL, "", VERDICT_UNREACHABLE },
                { 500, "InternalServerError", NULL, "", VERDICT_UNREACHABLE },
                { 503, "ServiceUnavailable", NULL, "", VERDICT_UNREACHABLE },
                /* what is not on the list */
                { 400, "KeyNotFound", NULL, "", VERDICT_DENIED },
                { 403, "KeyNotFound", NULL, "", VERDICT_DENIED },
                { 404, "KeyNotFound", "Something", "", VERDICT_DENIED },
                { 404, "VaultNotFound", NULL, "", VERDICT_DENIED },
                { 404, "Forbidden", "KeyDisabled", "", VERDICT_DENIED },
                { 403, "Forbidden", "KeyDisabledX", "", VERDICT_DENIED },
                { 403, "Forbidden", "SecretDisabled", "", VERDICT_DENIED },
                { 403, "KeyDisabled", NULL, "", VERDICT_DENIED },
                { 403, "Conflict", "KeyDisabled", "", VERDICT_DENIED },
                { 403, "Forbidden", NULL, "Operation unwrapKey is not allowed on a disabled key. KeyDisabled",
                  VERDICT_DENIED },
                { 409, "Conflict", "ObjectIsBeingDeleted", "", VERDICT_DENIED },
                { 410, "Gone", NULL, "", VERDICT_DENIED },
                { 500, "Forbidden", "KeyDisabled", "", VERDICT_UNREACHABLE },
                { 502, "KeyNotFound", NULL, "", VERDICT_UNREACHABLE },
                { 301, "Forbidden", "KeyDisabled", "", VERDICT_BROKEN },
                { 204, "Forbidden", "KeyDisabled", "", VERDICT_BROKEN },
                { 200, "Forbidden", "KeyDisabled", "", VERDICT_BROKEN },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (judge(rows[i].status, rows[i].code, rows[i].inner, rows[i].message) != rows[i].verdict)
                        fail_msg("row %zu: %u %s/%s", i, rows[i].status, rows[i].code, strempty(rows[i].inner));
}

/* Whatever the status, REVOKED comes of two replies only. */
static void test_revoked_is_rare(void **state _unused_) {
        static const char disabled[] = "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"KeyDisabled\"}}}";
        static const char gone[] = "{\"error\":{\"code\":\"KeyNotFound\",\"message\":\"x\"}}";

        for (unsigned status = 100; status < 1000; status++)
                for (unsigned bits = 0; bits < 4; bits++)
                        for (unsigned op = VAULT_OP_GET_KEY; op < _VAULT_OP_MAX; op++) {
                                bool whole = bits == 3 && (op < VAULT_OP_CHECK_DELETED || op == VAULT_OP_WRAP_NEW);

                                assert_int_equal(judge_full(op, status, bits & 1, bits & 2,
                                                            disabled).verdict == VERDICT_REVOKED,
                                                 whole && status == 403);
                                assert_int_equal(judge_full(op, status, bits & 1, bits & 2,
                                                            gone).verdict == VERDICT_REVOKED,
                                                 whole && status == 404);
                        }
}

static enum verdict judge_secret(enum azure_secret what, unsigned status, bool vendor, const char *code, const char *inner) {
        struct judgement j;
        char body[256];

        snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"x\"%s%s%s}}", code, inner ? ",\"innererror\":{\"code\":\"" : "",
                 strempty(inner), inner ? "\"}" : "");
        azure_judge(&(struct azure_evidence) { .op = VAULT_OP_UNWRAP, .secret = what, .status = (uint16_t) status, .vendor = vendor,
                                               .json = true, .body = body, .body_size = strlen(body) }, &j);
        return j.verdict;
}

/* The same of a secret that is read, and of nothing else that is done with one. */
static void test_revoked_secret_is_rare(void **state _unused_) {
        for (enum azure_secret what = AZURE_SECRET_GET; what <= AZURE_SECRET_DELETED; what++)
                for (unsigned status = 200; status < 600; status++) {
                        bool read = what == AZURE_SECRET_GET;

                        assert_int_equal(judge_secret(what, status, true, "SecretNotFound", NULL) == VERDICT_REVOKED, read && status == 404);
                        assert_int_equal(judge_secret(what, status, true, "Forbidden", "SecretDisabled") == VERDICT_REVOKED,
                                         read && status == 403);
                        assert_int_not_equal(judge_secret(what, status, true, "SecretNotFound", "x"), VERDICT_REVOKED);
                        assert_int_not_equal(judge_secret(what, status, true, "Forbidden", "KeyDisabled"), VERDICT_REVOKED);
                        assert_int_not_equal(judge_secret(what, status, true, "KeyNotFound", NULL), VERDICT_REVOKED);
                        assert_int_not_equal(judge_secret(what, status, false, "SecretNotFound", NULL), VERDICT_REVOKED);
                }
        assert_int_equal(judge_secret(AZURE_SECRET_SET, 409, true, "Conflict", "ObjectIsDeletedButRecoverable"), VERDICT_MISCONFIGURED);
        assert_int_equal(judge_secret(AZURE_SECRET_GET, 403, true, "Forbidden", "ForbiddenByRbac"), VERDICT_DENIED);
        assert_int_equal(judge_secret(AZURE_SECRET_SET, 429, true, "Throttled", NULL), VERDICT_THROTTLED);
}

#define SECRET_ID "https://vault.test/secrets/s/0123456789abcdef0123456789abcdef"

static int parse_secret(const char *id, const char *value, const char *enabled, struct azure_secret_reply *ret) {
        const char *why;
        char body[512];

        snprintf(body, sizeof(body), "{\"id\":\"%s\"%s,\"attributes\":{\"enabled\":%s}}", id, value, enabled);
        return azure_parse_secret(body, strlen(body), &asked, "s", ret, &why);
}

static void test_secret(void **state _unused_) {
        static const char *const others[] = {
                "https://vault.test/secrets/s/", "https://vault.test/secrets/s", "https://vault.test/secrets/t/00", "http://vault.test/secrets/s/00",
                "https://vault.test/keys/s/00", "https://vault.test:444/secrets/s/00", "https://vault.test.evil/secrets/s/00",
                "https://vault.test/secrets/s/..", "https://vault.test/secrets/s/00/00", "https://vault.test/secrets/s/00?x", "",
        };
        struct azure_secret_reply s = {};
        const char *why;

        assert_int_equal(parse_secret(SECRET_ID, ",\"value\":\"AQID\"", "true", &s), 0);
        assert_true(s.enabled && s.value_size == 3 && memcmp(s.value, "\1\2\3", 3) == 0);
        assert_int_equal(parse_secret("HTTPS://VAULT.TEST/Secrets/S/00", ",\"value\":\"AQID\"", "false", &s), 0);
        assert_false(s.enabled);
        /* what somebody else wrote there is no wrapped key, and no error */
        assert_int_equal(parse_secret(SECRET_ID, ",\"value\":\"a b\"", "true", &s), 0);
        assert_int_equal(s.value_size, 0);
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                assert_int_equal(parse_secret(others[i], ",\"value\":\"AQID\"", "true", &s), -EBADMSG);
        assert_int_equal(parse_secret(SECRET_ID, "", "true", &s), -EBADMSG);
        assert_int_equal(parse_secret(SECRET_ID, ",\"value\":5", "true", &s), -EBADMSG);
        assert_int_equal(parse_secret(SECRET_ID, ",\"value\":\"AQID\",\"value\":\"AQID\"", "true", &s), -EBADMSG);
        assert_int_equal(parse_secret(SECRET_ID, ",\"value\":\"AQID\"", "\"true\"", &s), -EBADMSG);

        #define DELETED "{\"id\":\"" SECRET_ID "\",\"scheduledPurgeDate\":1700000000}"
        assert_int_equal(azure_parse_deleted_secret(DELETED, strlen(DELETED), &asked, "s", &s, &why), 0);
        assert_int_equal(s.purge, 1700000000);
        assert_int_equal(azure_parse_deleted_secret(DELETED, strlen(DELETED), &asked, "t", &s, &why), -EBADMSG);
}

static void test_what_is_no_error_body(void **state _unused_) {
        static const char *const bodies[] = {
                "", "<html>KeyDisabled</html>", "{}", "[]", "{\"error\":null}", "{\"error\":\"KeyNotFound\"}",
                "{\"error\":{}}",
                "{\"error\":{\"code\":7}}", "{\"error\":{\"code\":\"\"}}", "{\"error\":{\"code\":null}}",
                "{\"error\":{\"code\":\"Forbidden\",\"innererror\":\"KeyDisabled\"}}",
                "{\"error\":{\"code\":\"KeyNotFound\"},\"error\":{\"code\":\"KeyNotFound\"}}",
                "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"KeyDisabled\"},"
                "\"innerError\":{\"code\":\"x\"}}}",
                "{\"error\":{\"code\":\"KeyNotFound\"}} ,",
                "{\"Error\":{\"code\":\"KeyNotFound\"}}",
        };

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                assert_int_equal(judge_full(VAULT_OP_UNWRAP, 403, true, true, bodies[i]).verdict, VERDICT_BROKEN);
                assert_int_equal(judge_full(VAULT_OP_UNWRAP, 404, true, true, bodies[i]).verdict, VERDICT_BROKEN);
        }
        assert_int_equal(judge_full(VAULT_OP_UNWRAP, 503, true, false, "").verdict, VERDICT_UNREACHABLE);
        assert_int_equal(judge_full(VAULT_OP_UNWRAP, 429, true, false, "").verdict, VERDICT_THROTTLED);
        assert_int_equal(judge_full(VAULT_OP_UNWRAP, 503, false, false, "<html>").verdict, VERDICT_BROKEN);
}

static void test_inner_errors(void **state _unused_) {
        static const char upper[] = "{\"error\":{\"code\":\"Forbidden\",\"innerError\":{\"code\":\"KeyDisabled\"}}}";
        static const char null[] = "{\"error\":{\"code\":\"KeyNotFound\",\"innererror\":null}}";
        char body[1024];
        size_t n;

        assert_int_equal(judge_full(VAULT_OP_UNWRAP, 403, true, true, upper).verdict, VERDICT_REVOKED);
        assert_int_equal(judge_full(VAULT_OP_UNWRAP, 404, true, true, null).verdict, VERDICT_REVOKED);
        for (unsigned depth = 1; depth <= 6; depth++) {
                n = (size_t) snprintf(body, sizeof(body), "{\"error\":{\"code\":\"Forbidden\"");
                for (unsigned i = 0; i < depth; i++)
                        n += (size_t) snprintf(body + n, sizeof(body) - n, ",\"innererror\":{\"code\":\"%s\"",
                                               i + 1 == depth ? "KeyDisabled" : "Outer");
                for (unsigned i = 0; i < depth + 2; i++)
                        body[n++] = '}';
                body[n] = 0;
                assert_int_equal(judge_full(VAULT_OP_UNWRAP, 403, true, true, body).verdict,
                                 depth <= 4 ? VERDICT_REVOKED : VERDICT_BROKEN);
        }
}

static void test_codes_and_texts(void **state _unused_) {
        struct judgement j;
        char body[2048], text[1200];

        j = judge_full(VAULT_OP_UNWRAP, 403, true, true,
                       "{\"error\":{\"code\":\"Forbidden\",\"message\":\"a\\r\\nb\\u00e9\","
                       "\"innererror\":{\"code\":\"KeyDisabled\"}}}");
        assert_string_equal(j.code, "Forbidden/KeyDisabled");
        assert_string_equal(j.text, "a  b??");
        j = judge_full(VAULT_OP_UNWRAP, 404, true, true, "{\"error\":{\"code\":\"KeyNotFound\",\"message\":\"m\"}}");
        assert_string_equal(j.code, "KeyNotFound");
        j = judge_full(VAULT_OP_UNWRAP, 401, true, true,
                       "{\"error\":{\"code\":\"Unauthorized\",\"message\":\"AKV10046: x\"}}");
        assert_string_equal(j.code, "AKV10046");
        j = judge_full(VAULT_OP_UNWRAP, 401, true, true,
                       "{\"error\":{\"code\":\"Unauthorized\",\"message\":\"AKVx\"}}");
        assert_string_equal(j.code, "Unauthorized");
        memset(text, 'a', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%.600s\",\"message\":\"%.900s\"}}", text, text);
        j = judge_full(VAULT_OP_UNWRAP, 403, true, true, body);
        assert_true(strlen(j.code) < sizeof(j.code) && strlen(j.text) == sizeof(j.text) - 1);
}

static int parse_result(const char *format, const char *value, struct azure_result *ret, char *ret_left) {
        const char *why = NULL;
        char body[4096];
        int r;

        snprintf(body, sizeof(body), format, value);
        r = azure_parse_result(body, strlen(body), &asked, ret, &why);
        if (r == -EBADMSG)
                assert_non_null(why);
        if (ret_left)
                memcpy(ret_left, body, sizeof(body));
        return r;
}

static void test_result(void **state _unused_) {
        _cleanup_(azure_result_clear) struct azure_result result = {};
        char text[BASE64_SIZE(64) + 1], left[4096];
        uint8_t w[64];

        for (size_t i = 0; i < sizeof(w); i++)
                w[i] = (uint8_t) (i * 37 + 251);
        base64url_encode(w, sizeof(w), text);
        assert_int_equal(parse_result("{\"kid\":\"" KID "\",\"value\":\"%s\"}", text, &result, left), 0);
        assert_int_equal(secret_size(result.value), 64);
        assert_memory_equal(secret_cdata(result.value), w, 64);
        assert_string_equal(result.kid, KID);
        assert_null(memmem(left, sizeof(left), text, 16));       /* nothing of it is left where it came from */
}

static void test_bad_results(void **state _unused_) {
        static const char *const bodies[] = {
                "{\"kid\":\"" KID "\"}", "{\"value\":\"QUJD\"}", "{\"kid\":\"" KID "\",\"value\":null}",
                "{\"kid\":\"" KID "\",\"value\":\"\"}", "{\"kid\":\"" KID "\",\"value\":\"A\"}",
                "{\"kid\":\"" KID "\",\"value\":\"QU-+\"}", "{\"kid\":\"" KID "\",\"value\":\"QUJD=\"}",
                "{\"kid\":\"" KID "\",\"value\":\"QUJD\",\"value\":\"QUJD\"}",
                "{\"kid\":\"" KID "\",\"kid\":\"" KID "\",\"value\":\"QUJD\"}",
                "{\"kid\":\"https://vault.test/keys/k\",\"value\":\"QUJD\"}",
                "{\"kid\":\"https://vault.test/keys/other/0123456789abcdef0123456789abcdef\",\"value\":\"QUJD\"}",
                "{\"kid\":\"https://vault.test/keys/k/1123456789abcdef0123456789abcdef\",\"value\":\"QUJD\"}",
                "{\"kid\":\"https://vault.test:444/keys/k/0123456789abcdef0123456789abcdef\",\"value\":\"QUJD\"}",
                "{\"kid\":\"https://vault.testx/keys/k/0123456789abcdef0123456789abcdef\",\"value\":\"QUJD\"}",
                "{\"kid\":\"http://vault.test/keys/k/0123456789abcdef0123456789abcdef\",\"value\":\"QUJD\"}",
                "{\"kid\":7,\"value\":\"QUJD\"}", "[{\"kid\":\"" KID "\",\"value\":\"QUJD\"}]",
        };
        struct azure_result result = {};

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                char left[4096];

                if (parse_result("%s", bodies[i], &result, left) != -EBADMSG)
                        fail_msg("accepted: %s", bodies[i]);
                assert_null(result.value);
                assert_null(memmem(left, sizeof(left), "QUJD", 4));
        }
}

static void test_kid_in_other_spellings(void **state _unused_) {
        static const char *const kids[] = {
                "https://VAULT.test/keys/K/0123456789ABCDEF0123456789ABCDEF",
                "https://vault.test:443/keys/k/0123456789abcdef0123456789abcdef",
        };

        for (size_t i = 0; i < ELEMENTSOF(kids); i++) {
                _cleanup_(azure_result_clear) struct azure_result result = {};

                assert_int_equal(parse_result("{\"value\":\"QUJD\",\"kid\":\"%s\"}", kids[i], &result, NULL), 0);
                assert_string_equal(result.kid, KID);
        }
}

/* A GET reply with these parts. */
static int parse_key(const char *n, const char *kty, const char *attributes, struct vault_reply *ret) {
        const char *why = NULL;
        char body[4096];

        *ret = (struct vault_reply) {};
        snprintf(body, sizeof(body),
                 "{\"key\":{\"kid\":\"" KID "\",\"kty\":\"%s\",\"key_ops\":[\"wrapKey\",\"unwrapKey\",\"sign\"],"
                 "\"n\":\"%s\",\"e\":\"AQAB\"},\"attributes\":{%s}}", kty, n, attributes);
        return azure_parse_key(body, strlen(body), &asked, ret, &why);
}

#define PROTECTED "\"enabled\":true,\"recoveryLevel\":\"Recoverable\""

static void modulus(size_t bytes, size_t zeros, uint8_t first, char *ret) {
        uint8_t n[600];

        memset(n, 0, sizeof(n));
        memset(n + zeros, 0x5a, bytes);
        n[zeros] = first;
        n[zeros + bytes - 1] = 0x5b;
        base64url_encode(n, bytes + zeros, ret);
}

static void test_key(void **state _unused_) {
        char n[BASE64_SIZE(600) + 1];
        struct vault_reply y;
        const unsigned char *p;
        EVP_PKEY *k;

        for (size_t bytes = 256; bytes <= 512; bytes += 128)
                for (size_t zeros = 0; zeros < 2; zeros++) {
                        modulus(bytes, zeros, 0xc3, n);
                        assert_int_equal(parse_key(n, "RSA", PROTECTED, &y), 0);
                        assert_int_equal(y.key_bits, bytes * 8);
                        p = y.spki;
                        k = d2i_PUBKEY(NULL, &p, (long) y.spki_size);
                        assert_non_null(k);
                        assert_ptr_equal(p, y.spki + y.spki_size);
                        assert_int_equal(EVP_PKEY_get_bits(k), bytes * 8);
                        EVP_PKEY_free(k);
                }
        assert_int_equal(y.key_flags,
                         VAULT_KEY_ENABLED | VAULT_KEY_CAN_WRAP | VAULT_KEY_CAN_UNWRAP | VAULT_KEY_PURGE_PROTECTED);
        assert_string_equal(y.key_type, "RSA");
        assert_int_equal(parse_key(n, "RSA-HSM",
                                   "\"enabled\":false,\"nbf\":5,\"exp\":7,\"recoveryLevel\":\"Recoverable+Purgeable\"",
                                   &y), 0);
        assert_int_equal(y.key_flags, VAULT_KEY_CAN_WRAP | VAULT_KEY_CAN_UNWRAP | VAULT_KEY_HSM);
        assert_int_equal(y.not_before, 5);
        assert_int_equal(y.expires, 7);
}

/* A Managed HSM says nothing of the key itself, not even how long it is. */
static void test_symmetric_key(void **state _unused_) {
        char body[1024];
        const char *why = "";
        struct vault_reply y = {};

        snprintf(body, sizeof(body), "{\"key\":{\"kid\":\"" KID "\",\"kty\":\"oct-HSM\",\"key_ops\":[\"wrapKey\",\"unwrapKey\"]},"
                 "\"attributes\":{" PROTECTED "}}");
        assert_int_equal(azure_parse_key(body, strlen(body), &asked, &y, &why), 0);
        assert_string_equal(y.key_type, ALGORITHM_KW);
        assert_int_equal(y.key_bits, 256);
        assert_int_equal(y.spki_size, 0);
        assert_int_equal(y.key_flags, VAULT_KEY_ENABLED | VAULT_KEY_CAN_WRAP | VAULT_KEY_CAN_UNWRAP | VAULT_KEY_PURGE_PROTECTED |
                         VAULT_KEY_HSM);
        /* neither one whose material the service has shown, nor another type, is taken for it */
        assert_int_equal(parse_key("AQAB", "oct", PROTECTED, &y), 0);
        assert_string_equal(y.key_type, "oct");
        assert_int_equal(parse_key("AQAB", "EC-HSM", PROTECTED, &y), 0);
        assert_string_equal(y.key_type, "EC-HSM");
        assert_int_equal(y.spki_size, 0);
}

static void test_recovery_levels(void **state _unused_) {
        static const struct { const char *level; bool is_protected; } levels[] = {
                { "Purgeable", false }, { "Recoverable+Purgeable", false }, { "Recoverable", true },
                { "Recoverable+ProtectedSubscription", true }, { "CustomizedRecoverable+Purgeable", false },
                { "CustomizedRecoverable", true }, { "CustomizedRecoverable+ProtectedSubscription",
                                                     true }, { "Other", false },
        };
        char n[BASE64_SIZE(600) + 1], attributes[128];
        struct vault_reply y;

        modulus(256, 0, 0xc3, n);
        for (size_t i = 0; i < ELEMENTSOF(levels); i++) {
                snprintf(attributes, sizeof(attributes), "\"enabled\":true,\"recoveryLevel\":\"%s\"", levels[i].level);
                assert_int_equal(parse_key(n, "RSA", attributes, &y), 0);
                assert_int_equal(!!(y.key_flags & VAULT_KEY_PURGE_PROTECTED), levels[i].is_protected);
        }
        assert_int_equal(parse_key(n, "RSA", "\"enabled\":true", &y), 0);
        assert_false(y.key_flags & VAULT_KEY_PURGE_PROTECTED);
}

static void test_bad_keys(void **state _unused_) {
        char n[BASE64_SIZE(600) + 1];
        struct vault_reply y;

        modulus(128, 0, 0xc3, n);        /* too short */
        assert_int_equal(parse_key(n, "RSA", PROTECTED, &y), -EBADMSG);
        modulus(256, 0, 0x03, n);        /* 2042 bits */
        assert_int_equal(parse_key(n, "RSA", PROTECTED, &y), -EBADMSG);
        modulus(513, 0, 0xc3, n);
        assert_int_equal(parse_key(n, "RSA", PROTECTED, &y), -EBADMSG);
        modulus(520, 0, 0xc3, n);
        assert_int_equal(parse_key(n, "RSA", PROTECTED, &y), -EBADMSG);
        modulus(256, 0, 0xc3, n);
        assert_int_equal(parse_key(n, "RSA", "", &y), -EBADMSG);
        assert_int_equal(parse_key(n, "RSA", "\"enabled\":1", &y), -EBADMSG);
        assert_int_equal(parse_key(n, "RSA", "\"enabled\":\"true\"", &y), -EBADMSG);
        assert_int_equal(parse_key(n, "RSA", "\"enabled\":true,\"exp\":\"soon\"", &y), -EBADMSG);
        assert_int_equal(parse_key(n, "RSA", "\"enabled\":true,\"exp\":-1", &y), -EBADMSG);
        assert_int_equal(parse_key(n, "RSA", "\"enabled\":true,\"enabled\":false", &y), -EBADMSG);
        assert_int_equal(parse_key(n, "a-type-that-is-too-long", PROTECTED, &y), -EBADMSG);
        assert_int_equal(parse_key("", "RSA", PROTECTED, &y), -EBADMSG);
        assert_int_equal(parse_key("!!!!", "RSA", PROTECTED, &y), -EBADMSG);
        assert_int_equal(y.spki_size, 0);       /* untouched on failure */
}

static int parse_tags(const char *tags, struct vault_reply *ret) {
        const char *why = NULL;
        char n[BASE64_SIZE(600) + 1], body[4096];

        modulus(256, 0, 0xc3, n);
        *ret = (struct vault_reply) { .n_tags = 7 };
        snprintf(body, sizeof(body),
                 "{\"key\":{\"kid\":\"" KID "\",\"kty\":\"RSA\",\"key_ops\":[],\"n\":\"%s\",\"e\":\"AQAB\"},"
                 "\"attributes\":{" PROTECTED "}%s}", n, tags);
        return azure_parse_key(body, strlen(body), &asked, ret, &why);
}

static void test_tags(void **state _unused_) {
        static const char *const none[] = { "", ",\"tags\":null", ",\"tags\":{}", ",\"tags\":{\"team\":\"x\",\"cmk\":7}",
                                            ",\"tags\":{\"CMKD-poll-sec\":\"5\"}" };
        static const char *const left_out[] = {
                "\"cmkd-poll-sec\":5", "\"cmkd-poll-sec\":null", "\"cmkd-poll-sec\":[\"5\"]", "\"cmkd-\":\"5\"",
                "\"cmkd-Poll-Sec\":\"5\"", "\"cmkd-a-name-that-is-too-long-for-one\":\"5\"",
                "\"cmkd-poll-sec\":\"a value that is too long for any setting\"", "\"cmkd-poll-sec\":\"\\u0007\"",
                "\"cmkd-poll-sec\":\"\\u00e4\"", "\"cmkd-poll-sec\":\"5\\u0000\"",
        };
        char tags[2048];
        struct vault_reply y;
        size_t n;

        for (size_t i = 0; i < ELEMENTSOF(none); i++) {
                assert_int_equal(parse_tags(none[i], &y), 0);
                assert_int_equal(y.n_tags, 0);
                assert_false(y.key_flags & VAULT_KEY_TAGS_LEFT_OUT);
        }
        assert_int_equal(parse_tags(",\"tags\":{\"a\":\"b\",\"cmkd-poll-sec\":\"1min 5s\",\"cmkd-x\":\"\"}", &y), 0);
        assert_int_equal(y.n_tags, 2);
        assert_string_equal(y.tags[0].name, "cmkd-poll-sec");
        assert_string_equal(y.tags[0].value, "1min 5s");
        assert_string_equal(y.tags[1].name, "cmkd-x");
        assert_string_equal(y.tags[1].value, "");
        for (size_t i = 0; i < ELEMENTSOF(left_out); i++) {
                snprintf(tags, sizeof(tags), ",\"tags\":{%s,\"cmkd-hold-sec\":\"9\"}", left_out[i]);
                assert_int_equal(parse_tags(tags, &y), 0);
                assert_int_equal(y.n_tags, 1);
                assert_string_equal(y.tags[0].value, "9");
                assert_true(y.key_flags & VAULT_KEY_TAGS_LEFT_OUT);
        }
        n = (size_t) snprintf(tags, sizeof(tags), ",\"tags\":{\"x\":\"y\"");
        for (unsigned i = 0; i <= VAULT_TAGS_MAX; i++)
                n += (size_t) snprintf(tags + n, sizeof(tags) - n, ",\"cmkd-%u\":\"%u\"", i, i);
        snprintf(tags + n, sizeof(tags) - n, "}");
        assert_int_equal(parse_tags(tags, &y), 0);
        assert_int_equal(y.n_tags, VAULT_TAGS_MAX);
        assert_true(y.key_flags & VAULT_KEY_TAGS_LEFT_OUT);
        assert_int_equal(parse_tags(",\"tags\":[]", &y), -EBADMSG);
        assert_int_equal(parse_tags(",\"tags\":\"cmkd-poll-sec\"", &y), -EBADMSG);
        assert_int_equal(parse_tags(",\"tags\":{\"cmkd-a\":\"1\",\"cmkd-a\":\"2\"}", &y), -EBADMSG);
        assert_int_equal(y.n_tags, 7);           /* untouched on failure */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table), cmocka_unit_test(test_revoked_is_rare), cmocka_unit_test(test_revoked_secret_is_rare), cmocka_unit_test(test_secret),
                cmocka_unit_test(test_what_is_no_error_body),
                cmocka_unit_test(test_inner_errors), cmocka_unit_test(test_codes_and_texts),
                cmocka_unit_test(test_result),
                cmocka_unit_test(test_bad_results), cmocka_unit_test(test_kid_in_other_spellings),
                cmocka_unit_test(test_key),
                cmocka_unit_test(test_symmetric_key), cmocka_unit_test(test_recovery_levels), cmocka_unit_test(test_bad_keys),
                cmocka_unit_test(test_tags),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
