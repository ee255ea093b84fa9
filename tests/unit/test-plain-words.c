/* SPDX-License-Identifier: Apache-2.0 */
// Which words name nobody, and lines of the log without the others.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/plain-words.h"

static bool plain(const char *s) { return word_is_plain(s, strlen(s)); }

static void words(void **state _unused_) {
        static const char *const good[] = { "disk", "Disk", "vault", "GRANTED", "EBUSY", "header's", "key_set", "resource", "a" };
        static const char *const bad[] = { "acme", "data1", "kv.example.com", "", "x", "EACME", "/dev/vdb", "data-disk-volume", "disk\nkey" };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                if (!plain(good[i]))
                        fail_msg("%s is not plain", good[i]);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (plain(bad[i]))
                        fail_msg("%s is plain", bad[i]);
}

static void numbers(void **state _unused_) {
        static const char *const good[] = { "0", "30", "3.5", "90s", "64KiB", "97%", "1.2.3.4" };
        static const char *const bad[] = { "", ".5", "7abc", "s", "1-2", "0x1f", "12node" };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(word_is_number(good[i], strlen(good[i])) == !streq(good[i], "1.2.3.4"));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(word_is_number(bad[i], strlen(bad[i])));
}

static void lines(void **state _unused_) {
        static const struct { const char *text, *hidden; } cases[] = {
                { "data1: the vault says that the key is disabled", "~: the vault says that the key is disabled" },
                { "Key https://kv.acme.example/keys/k1: (denied), 3 times in 30s.", "Key ~: (denied), 3 times in 30s." },
                { "\"acme\" is busy: Device or resource busy", "\"~\" is busy: Device or resource busy" },
                { "uid=1000 loginuid=0 pid=377 comm=acme", "uid=~ loginuid=0 pid=377 comm=~" },
                { "acme acme asked by uid 1000 for acme", "~ ~ asked by uid ~ for ~" },
                { "  acme  b2 ", "  ~  ~ " }, { "", "" }, { "(", "(" }, { "a=b=acme", "a=~" }, { "!!", "!!" },
        };
        char text[128];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                snprintf(text, sizeof(text), "%s", cases[i].text);
                text_hide_names(text);
                assert_string_equal(text, cases[i].hidden);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(words), cmocka_unit_test(numbers), cmocka_unit_test(lines) };

        return cmocka_run_group_tests_name("plain-words", tests, NULL, NULL);
}
