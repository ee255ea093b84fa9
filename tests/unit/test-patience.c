/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/patience.c
// cmkctl attach --wait: how often a vault is asked that is silent, and one that said no.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ctl/patience.h"

static const uint32_t randoms[] = { 0, 1, 4711, UINT32_MAX };

static void silence_is_asked_until_the_end(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(randoms); i++) {
                struct patience p = { .end_usec = 120 * USEC_PER_SEC };
                uint64_t now = 0, next;
                unsigned n = 0;

                while ((next = patience_next(&p, EXIT_CODE_UNREACHABLE, now, randoms[i])) != USEC_INFINITY) {
                        assert_true(next > now);
                        assert_true(next - now <= PATIENCE_DELAY_MAX_USEC * 5 / 4);
                        now = next;
                        n++;
                }
                assert_true(n >= 8 && n <= 15);
                assert_true(now > 100 * USEC_PER_SEC && now <= 120 * USEC_PER_SEC);
        }
}

static void the_first_tries_are_quick(void **state _unused_) {
        struct patience p = { .end_usec = 120 * USEC_PER_SEC };

        assert_true(patience_next(&p, EXIT_CODE_FAILED, 0, 0) < USEC_PER_SEC);
        assert_true(patience_next(&p, EXIT_CODE_BUSY, 0, 0) <= 2 * USEC_PER_SEC);
}

static void a_no_is_asked_three_times_at_most(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(randoms); i++) {
                struct patience p = { .end_usec = 3600 * USEC_PER_SEC };
                uint64_t now = 0, next;
                unsigned tries = 1;

                while ((next = patience_next(&p, EXIT_CODE_REVOKED, now, randoms[i])) != USEC_INFINITY) {
                        assert_true(next - now >= PATIENCE_REFUSED_USEC);
                        now = next;
                        tries++;
                }
                assert_int_equal(tries, PATIENCE_REFUSALS_MAX);
        }
}

/* A vault that is silent in between does not make it forget what it said. */
static void silence_does_not_reset_a_no(void **state _unused_) {
        struct patience p = { .end_usec = 3600 * USEC_PER_SEC };

        for (unsigned i = 1; i < PATIENCE_REFUSALS_MAX; i++) {
                assert_true(patience_next(&p, EXIT_CODE_REVOKED, 0, 0) != USEC_INFINITY);
                assert_true(patience_next(&p, EXIT_CODE_UNREACHABLE, 0, 0) != USEC_INFINITY);
        }
        assert_true(patience_next(&p, EXIT_CODE_REVOKED, 0, 0) == USEC_INFINITY);
}

static void the_rest_is_final(void **state _unused_) {
        struct patience p = { .end_usec = 3600 * USEC_PER_SEC };

        assert_true(patience_next(&p, EXIT_CODE_POLICY, 0, 0) == USEC_INFINITY);
        assert_true(patience_next(&p, EXIT_CODE_USAGE, 0, 0) == USEC_INFINITY);
        assert_true(patience_next(&p, EXIT_CODE_UNREACHABLE, 3600 * USEC_PER_SEC + 1, 0) == USEC_INFINITY);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(silence_is_asked_until_the_end),
                cmocka_unit_test(the_first_tries_are_quick),
                cmocka_unit_test(a_no_is_asked_three_times_at_most),
                cmocka_unit_test(silence_does_not_reset_a_no),
                cmocka_unit_test(the_rest_is_final),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
