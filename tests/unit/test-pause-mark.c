/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/pause-mark.c

/* The mark of a pause: only what was written by us, and only what may be. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/pause-mark.h"

#define SEC USEC_PER_SEC
#define LONGEST (3600 * SEC)

static const struct instant now = { 1000 * SEC, 1700000000 * SEC };

static void test_there_and_back(void **state _unused_) {
        const struct pause_mark m = { 990 * SEC, { 1010 * SEC, 1700000010 * SEC + 7 } };
        struct pause_mark t = {};
        char text[80];

        pause_mark_format(&m, text, sizeof(text));
        assert_string_equal(text, "990000000 1010000000 1700000010000007\n");
        assert_int_equal(pause_mark_parse(text, LONGEST, now, &t), 0);
        assert_memory_equal(&t, &m, sizeof(m));
        /* one that is over is read too: its end is recorded */
        assert_int_equal(pause_mark_parse("1 2 3\n", LONGEST, now, &t), 0);
        assert_int_equal(t.until.realtime_usec, 3);
}

static void test_the_wall_clock_may_be_anywhere(void **state _unused_) {
        const struct pause_mark m = { 990 * SEC, { 1010 * SEC, 1700000010 * SEC } };
        struct pause_mark t = {};
        char text[80];

        pause_mark_format(&m, text, sizeof(text));
        assert_int_equal(pause_mark_parse(text, LONGEST, (struct instant) { 1000 * SEC, 1 }, &t), 0);
        assert_int_equal(pause_mark_parse(text, LONGEST, (struct instant) { 1000 * SEC, USEC_INFINITY - 1 }, &t), 0);
}

static void test_nothing_else_is_a_pause(void **state _unused_) {
        static const char *const bad[] = {
                "", "\n", "1", "1 2", "1 2 3", "1 2 3\n\n", "1 2 3 4\n", "1  2 3\n", " 1 2 3\n", "1 2 3 \n", "1\t2 3\n",
                "+1 2 3\n", "-1 2 3\n", "01 2 3\n", "1 2 0x3\n", "a 2 3\n", "1 2 c\n", "1 2 3\r\n", "1,2,3\n",
                "18446744073709551616 18446744073709551617 3\n", "1 -2 3\n",
                "3 2 1700000010000000\n",                             /* ends before it begins */
                "1000000001 1000000002 1700000010000000\n",           /* begins after now */
                "1000000000 4600000001 1700000010000000\n",           /* longer than may be */
                "1000000000 18446744073709551615 1700000010000000\n",
                "0 18446744073709551615 18446744073709551615\n",
        };
        struct pause_mark t = { .since_boottime_usec = 4711 };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (pause_mark_parse(bad[i], LONGEST, now, &t) != -EBADMSG || t.since_boottime_usec != 4711)
                        fail_msg("\"%s\"", bad[i]);
        assert_int_equal(pause_mark_parse("1000000000 4600000000 1700000010000000\n", LONGEST, now, &t), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_there_and_back),
                cmocka_unit_test(test_the_wall_clock_may_be_anywhere),
                cmocka_unit_test(test_nothing_else_is_a_pause),
        };

        return cmocka_run_group_tests_name("pause-mark", tests, NULL, NULL);
}
