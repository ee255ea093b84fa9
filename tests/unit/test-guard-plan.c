/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/guard-plan.c

/* When the guard refuses: after a clean time, for ten minutes, and longer only if somebody says so. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/guard-plan.h"

#define S USEC_PER_SEC

static struct guard_plan plan(enum guard_mode mode) {
        return (struct guard_plan) { .mode = mode, .possible = true, .arm_after_usec = 100 * S, .confirm_usec = 10 * S };
}

static void it_arms_after_a_clean_time(void **state _unused_) {
        struct guard_plan p = plan(GUARD_ENFORCE);

        assert_int_equal(guard_plan_tick(&p, 1000 * S, true), GUARD_STATE_WAITING);
        assert_int_equal(guard_plan_tick(&p, 1099 * S, true), GUARD_STATE_WAITING);
        assert_int_equal(guard_plan_tick(&p, 1100 * S, true), GUARD_STATE_ARMED);
        assert_int_equal(p.armed_until_usec, 1110 * S);
}

static void what_would_be_refused_begins_it_anew(void **state _unused_) {
        struct guard_plan p = plan(GUARD_ENFORCE);

        guard_plan_tick(&p, 1000 * S, true);
        guard_plan_tick(&p, 1099 * S, true);
        guard_plan_would(&p);
        assert_int_equal(guard_plan_tick(&p, 1100 * S, true), GUARD_STATE_WAITING);
        assert_int_equal(guard_plan_tick(&p, 1199 * S, true), GUARD_STATE_ARMED);
}

static void blind_time_does_not_count(void **state _unused_) {
        struct guard_plan p = plan(GUARD_ENFORCE);

        guard_plan_tick(&p, 1000 * S, true);
        assert_int_equal(guard_plan_tick(&p, 2000 * S, false), GUARD_STATE_WAITING);
        assert_int_equal(p.clean_usec, 0);
}

static void time_in_audit_counts(void **state _unused_) {
        struct guard_plan p = plan(GUARD_AUDIT);

        guard_plan_tick(&p, 1000 * S, true);
        assert_int_equal(guard_plan_tick(&p, 1200 * S, true), GUARD_STATE_AUDIT);
        p.mode = GUARD_ENFORCE;
        assert_int_equal(guard_plan_tick(&p, 1201 * S, true), GUARD_STATE_ARMED);
}

static void unconfirmed_it_disarms(void **state _unused_) {
        struct guard_plan p = plan(GUARD_ENFORCE);

        p.clean_usec = 100 * S;
        assert_int_equal(guard_plan_tick(&p, 1000 * S, true), GUARD_STATE_ARMED);
        assert_int_equal(guard_plan_tick(&p, 1009 * S, true), GUARD_STATE_ARMED);
        assert_int_equal(guard_plan_tick(&p, 1010 * S, true), GUARD_STATE_DISARMED);
        assert_int_equal(guard_plan_confirm(&p, 1011 * S), -EAGAIN);
        assert_int_equal(guard_plan_tick(&p, 9000 * S, true), GUARD_STATE_DISARMED);
        assert_false(p.confirmed);
}

static void confirmed_it_goes_on(void **state _unused_) {
        struct guard_plan p = plan(GUARD_ENFORCE);

        assert_int_equal(guard_plan_confirm(&p, 1000 * S), -EAGAIN);
        p.clean_usec = 100 * S;
        guard_plan_tick(&p, 1000 * S, true);
        assert_int_equal(guard_plan_confirm(&p, 1010 * S), -EAGAIN);       /* too late by a tick */
        assert_int_equal(guard_plan_confirm(&p, 1009 * S), 0);
        assert_int_equal(guard_plan_tick(&p, 5000 * S, true), GUARD_STATE_ENFORCING);
        assert_int_equal(guard_plan_confirm(&p, 5001 * S), -EALREADY);
        guard_plan_would(&p);
        assert_int_equal(guard_plan_tick(&p, 5002 * S, true), GUARD_STATE_ENFORCING);
}

static void another_mode_forgets_it(void **state _unused_) {
        struct guard_plan p = plan(GUARD_OFF);

        p.confirmed = true;
        assert_int_equal(guard_plan_tick(&p, 1000 * S, true), GUARD_STATE_OFF);
        assert_int_equal(guard_plan_tick(&p, 9000 * S, true), GUARD_STATE_OFF);
        assert_false(p.confirmed);
        assert_int_equal(p.clean_usec, 0);
}

static void where_it_cannot_be_it_says_so(void **state _unused_) {
        struct guard_plan p = plan(GUARD_ENFORCE);

        p.possible = false;
        p.confirmed = true;
        assert_int_equal(guard_plan_tick(&p, 1000 * S, true), GUARD_STATE_IMPOSSIBLE);
        p.possible = true;
        assert_int_equal(guard_plan_tick(&p, 1001 * S, true), GUARD_STATE_ENFORCING);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_arms_after_a_clean_time), cmocka_unit_test(what_would_be_refused_begins_it_anew),
                cmocka_unit_test(blind_time_does_not_count), cmocka_unit_test(time_in_audit_counts),
                cmocka_unit_test(unconfirmed_it_disarms), cmocka_unit_test(confirmed_it_goes_on),
                cmocka_unit_test(another_mode_forgets_it), cmocka_unit_test(where_it_cannot_be_it_says_so),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
