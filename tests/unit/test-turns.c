/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/turns.c
// libs: libsystemd

/* So many at a time, in order, and nobody waits for ever for one that does not end. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/turns.h"

#define MAX 2u
#define SHORT_USEC (50 * USEC_PER_MSEC)

static sd_event *event;
static struct turns turns;
static struct turn turn[6];
static unsigned begun[6], n_begun;

static void on_turn(void *user) {
        begun[n_begun++] = (unsigned) ((struct turn *) user - turn);
}

static bool take(unsigned i) {
        return turn_take(&turns, turn + i, on_turn, turn + i);
}

/* Until nothing is to be done at once. */
static void run(void) {
        while (sd_event_run(event, 0) > 0)
                ;
}

static void set_up_for(uint64_t usec) {
        n_begun = 0;
        memset(turn, 0, sizeof(turn));
        assert_int_equal(sd_event_new(&event), 0);
        assert_int_equal(turns_init(&turns, event, MAX, usec), 0);
        for (unsigned i = 0; i < ELEMENTSOF(turn); i++)
                assert_int_equal(take(i), i < MAX);
        assert_int_equal(n_begun, 0);
}

static int set_up(void **state _unused_) {
        set_up_for(60 * USEC_PER_SEC);
        return 0;
}

static int set_up_short(void **state _unused_) {
        set_up_for(SHORT_USEC);
        return 0;
}

static int tear_down(void **state _unused_) {
        for (unsigned i = 0; i < ELEMENTSOF(turn); i++)
                turn_end(turn + i);
        assert_int_equal(turns.n, 0);
        turns_done(&turns);
        sd_event_unref(event);
        return 0;
}

static void test_in_order(void **state _unused_) {
        run();
        assert_int_equal(n_begun, 0);
        turn_end(turn + 1);
        assert_int_equal(n_begun, 0);          /* from the event loop */
        run();
        assert_int_equal(n_begun, 1);
        turn_end(turn + 0);
        turn_end(turn + 2);
        run();
        assert_int_equal(n_begun, 3);
        for (unsigned i = 0; i < n_begun; i++)
                assert_int_equal(begun[i], i + MAX);
}

/* Whoever comes when others wait does not pass them, also where there is room this moment. */
static void test_nobody_is_passed(void **state _unused_) {
        turn_end(turn + 0);
        assert_false(take(0));
        run();
        assert_int_equal(n_begun, 1);
        assert_int_equal(begun[0], MAX);
}

static void test_waits_no_more(void **state _unused_) {
        turn_end(turn + 2);
        turn_end(turn + 4);
        turn_end(turn + 4);
        turn_end(turn + 0);
        turn_end(turn + 1);
        run();
        assert_int_equal(n_begun, 2);
        assert_int_equal(begun[0], 3);
        assert_int_equal(begun[1], 5);
}

static void test_none_left(void **state _unused_) {
        for (unsigned i = 0; i < ELEMENTSOF(turn); i++)
                turn_end(turn + i);
        run();
        assert_int_equal(n_begun, 0);
        assert_true(take(3));
        assert_true(take(1));
        assert_false(take(5));
}

static void test_one_that_does_not_end(void **state _unused_) {
        while (n_begun < ELEMENTSOF(turn) - MAX)
                assert_true(sd_event_run(event, 20 * USEC_PER_SEC) > 0);
        turn_end(turn + 0);                    /* it counts no more */
        assert_true(turns.n <= MAX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_in_order), TEST(test_nobody_is_passed), TEST(test_waits_no_more), TEST(test_none_left),
                cmocka_unit_test_setup_teardown(test_one_that_does_not_end, set_up_short, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
