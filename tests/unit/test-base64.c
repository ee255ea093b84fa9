/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ctype.h>
#include <openssl/evp.h>

#include "common/base64.h"

static void test_rfc4648(void **state _unused_) {
        static const char *const vectors[][2] = {
                { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
                { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
        };

        for (size_t i = 0; i < ELEMENTSOF(vectors); i++) {
                uint8_t out[16];
                char text[16];
                size_t n = 99;

                base64_encode((const uint8_t *) vectors[i][0], i, text);
                assert_string_equal(text, vectors[i][1]);
                assert_int_equal(base64_decode(text, strlen(text), out, i, &n), 0);
                assert_int_equal(n, i);
                assert_memory_equal(out, vectors[i][0], i);
        }
}

static void test_against_openssl(void **state _unused_) {
        for (size_t n = 0; n < 200; n++) {
                uint8_t in[200], out[200];
                char ours[401], theirs[401], url[401];
                size_t size = 0;

                random_bytes(in, n);
                base64_encode(in, n, ours);
                EVP_EncodeBlock((unsigned char *) theirs, in, (int) n);
                assert_string_equal(ours, theirs);
                assert_int_equal(strlen(ours), BASE64_SIZE(n));
                base64url_encode(in, n, url);
                assert_null(strpbrk(url, "+/="));
                assert_int_equal(base64url_decode(url, strlen(url), out, n, &size), 0);
                assert_int_equal(size, n);
                assert_memory_equal(out, in, n);
                hex_encode(in, n, ours);
                assert_int_equal(strlen(ours), 2 * n);
                assert_int_equal(hex_decode(ours, out, n), 0);
                assert_memory_equal(out, in, n);
        }
}

/* Every byte in every place of a group: exactly the 64 of the alphabet are taken. */
static void test_alphabets(void **state _unused_) {
        for (int url = 0; url < 2; url++)
                for (size_t place = 0; place < 4; place++) {
                        unsigned taken = 0;

                        for (int c = 0; c < 256; c++) {
                                char text[5] = "AAAA";
                                uint8_t out[3];
                                size_t n;
                                int r;

                                text[place] = (char) c;
                                r = url ? base64url_decode(text, 4, out, 3, &n) : base64_decode(text, 4, out, 3, &n);
                                if (c == '=' && place == 3)
                                        continue;
                                if (r == 0)
                                        assert_true(memchr(url ? "-_" : "+/", c, 2) || (c < 128 && isalnum(c)));
                                taken += r == 0;
                        }
                        assert_int_equal(taken, 64);
                }
}

static void test_refused(void **state _unused_) {
        static const char *const standard[] = {
                "Z", "Zg", "Zg=", "Zm9v=", "Zm9vYg", "Zh==", "Zm9=", "====", "Z===", "=Zg=", "Zg==Zg==", " Zg=",
                "Zg==\n",
                "Zm9\n", "Zm-_",
        };
        static const char *const url[] = { "Z", "Zg=", "Zg===", "Zh", "Zm9=x", "Zm+/", "Zm8==", "Zg ==" };
        uint8_t out[32];
        size_t n = 42;

        for (size_t i = 0; i < ELEMENTSOF(standard); i++)
                if (base64_decode(standard[i], strlen(standard[i]), out, sizeof(out), &n) != -EINVAL)
                        fail_msg("base64 took \"%s\"", standard[i]);
        for (size_t i = 0; i < ELEMENTSOF(url); i++)
                if (base64url_decode(url[i], strlen(url[i]), out, sizeof(out), &n) != -EINVAL)
                        fail_msg("base64url took \"%s\"", url[i]);
        assert_int_equal(n, 42);
        assert_int_equal(base64url_decode("Zg==", 4, out, 1, &n), 0);
}

static void test_room(void **state _unused_) {
        uint8_t out[4] = { 1, 2, 3, 4 };
        size_t n;

        assert_int_equal(base64_decode("Zm9v", 4, out, 2, &n), -ENOSPC);
        assert_int_equal(out[0], 1);
        assert_int_equal(base64_decode("Zm9v", 4, out, 3, &n), 0);
        assert_int_equal(out[3], 4);
}

static void test_hex(void **state _unused_) {
        uint8_t out[2];

        assert_int_equal(hex_decode("aAfF", out, 2), 0);
        assert_int_equal(out[0], 0xaa);
        assert_int_equal(out[1], 0xff);
        assert_int_equal(hex_decode("aAf", out, 2), -EINVAL);
        assert_int_equal(hex_decode("aAfg", out, 2), -EINVAL);
        for (int c = 0; c < 256; c++) {
                char text[3] = { (char) c, '0', 0 };

                assert_int_equal(hex_decode(text, out, 1) == 0, c < 128 && isxdigit(c));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rfc4648),
                cmocka_unit_test(test_against_openssl),
                cmocka_unit_test(test_alphabets),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_room),
                cmocka_unit_test(test_hex),
        };
        return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
