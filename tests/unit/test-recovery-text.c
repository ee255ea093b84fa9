/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/recovery-text.c

/* The text of a recovery key: systemd's form, and what people make of it when they type. */

#include "disk/recovery-text.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* 00 01 02 ... 1f, by hand from the alphabet that systemd-cryptenroll(1) speaks of. */
#define COUNTING "cccbcdce-cfcgchci-cjckclcn-crctcucv-bcbbbdbe-bfbgbhbi-bjbkblbn-brbtbubv"

static struct secret *of(const char *text) {
        struct secret *s;

        assert_int_equal(secret_new(strlen(text), &s), 0);
        memcpy(secret_data(s), text, strlen(text));
        return s;
}

static void expect_text(const struct secret *s, const char *text) {
        assert_int_equal(secret_size(s), strlen(text));
        assert_memory_equal(secret_cdata(s), text, strlen(text));
}

static void test_encode(void **state) {
        _cleanup_(secret_freep) struct secret *key = NULL, *text = NULL, *other = NULL;

        (void) state;
        assert_int_equal(secret_new(RECOVERY_KEY_SIZE, &key), 0);
        for (unsigned i = 0; i < RECOVERY_KEY_SIZE; i++)
                secret_data(key)[i] = (uint8_t) i;
        assert_int_equal(recovery_text_encode(key, &text), 0);
        expect_text(text, COUNTING);
        secret_shrink(key, 31);
        assert_int_equal(recovery_text_encode(key, &other), -EINVAL);
}

static void test_make(void **state) {
        _cleanup_(secret_freep) struct secret *a = NULL, *b = NULL;

        (void) state;
        assert_int_equal(recovery_text_make(&a), 0);
        assert_int_equal(recovery_text_make(&b), 0);
        assert_false(secret_equal(a, b));
        assert_int_equal(secret_size(a), RECOVERY_TEXT_SIZE);
        for (size_t i = 0; i < RECOVERY_TEXT_SIZE; i++) {
                char c = (char) secret_cdata(a)[i];

                assert_true(i % 9 == 8 ? c == '-' : c && strchr("cbdefghijklnrtuv", c));
        }
}

static void expect_normalized(const char *typed) {
        _cleanup_(secret_freep) struct secret *in = of(typed), *out = NULL;

        assert_int_equal(recovery_text_normalize(in, &out), 0);
        expect_text(out, COUNTING);
}

static void test_typed(void **state) {
        char upper[] = COUNTING, raw[RECOVERY_TEXT_RAW_SIZE + 2], *to = raw;

        (void) state;
        expect_normalized(COUNTING);
        expect_normalized(COUNTING "\n");
        for (char *p = upper; *p; p++) {
                if (*p != '-')
                        *to++ = *p;
                *p = (char) toupper((unsigned char) *p);
        }
        expect_normalized(upper);
        *to = 0;
        expect_normalized(raw);
        strcpy(to, "\n");
        expect_normalized(raw);
}

static void expect_refused(const char *typed, size_t size) {
        _cleanup_(secret_freep) struct secret *in = NULL, *out = NULL;

        assert_int_equal(secret_new(size, &in), 0);
        memcpy(secret_data(in), typed, size);
        assert_int_equal(recovery_text_normalize(in, &out), -EINVAL);
        assert_null(out);
}

static void test_refused(void **state) {
        char text[] = COUNTING;

        (void) state;
        expect_refused("\n", 1);
        expect_refused(COUNTING, RECOVERY_TEXT_SIZE - 1);
        expect_refused(COUNTING "c", RECOVERY_TEXT_SIZE + 1);
        expect_refused(COUNTING "\n\n", RECOVERY_TEXT_SIZE + 2);
        for (size_t i = 0; i < RECOVERY_TEXT_SIZE; i++) {
                static const char wrong[] = { 'a', 'm', 'z', 'A', '0', ' ', 0, '_', '\r', (char) 0xe3 };
                char was = text[i];

                for (size_t k = 0; k < sizeof(wrong); k++) {
                        text[i] = wrong[k];
                        expect_refused(text, RECOVERY_TEXT_SIZE);
                }
                text[i] = was == '-' ? 'c' : '-';
                expect_refused(text, RECOVERY_TEXT_SIZE);
                text[i] = was;
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_encode), cmocka_unit_test(test_make), cmocka_unit_test(test_typed),
                cmocka_unit_test(test_refused),
        };

        return cmocka_run_group_tests_name("recovery-text", tests, NULL, NULL);
}
