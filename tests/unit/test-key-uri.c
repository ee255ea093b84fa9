/* SPDX-License-Identifier: Apache-2.0 */
// libs: p11-kit-1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <p11-kit/uri.h>

#include "common/pkcs11-uri.h"

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

static void test_pkcs11(void **state _unused_) {
        static const char *const table[][2] = {
                { "pkcs11:token=cmkd;object=k1", "pkcs11:token=cmkd;object=k1;type=private" },
                { "PKCS11:type=private;object=k1;token=cmkd", "pkcs11:token=cmkd;object=k1;type=private" },
                { "pkcs11:token=My%20Token;serial=0aF;object=Key%3a1:x;id=%0a%FFb;type=private",
                  "pkcs11:token=My%20Token;serial=0aF;object=Key%3A1%3Ax;id=%0A%FF%62;type=private" },
                { "pkcs11:token=t;object=%22%5c%3b?module-path=/usr/lib/softhsm/libsofthsm2.so",
                  "pkcs11:token=t;object=%22%5C%3B;type=private?module-path=/usr/lib/softhsm/libsofthsm2.so" },
                { "pkcs11:token=t;object=k?cmkd-version=0123456789abcdef0123456789abcdef&module-name=softhsm2",
                  "pkcs11:token=t;object=k;type=private?module-name=softhsm2&cmkd-version=0123456789abcdef0123456789abcdef" },
                { "pkcs11:token=t;object=k?cmkd-version=0123456789abcdef0123456789abcdef",
                  "pkcs11:token=t;object=k;type=private?cmkd-version=0123456789abcdef0123456789abcdef" },
        };
        struct key_uri u, again;
        char buf[KEY_URI_MAX];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *why = "";

                if (key_uri_parse(table[i][0], &u, &why) < 0)
                        fail_msg("%s: %s", table[i][0], why);
                assert_true(key_uri_is_pkcs11(&u));
                key_uri_format(&u, buf, sizeof(buf));
                assert_string_equal(buf, table[i][1]);
                assert_int_equal(key_uri_parse(buf, &again, NULL), 0);
                assert_memory_equal(&u, &again, sizeof(u));
        }
        assert_int_equal(key_uri_parse(table[2][0], &u, NULL), 0);
        assert_string_equal(u.host, "My Token");
        assert_string_equal(u.name, "Key:1:x");
        assert_string_equal(u.id, "0aff62");
}

static void test_pkcs11_bad(void **state _unused_) {
        static const char *const table[] = {
                "", ";", "?", "token", "token=", "token=t", "object=k", "token=t;object=", "token=t;;object=k", "token=t;object=k;",
                ";token=t;object=k", "token=t;token=t;object=k", "token=t;object=k;object=k", "token=t;object=k;type=private;type=private",
                "token=t;object=k;type=public", "token=t;object=k;type=", "token=t;object=k;id=", "token=t;object=k;id=%", "token=t;object=k;id=%1",
                "token=t;object=k;id=%zz", "token=t;object=k;id=%01;id=%01", "token=t;object=k%00", "token=t;object=k%0a", "token=t;object=%c3%a4",
                "token=t;object=k%7f", "token=t;object=a b", "token=t;object=a/b", "token=t;object=a\"b", "token=t;object=a%2", "token=t;object=a%",
                "token=t;object=k;model=m", "token=t;object=k;manufacturer=m", "token=t;object=k;slot-id=1", "token=t;object=k;library-version=1",
                "token=t;object=k;x-vendor=1", "Token=t;object=k", "token=t;object=k;serial=", "token=t;object=k;serial=12345678901234567",
                "token=123456789012345678901234567890123;object=k", "token=t;object=k?", "token=t;object=k?pin-value=1234",
                "token=t;object=k?pin-source=/etc/pin", "token=t;object=k?pin-source=|cat", "token=t;object=k?module-path=lib.so",
                "token=t;object=k?module-path=", "token=t;object=k?module-name=/lib.so", "token=t;object=k?module-name=a/b", "token=t;object=k?module-name",
                "token=t;object=k?module-name=a&module-name=a", "token=t;object=k?module-path=/a&module-name=a", "token=t;object=k?cmkd-version=",
                "token=t;object=k?cmkd-version", "token=t;object=k?cmkd-version=0123456789abcdef0123456789abcde",
                "token=t;object=k?cmkd-version=0123456789ABCDEF0123456789abcdef", "token=t;object=k?cmkd-version=0123456789abcdef0123456789abcdef0",
                "token=t;object=k?cmkd-version=0123456789abcdef0123456789abcdef&cmkd-version=0123456789abcdef0123456789abcdef",
                "token=t;object=k?other=1", "token=t;object=k?module-name=a&", "token=t;object=k#f", "token=t;object=k\n",
                "//token=t;object=k", " token=t;object=k",
        };
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct key_uri u = { .port = 7 };
                const char *why = NULL;

                snprintf(text, sizeof(text), "pkcs11:%s", table[i]);
                if (key_uri_parse(text, &u, &why) != -EINVAL)
                        fail_msg("took \"%s\"", text);
                assert_non_null(why);
                assert_int_equal(u.port, 7);
        }
}

/* What is taken fits into KEY_URI_MAX, also once the token has said its serial and the key has a version. */
static void test_pkcs11_lengths(void **state _unused_) {
        char label[512], uri[1024], buf[KEY_URI_MAX];
        struct key_uri u;
        bool taken = true;

        for (size_t n = 1; n < 130; n++) {
                int r;

                *label = 0;
                for (size_t i = 0; i < n; i++)
                        strcat(label, "%20");
                snprintf(uri, sizeof(uri), "pkcs11:token=%.96s;object=%s", label, label);
                r = key_uri_parse(uri, &u, NULL);
                assert_true(taken || r < 0);
                taken = r >= 0;
                if (!taken)
                        continue;
                memset(u.serial, ' ', 16);
                memset(u.version, 'a', 32);
                key_uri_format(&u, buf, sizeof(buf));
                assert_true(strlen(buf) < sizeof(buf) - 1);
                assert_int_equal(key_uri_parse(buf, &u, NULL), 0);
        }
        assert_false(taken);
        memset(label, 'k', 128);
        label[128] = 0;
        snprintf(uri, sizeof(uri), "pkcs11:token=t;object=%s", label);
        assert_int_equal(key_uri_parse(uri, &u, NULL), -EINVAL);
        label[127] = 0;
        snprintf(uri, sizeof(uri), "pkcs11:token=t;object=%s", label);
        assert_int_equal(key_uri_parse(uri, &u, NULL), 0);
}

static struct key_uri parse(const char *s) {
        struct key_uri u;

        assert_int_equal(key_uri_parse(s, &u, NULL), 0);
        return u;
}

static void test_answers(void **state _unused_) {
#define V "cmkd-version=0123456789abcdef0123456789abcdef"
        static const struct { const char *asked, *found; bool answers; } table[] = {
                { "https://v/keys/k", "https://v/keys/k/1", true }, { "https://v/keys/k", "https://v/keys/k", false },
                { "https://v/keys/k/1", "https://v/keys/k/1", true }, { "https://v/keys/k/1", "https://v/keys/k/2", false },
                { "https://v/keys/k", "https://v/keys/l/1", false }, { "https://v/keys/k", "https://w/keys/k/1", false },
                { "https://v/keys/k", "pkcs11:token=v;object=k?" V, false },
                { "pkcs11:token=t;object=k", "pkcs11:token=t;object=k?" V, true },
                { "pkcs11:token=t;object=k", "pkcs11:token=t;serial=1;object=k?" V, true },
                { "pkcs11:token=t;serial=1;object=k", "pkcs11:token=t;serial=1;object=k?" V, true },
                { "pkcs11:token=t;serial=2;object=k", "pkcs11:token=t;serial=1;object=k?" V, false },
                { "pkcs11:token=t;serial=1;object=k", "pkcs11:token=t;object=k?" V, false },
                { "pkcs11:token=t;object=k", "pkcs11:token=t;object=k;id=%01?" V, false },
                { "pkcs11:token=t;object=k", "pkcs11:token=t;object=K?" V, false },
                { "pkcs11:token=t;object=k?module-name=m", "pkcs11:token=t;object=k?" V, false },
                { "pkcs11:token=t;object=k", "pkcs11:token=t;object=k", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct key_uri asked = parse(table[i].asked), found = parse(table[i].found);

                if (key_uri_answers(&asked, &found) != table[i].answers)
                        fail_msg("%s, %s", table[i].asked, table[i].found);
        }
}

static void test_modules(void **state _unused_) {
        static const struct { const char *query, *path; bool takes; } table[] = {
                { "", "/usr/lib/libm.so", true }, { "?module-path=/usr/lib/libm.so", "/usr/lib/libm.so", true },
                { "?module-path=/usr/lib/libn.so", "/usr/lib/libm.so", false }, { "?module-path=/usr/lib/../lib/libm.so", "/usr/lib/libm.so", false },
                { "?module-name=m", "/usr/lib/libm.so", true }, { "?module-name=m", "/usr/lib/m.so", true },
                { "?module-name=m", "/usr/lib/m-pkcs11.so", true }, { "?module-name=libm", "/usr/lib/libm.so", true },
                { "?module-name=m", "/usr/lib/libm.so.1", false }, { "?module-name=m", "/usr/lib/libmm.so", false },
                { "?module-name=lib", "/usr/lib/libm.so", false }, { "?module-name=m", "/m/libn.so", false },
        };
        char text[128];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct key_uri u;

                snprintf(text, sizeof(text), "pkcs11:token=t;object=k%s", table[i].query);
                u = parse(text);
                if (pkcs11_uri_takes_module(&u, table[i].path) != table[i].takes)
                        fail_msg("%s, %s", text, table[i].path);
        }
}

/* What p11-kit makes of an identifier of ours, version and all, is what we made of it. */
static void test_p11_kit_agrees(void **state _unused_) {
        static const char text[] = "pkcs11:token=My%20Token;serial=0aF;object=Key%3a1:x;id=%0a%FFb?" V "&module-path=/usr/lib/m.so";
        struct key_uri u = parse(text);
        char buf[KEY_URI_MAX];
        P11KitUri *p = p11_kit_uri_new();
        const CK_ATTRIBUTE *a;

        key_uri_format(&u, buf, sizeof(buf));
        assert_int_equal(p11_kit_uri_parse(buf, P11_KIT_URI_FOR_ANY, p), P11_KIT_URI_OK);
        assert_false(p11_kit_uri_any_unrecognized(p));
        assert_memory_equal(p11_kit_uri_get_token_info(p)->label, "My Token                        ", 32);
        assert_memory_equal(p11_kit_uri_get_token_info(p)->serialNumber, "0aF             ", 16);
        a = p11_kit_uri_get_attribute(p, CKA_LABEL);
        assert_true(a && a->ulValueLen == 7 && memcmp(a->pValue, "Key:1:x", 7) == 0);
        a = p11_kit_uri_get_attribute(p, CKA_ID);
        assert_true(a && a->ulValueLen == 3 && memcmp(a->pValue, "\x0a\xff" "b", 3) == 0);
        a = p11_kit_uri_get_attribute(p, CKA_CLASS);
        assert_true(a && *(CK_OBJECT_CLASS *) a->pValue == CKO_PRIVATE_KEY);
        assert_string_equal(p11_kit_uri_get_module_path(p), "/usr/lib/m.so");
        p11_kit_uri_free(p);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),
                cmocka_unit_test(test_bad),
                cmocka_unit_test(test_lengths),
                cmocka_unit_test(test_same_key),
                cmocka_unit_test(test_pkcs11),
                cmocka_unit_test(test_pkcs11_bad),
                cmocka_unit_test(test_pkcs11_lengths),
                cmocka_unit_test(test_answers),
                cmocka_unit_test(test_modules),
                cmocka_unit_test(test_p11_kit_agrees),
        };
        return cmocka_run_group_tests_name("key-uri", tests, NULL, NULL);
}
