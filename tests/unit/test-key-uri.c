/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/key-uri.h"

static void test_good(void **state _unused_) {
        static const struct { const char *in, *host; uint16_t port; const char *name, *version, *out; } table[] = {
                { "https://v.example/keys/k", "v.example", 443, "k", "", "https://v.example/keys/k" },
                { "https://V.Example:443/Keys/My-Key", "v.example", 443, "my-key", "",
                "https://v.example/keys/my-key" },
                { "HTTPS://v:8443/keys/k/0123456789abcdef0123456789ABCDEF", "v", 8443, "k",
                  "0123456789abcdef0123456789abcdef", "https://v:8443/keys/k/0123456789abcdef0123456789abcdef" },
                { "https://10.0.0.1:65535/keys/1", "10.0.0.1", 65535, "1", "", "https://10.0.0.1:65535/keys/1" },
        };
        struct key_uri u, again;
        char buf[KEY_URI_MAX];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                assert_int_equal(key_uri_parse(table[i].in, &u, NULL), 0);
                assert_string_equal(u.host, table[i].host);
                assert_int_equal(u.port, table[i].port);
                assert_string_equal(u.name, table[i].name);
                assert_string_equal(u.version, table[i].version);
                key_uri_format(&u, buf, sizeof(buf));
                assert_string_equal(buf, table[i].out);
                assert_int_equal(key_uri_parse(buf, &again, NULL), 0);
                assert_memory_equal(&u, &again, sizeof(u));
        }
}

static void test_bad(void **state _unused_) {
        static const char *const table[] = {
                "", "k", "http://v/keys/k", "https:/v/keys/k", "https:///keys/k", "https://v", "https://v/",
                "https://v/keys",
                "https://v/keys/", "https://v/keys//", "https://v/keys/k/", "https://v/keys/k/v/",
                "https://v/keys/k/v/x",
                "https://v/secrets/k", "https://v//keys/k", "https://user@v/keys/k", "https://u:p@v/keys/k",
                "https://v:/keys/k", "https://v:0/keys/k", "https://v:65536/keys/k", "https://v:+1/keys/k",
                "https://v: 1/keys/k", "https://v:443:443/keys/k", "https://v/keys/k?x=1", "https://v/keys/k#f",
                "https://v/keys/k%41", "https://v/keys/k.k", "https://v/keys/k_k", "https://v/keys/k k",
                "https://v/keys/..",
                "https://*.v/keys/k", "https://.v/keys/k", "https://v./keys/k", "https://-v/keys/k",
                "https://v-/keys/k",
                "https://v..w/keys/k", "https://[::1]/keys/k", "https://v\\w/keys/k", "https://v\n/keys/k",
                "https://v/keys/k\n", " https://v/keys/k", "https://v/keys/k/v-v", "https://v\xc3\xa4/keys/k",
                "https://v/keys/k/0123456789abcdef0123456789abcdef0", "https://v%2e/keys/k",
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct key_uri u = { .port = 7 };
                const char *why = NULL;

                if (key_uri_parse(table[i], &u, &why) != -EINVAL)
                        fail_msg("took \"%s\"", table[i]);
                assert_non_null(why);
                assert_int_equal(u.port, 7);
        }
}

static void test_lengths(void **state _unused_) {
        char host[260], name[140], uri[1024];
        struct key_uri u;

        for (size_t n = 250; n < 258; n++) {
                memset(host, 'h', n);
                host[n] = 0;
                snprintf(uri, sizeof(uri), "https://%s/keys/k", host);
                assert_int_equal(key_uri_parse(uri, &u, NULL), n <= 253 ? 0 : -EINVAL);
        }
        for (size_t n = 125; n < 130; n++) {
                memset(name, 'n', n);
                name[n] = 0;
                snprintf(uri, sizeof(uri), "https://v/keys/%s", name);
                assert_int_equal(key_uri_parse(uri, &u, NULL), n <= 127 ? 0 : -EINVAL);
        }
        /* the longest that there is fits into KEY_URI_MAX */
        host[253] = 0;
        name[127] = 0;
        snprintf(uri, sizeof(uri), "https://%s:65535/keys/%s/%032d", host, name, 0);
        assert_true(strlen(uri) < KEY_URI_MAX);
        assert_int_equal(key_uri_parse(uri, &u, NULL), 0);
        key_uri_format(&u, name, sizeof(name));
        assert_int_equal(strlen(name), sizeof(name) - 1);
        memset(uri, 'x', sizeof(uri) - 1);
        uri[sizeof(uri) - 1] = 0;
        assert_int_equal(key_uri_parse(uri, &u, NULL), -EINVAL);
}

static void test_same_key(void **state _unused_) {
        struct key_uri a, b;

        assert_int_equal(key_uri_parse("https://v/keys/k/1", &a, NULL), 0);
        assert_int_equal(key_uri_parse("https://V:443/keys/K/2", &b, NULL), 0);
        assert_true(key_uri_same_key(&a, &b));
        assert_int_equal(key_uri_parse("https://v:444/keys/k", &b, NULL), 0);
        assert_false(key_uri_same_key(&a, &b));
        assert_int_equal(key_uri_parse("https://w/keys/k", &b, NULL), 0);
        assert_false(key_uri_same_key(&a, &b));
        assert_int_equal(key_uri_parse("https://v/keys/kk", &b, NULL), 0);
        assert_false(key_uri_same_key(&a, &b));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),
                cmocka_unit_test(test_bad),
                cmocka_unit_test(test_lengths),
                cmocka_unit_test(test_same_key),
        };
        return cmocka_run_group_tests_name("key-uri", tests, NULL, NULL);
}
