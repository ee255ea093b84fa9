/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/chain.c daemon/audit/seal.c
// The hash chain: known answers, and what links of a chain are judged to be.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "audit/chain.h"

static const uint8_t zero[CHAIN_HASH_SIZE];

/* SHA-256 of 32 zero bytes and "{}", as sha256sum(1) says */
static const char known[] = "fb1634c4e6cd4b1f1afe3ce2d6ef080f7ac5d1f357d723ad4dfca782733b62db";

static void known_answer(void **state _unused_) {
        char hex[CHAIN_HEX_SIZE + 1];
        uint8_t hash[CHAIN_HASH_SIZE];

        assert_int_equal(chain_hash(zero, "{}", 2, hash), 0);
        chain_to_hex(hash, hex);
        assert_string_equal(hex, known);
}

static void line_is_hashed_without_its_hash(void **state _unused_) {
        uint8_t stated[CHAIN_HASH_SIZE], computed[CHAIN_HASH_SIZE], expected[CHAIN_HASH_SIZE];
        char line[256], hex[CHAIN_HEX_SIZE + 1];

        assert_int_equal(chain_hash(zero, "{\"a\":1}", 7, expected), 0);
        chain_to_hex(expected, hex);
        snprintf(line, sizeof(line), "{\"a\":1,\"hash\":\"%s\"}", hex);
        assert_int_equal(chain_hash_line(zero, line, strlen(line), stated, computed), 0);
        assert_memory_equal(stated, expected, sizeof(expected));
        assert_memory_equal(computed, expected, sizeof(expected));

        line[5] = '2';
        assert_int_equal(chain_hash_line(zero, line, strlen(line), stated, computed), 0);
        assert_memory_equal(stated, expected, sizeof(expected));
        assert_memory_not_equal(computed, expected, sizeof(expected));
}

static void line_without_a_hash_is_refused(void **state _unused_) {
        static const char *const lines[] = {
                "", "{}", "{\"hash\":\"\"}",
                "{\"a\":1,\"hash\":\"0000000000000000000000000000000000000000000000000000000000000000\"]",
                "{\"a\":1,\"hash\":\"000000000000000000000000000000000000000000000000000000000000000G\"}",
                "{\"a\":1,\"hash\":\"000000000000000000000000000000000000000000000000000000000000000A\"}",
                "{\"a\":1,\"hasH\":\"0000000000000000000000000000000000000000000000000000000000000000\"}",
        };
        uint8_t stated[CHAIN_HASH_SIZE], computed[CHAIN_HASH_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                assert_int_equal(chain_hash_line(zero, lines[i], strlen(lines[i]), stated, computed), -EBADMSG);
}

static void hex_goes_both_ways(void **state _unused_) {
        uint8_t hash[CHAIN_HASH_SIZE], again[CHAIN_HASH_SIZE];
        char hex[CHAIN_HEX_SIZE + 1];

        for (size_t i = 0; i < sizeof(hash); i++)
                hash[i] = (uint8_t) (i * 37 + 5);
        chain_to_hex(hash, hex);
        assert_int_equal(chain_from_hex(hex, CHAIN_HEX_SIZE, again), 0);
        assert_memory_equal(hash, again, sizeof(hash));
        assert_int_equal(chain_from_hex(hex, CHAIN_HEX_SIZE - 1, again), -EINVAL);
        hex[10] = 'F';
        assert_int_equal(chain_from_hex(hex, CHAIN_HEX_SIZE, again), -EINVAL);
}

static void links_are_judged(void **state _unused_) {
        uint8_t other[CHAIN_HASH_SIZE] = { 1 };

        assert_int_equal(chain_judge(5, zero, 6, zero), CHAIN_GOOD);
        assert_int_equal(chain_judge(5, zero, 6, other), CHAIN_BROKEN);
        assert_int_equal(chain_judge(5, zero, 7, other), CHAIN_MISSING);
        assert_int_equal(chain_judge(5, zero, 7, zero), CHAIN_MISSING);
        assert_int_equal(chain_judge(5, zero, 5, zero), CHAIN_EXTRA);
        assert_int_equal(chain_judge(5, zero, 2, other), CHAIN_EXTRA);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(known_answer),
                cmocka_unit_test(line_is_hashed_without_its_hash),
                cmocka_unit_test(line_without_a_hash_is_refused),
                cmocka_unit_test(hex_goes_both_ways),
                cmocka_unit_test(links_are_judged),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
