/* SPDX-License-Identifier: Apache-2.0 */
// libs: json-c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json-text.h"

static void test_documents(void **state _unused_) {
        static const char *const good[] = {
                "{}", " { } ", "{\"a\":1}", "{\"a\":[1,2.5,-3e+7,true,false,null,\"x\",{}]}",
                "{\"a\":\"\\u00e9\\n\\/\"}",
                "{\"a\":0,\"b\":-0.0,\"c\":1E-9}", "{\"tag \\u00fc\":1}",
        };
        static const char *const bad[] = {
                "", " ", "[]", "\"a\"", "1", "null", "{", "}", "{]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}",
                "{\"a\":1 \"b\":2}",
                "{a:1}", "{'a':1}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":.5}", "{\"a\":+1}", "{\"a\":-}", "{\"a\":1e}",
                "{\"a\":NaN}",
                "{\"a\":Infinity}", "{\"a\":tru}", "{\"a\":truex}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}",
                "{\"a\":\"\n\"}", "{\"a\":\"",
                "{\"a\":1}x", "{\"a\":1}{}", "{\"a\":[1,]}", "{\"a\":[}", "/**/{}", "{\"a\":1,\"a\":2}",
                "{\"x\":{\"a\":1,\"a\":2}}",
                "{\"\\u0061\":1}", "{\"a\\u005fb\":1}", "{\"a\":[{\"b\":1,\"b\":1}]}",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                struct json_object *o = NULL;

                assert_int_equal(json_check(good[i], strlen(good[i]), NULL, NULL), 0);
                assert_int_equal(json_parse(good[i], strlen(good[i]), &o), 0);
                json_object_put(o);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                struct json_object *o = NULL;

                if (json_check(bad[i], strlen(bad[i]), NULL, NULL) != -EBADMSG)
                        fail_msg("accepted: %s", bad[i]);
                assert_int_equal(json_parse(bad[i], strlen(bad[i]), &o), -EBADMSG);
        }
}

static void test_bytes(void **state _unused_) {
        static const char nul[] = "{\"a\":\"b\0c\"}", utf8[] = "{\"a\":\"\xc3\xa9\"}", broken[] = "{\"a\":\"\xff\"}";
        struct json_object *o = NULL;

        assert_int_equal(json_parse(nul, sizeof(nul) - 1, &o), -EBADMSG);
        assert_int_equal(json_parse("{}\0", 3, &o), -EBADMSG);
        assert_int_equal(json_parse(broken, sizeof(broken) - 1, &o), -EBADMSG);
        assert_int_equal(json_parse(utf8, sizeof(utf8) - 1, &o), 0);
        json_object_put(o);
}

/* The text lies at the end of an allocation, so that the sanitizer sees a read past it. */
static void test_every_prefix(void **state _unused_) {
        static const char text[] = "{\"kid\":\"k\\u00e9\",\"value\":\"YWJj\",\"n\":[-1.5e3,true,{\"x\":null}]}";

        for (size_t n = 0; n < sizeof(text) - 1; n++) {
                char *copy = malloc(n + 1);
                struct json_span at;

                memcpy(copy + 1, text, n);
                assert_int_equal(json_check(copy + 1, n, "value", &at), -EBADMSG);
                free(copy);
        }
}

static void test_limits(void **state _unused_) {
        char text[4096];
        size_t n;

        for (unsigned depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX; depth++) {
                snprintf(text, sizeof(text), "{\"a\":%.*s%.*s}", (int) depth, "[[[[[[[[[[[[[[[[[[[[", (int) depth,
                         "]]]]]]]]]]]]]]]]]]]]");
                assert_int_equal(json_check(text, strlen(text), NULL, NULL), depth < JSON_DEPTH_MAX ? 0 : -EBADMSG);
        }
        for (unsigned members = JSON_MEMBERS_MAX; members <= JSON_MEMBERS_MAX + 1; members++) {
                n = 0;
                for (unsigned i = 0; i < members; i++)
                        n += (size_t) snprintf(text + n, sizeof(text) - n, "%c\"k%u\":1", i == 0 ? '{' : ',', i);
                text[n++] = '}';
                assert_int_equal(json_check(text, n, NULL, NULL), members <= JSON_MEMBERS_MAX ? 0 : -EBADMSG);
        }
}

static void check_span(const char *text, int result, const char *content) {
        struct json_span at = {};

        assert_int_equal(json_check(text, strlen(text), "value", &at), result);
        if (result < 0)
                return;
        assert_int_equal(at.size, strlen(content));
        assert_memory_equal(text + at.offset, content, at.size);
}

static void test_member(void **state _unused_) {
        check_span("{\"value\":\"YWJj\"}", 0, "YWJj");
        check_span("{ \"a\" : {\"value\":\"no\"} , \"value\" : \"yes\" }", 0, "yes");
        check_span("{\"value\":\"\"}", 0, "");
        check_span("{\"value\":1}", -ENOENT, NULL);
        check_span("{\"value\":null}", -ENOENT, NULL);
        check_span("{\"value\":{\"value\":\"x\"}}", -ENOENT, NULL);
        check_span("{\"a\":[{\"value\":\"x\"}]}", -ENOENT, NULL);
        check_span("{\"Value\":\"x\"}", -ENOENT, NULL);
        check_span("{\"value\":\"a\\nb\"}", -ENOENT, NULL);
        check_span("{\"value\":\"a\",\"value\":\"b\"}", -EBADMSG, NULL);
        check_span("{\"value\":\"a\",\"val\\u0075e\":\"b\"}", -EBADMSG, NULL);
}

static void check_inner(const char *text, int result, const char *content) {
        struct json_span at = {};

        assert_int_equal(json_check_in(text, strlen(text), "data", "value", &at), result);
        if (result < 0)
                return;
        assert_int_equal(at.size, strlen(content));
        assert_memory_equal(text + at.offset, content, at.size);
}

static void test_member_of_a_member(void **state _unused_) {
        check_inner("{\"data\":{\"value\":\"x\"}}", 0, "x");
        check_inner("{\"value\":\"no\",\"other\":{\"value\":\"no\"},\"data\":{\"a\":{\"value\":\"no\"},\"value\":\"x\"},"
                    "\"more\":{\"value\":\"no\"}}", 0, "x");
        check_inner("{\"value\":\"x\"}", -ENOENT, NULL);
        check_inner("{\"data\":\"value\"}", -ENOENT, NULL);
        check_inner("{\"data\":[{\"value\":\"x\"}]}", -ENOENT, NULL);
        check_inner("{\"a\":{\"data\":{\"value\":\"x\"}}}", -ENOENT, NULL);
        check_inner("{\"data\":{\"data\":{\"value\":\"x\"}}}", -ENOENT, NULL);
        check_inner("{\"data\":{\"value\":1}}", -ENOENT, NULL);
        check_inner("{\"data\":{\"value\":\"x\",\"value\":\"y\"}}", -EBADMSG, NULL);
        check_inner("{\"data\":{},\"data\":{\"value\":\"x\"}}", -EBADMSG, NULL);
}

static void test_members_by_type(void **state _unused_) {
        static const char text[] = "{\"t\":\"x\",\"n\":7,\"m\":-1,\"z\":\"a\\u0000b\",\"o\":{},\"f\":1.5}";
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        uint64_t v;

        assert_int_equal(json_parse(text, strlen(text), &o), 0);
        assert_string_equal(json_get_text(o, "t"), "x");
        assert_null(json_get_text(o, "n"));
        assert_null(json_get_text(o, "z"));
        assert_null(json_get_text(NULL, "t"));
        assert_int_equal(json_get_u64(o, "n", &v), 0);
        assert_int_equal(v, 7);
        assert_int_equal(json_get_u64(o, "m", &v), -ENOENT);
        assert_int_equal(json_get_u64(o, "f", &v), -ENOENT);
        assert_int_equal(json_get_u64(o, "t", &v), -ENOENT);
        assert_non_null(json_get(o, "o", json_type_object));
        assert_null(json_get(o, "o", json_type_string));
}

static void test_printable(void **state _unused_) {
        char buf[8];

        text_printable("a\r\nb\x7f\xc3", buf, sizeof(buf));
        assert_string_equal(buf, "a  b ?");
        text_printable("0123456789", buf, sizeof(buf));
        assert_string_equal(buf, "0123456");
        text_printable(NULL, buf, sizeof(buf));
        assert_string_equal(buf, "");
}

/* Short ones are dear: each is an object of json-c's. */
static void test_many_values(void **state _unused_) {
        static char text[16 + 2 * JSON_VALUES_MAX];
        size_t n = (size_t) sprintf(text, "{\"a\":[");

        for (unsigned i = 1; i < JSON_VALUES_MAX; i++)           /* the array is one of them */
                n += (size_t) sprintf(text + n, "1%s", i + 1 < JSON_VALUES_MAX ? "," : "");
        memcpy(text + n, "]}", 2);
        assert_int_equal(json_check(text, n + 2, NULL, NULL), 0);
        memcpy(text + n, ",1]}", 4);
        assert_int_equal(json_check(text, n + 4, NULL, NULL), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_documents), cmocka_unit_test(test_bytes), cmocka_unit_test(test_every_prefix),
                cmocka_unit_test(test_limits), cmocka_unit_test(test_many_values), cmocka_unit_test(test_member),
                cmocka_unit_test(test_member_of_a_member), cmocka_unit_test(test_members_by_type),
                cmocka_unit_test(test_printable),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
