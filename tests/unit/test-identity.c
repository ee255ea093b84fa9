/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/imds-reply.c daemon/vault/judgement.c daemon/vault/reply-secret.c
// libs: json-c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault/imds-reply.h"

#define NOW 1700000000u

static int parse(const char *text, struct imds_token *ret, char *ret_left, size_t left_size) {
        const char *why = NULL;
        char body[32768];
        int r;

        snprintf(body, sizeof(body), "%s", text);
        r = imds_parse_token(body, strlen(text), NOW, ret, &why);
        if (r == -EBADMSG || r == -EKEYEXPIRED)
                assert_non_null(why);
        if (ret_left)
                memcpy(ret_left, body, left_size);
        return r;
}

static void test_token(void **state _unused_) {
        struct imds_token t = {};
        char left[256];

        assert_int_equal(parse("{\"access_token\":\"abc.def-ghi_jkl~mno+pqr/stu=\",\"expires_in\":\"3599\","
                               "\"token_type\":\"Bearer\"}", &t,
                               left, sizeof(left)), 0);
        assert_string_equal(secret_cdata(t.token), "abc.def-ghi_jkl~mno+pqr/stu=");
        assert_int_equal(secret_size(t.token), 29);
        assert_int_equal(t.lifetime_sec, 3599);
        assert_null(memmem(left, sizeof(left), "abc.def", 7));
        secret_free(t.token);
}

static void test_times(void **state _unused_) {
        static const struct { const char *fields; int result; uint64_t lifetime, refresh; } rows[] = {
                { "\"expires_in\":3599", 0, 3599, 3299 },
                { "\"expires_in\":\"86400\"", 0, 86400, 43200 },
                { "\"expires_in\":7201", 0, 7201, 3600 },
                { "\"expires_in\":7200", 0, 7200, 6900 },
                { "\"expires_in\":\"60\"", 0, 60, 30 },
                { "\"expires_in\":1", 0, 1, 0 },
                { "\"expires_in\":3600,\"refresh_in\":\"1800\"", 0, 3600, 1800 },
                { "\"expires_in\":3600,\"refresh_in\":0", 0, 3600, 3300 },
                { "\"expires_in\":3600,\"refresh_in\":9999", 0, 3600, 3300 },
                { "\"expires_on\":\"1700003600\"", 0, 3600, 3300 },
                { "\"expires_on\":1700003600", 0, 3600, 3300 },
                { "\"expires_in\":3600,\"expires_on\":1", 0, 3600, 3300 },      /* the wall clock may be wrong */
                { "\"expires_in\":99999999999", 0, 604800, 302400 },
                { "\"expires_in\":0", -EKEYEXPIRED, 0, 0 },
                { "\"expires_in\":\"0\"", -EKEYEXPIRED, 0, 0 },
                { "\"expires_in\":-60", -EKEYEXPIRED, 0, 0 },
                { "\"expires_in\":\"-60\"", -EKEYEXPIRED, 0, 0 },
                { "\"expires_on\":1699999999", -EKEYEXPIRED, 0, 0 },
                { "\"expires_in\":\"soon\"", -EBADMSG, 0, 0 },
                { "\"expires_in\":1.5", -EBADMSG, 0, 0 },
                { "\"expires_in\":null,\"expires_on\":1700003600", -EBADMSG, 0, 0 },
                { "\"expires_in\":true", -EBADMSG, 0, 0 },
                { "\"x\":1", -EBADMSG, 0, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct imds_token t = {};
                char text[256];

                snprintf(text, sizeof(text), "{\"access_token\":\"abc\",%s}", rows[i].fields);
                if (parse(text, &t, NULL, 0) != rows[i].result)
                        fail_msg("%s", text);
                assert_int_equal(t.lifetime_sec, rows[i].lifetime);
                assert_int_equal(t.refresh_sec, rows[i].refresh);
                assert_int_equal(t.token != NULL, rows[i].result == 0);
                secret_free(t.token);
        }
}

static void test_bad_tokens(void **state _unused_) {
        static const char *const bodies[] = {
                "", "<html>", "[]", "{}", "{\"expires_in\":1}", "{\"access_token\":null,\"expires_in\":1}",
                "{\"access_token\":\"\",\"expires_in\":1}", "{\"access_token\":7,\"expires_in\":1}",
                "{\"access_token\":\"a b\",\"expires_in\":1}", "{\"access_token\":\"a\\r\\nX: y\",\"expires_in\":1}",
                "{\"access_token\":\"a\\u000ab\",\"expires_in\":1}", "{\"access_token\":\"a,b\",\"expires_in\":1}",
                "{\"access_token\":\"abc\",\"access_token\":\"def\",\"expires_in\":1}",
                "{\"access_token\":\"abc\",\"expires_in\":1,\"token_type\":\"pop\"}",
                "{\"access_token\":\"abc\",\"expires_in\":1}x",
        };
        struct imds_token t = {};

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                if (parse(bodies[i], &t, NULL, 0) != -EBADMSG)
                        fail_msg("accepted: %s", bodies[i]);
                assert_null(t.token);
        }
}

static void test_length(void **state _unused_) {
        static const size_t sizes[] = { SECRET_MAX - 1, SECRET_MAX, 6000, SECRET_LONG_MAX - 1, SECRET_LONG_MAX, 20000 };
        char text[32768];

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                struct imds_token t = {};
                size_t n = sizes[i];
                int k = snprintf(text, sizeof(text), "{\"expires_in\":1,\"access_token\":\"");

                memset(text + k, 'a', n);
                strcpy(text + (size_t) k + n, "\"}");
                assert_int_equal(parse(text, &t, NULL, 0), n < SECRET_LONG_MAX ? 0 : -EMSGSIZE);
                assert_int_equal(t.too_long, n < SECRET_LONG_MAX ? 0 : n);
                assert_int_equal(t.token ? secret_size(t.token) : 0, n < SECRET_LONG_MAX ? n + 1 : 0);
                for (size_t k2 = 0; t.token && k2 < n; k2++)
                        assert_int_equal(secret_cdata(t.token)[k2], 'a');
                secret_free(t.token);
        }
}

static void test_errors(void **state _unused_) {
        static const struct {
                unsigned status;
                const char *body;
                enum verdict verdict;
                bool retry;
                const char *code;
        } rows[] = {
                { 400, "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}",
                  VERDICT_DENIED, false,
                  "metadata: invalid_request" },
                { 400, "{\"error\":\"invalid_request\",\"error_description\":\"Multiple user assigned identities exist, please specify the "
                  "clientId / resourceId of the identity in the token request\"}", VERDICT_MISCONFIGURED, false, "metadata: invalid_request" },
                { 400, "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found.\"}", VERDICT_MISCONFIGURED, false,
                  "metadata: invalid_request" },
                { 400, "{\"error\":\"invalid_request\"}", VERDICT_MISCONFIGURED, false, "metadata: invalid_request" },
                { 400, "{\"error\":\"invalid_resource\"}", VERDICT_MISCONFIGURED, false, "metadata: invalid_resource" },
                { 400, "{\"error\":\"bad_request_102\"}", VERDICT_MISCONFIGURED, false, "metadata: bad_request_102" },
                { 400, "<html>Identity not found</html>", VERDICT_BROKEN, false, "metadata: HTTP 400" },
                { 400, "{\"error\":7}", VERDICT_BROKEN, false, "metadata: HTTP 400" },
                { 403, "{\"error\":\"x\"}", VERDICT_MISCONFIGURED, false, "metadata: x" },
                { 404, "{\"error\":\"not_found\"}", VERDICT_UNREACHABLE, true, "metadata: not_found" },
                { 404, "", VERDICT_UNREACHABLE, true, "metadata: HTTP 404" },
                { 410, "{\"error\":\"gone\"}", VERDICT_UNREACHABLE, true, "metadata: gone" },
                { 429, "", VERDICT_THROTTLED, false, "metadata: HTTP 429" },
                { 500, "{\"error\":\"x\"}", VERDICT_UNREACHABLE, true, "metadata: x" },
                { 503, "<html>", VERDICT_UNREACHABLE, true, "metadata: HTTP 503" },
                { 302, "", VERDICT_BROKEN, false, "metadata: HTTP 302" },
                { 204, "", VERDICT_BROKEN, false, "metadata: HTTP 204" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct judgement j;
                bool retry;

                imds_judge((uint16_t) rows[i].status, rows[i].body, strlen(rows[i].body), &j, &retry);
                if (j.verdict != rows[i].verdict || retry != rows[i].retry || !streq(j.code, rows[i].code))
                        fail_msg("row %zu: %s %s", i, verdict_to_string(j.verdict), j.code);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_token), cmocka_unit_test(test_times), cmocka_unit_test(test_bad_tokens),
                cmocka_unit_test(test_length), cmocka_unit_test(test_errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
