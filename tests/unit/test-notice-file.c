/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/notice-file.c daemon/manager/lease.c daemon/manager/key-track.c daemon/manager/lease-keys.c daemon/manager/policy.c

/* How a notice's time is shared out, and what its hooks are told. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/notice-file.h"

#define SEC USEC_PER_SEC

static void test_shares(void **state _unused_) {
        struct notice_times t = notice_times(10 * SEC, ROLE_DATA);

        assert_int_equal(t.hooks_usec, 3333332);
        assert_int_equal(t.stop_usec, 5 * SEC);
        assert_int_equal(t.notice_usec, 10 * SEC);
        t = notice_times(610 * SEC, ROLE_SCRATCH);
        assert_int_equal(t.hooks_usec, 400 * SEC);
        assert_int_equal(t.stop_usec, 600 * SEC);
        assert_int_equal(t.answer_usec, 10 * SEC);
        /* nobody is stopped on the OS disk while somebody may still say that it is a mistake */
        t = notice_times(300 * SEC, ROLE_OS);
        assert_int_equal(t.hooks_usec, 290 * SEC);
        assert_int_equal(t.stop_usec, 290 * SEC);
}

static void test_each_has_its_share(void **state _unused_) {
        for (enum role role = 0; role < _ROLE_MAX; role++)
                for (uint64_t n = 1; n < 4000 * SEC; n = n * 2 + 1) {
                        struct notice_times t = notice_times(n, role);

                        assert_true(t.hooks_usec <= t.stop_usec && t.stop_usec <= t.notice_usec && t.notice_usec == n);
                        assert_true(t.answer_usec <= n);
                }
}

static void test_what_hooks_are_told(void **state _unused_) {
        struct notice_times t = notice_times(10 * SEC, ROLE_DATA);
        char text[512];

        notice_file_format("data1", ACTION_CUT, CAUSE_HELD_TOO_LONG, &t, (struct instant) { 7, 1700000000 * SEC + 1 }, text,
                           sizeof(text));
        assert_non_null(strstr(text, "\nCMKD_VOLUME=data1\nCMKD_ACTION=cut\nCMKD_CAUSE=\"held too long\"\n"
                                     "CMKD_HOOKS_UNTIL=1700000003\nCMKD_UNTIL=1700000010\n"));
        assert_null(strstr(text, "%%"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_shares),
                cmocka_unit_test(test_each_has_its_share),
                cmocka_unit_test(test_what_hooks_are_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
