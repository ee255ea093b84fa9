/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/wire.h"

static struct wire_frame f, g;

static void start(void) {
        memset(&f, 0xa5, sizeof(f));
        wire_start(&f, 0x1234, 0xdeadbeef);
}

static void reopen(struct wire_cursor *c) {
        assert_int_equal(wire_finish(&f), 0);
        assert_int_equal(wire_open(c, f.data, f.size), 0);
}

static void test_there_and_back(void **state _unused_) {
        struct wire_cursor c;
        uint8_t bytes[4] = {};
        char text[16];
        size_t n = 99;

        start();
        wire_put_u8(&f, 0xfe);
        wire_put_u16(&f, 0xfedc);
        wire_put_u32(&f, 0xfedcba98);
        wire_put_u64(&f, 0xfedcba9876543210);
        wire_put_string(&f, "hello");
        wire_put_string(&f, NULL);
        wire_put_bytes(&f, "\0\1\2", 3);
        wire_put_bytes(&f, NULL, 0);
        wire_put_bytes(&f, "WXYZ", 4);
        reopen(&c);
        assert_int_equal(c.type, 0x1234);
        assert_int_equal(c.id, 0xdeadbeef);
        assert_int_equal(wire_get_u8(&c), 0xfe);
        assert_int_equal(wire_get_u16(&c), 0xfedc);
        assert_int_equal(wire_get_u32(&c), 0xfedcba98);
        assert_true(wire_get_u64(&c) == 0xfedcba9876543210);
        wire_get_string(&c, text, sizeof(text));
        assert_string_equal(text, "hello");
        wire_get_string(&c, text, sizeof(text));
        assert_string_equal(text, "");
        wire_get_bytes(&c, bytes, sizeof(bytes), &n);
        assert_int_equal(n, 3);
        assert_memory_equal(bytes, "\0\1\2", 3);
        wire_get_bytes(&c, bytes, sizeof(bytes), &n);
        assert_int_equal(n, 0);
        wire_get_exact(&c, bytes, 4);
        assert_memory_equal(bytes, "WXYZ", 4);
        assert_int_equal(wire_end(&c), 0);
}

static void test_layout_is_little_endian(void **state _unused_) {
        static const uint8_t expected[] = {
                'c', 'm', 'k', 'd', 1, 0, 0x34, 0x12, 0xef, 0xbe, 0xad, 0xde, 7, 0, 0, 0, 2, 1, 3, 0, 'a', 'b', 'c',
        };

        start();
        wire_put_u16(&f, 0x0102);
        wire_put_string(&f, "abc");
        assert_int_equal(wire_finish(&f), 0);
        assert_int_equal(f.size, sizeof(expected));
        assert_memory_equal(f.data, expected, sizeof(expected));
}

static void test_left_over_bytes(void **state _unused_) {
        struct wire_cursor c;

        start();
        wire_put_u8(&f, 1);
        reopen(&c);
        assert_int_equal(wire_end(&c), -EBADMSG);
        wire_get_u8(&c);
        assert_int_equal(wire_end(&c), 0);
        wire_get_u8(&c);
        assert_int_equal(wire_end(&c), -EBADMSG);
}

static void test_reader_error_is_sticky(void **state _unused_) {
        struct wire_cursor c;
        char text[4] = "xyz";
        size_t n = 42;
        uint8_t b[4];

        start();
        wire_put_u16(&f, 0x1111);
        wire_put_u16(&f, 0x2222);
        reopen(&c);
        assert_int_equal(wire_get_u64(&c), 0);
        assert_int_equal(wire_get_u16(&c), 0);          /* would be there, but nothing is believed any more */
        wire_get_string(&c, text, sizeof(text));
        assert_string_equal(text, "");
        wire_get_bytes(&c, b, sizeof(b), &n);
        assert_int_equal(n, 42);
        assert_int_equal(wire_end(&c), -EBADMSG);
}

static void test_strings(void **state _unused_) {
        struct wire_cursor c;
        char text[4];

        start();
        wire_put_string(&f, "abcd");
        reopen(&c);
        wire_get_string(&c, text, 4);                   /* no room for the NUL */
        assert_int_equal(wire_end(&c), -EBADMSG);
        assert_string_equal(text, "");
        start();
        wire_put_bytes(&f, "a\0b", 3);
        reopen(&c);
        wire_get_string(&c, text, 4);
        assert_int_equal(wire_end(&c), -EBADMSG);
        start();
        wire_put_u16(&f, 5);                            /* says five, brings three */
        wire_put_u16(&f, 0);
        wire_put_u8(&f, 0);
        reopen(&c);
        wire_get_string(&c, text, 4);
        assert_int_equal(wire_end(&c), -EBADMSG);
        start();
        wire_put_bytes(&f, "abc", 3);
        reopen(&c);
        wire_get_exact(&c, text, 2);
        assert_int_equal(wire_end(&c), -EBADMSG);
        start();
        wire_put_bytes(&f, "abc", 3);
        reopen(&c);
        wire_get_exact(&c, text, 4);
        assert_int_equal(wire_end(&c), -EBADMSG);
}

static void test_string_limit(void **state _unused_) {
        static char big[WIRE_STRING_MAX + 2], back[WIRE_STRING_MAX + 2];
        struct wire_cursor c;

        memset(big, 'x', sizeof(big) - 1);
        start();
        wire_put_string(&f, big);
        assert_int_equal(wire_finish(&f), -EINVAL);
        big[WIRE_STRING_MAX] = 0;
        start();
        wire_put_string(&f, big);
        reopen(&c);
        wire_get_string(&c, back, sizeof(back));
        assert_int_equal(wire_end(&c), 0);
        assert_string_equal(big, back);
        /* the same length as bytes, one more: not a string any longer */
        start();
        big[WIRE_STRING_MAX] = 'x';
        wire_put_bytes(&f, big, WIRE_STRING_MAX + 1);
        reopen(&c);
        wire_get_string(&c, back, sizeof(back));
        assert_int_equal(wire_end(&c), -EBADMSG);
}

static void test_writer_error_is_sticky(void **state _unused_) {
        static uint8_t big[70000];
        size_t size;

        start();
        for (int i = 0; i < 3; i++)
                wire_put_bytes(&f, big, 8000);
        size = f.size;
        wire_put_bytes(&f, big, 10000);
        assert_int_equal(f.error, -EMSGSIZE);
        wire_put_u8(&f, 1);                             /* would fit */
        wire_put_string(&f, "x");
        assert_true(f.size <= size + 2);
        assert_int_equal(wire_finish(&f), -EMSGSIZE);
        start();
        wire_put_bytes(&f, big, 65536);
        assert_int_equal(wire_finish(&f), -EMSGSIZE);
        /* filled to the last byte is fine */
        start();
        for (size_t i = WIRE_HEADER_SIZE; i < WIRE_FRAME_MAX; i++)
                wire_put_u8(&f, 0);
        assert_int_equal(wire_finish(&f), 0);
        assert_int_equal(f.size, WIRE_FRAME_MAX);
        wire_put_u8(&f, 0);
        assert_int_equal(wire_finish(&f), -EMSGSIZE);
}

static void test_open(void **state _unused_) {
        struct wire_cursor c = { .id = 7 };

        start();
        wire_put_u32(&f, 1);
        assert_int_equal(wire_finish(&f), 0);
        for (size_t n = 0; n < f.size; n++)
                assert_int_equal(wire_open(&c, f.data, n), -EBADMSG);
        assert_int_equal(wire_open(&c, f.data, f.size + 1), -EBADMSG);
        assert_int_equal(wire_open(&c, f.data, WIRE_FRAME_MAX + 1), -EBADMSG);
        g = f;
        g.data[0] ^= 1;
        assert_int_equal(wire_open(&c, g.data, g.size), -EBADMSG);
        g = f;
        g.data[4] = 2;
        assert_int_equal(wire_open(&c, g.data, g.size), -EPROTONOSUPPORT);
        g = f;
        g.data[15] = 0xff;
        assert_int_equal(wire_open(&c, g.data, g.size), -EBADMSG);
        assert_int_equal(c.id, 7);
        assert_int_equal(wire_open(&c, f.data, f.size), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_there_and_back),
                cmocka_unit_test(test_layout_is_little_endian),
                cmocka_unit_test(test_left_over_bytes),
                cmocka_unit_test(test_reader_error_is_sticky),
                cmocka_unit_test(test_strings),
                cmocka_unit_test(test_string_limit),
                cmocka_unit_test(test_writer_error_is_sticky),
                cmocka_unit_test(test_open),
        };
        return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
