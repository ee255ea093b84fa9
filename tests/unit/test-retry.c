/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/retry.h"

#define T0 (1000 * USEC_PER_SEC)

/* Runs tries that all end the same way and take no time themselves; how many there were and for how long. */
static unsigned run(enum attempt a, uint64_t limit_usec, uint64_t *ret_usec) {
        struct retry r = { .begin_usec = T0, .limit_usec = limit_usec };
        uint64_t now = T0, pause;

        while ((pause = retry_next(&r, a, now)) > 0) {
                assert_in_range(pause, 1, 8 * USEC_PER_SEC);
                now += pause;
        }
        *ret_usec = now - T0;
        return r.tries;
}

static void test_until_the_limit(void **state _unused_) {
        uint64_t usec;

        /* pauses of 1, 2, 4, six of 8, and what is left of the 60 */
        assert_int_equal(run(ATTEMPT_UNREACHABLE, 60 * USEC_PER_SEC, &usec), 11);
        assert_int_equal(usec, 60 * USEC_PER_SEC);
        assert_int_equal(run(ATTEMPT_NOT_READY, 60 * USEC_PER_SEC, &usec), 11);
        run(ATTEMPT_ABSENT, 60 * USEC_PER_SEC, &usec);
        assert_int_equal(usec, 15 * USEC_PER_SEC);
        run(ATTEMPT_ABSENT, 3 * USEC_PER_SEC, &usec);
        assert_int_equal(usec, 3 * USEC_PER_SEC);
        assert_int_equal(run(ATTEMPT_UNREACHABLE, 0, &usec), 1);
}

/* A key that is revoked is asked about three times, however long there would be time. */
static void test_denied(void **state _unused_) {
        uint64_t usec;

        assert_int_equal(run(ATTEMPT_DENIED, 3600 * USEC_PER_SEC, &usec), 3);
        assert_int_equal(usec, 3 * USEC_PER_SEC);
        assert_int_equal(run(ATTEMPT_HOPELESS, 3600 * USEC_PER_SEC, &usec), 1);
        assert_int_equal(usec, 0);
}

/* Also where it comes and goes between other failures, and where the clock seems to stand before the begin. */
static void test_mixed(void **state _unused_) {
        struct retry r = { .begin_usec = T0, .limit_usec = 60 * USEC_PER_SEC };

        assert_int_equal(retry_next(&r, ATTEMPT_DENIED, T0 - 1), USEC_PER_SEC);
        assert_int_equal(retry_next(&r, ATTEMPT_UNREACHABLE, T0 + 1), 2 * USEC_PER_SEC);
        assert_int_equal(retry_next(&r, ATTEMPT_DENIED, T0 + 2), 4 * USEC_PER_SEC);
        assert_int_equal(retry_next(&r, ATTEMPT_DENIED, T0 + 3), 0);
}

static void test_limit(void **state _unused_) {
        assert_int_equal(retry_limit(NULL), RETRY_LIMIT_DEFAULT_USEC);
        assert_int_equal(retry_limit(""), RETRY_LIMIT_DEFAULT_USEC);
        assert_int_equal(retry_limit("1h"), RETRY_LIMIT_DEFAULT_USEC);
        assert_int_equal(retry_limit("3601"), RETRY_LIMIT_DEFAULT_USEC);
        assert_int_equal(retry_limit("0"), 0);
        assert_int_equal(retry_limit("7"), 7 * USEC_PER_SEC);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_until_the_limit), cmocka_unit_test(test_denied), cmocka_unit_test(test_mixed),
                cmocka_unit_test(test_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
