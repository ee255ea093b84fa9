/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/lease.c daemon/manager/key-track.c daemon/manager/lease-keys.c daemon/manager/policy.c

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

static uint64_t deadline_in(const struct world *w) {
        return w->d.deadline.boottime_usec - w->now.boottime_usec;
}

/* From when a key is used until the volume is known to be open somebody has to hold its deadline. */
static void test_a_key_in_use_has_a_deadline(void **state _unused_) {
        struct world w;
        uint64_t span;

        for (enum role role = ROLE_DATA; role <= ROLE_OS; role++) {
                begin(&w, role);
                if (role == ROLE_OS)
                        w.p.on_unreachable = ACTION_POWEROFF;
                span = w.p.lease_usec + w.p.grace_usec + LEASE_BREAKER_USEC;
                lease_volume_enter(&w.v, LEASE_CLOSED, CAUSE_NONE, w.now);
                assert_int_equal(decide(&w), LEASE_NOTHING);
                assert_true(w.d.deadline.boottime_usec == 0 && w.d.deadline.realtime_usec == 0);
                w.v.used = w.now;
                pass(&w, SEC);
                assert_int_equal(decide(&w), LEASE_NOTHING);
                assert_true(deadline_in(&w) == span - SEC);
                assert_true(w.d.deadline.realtime_usec - w.now.realtime_usec == span - SEC);
                assert_int_equal(w.d.deadline_action, role == ROLE_OS ? BREAKER_ACTION_POWEROFF : BREAKER_ACTION_CUT);
                lease_volume_enter(&w.v, LEASE_OPEN, CAUSE_NONE, w.now);
                assert_true(w.v.used.boottime_usec == 0);
        }
        /* an operator's hold has none, until it is resumed */
        begin(&w, ROLE_DATA);
        lease_volume_enter(&w.v, LEASE_HELD, CAUSE_OPERATOR, w.now);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        assert_true(w.d.deadline.boottime_usec == 0);
        w.v.used = w.now;
        assert_int_equal(decide(&w), LEASE_NOTHING);
        assert_true(deadline_in(&w) == w.p.lease_usec + w.p.grace_usec + LEASE_BREAKER_USEC);
        /* where silence is only reported there is nothing to hold */
        begin(&w, ROLE_OS);
        lease_volume_enter(&w.v, LEASE_CLOSED, CAUSE_NONE, w.now);
        w.v.used = w.now;
        decide(&w);
        assert_true(w.d.deadline.boottime_usec == 0 && w.d.deadline.realtime_usec == 0);
}

/* A yes at the very end of a hold: the end of the hold is no deadline any more, however long the resume takes. */
static void test_resume_has_the_leases_deadline(void **state _unused_) {
        struct world w;

        begin(&w, ROLE_DATA);
        lease_volume_enter(&w.v, LEASE_HELD, CAUSE_EXPIRED, w.now);
        pass(&w, w.p.hold_usec - SEC);
        tell(&w, VERDICT_GRANTED, 0);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(decide(&w), LEASE_RESUME);
                assert_true(w.d.deadline.boottime_usec > w.now.boottime_usec + w.p.lease_usec);
                pass(&w, 2 * SEC);
        }
}

/* What could not be powered off is not cut below a running system instead. */
static void test_lingering_keeps_its_action(void **state _unused_) {
        struct world w;

        begin(&w, ROLE_OS);
        revoke(&w);
        lease_volume_enter(&w.v, LEASE_LINGERING, CAUSE_REVOKED, w.now);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        assert_int_equal(w.d.deadline_action, BREAKER_ACTION_POWEROFF);
        begin(&w, ROLE_DATA);
        lease_volume_enter(&w.v, LEASE_LINGERING, CAUSE_REVOKED, w.now);
        decide(&w);
        assert_int_equal(w.d.deadline_action, BREAKER_ACTION_CUT);
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
        assert_string_equal(w.d.why, "actions are paused by the operator");
}

/* All states of volume and key: what would be begun is not, and is once the pause is over. */
static void test_pause_in_every_state(void **state _unused_) {
        for (enum lease_state v = 0; v < _LEASE_STATE_MAX; v++)
                for (enum key_state s = 0; s < _KEY_STATE_MAX; s++)
                        for (int expired = 0; expired < 2; expired++)
                                for (int back = 0; back < 2; back++) {
                                        struct world w, other;

                                        begin(&w, ROLE_DATA);
                                        bring_key_to(&w, s);
                                        if (expired)
                                                pass(&w, w.p.lease_usec + w.p.grace_usec);
                                        lease_volume_enter(&w.v, v, v == LEASE_OPEN ? CAUSE_NONE : CAUSE_DENIED, w.now);
                                        w.v.paused_until = (struct instant) { w.now.boottime_usec + 60 * SEC,
                                                                              w.now.realtime_usec + 60 * SEC };
                                        if (back)           /* a wall clock that is set back extends nothing */
                                                w.now.realtime_usec -= 86400 * SEC;
                                        other = w;
                                        other.v.paused_until = (struct instant) {};
                                        decide(&w);
                                        if (decide(&other) == LEASE_CUT || other.d.verb == LEASE_HOLD)
                                                assert_true(w.d.verb == LEASE_REPORT || v == LEASE_HOLDING);
                                        if (v == LEASE_NOTICE)
                                                assert_int_equal(w.d.verb, LEASE_CALL_OFF);
                                        assert_true(w.d.verb != LEASE_CUT && w.d.verb != LEASE_HOLD);
                                        if (v == LEASE_OPEN || v == LEASE_HELD) {
                                                assert_true(w.d.deadline.boottime_usec >= w.v.paused_until.boottime_usec);
                                                assert_true(w.d.wake_boottime_usec <= w.v.paused_until.boottime_usec);
                                        }
                                        if (v == LEASE_HOLDING || v == LEASE_NOTICE)
                                                continue;
                                        lease_volume_note(&w.v, &w.d);
                                        pass(&w, 60 * SEC);
                                        pass(&other, 60 * SEC);
                                        other.v.reported = w.v.reported;
                                        assert_int_equal(decide(&w), decide(&other));
                                }
}

static void pause_for(struct world *w, uint64_t span) {
        w->v.paused_until = (struct instant) { w->now.boottime_usec + span, w->now.realtime_usec + span };
}

static void test_pause_withholds_and_says_so(void **state _unused_) {
        static const char why[] = "actions are paused by the operator";
        struct world w;

        /* the breaker has the withheld action at the end of the pause, not of the lease */
        begin(&w, ROLE_OS);
        revoke(&w);
        pause_for(&w, 30 * SEC);
        assert_int_equal(decide(&w), LEASE_REPORT);
        assert_int_equal(w.d.cause, CAUSE_REVOKED);
        assert_string_equal(w.d.why, why);
        assert_int_equal(w.d.deadline.boottime_usec, w.now.boottime_usec + 30 * SEC + LEASE_BREAKER_USEC);
        assert_int_equal(w.d.deadline.realtime_usec, w.now.realtime_usec + 30 * SEC + LEASE_BREAKER_USEC);
        assert_int_equal(w.d.deadline_action, BREAKER_ACTION_POWEROFF);
        lease_volume_note(&w.v, &w.d);
        pass(&w, 30 * SEC - 1);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        pass(&w, 1);
        assert_int_equal(decide(&w), LEASE_POWEROFF);
        /* enabled again in the pause: all is well, and the deadline is the lease's */
        begin(&w, ROLE_DATA);
        revoke(&w);
        pause_for(&w, 30 * SEC);
        assert_int_equal(decide(&w), LEASE_REPORT);
        lease_volume_note(&w.v, &w.d);
        pass(&w, SEC);
        tell(&w, VERDICT_GRANTED, 0);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        lease_volume_note(&w.v, &w.d);
        assert_int_equal(w.d.deadline.boottime_usec, w.now.boottime_usec + w.p.lease_usec + w.p.grace_usec + LEASE_BREAKER_USEC);
        pass(&w, SEC);
        revoke(&w);
        assert_int_equal(decide(&w), LEASE_REPORT);
        /* what is only reported is not withheld */
        begin(&w, ROLE_OS);
        deny(&w);
        pause_for(&w, 30 * SEC);
        assert_int_equal(decide(&w), LEASE_REPORT);
        assert_null(w.d.why);
        assert_int_equal(w.d.deadline_action, BREAKER_ACTION_REPORT);
}

static void test_pause_of_a_hold(void **state _unused_) {
        struct world w;

        /* the cut at the end of HoldSec waits, is reported once, and follows */
        begin(&w, ROLE_DATA);
        deny(&w);
        lease_volume_enter(&w.v, LEASE_HELD, CAUSE_DENIED, w.now);
        pause_for(&w, w.p.hold_usec + 60 * SEC);
        pass(&w, w.p.hold_usec);
        assert_int_equal(decide(&w), LEASE_REPORT);
        assert_int_equal(w.d.cause, CAUSE_HELD_TOO_LONG);
        lease_volume_note(&w.v, &w.d);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        assert_int_equal(w.d.deadline.boottime_usec, w.v.paused_until.boottime_usec + LEASE_BREAKER_USEC);
        assert_int_equal(w.d.wake_boottime_usec, w.v.paused_until.boottime_usec);
        pass(&w, 60 * SEC);
        assert_int_equal(decide(&w), LEASE_CUT);
        /* resumed all the same */
        begin(&w, ROLE_DATA);
        deny(&w);
        lease_volume_enter(&w.v, LEASE_HELD, CAUSE_DENIED, w.now);
        pause_for(&w, 60 * SEC);
        pass(&w, SEC);
        tell(&w, VERDICT_GRANTED, 0);
        assert_int_equal(decide(&w), LEASE_RESUME);
        /* an operator's hold: no deadline, but at the end of the pause the revocation counts at once */
        begin(&w, ROLE_DATA);
        lease_volume_enter(&w.v, LEASE_HELD, CAUSE_OPERATOR, w.now);
        pause_for(&w, 60 * SEC);
        revoke(&w);
        assert_int_equal(decide(&w), LEASE_REPORT);
        assert_int_equal(w.d.deadline_action, BREAKER_ACTION_REPORT);
        assert_int_equal(w.d.wake_boottime_usec, w.v.paused_until.boottime_usec);
        pass(&w, 60 * SEC);
        assert_int_equal(decide(&w), LEASE_CUT);
        /* a hold under way is finished, and one that hangs is still a cut */
        begin(&w, ROLE_DATA);
        revoke(&w);
        lease_volume_enter(&w.v, LEASE_HOLDING, CAUSE_DENIED, w.now);
        pause_for(&w, 60 * SEC);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        pass(&w, LEASE_HOLDING_USEC);
        assert_int_equal(decide(&w), LEASE_CUT);
}

static void test_a_pause_stops_no_operator(void **state _unused_) {
        static const enum lease_cause causes[] = { CAUSE_OPERATOR, CAUSE_REFUSED, CAUSE_DISK_REMOVED };
        static const enum lease_state states[] = { LEASE_NOTICE, LEASE_CUTTING };

        for (size_t c = 0; c < ELEMENTSOF(causes); c++)
                for (size_t s = 0; s < ELEMENTSOF(states); s++) {
                        struct world w;

                        begin(&w, ROLE_DATA);
                        pause_for(&w, 3600 * SEC);
                        lease_volume_enter(&w.v, states[s], causes[c], w.now);
                        assert_int_equal(decide(&w), LEASE_NOTHING);
                        assert_true(w.d.deadline.boottime_usec < w.v.paused_until.boottime_usec);
                        assert_int_equal(w.d.deadline_action, BREAKER_ACTION_CUT);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_volume_state_and_key_state),
                cmocka_unit_test(test_silence_waits_for_lease_and_grace),
                cmocka_unit_test(test_either_clock_ends_the_lease),
                cmocka_unit_test(test_hold_then_resume_or_cut),
                cmocka_unit_test(test_reenable),
                cmocka_unit_test(test_os),
                cmocka_unit_test(test_a_key_in_use_has_a_deadline),
                cmocka_unit_test(test_resume_has_the_leases_deadline),
                cmocka_unit_test(test_lingering_keeps_its_action),
                cmocka_unit_test(test_report_only_and_hold_not_possible),
                cmocka_unit_test(test_pause),
                cmocka_unit_test(test_pause_in_every_state),
                cmocka_unit_test(test_pause_withholds_and_says_so),
                cmocka_unit_test(test_pause_of_a_hold),
                cmocka_unit_test(test_a_pause_stops_no_operator),
        };
        return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
