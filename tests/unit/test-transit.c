/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/transit-redirect.c daemon/vault/transit-verdict.c daemon/vault/transit-reply.c daemon/vault/judgement.c daemon/vault/reply-secret.c
// libs: json-c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/algorithm.h"
#include "common/base64.h"
#include "vault/transit-redirect.h"
#include "vault/transit-reply.h"
#include "vault/transit-verdict.h"

#define TOO_OLD "ciphertext or signature version is disallowed by policy (too old)"
#define LIST(text) "1 error occurred:\\n\\t* " text "\\n\\n"
#define CALLS (TRANSIT_RENEW + 1)

static const struct key_uri asked = { .host = "bao.test", .port = 8200, .name = "k", .version = "2" };

static enum transit_next next;

static struct judgement judge_body(enum transit_call call, unsigned status, bool json, const char *body) {
        struct judgement j;

        transit_judge(&(struct transit_evidence) { .call = call, .status = (uint16_t) status, .json = json, .body = body,
                                                   .body_size = strlen(body) }, &j, &next);
        return j;
}

/* text NULL: an empty list. */
static struct judgement judge(enum transit_call call, unsigned status, const char *text) {
        char body[1024];

        snprintf(body, sizeof(body), text ? "{\"errors\":[\"%s\"]}\n" : "{\"errors\":[]}\n", text);
        return judge_body(call, status, true, body);
}

/* Every row of the project's notes, sections 3.4 and 7, as the server sends it. */
static void test_table(void **state _unused_) {
        static const struct {
                enum transit_call call;
                unsigned status;
                const char *text;
                enum verdict verdict;
                const char *code;
                enum transit_next next;
        } table[] = {
                /* the key's owner */
                { TRANSIT_DECRYPT, 400, "refusing to use soft-deleted key", VERDICT_REVOKED, "key soft-deleted", 0 },
                { TRANSIT_ENCRYPT, 400, "refusing to use soft-deleted key", VERDICT_REVOKED, "key soft-deleted", 0 },
                { TRANSIT_DECRYPT, 400, TOO_OLD, VERDICT_REVOKED, "version barred", 0 },
                { TRANSIT_DECRYPT, 400, "encryption key not found", VERDICT_UNREACHABLE, "key not found", TRANSIT_ASK_KEY },
                { TRANSIT_ENCRYPT, 400, "encryption key not found", VERDICT_UNREACHABLE, "key not found", TRANSIT_ASK_KEY },
                { TRANSIT_READ, 404, NULL, VERDICT_REVOKED, "key not found", 0 },
                /* another key of that name */
                { TRANSIT_DECRYPT, 400, "invalid ciphertext: version is too new", VERDICT_DENIED, "version unknown", 0 },
                { TRANSIT_DECRYPT, 400, "no such key version", VERDICT_DENIED, "version unknown", 0 },
                { TRANSIT_DECRYPT, 400, "cipher: message authentication failed", VERDICT_DENIED, "other key", 0 },
                { TRANSIT_DECRYPT, 400, "chacha20poly1305: message authentication failed", VERDICT_DENIED, "other key", 0 },
                { TRANSIT_DECRYPT, 400, "'[0].associated_data' provided for non-AEAD cipher suite rsa-2048", VERDICT_DENIED,
                  "other key", 0 },
                { TRANSIT_DECRYPT, 400, "invalid ciphertext length", VERDICT_MISCONFIGURED, "bad request", 0 },
                { TRANSIT_DECRYPT, 500, LIST("failed to RSA decrypt the ciphertext: crypto/rsa: decryption error"),
                  VERDICT_DENIED, "other key", 0 },
                /* ours */
                { TRANSIT_DECRYPT, 400, "invalid ciphertext: no prefix", VERDICT_MISCONFIGURED, "bad request", 0 },
                { TRANSIT_DECRYPT, 400, "invalid ciphertext: wrong number of fields", VERDICT_MISCONFIGURED, "bad request", 0 },
                { TRANSIT_DECRYPT, 400, "invalid ciphertext: could not decode base64", VERDICT_MISCONFIGURED, "bad request", 0 },
                { TRANSIT_DECRYPT, 400, "missing ciphertext to decrypt", VERDICT_MISCONFIGURED, "bad request", 0 },
                { TRANSIT_LOGIN, 400, "missing secret_id", VERDICT_MISCONFIGURED, "bad request", 0 },
                { TRANSIT_DECRYPT, 400, "failed to decode JSON input: unexpected EOF", VERDICT_MISCONFIGURED, "bad request", 0 },
                { TRANSIT_DECRYPT, 405, LIST("unsupported operation"), VERDICT_MISCONFIGURED, "HTTP 405", 0 },
                /* permissions */
                { TRANSIT_DECRYPT, 403, LIST("permission denied"), VERDICT_DENIED, "permission denied", TRANSIT_ASK_TOKEN },
                { TRANSIT_DECRYPT, 403, "permission denied", VERDICT_DENIED, "permission denied", TRANSIT_ASK_TOKEN },
                { TRANSIT_DECRYPT, 403, "invalid token", VERDICT_DENIED, "permission denied", TRANSIT_ASK_TOKEN },
                { TRANSIT_READ, 403, "permission denied", VERDICT_DENIED, "permission denied", TRANSIT_ASK_TOKEN },
                { TRANSIT_LOOKUP, 403, "permission denied", VERDICT_DENIED, "permission denied", 0 },
                { TRANSIT_RENEW, 403, "permission denied", VERDICT_DENIED, "permission denied", 0 },
                { TRANSIT_LOGIN, 403, "permission denied", VERDICT_DENIED, "login refused", 0 },
                { TRANSIT_LOGIN, 400, "invalid role or secret ID", VERDICT_DENIED, "login refused", 0 },
                { TRANSIT_UNWRAP, 400, "wrapping token is not valid or does not exist", VERDICT_MISCONFIGURED, TRANSIT_CODE_TAKEN, 0 },
                { TRANSIT_LOGIN, 400, "wrapping token is not valid or does not exist", VERDICT_DENIED, "HTTP 400", 0 },
                { TRANSIT_UNWRAP, 403, "permission denied", VERDICT_MISCONFIGURED, "unwrapping refused", 0 },
                /* whether the account or only the cluster's API server is gone, nobody can tell */
                { TRANSIT_LOGIN_VOUCHED, 403, "permission denied", VERDICT_DENIED_WEAK, "login refused", 0 },
                { TRANSIT_LOGIN_VOUCHED, 403, "namespace not authorized err=timeout", VERDICT_DENIED_WEAK, "login refused", 0 },
                { TRANSIT_LOGIN_VOUCHED, 400, "error validating token: token is expired", VERDICT_DENIED_WEAK, "login refused", 0 },
                { TRANSIT_LOGIN_VOUCHED, 400, "error configuring token validator: x", VERDICT_DENIED_WEAK, "login refused", 0 },
                { TRANSIT_LOGIN_VOUCHED, 403, "service account name not authorized", VERDICT_DENIED, "login refused", 0 },
                { TRANSIT_LOGIN_VOUCHED, 400, "invalid role name \\\"node\\\"", VERDICT_DENIED, "HTTP 400", 0 },
                { TRANSIT_LOGIN_VOUCHED, 400, "role \\\"node\\\" could not be found", VERDICT_DENIED, "HTTP 400", 0 },
                { TRANSIT_DECRYPT, 401, "who are you", VERDICT_DENIED_WEAK, "HTTP 401", 0 },
                /* mounts and namespaces */
                { TRANSIT_DECRYPT, 404, "no handler for route \\\"transit/decrypt/k\\\". route entry not found.",
                  VERDICT_UNREACHABLE, "no such mount", 0 },
                { TRANSIT_READ, 404, "no handler for route 'transit/keys/k'", VERDICT_UNREACHABLE, "no such mount", 0 },
                { TRANSIT_DECRYPT, 404, "namespace not found", VERDICT_UNREACHABLE, "no such namespace", 0 },
                { TRANSIT_DECRYPT, 503, "API access to this namespace has been locked by an administrator - \\\"ns1/\\\" must "
                  "be unlocked to gain access.", VERDICT_UNREACHABLE, "namespace locked", 0 },
                /* the server */
                { TRANSIT_DECRYPT, 503, "Vault is sealed", VERDICT_UNREACHABLE, "sealed", 0 },
                { TRANSIT_LOGIN, 503, "Vault is sealed", VERDICT_UNREACHABLE, "sealed", 0 },
                { TRANSIT_LOOKUP, 503, "Vault is sealed", VERDICT_UNREACHABLE, "sealed", 0 },
                { TRANSIT_DECRYPT, 503, "namespace is sealed", VERDICT_UNREACHABLE, "sealed", 0 },
                { TRANSIT_DECRYPT, 500, "local node not active but active cluster node not found", VERDICT_UNREACHABLE,
                  "no leader", 0 },
                { TRANSIT_DECRYPT, 503, "no active Vault instance found", VERDICT_UNREACHABLE, "no leader", 0 },
                { TRANSIT_DECRYPT, 472, "standby", VERDICT_UNREACHABLE, "standby", 0 },
                { TRANSIT_DECRYPT, 473, "standby", VERDICT_UNREACHABLE, "standby", 0 },
                { TRANSIT_DECRYPT, 412, "required index state not present", VERDICT_UNREACHABLE, "HTTP 412", 0 },
                { TRANSIT_DECRYPT, 429, "request path \\\"transit/decrypt/k\\\": rate limit quota exceeded", VERDICT_THROTTLED,
                  "HTTP 429", 0 },
                { TRANSIT_LOGIN, 429, "lease count quota exceeded", VERDICT_THROTTLED, "HTTP 429", 0 },
                { TRANSIT_DECRYPT, 500, LIST("internal error"), VERDICT_UNREACHABLE, "HTTP 500", 0 },
                { TRANSIT_DECRYPT, 502, "upstream rate limited", VERDICT_UNREACHABLE, "HTTP 502", 0 },
                { TRANSIT_DECRYPT, 530, "removed from the cluster", VERDICT_UNREACHABLE, "HTTP 530", 0 },
                /* not on the list */
                { TRANSIT_DECRYPT, 400, "something new", VERDICT_DENIED, "HTTP 400", 0 },
                { TRANSIT_DECRYPT, 404, NULL, VERDICT_DENIED, "HTTP 404", 0 },
                { TRANSIT_DECRYPT, 418, "teapot", VERDICT_DENIED, "HTTP 418", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct judgement j = judge(table[i].call, table[i].status, table[i].text);

                if (j.verdict != table[i].verdict || !streq(j.code, table[i].code) || next != table[i].next)
                        fail_msg("row %zu: %s %s %d", i, verdict_to_string(j.verdict), j.code, next);
        }
}

/* Nothing near the three answers that revoke does. */
static void test_revoked_is_exact(void **state _unused_) {
        static const char *const near[] = {
                "Refusing to use soft-deleted key", "refusing to use soft-deleted key ", "refusing to use soft-deleted",
                "encryption key not found.", TOO_OLD ".", "x" TOO_OLD, "", "key not found",
        };
        static const char *const bodies[] = {
                "{\"errors\":[\"refusing to use soft-deleted key\",\"and more\"]}",
                "{\"errors\":\"refusing to use soft-deleted key\"}", "{\"error\":[\"refusing to use soft-deleted key\"]}",
                "[\"refusing to use soft-deleted key\"]", "refusing to use soft-deleted key",
                "{\"errors\":[[\"refusing to use soft-deleted key\"]]}", "{\"errors\":[\"refusing to use soft-deleted key\"]}x",
                "{\"errors\":[],\"errors\":[\"refusing to use soft-deleted key\"]}", "",
                "{\"errors\":[\"refusing to use soft-deleted key\\u0000\"]}", "{\"errors\":[null]}",
        };

        for (size_t i = 0; i < ELEMENTSOF(near); i++)
                for (unsigned status = 100; status < 600; status++)
                        if (near[i][0] || status != 404)
                                assert_int_not_equal(judge(TRANSIT_DECRYPT, status, near[i]).verdict, VERDICT_REVOKED);
        for (size_t i = 0; i < ELEMENTSOF(bodies); i++)
                for (int call = 0; call < CALLS; call++)
                        assert_int_not_equal(judge_body((enum transit_call) call, 400, true, bodies[i]).verdict,
                                             VERDICT_REVOKED);
        for (unsigned status = 100; status < 600; status++)
                if (status != 400) {
                        assert_int_not_equal(judge(TRANSIT_DECRYPT, status, "refusing to use soft-deleted key").verdict,
                                             VERDICT_REVOKED);
                        assert_int_not_equal(judge(TRANSIT_DECRYPT, status, TOO_OLD).verdict, VERDICT_REVOKED);
                }
        /* without the vault's Content-Type, and for what is no use of the key */
        assert_int_equal(judge_body(TRANSIT_DECRYPT, 400, false, "{\"errors\":[\"refusing to use soft-deleted key\"]}").verdict,
                         VERDICT_BROKEN);
        for (int call = TRANSIT_READ; call < CALLS; call++)
                assert_int_equal(judge((enum transit_call) call, 400, "refusing to use soft-deleted key").verdict,
                                 VERDICT_DENIED);
        assert_int_equal(judge(TRANSIT_LOGIN, 404, NULL).verdict, VERDICT_DENIED);
        assert_int_equal(judge(TRANSIT_LOOKUP, 404, NULL).verdict, VERDICT_DENIED);
}

/* A proxy, a portal, something that is no vault. */
static void test_foreign(void **state _unused_) {
        static const struct { unsigned status; const char *body; enum verdict verdict; } table[] = {
                { 403, "<html>", VERDICT_DENIED_WEAK }, { 401, "<html>", VERDICT_DENIED_WEAK }, { 404, "<html>", VERDICT_BROKEN },
                { 400, "{}", VERDICT_BROKEN }, { 403, "{\"message\":\"forbidden\"}", VERDICT_DENIED_WEAK },
                { 429, "slow down", VERDICT_THROTTLED }, { 502, "<html>", VERDICT_UNREACHABLE },
                { 503, "", VERDICT_UNREACHABLE }, { 302, "", VERDICT_BROKEN }, { 307, "", VERDICT_UNREACHABLE },
                { 204, "", VERDICT_BROKEN }, { 201, "{}", VERDICT_BROKEN },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                assert_int_equal(judge_body(TRANSIT_DECRYPT, table[i].status, true, table[i].body).verdict, table[i].verdict);
                assert_int_equal(next, TRANSIT_NOTHING);
        }
        assert_string_equal(judge_body(TRANSIT_DECRYPT, 307, false, "").code, "redirect");
}

static struct transit_evidence evidence(enum transit_call call, unsigned status, const char *body) {
        return (struct transit_evidence) { .call = call, .status = (uint16_t) status, .json = true, .body = body,
                                           .body_size = strlen(body) };
}

static void test_missing(void **state _unused_) {
        static const struct { unsigned status; const char *body; enum verdict verdict; const char *code; } table[] = {
                { 404, "{\"errors\":[]}", VERDICT_REVOKED, "key not found" },
                { 404, "{\"errors\":[\"no handler for route \\\"x\\\"\"]}", VERDICT_UNREACHABLE, "no such mount" },
                { 404, "{}", VERDICT_BROKEN, "HTTP 404" },
                { 404, "<html>", VERDICT_BROKEN, "HTTP 404" },
                { 403, "{\"errors\":[\"permission denied\"]}", VERDICT_DENIED, "key not found" },
                { 403, "<html>", VERDICT_DENIED_WEAK, "HTTP 403" },
                { 429, "{\"errors\":[\"quota\"]}", VERDICT_THROTTLED, "HTTP 429" },
                { 503, "{\"errors\":[\"Vault is sealed\"]}", VERDICT_UNREACHABLE, "sealed" },
                { 500, "{\"errors\":[]}", VERDICT_UNREACHABLE, "HTTP 500" },
        };
        struct judgement j;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct transit_evidence e = evidence(TRANSIT_READ, table[i].status, table[i].body);

                transit_judge_missing(&e, &j);
                assert_int_equal(j.verdict, table[i].verdict);
                assert_string_equal(j.code, table[i].code);
        }
        transit_judge_missing(NULL, &j);
        assert_int_equal(j.verdict, VERDICT_UNREACHABLE);
        assert_string_equal(j.code, "contradiction");
}

static void test_refused(void **state _unused_) {
        static const struct { unsigned status; const char *body; enum verdict verdict; bool dead; } table[] = {
                { 403, "{\"errors\":[\"permission denied\"]}", VERDICT_DENIED, true },
                { 403, "{\"errors\":[\"bad token\"]}", VERDICT_DENIED, true },
                { 403, "<html>", VERDICT_DENIED_WEAK, false },
                { 503, "{\"errors\":[\"Vault is sealed\"]}", VERDICT_UNREACHABLE, false },
                { 429, "{\"errors\":[\"quota\"]}", VERDICT_THROTTLED, false },
                { 404, "{\"errors\":[]}", VERDICT_DENIED, false },
        };
        struct judgement refused = judge(TRANSIT_DECRYPT, 403, LIST("permission denied")), j;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct transit_evidence e = evidence(TRANSIT_LOOKUP, table[i].status, table[i].body);

                assert_int_equal(transit_judge_refused(&refused, &e, &j), table[i].dead);
                assert_int_equal(j.verdict, table[i].verdict);
        }
        assert_false(transit_judge_refused(&refused, NULL, &j));
        assert_int_equal(j.verdict, VERDICT_DENIED);
        assert_string_equal(j.code, "permission denied");
        assert_non_null(strstr(j.text, "the token is good"));
}

/* ---- good replies ---- */

#define WITH(data) "{\"request_id\":\"1c7e0250\",\"lease_id\":\"\",\"data\":" data ",\"wrap_info\":null,\"auth\":null}"

static int parse_plain(const char *text, uint8_t *ret, size_t *ret_size, char *left) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        const char *why = NULL;
        char body[4096], id[129];
        int r;

        snprintf(body, sizeof(body), "%s", text);
        r = transit_parse_plaintext(body, strlen(text), id, &s, &why);
        if (left)
                memcpy(left, body, sizeof(body));
        if (r < 0) {
                assert_non_null(why);
                assert_null(s);
                return r;
        }
        assert_string_equal(id, "1c7e0250");
        memcpy(ret, secret_cdata(s), secret_size(s));
        *ret_size = secret_size(s);
        return 0;
}

static void test_plaintext(void **state _unused_) {
        static const char *const bad[] = {
                WITH("{}"), WITH("{\"plaintext\":\"\"}"), WITH("{\"plaintext\":null}"), WITH("{\"plaintext\":7}"),
                WITH("{\"plaintext\":\"aGVsbG8\"}"), WITH("{\"plaintext\":\"aGVs-G8=\"}"), WITH("{\"plaintext\":\"aGVsbG8=\\n\"}"),
                WITH("{\"plaintext\":\"aGVsbG8=\",\"plaintext\":\"aGVsbG8=\"}"), WITH("[{\"plaintext\":\"aGVsbG8=\"}]"),
                WITH("{\"plaintext\":[\"aGVsbG8=\"]}"), WITH("{\"x\":{\"plaintext\":\"aGVsbG8=\"}}"), WITH("null"), "{}", "", "[]",
                "{\"plaintext\":\"aGVsbG8=\"}", WITH("{\"plaintext\":\"aGVsbG8=\"}") "x",
                "{\"data\":{},\"data\":{\"plaintext\":\"aGVsbG8=\"}}", "{\"x\":{\"plaintext\":\"aGVsbG8=\"},\"data\":{}}",
                WITH("{\"plainte\\u0078t\":\"aGVsbG8=\"}"),
        };
        uint8_t value[VAULT_BLOB_MAX];
        char left[4096], big[3000];
        size_t size;

        assert_int_equal(parse_plain(WITH("{\"plaintext\":\"aGVsbG8=\"}"), value, &size, left), 0);
        assert_int_equal(size, 5);
        assert_memory_equal(value, "hello", 5);
        assert_null(strstr(left, "aGVsbG8="));
        assert_non_null(strstr(left, "\"plaintext\":\"        \""));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (parse_plain(bad[i], value, &size, left) != -EBADMSG)
                        fail_msg("taken: %s", bad[i]);
        /* more than any key may wrap */
        memset(big, 'A', sizeof(big));
        snprintf(big, sizeof(big), "{\"data\":{\"plaintext\":\"");
        big[strlen(big)] = 'A';
        snprintf(big + 2000, 16, "\"}}");
        assert_int_equal(parse_plain(big, value, &size, left), -EBADMSG);
        assert_null(strstr(left, "AAAA"));
}

static void test_ciphertext(void **state _unused_) {
        static const uint8_t blob[3] = { 0, 255, 62 };
        char text[TRANSIT_CIPHERTEXT_MAX], body[2048], id[129];
        uint8_t full[VAULT_BLOB_MAX] = {};
        struct secret *s = NULL;
        const char *why = NULL;

        transit_format_ciphertext(7, blob, sizeof(blob), text);
        assert_string_equal(text, "vault:v7:AP8+");
        snprintf(body, sizeof(body), WITH("{\"ciphertext\":\"%s\",\"key_version\":7}"), text);
        assert_int_equal(transit_parse_ciphertext(body, strlen(body), 7, id, &s, &why), 0);
        assert_int_equal(secret_size(s), 3);
        assert_memory_equal(secret_cdata(s), blob, 3);
        secret_free(s);
        snprintf(body, sizeof(body), WITH("{\"ciphertext\":\"%s\"}"), text);
        assert_int_equal(transit_parse_ciphertext(body, strlen(body), 6, id, &s, &why), -EBADMSG);
        snprintf(body, sizeof(body), WITH("{\"ciphertext\":\"vault:v77:AP8+\"}"));
        assert_int_equal(transit_parse_ciphertext(body, strlen(body), 7, id, &s, &why), -EBADMSG);
        transit_format_ciphertext(UINT32_MAX, full, sizeof(full), text);
        assert_true(strlen(text) < sizeof(text));
}

static void test_version(void **state _unused_) {
        static const struct { const char *text; uint32_t version; } table[] = {
                { "1", 1 }, { "42", 42 }, { "2147483647", INT32_MAX }, { "", 0 }, { "0", 0 }, { "01", 0 }, { "2147483648", 0 },
                { "1a", 0 }, { "abc", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct key_uri u = {};

                snprintf(u.version, sizeof(u.version), "%s", table[i].text);
                assert_int_equal(transit_version(&u), table[i].version);
        }
}

static EVP_PKEY *rsa_key;

/* The public key as it stands in a reply. */
static void make_pem(char *buf, size_t size) {
        BIO *b = BIO_new(BIO_s_mem());
        size_t n = 0;
        char c;

        PEM_write_bio_PUBKEY(b, rsa_key);
        while (BIO_read(b, &c, 1) == 1 && n + 3 < size) {
                if (c == '\n')
                        buf[n++] = '\\';
                buf[n++] = c == '\n' ? 'n' : c;
        }
        buf[n] = 0;
        BIO_free(b);
}

static int parse_key(const char *type, const char *more, const char *keys, const struct key_uri *u, struct vault_reply *ret) {
        const char *why = NULL;
        char body[8192];
        int r;

        *ret = (struct vault_reply) {};
        snprintf(body, sizeof(body), WITH("{\"name\":\"k\",\"type\":\"%s\",\"supports_decryption\":true,"
                                          "\"supports_encryption\":true,%s,\"keys\":{%s}}"), type, more, keys);
        r = transit_parse_key(body, strlen(body), u, ret, &why);
        if (r < 0) {
                assert_non_null(why);
                assert_int_equal(ret->spki_size, 0);
        }
        return r;
}

#define NUMBERS "\"latest_version\":3,\"min_decryption_version\":2"
#define PLAIN NUMBERS ",\"deletion_allowed\":false,\"soft_deleted\":false"

static void test_key(void **state _unused_) {
        struct key_uri newest = asked, one = asked, four = asked;
        char pem[1024], keys[4096];
        struct vault_reply y;

        newest.version[0] = 0;
        snprintf(one.version, sizeof(one.version), "1");
        snprintf(four.version, sizeof(four.version), "4");
        make_pem(pem, sizeof(pem));
        snprintf(keys, sizeof(keys), "\"2\":{\"public_key\":\"%s\"},\"3\":{\"public_key\":\"%s\"}", pem, pem);
        assert_int_equal(parse_key("rsa-2048", PLAIN, keys, &asked, &y), 0);
        assert_string_equal(y.kid, "https://bao.test:8200/keys/k/2");
        assert_string_equal(y.key_type, "rsa-2048");
        assert_string_equal(y.request_id, "1c7e0250");
        assert_int_equal(y.key_bits, 2048);
        assert_int_equal(y.key_flags, VAULT_KEY_ENABLED | VAULT_KEY_CAN_WRAP | VAULT_KEY_CAN_UNWRAP | VAULT_KEY_PURGE_PROTECTED);
        assert_true(y.spki_size > 256);
        assert_int_equal(parse_key("rsa-2048", PLAIN, keys, &newest, &y), 0);
        assert_string_equal(y.kid, "https://bao.test:8200/keys/k/3");
        /* barred, gone, not yet */
        assert_int_equal(parse_key("rsa-2048", PLAIN, keys, &one, &y), 0);
        assert_false(y.key_flags & VAULT_KEY_ENABLED);
        assert_int_equal(parse_key("rsa-2048", NUMBERS ",\"deletion_allowed\":false,\"soft_deleted\":true", keys, &asked, &y), 0);
        assert_false(y.key_flags & VAULT_KEY_ENABLED);
        assert_int_equal(parse_key("rsa-2048", PLAIN, keys, &four, &y), -EBADMSG);
        assert_int_equal(parse_key("rsa-2048", PLAIN, "", &asked, &y), -EBADMSG);
        /* what the owner allows */
        assert_int_equal(parse_key("rsa-2048", NUMBERS ",\"deletion_allowed\":true", keys, &asked, &y), 0);
        assert_false(y.key_flags & VAULT_KEY_PURGE_PROTECTED);
        assert_int_equal(parse_key("rsa-2048", PLAIN ",\"exportable\":true", keys, &asked, &y), 0);
        assert_false(y.key_flags & VAULT_KEY_PURGE_PROTECTED);
        assert_int_equal(parse_key("rsa-2048", PLAIN ",\"allow_plaintext_backup\":true", keys, &asked, &y), 0);
        assert_false(y.key_flags & VAULT_KEY_PURGE_PROTECTED);
        assert_int_equal(parse_key("rsa-2048", NUMBERS, keys, &asked, &y), -EBADMSG);
        assert_int_equal(parse_key("rsa-2048", "\"deletion_allowed\":false", keys, &asked, &y), -EBADMSG);
        /* other types */
        assert_int_equal(parse_key("aes128-gcm96", PLAIN, "\"1\":1795763133", &asked, &y), -EOPNOTSUPP);
        assert_int_equal(parse_key("xchacha20-poly1305", PLAIN, "\"1\":1795763133", &asked, &y), -EOPNOTSUPP);
        assert_int_equal(parse_key("aes256-gcm96", PLAIN ",\"derived\":true", "\"1\":1795763133", &asked, &y), -EOPNOTSUPP);
        assert_int_equal(parse_key("ed25519", PLAIN, keys, &asked, &y), -EOPNOTSUPP);
        assert_int_equal(parse_key("rsa-2048", PLAIN, "\"2\":{\"public_key\":\"-----BEGIN PUBLIC KEY-----\"}", &asked, &y), -EBADMSG);
        assert_int_equal(parse_key("rsa-2048", PLAIN, "\"2\":{\"public_key\":null}", &asked, &y), -EBADMSG);
        assert_int_equal(parse_key("rsa-2048", PLAIN, "\"2\":\"x\"", &asked, &y), -EBADMSG);
        snprintf(newest.name, sizeof(newest.name), "other");
        assert_int_equal(parse_key("rsa-2048", PLAIN, keys, &newest, &y), -EBADMSG);
}

/* Only a place that is missing, and only that. */
static void test_place(void **state _unused_) {
        static const struct { unsigned status; const char *text; bool place; } cases[] = {
                { 404, "no handler for route \\\"transit/decrypt/k\\\". route entry not found.", true },
                { 404, "namespace not found", true },
                { 404, "something else", false },
                { 400, "namespace not found", false },
                { 503, "Vault is sealed", false },
                { 503, "namespace is sealed", false },
                { 400, "refusing to use soft-deleted key", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct judgement j = judge(TRANSIT_DECRYPT, cases[i].status, cases[i].text), was = j;

                assert_int_equal(transit_judge_place(&j), cases[i].place);
                assert_int_equal(j.verdict, cases[i].place ? VERDICT_DENIED : was.verdict);
                assert_string_equal(j.code, was.code);
        }
}

static void test_symmetric_key(void **state _unused_) {
        struct key_uri one = asked;
        struct vault_reply y;

        snprintf(one.version, sizeof(one.version), "1");
        assert_int_equal(parse_key("aes256-gcm96", PLAIN ",\"derived\":false", "\"2\":1795763133,\"3\":1795763134", &asked, &y), 0);
        assert_string_equal(y.key_type, ALGORITHM_AES);
        assert_string_equal(y.kid, "https://bao.test:8200/keys/k/2");
        assert_int_equal(y.key_bits, 256);
        assert_int_equal(y.spki_size, 0);
        assert_int_equal(y.key_flags, VAULT_KEY_ENABLED | VAULT_KEY_CAN_WRAP | VAULT_KEY_CAN_UNWRAP | VAULT_KEY_PURGE_PROTECTED);
        assert_int_equal(parse_key("chacha20-poly1305", PLAIN, "\"2\":1795763133", &asked, &y), 0);
        assert_string_equal(y.key_type, ALGORITHM_CHACHA);
        assert_int_equal(parse_key("aes256-gcm96", PLAIN, "\"2\":1795763133", &one, &y), 0);
        assert_false(y.key_flags & VAULT_KEY_ENABLED);
}

static int parse_token(const char *text, struct transit_token *ret, char *left) {
        const char *why = NULL;
        char body[1024];
        int r;

        snprintf(body, sizeof(body), "%s", text);
        r = transit_parse_token(body, strlen(text), ret, &why);
        memcpy(left, body, sizeof(body));
        if (r < 0)
                assert_non_null(why);
        return r;
}

static void test_token(void **state _unused_) {
        static const char *const bad[] = {
                "{\"auth\":null}", "{\"auth\":{}}", "{\"auth\":{\"client_token\":\"\",\"lease_duration\":1}}",
                "{\"auth\":{\"client_token\":\"s.a\"}}", "{\"auth\":{\"client_token\":\"s.a\",\"lease_duration\":-1}}",
                "{\"auth\":{\"client_token\":\"s.a\",\"lease_duration\":\"1\"}}",
                "{\"auth\":{\"client_token\":\"s.a b\",\"lease_duration\":1}}",
                "{\"auth\":{\"client_token\":\"s.a\\r\\nX: y\",\"lease_duration\":1}}",
                "{\"client_token\":\"s.a\",\"lease_duration\":1}",
        };
        struct transit_token t = {};
        char left[1024];

        assert_int_equal(parse_token("{\"auth\":{\"client_token\":\"s.iFig3EzDEO\",\"lease_duration\":60,\"renewable\":true}}", &t,
                                     left), 0);
        assert_string_equal(secret_cdata(t.token), "s.iFig3EzDEO");
        assert_int_equal(t.lifetime_sec, 60);
        assert_true(t.renewable);
        assert_null(strstr(left, "iFig3"));
        secret_free(t.token);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                struct transit_token none = {};

                assert_int_equal(parse_token(bad[i], &none, left), -EBADMSG);
                assert_null(none.token);
                assert_null(strstr(left, "s.a"));
        }
}

static void test_second_factor(void **state _unused_) {
        static const struct { const char *body; bool wanted; } table[] = {
                { "{\"auth\":{\"client_token\":\"\",\"lease_duration\":0,\"mfa_requirement\":{\"mfa_request_id\":\"x\"}}}", true },
                { "{\"auth\":{\"mfa_requirement\":{}}}", true },
                { "{\"auth\":{\"client_token\":\"\",\"mfa_requirement\":null}}", false },
                { "{\"auth\":{\"client_token\":\"\",\"mfa_requirement\":\"x\"}}", false },
                { "{\"auth\":{\"client_token\":\"s.a\",\"mfa_requirement\":{}}}", false },
                { "{\"mfa_requirement\":{}}", false }, { "{\"auth\":{\"mfa_requirement\":{}", false }, { "", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (transit_wants_more(table[i].body, strlen(table[i].body)) != table[i].wanted)
                        fail_msg("%s", table[i].body);
}

static void test_cluster(void **state _unused_) {
        char id[65];

        assert_int_equal(transit_parse_cluster("{\"cluster_id\":\"a-b\"}", 20, id), 0);
        assert_string_equal(id, "a-b");
        assert_int_equal(transit_parse_cluster("{\"sealed\":true}", 15, id), -EHOSTDOWN);
        assert_string_equal(id, "");
        assert_int_equal(transit_parse_cluster("{\"sealed\":false}", 16, id), 0);
        assert_string_equal(id, "");
        assert_int_equal(transit_parse_cluster("{", 1, id), -EBADMSG);
}

static void test_wrapped(void **state _unused_) {
        static const char good[] = "{\"data\":{\"secret_id\":\"13f6-a.b\",\"secret_id_ttl\":0}}";
        static const char *const bad[] = {
                "{\"data\":null}", "{\"data\":{\"secret_id\":\"\"}}", "{\"secret_id\":\"13f6\"}", "{\"data\":{\"secret_id\":\"13 f6\"}}",
                "{\"data\":{\"secret_id\":\"13f6\\u0022\"}}", "{\"data\":{\"secret_id\":136}}",
        };
        struct secret *s = NULL;
        char path[257], body[256];
        const char *why = NULL;

        assert_int_equal(transit_parse_wrapping("{\"data\":{\"creation_path\":\"sys/wrapping/wrap\"}}", 46, path), 0);
        assert_string_equal(path, "sys/wrapping/wrap");
        assert_int_equal(transit_parse_wrapping("{\"data\":null}", 13, path), 0);
        assert_string_equal(path, "");
        assert_int_equal(transit_parse_wrapping("{", 1, path), -EBADMSG);
        snprintf(body, sizeof(body), "%s", good);
        assert_int_equal(transit_parse_secret_id(body, strlen(good), &s, &why), 0);
        assert_string_equal(secret_cdata(s), "13f6-a.b");
        assert_null(strstr(body, "13f6"));
        secret_free(s);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                struct secret *none = NULL;

                snprintf(body, sizeof(body), "%s", bad[i]);
                assert_int_equal(transit_parse_secret_id(body, strlen(bad[i]), &none, &why), -EBADMSG);
                assert_null(none);
        }
}

static void test_redirect(void **state _unused_) {
        static const char *const places[] = { "bao.test:8200", "bao-2.test:8200", "bao-3.test:443" };
        static const struct { const char *location, *to; } table[] = {
                { "https://bao-2.test:8200/v1/transit/decrypt/k", "bao-2.test:8200" },
                { "HTTPS://BAO-2.test:8200/v1/transit/decrypt/k", "bao-2.test:8200" },
                { "https://bao-3.test/v1/transit/decrypt/k", "bao-3.test:443" },
                { "https://bao-3.test:443/v1/transit/decrypt/k", "bao-3.test:443" },
                { "https://bao.test:8200/v1/transit/decrypt/k", "bao.test:8200" },
                { "https://bao.test/v1/transit/decrypt/k", NULL }, { "https://bao-2.test/v1/transit/decrypt/k", NULL },
                { "https://bao-2.test:82000/v1/transit/decrypt/k", NULL }, { "https://bao-2.test:8200.evil.test/v1/transit/decrypt/k", NULL },
                { "https://evil.test/v1/transit/decrypt/k", NULL }, { "http://bao-2.test:8200/v1/transit/decrypt/k", NULL },
                { "https://user@bao-2.test:8200/v1/transit/decrypt/k", NULL }, { "https://bao-2.test:8200@evil.test/v1/transit/decrypt/k", NULL },
                { "https://bao-2.test:8200/v1/transit/decrypt/k2", NULL }, { "https://bao-2.test:8200/v1/transit/decrypt/k?x", NULL },
                { "https://bao-2.test:8200/v1/transit/decrypt/K", NULL }, { "https://bao-2.test:8200//v1/transit/decrypt/k", NULL },
                { "/v1/transit/decrypt/k", NULL }, { "//bao-2.test:8200/v1/transit/decrypt/k", NULL }, { "https://", NULL }, { "", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                int r = transit_redirect(places, ELEMENTSOF(places), "transit/decrypt/k", table[i].location);

                if (table[i].to ? r < 0 || !streq(places[r], table[i].to) : r != -EINVAL)
                        fail_msg("%s: %d", table[i].location, r);
        }
        assert_int_equal(transit_redirect(places, 1, "x", "https://bao.test:8200/v1/x"), 0);
        assert_int_equal(transit_redirect(places, 1, "x", "https://bao-3.test/v1/x"), -EINVAL);
}

static int make_keys(void **state _unused_) {
        rsa_key = EVP_RSA_gen(2048);
        return rsa_key ? 0 : -1;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table), cmocka_unit_test(test_revoked_is_exact), cmocka_unit_test(test_foreign),
                cmocka_unit_test(test_missing), cmocka_unit_test(test_refused), cmocka_unit_test(test_plaintext),
                cmocka_unit_test(test_ciphertext), cmocka_unit_test(test_version), cmocka_unit_test(test_key),
                cmocka_unit_test(test_symmetric_key), cmocka_unit_test(test_place), cmocka_unit_test(test_token),
                cmocka_unit_test(test_second_factor), cmocka_unit_test(test_cluster), cmocka_unit_test(test_wrapped), cmocka_unit_test(test_redirect),
        };
        return cmocka_run_group_tests_name("transit", tests, make_keys, NULL);
}
