/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/lease.c daemon/manager/policy.c

/* The volume: every state of it with every state of its key, before and after lease and grace, then the rules one by
 * one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lease-world.h"

static void test_every_volume_state_and_key_state(void **state _unused_) {
        /* role data, defaults, just after the key came into its state; rows without a word: NOTHING for all */
        static const struct { enum lease_state v; enum key_state k; bool expired; enum lease_verb verb; } table[] = {
                { LEASE_OPEN, KEY_REVOKED, false, LEASE_CUT }, { LEASE_OPEN, KEY_REVOKED, true, LEASE_CUT },
                { LEASE_OPEN, KEY_DENIED, false, LEASE_HOLD }, { LEASE_OPEN, KEY_DENIED, true, LEASE_HOLD },
                { LEASE_OPEN, KEY_UNKNOWN, false, LEASE_HOLD }, { LEASE_OPEN, KEY_UNKNOWN, true, LEASE_HOLD },
                { LEASE_OPEN, KEY_GRANTED, true, LEASE_HOLD }, { LEASE_OPEN, KEY_SILENT, true, LEASE_HOLD },
                { LEASE_OPEN, KEY_REVOKED_ONCE, true, LEASE_HOLD }, { LEASE_OPEN, KEY_DENIED_ONCE, true, LEASE_HOLD },
                { LEASE_HOLDING, KEY_REVOKED, false, LEASE_CUT }, { LEASE_HOLDING, KEY_REVOKED, true, LEASE_CUT },
                { LEASE_HELD, KEY_REVOKED, false, LEASE_CUT }, { LEASE_HELD, KEY_REVOKED, true, LEASE_CUT },
                { LEASE_RECOVERY, KEY_REVOKED, false, LEASE_REPORT }, { LEASE_RECOVERY, KEY_DENIED, false,
                LEASE_REPORT },
                { LEASE_RECOVERY, KEY_UNKNOWN, false, LEASE_REPORT },
                { LEASE_RECOVERY, KEY_REVOKED, true, LEASE_REPORT }, { LEASE_RECOVERY, KEY_DENIED, true, LEASE_REPORT },
                { LEASE_RECOVERY, KEY_UNKNOWN, true, LEASE_REPORT }, { LEASE_RECOVERY, KEY_GRANTED, true,
                LEASE_REPORT },
                { LEASE_RECOVERY, KEY_SILENT, true, LEASE_REPORT },
                { LEASE_RECOVERY, KEY_REVOKED_ONCE, true, LEASE_REPORT },
                { LEASE_RECOVERY, KEY_DENIED_ONCE, true, LEASE_REPORT },
        };

        for (enum lease_state v = 0; v < _LEASE_STATE_MAX; v++)
                for (enum key_state s = 0; s < _KEY_STATE_MAX; s++)
                        for (int expired = 0; expired < 2; expired++) {
                                enum lease_verb expected = LEASE_NOTHING;
                                struct world w;

                                begin(&w, ROLE_DATA);
                                bring_key_to(&w, s);
                                if (expired)
                                        pass(&w, w.p.lease_usec + w.p.grace_usec);
                                lease_volume_enter(&w.v, v, v == LEASE_OPEN ? CAUSE_NONE : CAUSE_DENIED, w.now);
                                for (size_t i = 0; i < ELEMENTSOF(table); i++)
                                        if (table[i].v == v && table[i].k == s && table[i].expired == expired)
                                                expected = table[i].verb;
                                if (decide(&w) != expected)
                                        fail_msg("volume %s, key %s, %s: %s, expected %s", lease_state_to_string(v),
                                                 key_state_to_string(s), expired ? "expired" : "in time",
                                                 lease_verb_to_string(w.d.verb), lease_verb_to_string(expected));
                        }
}

static void test_silence_waits_for_lease_and_grace(void **state _unused_) {
        static const enum verdict silent[] = {
                VERDICT_UNREACHABLE, VERDICT_THROTTLED, VERDICT_BROKEN, VERDICT_MISCONFIGURED, VERDICT_DENIED_WEAK,
        };

        for (size_t i = 0; i < ELEMENTSOF(silent); i++) {
                struct world w;
                uint64_t end;

                begin(&w, ROLE_DATA);
                end = zero.boottime_usec + w.p.lease_usec + w.p.grace_usec;
                while (w.now.boottime_usec < end - 30 * SEC) {
                        pass(&w, 20 * SEC);
                        assert_int_equal(tell(&w, silent[i], FRESH), silent[i]);
                        if (w.now.boottime_usec < end)
                                assert_int_equal(decide(&w), LEASE_NOTHING);
                        assert_int_equal(w.d.deadline.boottime_usec, end + LEASE_BREAKER_USEC);
                        assert_int_equal(w.d.deadline_action, BREAKER_ACTION_CUT);
                        assert_int_equal(w.d.wake_boottime_usec, end);
                }
                pass(&w, end - w.now.boottime_usec - 1);
                assert_int_equal(decide(&w), LEASE_NOTHING);
                pass(&w, 1);
                assert_int_equal(decide(&w), LEASE_HOLD);
                assert_int_equal(w.d.cause, CAUSE_EXPIRED);
        }
}

static void test_either_clock_ends_the_lease(void **state _unused_) {
        struct world w;

        begin(&w, ROLE_DATA);
        w.now.realtime_usec += w.p.lease_usec + w.p.grace_usec;
        assert_int_equal(decide(&w), LEASE_HOLD);
        begin(&w, ROLE_DATA);
        w.now.boottime_usec += w.p.lease_usec + w.p.grace_usec;
        assert_int_equal(decide(&w), LEASE_HOLD);
        /* a wall clock that is put back lengthens nothing */
        begin(&w, ROLE_DATA);
        w.now.realtime_usec -= 86400 * SEC;
        pass(&w, w.p.lease_usec + w.p.grace_usec);
        assert_int_equal(decide(&w), LEASE_HOLD);
}

static void test_hold_then_resume_or_cut(void **state _unused_) {
        struct world w;

        begin(&w, ROLE_DATA);
        deny(&w);
        assert_int_equal(decide(&w), LEASE_HOLD);
        assert_int_equal(w.d.deadline.boottime_usec, w.now.boottime_usec + LEASE_HOLDING_USEC);
        lease_volume_enter(&w.v, LEASE_HOLDING, w.d.cause, w.now);
        pass(&w, SEC);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        lease_volume_enter(&w.v, LEASE_HELD, CAUSE_DENIED, w.now);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        assert_int_equal(w.d.deadline.boottime_usec, w.now.boottime_usec + w.p.hold_usec + LEASE_BREAKER_USEC);
        pass(&w, SEC);
        tell(&w, VERDICT_GRANTED, 0);
        assert_int_equal(decide(&w), LEASE_RESUME);
        /* granted, but the next answer is bad news again: not resumed before that is settled */
        for (int i = 0; i < 2; i++) {
                begin(&w, ROLE_DATA);
                deny(&w);
                lease_volume_enter(&w.v, LEASE_HELD, CAUSE_DENIED, w.now);
                pass(&w, SEC);
                tell(&w, VERDICT_GRANTED, 0);
                pass(&w, SEC);
                tell(&w, i ? VERDICT_DENIED : VERDICT_REVOKED, FRESH);
                assert_int_equal(decide(&w), LEASE_NOTHING);
        }
        /* no answer that counts: cut at the end of HoldSec */
        begin(&w, ROLE_DATA);
        deny(&w);
        lease_volume_enter(&w.v, LEASE_HELD, CAUSE_DENIED, w.now);
        pass(&w, w.p.hold_usec - 1);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        assert_int_equal(w.d.wake_boottime_usec, w.now.boottime_usec + 1);
        pass(&w, 1);
        assert_int_equal(decide(&w), LEASE_CUT);
        assert_int_equal(w.d.cause, CAUSE_HELD_TOO_LONG);
        /* a hold that hangs is a cut */
        begin(&w, ROLE_DATA);
        deny(&w);
        lease_volume_enter(&w.v, LEASE_HOLDING, CAUSE_DENIED, w.now);
        pass(&w, LEASE_HOLDING_USEC);
        assert_int_equal(decide(&w), LEASE_CUT);
        /* held by an operator: neither resumed by a grant nor cut for its length, but a revocation cuts */
        begin(&w, ROLE_DATA);
        lease_volume_enter(&w.v, LEASE_HELD, CAUSE_OPERATOR, w.now);
        pass(&w, w.p.hold_usec);
        tell(&w, VERDICT_GRANTED, 0);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        assert_int_equal(w.d.deadline_action, BREAKER_ACTION_REPORT);
        pass(&w, SEC);
        revoke(&w);
        assert_int_equal(decide(&w), LEASE_CUT);
}

static void test_reenable(void **state _unused_) {
        static const enum lease_cause causes[] = { CAUSE_REVOKED, CAUSE_DENIED, CAUSE_EXPIRED, CAUSE_HELD_TOO_LONG };
        struct world w;

        for (size_t i = 0; i < ELEMENTSOF(causes); i++) {
                begin(&w, ROLE_DATA);
                revoke(&w);
                lease_volume_enter(&w.v, LEASE_CLOSED, causes[i], w.now);
                assert_int_equal(decide(&w), LEASE_NOTHING);
                pass(&w, 100000 * SEC);
                tell(&w, VERDICT_GRANTED, 0);
                assert_int_equal(decide(&w), LEASE_ATTACH);
                w.p.on_reenable = REENABLE_NOTHING;
                assert_int_equal(decide(&w), LEASE_NOTHING);
        }
        begin(&w, ROLE_DATA);
        lease_volume_enter(&w.v, LEASE_CLOSED, CAUSE_OPERATOR, w.now);
        pass(&w, SEC);
        tell(&w, VERDICT_GRANTED, 0);
        assert_int_equal(decide(&w), LEASE_NOTHING);
}

static void test_os(void **state _unused_) {
        struct world w;

        begin(&w, ROLE_OS);
        pass(&w, w.p.lease_usec + w.p.grace_usec);
        assert_int_equal(decide(&w), LEASE_REPORT);
        assert_int_equal(w.d.deadline_action, BREAKER_ACTION_REPORT);
        assert_int_equal(w.d.deadline.boottime_usec, 0);
        lease_volume_note(&w.v, &w.d);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        lease_volume_note(&w.v, &w.d);
        tell(&w, VERDICT_GRANTED, 0);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        lease_volume_note(&w.v, &w.d);
        deny(&w);
        assert_int_equal(decide(&w), LEASE_REPORT);
        begin(&w, ROLE_OS);
        revoke(&w);
        assert_int_equal(decide(&w), LEASE_POWEROFF);
        assert_int_equal(w.d.deadline_action, BREAKER_ACTION_POWEROFF);
        assert_int_equal(w.d.deadline.boottime_usec, w.now.boottime_usec + 300 * SEC + LEASE_CUTTING_USEC);
        lease_volume_enter(&w.v, LEASE_NOTICE, w.d.cause, w.now);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        assert_int_equal(w.d.deadline_action, BREAKER_ACTION_POWEROFF);
        pass(&w, 100 * SEC);
        tell(&w, VERDICT_GRANTED, 0);
        assert_int_equal(decide(&w), LEASE_CALL_OFF);
}

static void test_report_only_and_hold_not_possible(void **state _unused_) {
        struct world w;

        begin(&w, ROLE_DATA);
        w.p.on_revoked = w.p.on_unreachable = ACTION_REPORT;
        revoke(&w);
        assert_int_equal(decide(&w), LEASE_REPORT);
        lease_volume_note(&w.v, &w.d);
        pass(&w, 10 * (w.p.lease_usec + w.p.grace_usec));
        assert_int_equal(decide(&w), LEASE_NOTHING);
        /* reporting a refusal does not outlive lease and grace where silence would be acted on */
        w.p.on_unreachable = ACTION_CUT;
        assert_int_equal(decide(&w), LEASE_CUT);
        begin(&w, ROLE_DATA);
        w.v.hold_possible = false;
        deny(&w);
        assert_int_equal(decide(&w), LEASE_CUT);
        assert_non_null(w.d.why);
}

static void test_pause(void **state _unused_) {
        struct world w;

        begin(&w, ROLE_DATA);
        w.v.paused_until = (struct instant) { w.now.boottime_usec + 7200 * SEC, w.now.realtime_usec + 7200 * SEC };
        revoke(&w);
        assert_int_equal(decide(&w), LEASE_REPORT);
        assert_true(w.d.deadline.boottime_usec == w.v.paused_until.boottime_usec + LEASE_BREAKER_USEC);
        assert_true(w.d.wake_boottime_usec <= w.v.paused_until.boottime_usec);
        lease_volume_note(&w.v, &w.d);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        w.now.realtime_usec += 7200 * SEC;        /* over by one clock is over */
        assert_int_equal(decide(&w), LEASE_CUT);
        lease_volume_enter(&w.v, LEASE_NOTICE, CAUSE_REVOKED, w.now);
        w.v.paused_until = (struct instant) { w.now.boottime_usec + 60 * SEC, w.now.realtime_usec + 60 * SEC };
        assert_int_equal(decide(&w), LEASE_CALL_OFF);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_volume_state_and_key_state),
                cmocka_unit_test(test_silence_waits_for_lease_and_grace),
                cmocka_unit_test(test_either_clock_ends_the_lease),
                cmocka_unit_test(test_hold_then_resume_or_cut),
                cmocka_unit_test(test_reenable),
                cmocka_unit_test(test_os),
                cmocka_unit_test(test_report_only_and_hold_not_possible),
                cmocka_unit_test(test_pause),
        };
        return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
