/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/anchoring.c
// Anchors: known answers, what goes in comes out, and ids that never come twice.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "manager/anchoring.h"

#define MACHINE "0123456789abcdef0123456789abcdef\n"
#define HEAD "v1 7 00112233445566778899\n"
#define NEXT "v1 8 10112233445566778899\n"

static void bytes_of(const char *id, uint8_t ret[static 16]) {
        size_t n = 0;

        assert_true(uuid_is_valid(id));
        for (const char *p = id; *p; p += 2) {
                unsigned byte;

                p += *p == '-';
                assert_int_equal(sscanf(p, "%2x", &byte), 1);
                ret[n++] = (uint8_t) byte;
        }
        assert_int_equal(n, 16);
}

static bool is_anchor(const char *id, struct anchor *ret) {
        uint8_t bytes[16];

        bytes_of(id, bytes);
        return anchor_parse(bytes, ret);
}

/* printf 'cmkd anchor 1' and 32 zero bytes | sha256sum, printf 'cmkd node 1' and the bytes of MACHINE | sha256sum */
static void known_answers(void **state _unused_) {
        static const uint8_t zero[ANCHOR_HASH_SIZE];
        struct anchor a = { .number = 0x2abcd };
        char id[37], tag[ANCHOR_TAG_TEXT_SIZE + 1];

        assert_int_equal(anchor_mark(zero, a.mark), 0);
        assert_int_equal(anchor_tag(MACHINE, a.tag), 0);
        anchor_tag_format(a.tag, tag);
        assert_string_equal(tag, "34d3ce");
        anchor_format(&a, id);
        assert_string_equal(id, "7af313ad-f8a2-8a61-abd9-0e8c34d3cecd");
}

static void what_goes_in_comes_out(void **state _unused_) {
        for (unsigned i = 0; i < 1000; i++) {
                struct anchor a, b = {};
                uint8_t bytes[16];
                char id[37];

                random_bytes(&a, sizeof(a));
                a.number %= ANCHOR_NUMBERS;
                anchor_format(&a, id);
                bytes_of(id, bytes);
                assert_true(anchor_parse(bytes, &b));
                assert_memory_equal(a.mark, b.mark, sizeof(a.mark));
                assert_memory_equal(a.tag, b.tag, sizeof(a.tag));
                assert_int_equal(a.number, b.number);
                for (unsigned bit = 0; bit < 128; bit++) {         /* none is for nothing */
                        bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
                        assert_true(!anchor_parse(bytes, &b) || memcmp(a.mark, b.mark, sizeof(a.mark)) != 0 ||
                                    memcmp(a.tag, b.tag, sizeof(a.tag)) != 0 || a.number != b.number);
                        bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
                }
        }
}

static void another_id_is_no_anchor(void **state _unused_) {
        struct anchor a;
        char id[37];

        for (unsigned i = 0; i < 100; i++) {
                random_uuid(id);
                assert_false(is_anchor(id, &a));
        }
        assert_false(is_anchor("00000000-0000-8000-0000-000000000000", &a));
        assert_true(is_anchor("00000000-0000-8000-8000-000000000000", &a));
}

static void machine_ids(void **state _unused_) {
        static const char *const bad[] = {
                "", "\n", "uninitialized\n", "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0",
                "0123456789abcdef0123456789abcdeg", "00000000000000000000000000000000\n",
        };
        uint8_t tag[ANCHOR_TAG_SIZE], same[ANCHOR_TAG_SIZE];

        assert_int_equal(anchor_tag(MACHINE, tag), 0);
        assert_int_equal(anchor_tag("01234567-89AB-CDEF-0123-456789abcdef", same), 0);
        assert_memory_equal(tag, same, sizeof(tag));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(anchor_tag(bad[i], tag), -EINVAL);
        assert_int_equal(anchor_tag_parse("0a1b2c", tag), 0);
        assert_memory_equal(tag, "\x0a\x1b\x2c", 3);
        assert_int_equal(anchor_tag_parse("0a1b2", tag), -EINVAL);
        assert_int_equal(anchor_tag_parse("0a1b2c0", tag), -EINVAL);
        assert_int_equal(anchor_tag_parse("0A1B2C", tag), -EINVAL);
}

static void the_head_is_read_as_it_is_written(void **state _unused_) {
        static const char *const bad[] = {
                "", "v1", "v1 ", "v1 7", "v1 7 ", "v1  00112233445566778899\n", "v1 0 00112233445566778899\n",
                "v1 7 00112233445566778899", "v1 7 0011223344556677889\n", "v1 7 001122334455667788990\n",
                "v1 7 0011223344556677889g\n", "v1 7 00112233445566778899\n\n", "v2 7 00112233445566778899\n",
                "v1 -7 00112233445566778899\n", "v1 99999999999999999999 00112233445566778899\n",
                "v1 000000000000000000000000000000000007 00112233445566778899\n",
        };
        uint8_t mark[ANCHOR_MARK_SIZE];
        char text[ANCHOR_HEAD_MAX];
        uint64_t sequence;

        assert_int_equal(anchor_head_parse(HEAD, &sequence, mark), 0);
        assert_int_equal(sequence, 7);
        anchor_head_format(sequence, mark, text);
        assert_string_equal(text, HEAD);
        anchor_head_format(UINT64_MAX, mark, text);
        assert_int_equal(anchor_head_parse(text, &sequence, mark), 0);
        assert_true(sequence == UINT64_MAX);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(anchor_head_parse(bad[i], &sequence, mark), -EBADMSG);
}

static void without_head_or_node_it_is_random(void **state _unused_) {
        struct anchoring a;
        struct anchor x;
        char id[37];

        anchoring_init(&a, NULL, NULL);
        anchoring_take(&a, HEAD, id);
        assert_false(is_anchor(id, &x));
        anchoring_init(&a, MACHINE, NULL);
        anchoring_take(&a, NULL, id);
        assert_false(is_anchor(id, &x));
        anchoring_take(&a, "v1 rubbish\n", id);
        assert_false(is_anchor(id, &x));
        anchoring_take(&a, HEAD, id);
        assert_true(is_anchor(id, &x));
        assert_memory_equal(x.mark, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99", ANCHOR_MARK_SIZE);
        assert_memory_equal(x.tag, a.tag, sizeof(x.tag));
}

/* All numbers of a head, each once; then random ids until there is another head. */
static void no_id_comes_twice(void **state _unused_) {
        static uint8_t seen[ANCHOR_NUMBERS];
        struct anchoring a;
        struct anchor x;
        char id[37];

        anchoring_init(&a, MACHINE, NULL);
        for (unsigned i = 0; i < ANCHOR_NUMBERS; i++) {
                anchoring_take(&a, HEAD, id);
                assert_true(is_anchor(id, &x));
                assert_int_equal(seen[x.number]++, 0);
        }
        anchoring_take(&a, HEAD, id);
        assert_false(is_anchor(id, &x));
        anchoring_take(&a, NEXT, id);
        assert_true(is_anchor(id, &x));
}

static void nor_after_a_restart(void **state _unused_) {
        struct anchoring a;
        struct anchor x;
        char id[37];

        anchoring_init(&a, MACHINE, HEAD);
        anchoring_take(&a, HEAD, id);
        assert_false(is_anchor(id, &x));
        anchoring_take(&a, NEXT, id);
        assert_true(is_anchor(id, &x));
        anchoring_take(&a, HEAD, id);
        assert_false(is_anchor(id, &x));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(known_answers), cmocka_unit_test(what_goes_in_comes_out),
                cmocka_unit_test(another_id_is_no_anchor), cmocka_unit_test(machine_ids),
                cmocka_unit_test(the_head_is_read_as_it_is_written), cmocka_unit_test(without_head_or_node_it_is_random),
                cmocka_unit_test(no_id_comes_twice), cmocka_unit_test(nor_after_a_restart),
        };

        return cmocka_run_group_tests_name("anchor", tests, NULL, NULL);
}
