/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/breaker/patience.c daemon/breaker/table.c

/* When the breaker acts: at once on what passed while the machine was awake, a moment later on what a set clock or its sleep made pass. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "breaker/patience.h"

#define SEC USEC_PER_SEC
#define HOUR (3600 * SEC)

/* The three clocks of a machine, and a slot that was armed at its start. */
struct world {
        uint64_t boottime, monotonic, realtime;
        struct sleep_watch sleep;
        struct slot_patience patience;
        struct breaker_slot slot;
};

static struct world begin(uint64_t deadline) {
        struct world w = { .boottime = 10 * HOUR, .monotonic = 7 * HOUR, .realtime = 1000 * HOUR };

        w.sleep.asleep_usec = sleep_total(w.boottime, w.monotonic);
        w.slot = (struct breaker_slot) {
                .state = BREAKER_ARMED, .deadline_boottime_usec = w.boottime + deadline, .deadline_realtime_usec = w.realtime + deadline,
        };
        return w;
}

static bool look(struct world *w) {
        return slot_is_to_be_done(&w->slot, &w->patience, (struct instant) { w->boottime, w->realtime },
                                  sleep_look(&w->sleep, w->boottime, w->monotonic));
}

static bool pass(struct world *w, uint64_t usec) {
        w->boottime += usec;
        w->monotonic += usec;
        w->realtime += usec;
        return look(w);
}

static bool asleep(struct world *w, uint64_t usec) {
        w->boottime += usec;
        w->realtime += usec;
        return look(w);
}

static bool set_clock(struct world *w, uint64_t usec) {
        w->realtime += usec;
        return look(w);
}

static void test_awake(void **state _unused_) {
        struct world w = begin(HOUR);

        assert_false(look(&w));
        assert_false(pass(&w, HOUR - 1));
        assert_true(pass(&w, 1));
        assert_true(pass(&w, SEC));
        w.slot.deadline_boottime_usec = w.boottime + HOUR;          /* renewed */
        w.slot.deadline_realtime_usec = w.realtime + HOUR;
        assert_false(pass(&w, SEC));
}

/* An hour too late by both clocks, and cmkd has had no moment to do what was configured. */
static void test_slept(void **state _unused_) {
        struct world w = begin(HOUR);

        assert_false(look(&w));
        assert_false(asleep(&w, 2 * HOUR));
        assert_false(pass(&w, BREAKER_JUMP_USEC - 1));
        assert_true(pass(&w, 1));
        /* ... renewed in that moment, as after a poll that was granted */
        w = begin(HOUR);
        assert_false(asleep(&w, 2 * HOUR));
        w.slot.deadline_boottime_usec = w.boottime + HOUR;
        w.slot.deadline_realtime_usec = w.realtime + HOUR;
        assert_false(pass(&w, HOUR - 1));
        assert_true(pass(&w, 1));
}

/* What comes due just after it woke up finds cmkd no better prepared; what comes due later does. */
static void test_due_after_sleep(void **state _unused_) {
        struct world w = begin(HOUR);

        assert_false(asleep(&w, HOUR - SEC));
        assert_false(pass(&w, SEC));
        assert_false(pass(&w, BREAKER_JUMP_USEC - 1));
        assert_true(pass(&w, 1));
        w = begin(HOUR);
        assert_false(asleep(&w, HOUR - 3 * SEC));
        assert_false(pass(&w, 3 * SEC - 1));
        assert_true(pass(&w, 1));
}

static void test_never_put_off(void **state _unused_) {
        struct world w = begin(HOUR);

        assert_false(asleep(&w, 2 * HOUR));
        assert_true(asleep(&w, HOUR));           /* the boot clock counts that too */
        w = begin(HOUR);
        assert_false(set_clock(&w, 2 * HOUR));
        assert_false(pass(&w, SEC));
        assert_false(set_clock(&w, HOUR));
        assert_true(pass(&w, SEC));
}

static void test_clock_set(void **state _unused_) {
        struct world w = begin(HOUR);

        assert_false(set_clock(&w, 2 * HOUR));
        assert_false(pass(&w, BREAKER_JUMP_USEC - 1));
        assert_false(set_clock(&w, (uint64_t) -2 * HOUR));        /* and back: nothing is due */
        assert_false(pass(&w, HOUR / 2));
        /* by the boot clock it is due at once, whatever was done to the other */
        w = begin(SEC);
        assert_false(set_clock(&w, HOUR));
        assert_true(pass(&w, SEC));
}

/* Reading one clock after the other is no sleep. */
static void test_busy(void **state _unused_) {
        struct world w = begin(HOUR);

        assert_false(pass(&w, HOUR - SEC));
        w.boottime += SEC / 2;
        assert_false(look(&w));
        assert_int_equal(w.sleep.slept_usec, 0);
        assert_true(pass(&w, SEC));
}

/* The boot clock was read first, and the other one is a tick on. */
static void test_never_slept_before(void **state _unused_) {
        struct world w = begin(HOUR);

        w.monotonic = w.boottime;
        w.sleep.asleep_usec = sleep_total(w.boottime, w.monotonic + 1);
        assert_false(look(&w));
        assert_false(asleep(&w, 2 * HOUR));
        assert_true(pass(&w, BREAKER_JUMP_USEC));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_awake), cmocka_unit_test(test_slept), cmocka_unit_test(test_due_after_sleep),
                cmocka_unit_test(test_never_put_off), cmocka_unit_test(test_clock_set), cmocka_unit_test(test_busy),
                cmocka_unit_test(test_never_slept_before),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
