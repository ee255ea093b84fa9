/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/lease.c daemon/manager/key-track.c daemon/manager/lease-keys.c daemon/manager/policy.c

/* The key: every state with every verdict, then the rules one by one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lease-world.h"
#include "manager/lease-keys.h"

static void test_every_state_and_verdict(void **state _unused_) {
        static const enum key_state expected[_KEY_STATE_MAX][_VERDICT_MAX] = {
                /*                      GRANTED      REVOKED           DENIED           the five that say nothing */
#define SILENT5(s) s, s, s, s, s
                [KEY_UNKNOWN] =      { KEY_GRANTED, KEY_REVOKED_ONCE, KEY_DENIED_ONCE, SILENT5(KEY_SILENT) },
                [KEY_GRANTED] =      { KEY_GRANTED, KEY_REVOKED_ONCE, KEY_DENIED_ONCE, SILENT5(KEY_SILENT) },
                [KEY_SILENT] =       { KEY_GRANTED, KEY_REVOKED_ONCE, KEY_DENIED_ONCE, SILENT5(KEY_SILENT) },
                [KEY_REVOKED_ONCE] = { KEY_GRANTED, KEY_REVOKED, KEY_REVOKED_ONCE, SILENT5(KEY_REVOKED_ONCE) },
                [KEY_REVOKED] =      { KEY_GRANTED, KEY_REVOKED, KEY_REVOKED, SILENT5(KEY_REVOKED) },
                [KEY_DENIED_ONCE] =  { KEY_GRANTED, KEY_REVOKED_ONCE, KEY_DENIED_ONCE, SILENT5(KEY_DENIED_ONCE) },
                [KEY_DENIED] =       { KEY_GRANTED, KEY_DENIED, KEY_DENIED, SILENT5(KEY_DENIED) },
        };

        for (enum key_state s = 0; s < _KEY_STATE_MAX; s++)
                for (enum verdict v = 0; v < _VERDICT_MAX; v++) {
                        struct world w;

                        begin(&w, ROLE_DATA);
                        bring_key_to(&w, s);
                        pass(&w, SEC);
                        tell(&w, v, FRESH);
                        if (w.k.state != expected[s][v])
                                fail_msg("%s + %s: %s, expected %s", key_state_to_string(s), verdict_to_string(v),
                                         key_state_to_string(w.k.state), key_state_to_string(expected[s][v]));
                        if (s == KEY_DENIED && v == VERDICT_REVOKED) {
                                pass(&w, 2 * SEC);
                                tell(&w, v, FRESH);
                                assert_int_equal(w.k.state, KEY_REVOKED);
                        }
                }
}

/* A poll that was under way belongs to another machine; the lease is what it was. */
static void test_restore_polls_at_once(void **state _unused_) {
        struct key_poll poll;
        struct world w;

        for (unsigned asking = 0; asking < 2; asking++) {
                uint64_t granted;

                begin(&w, ROLE_DATA);
                granted = w.k.granted.boottime_usec;
                pass(&w, SEC);
                if (asking)
                        key_track_asked(&w.k, w.now);
                key_track_next(&w.k, &w.t, &poll);
                assert_true(poll.at_boottime_usec > w.now.boottime_usec);
                assert_true(key_track_look(&w.k, w.now, true));
                key_track_next(&w.k, &w.t, &poll);
                assert_true(poll.at_boottime_usec <= w.now.boottime_usec);
                assert_int_equal(w.k.granted.boottime_usec, granted);
                assert_false(key_track_look(&w.k, w.now, false));
        }
}

static void test_clock_jump_polls_at_once(void **state _unused_) {
        static const int64_t jumps[] = { 3600, -3600, 10, -10 };
        struct key_poll poll;
        struct world w;

        for (size_t i = 0; i < ELEMENTSOF(jumps); i++) {
                begin(&w, ROLE_DATA);
                key_track_next(&w.k, &w.t, &poll);
                assert_true(poll.at_boottime_usec > w.now.boottime_usec);
                pass(&w, SEC);
                assert_false(key_track_look(&w.k, w.now, false));
                w.now.realtime_usec += (uint64_t) (jumps[i] * (int64_t) SEC);
                assert_true(key_track_look(&w.k, w.now, false));
                key_track_next(&w.k, &w.t, &poll);
                assert_true(poll.at_boottime_usec <= w.now.boottime_usec);
                assert_false(key_track_look(&w.k, w.now, false));
        }
        /* slewing is not a jump */
        begin(&w, ROLE_DATA);
        for (int n = 0; n < 100; n++) {
                pass(&w, 10 * SEC);
                w.now.realtime_usec += SEC;
                assert_false(key_track_look(&w.k, w.now, false));
        }
        /* a snapshot that comes back: both clocks are far ahead, also while a poll was under way */
        begin(&w, ROLE_DATA);
        key_track_asked(&w.k, w.now);
        pass(&w, 86400 * SEC);
        key_track_look(&w.k, w.now, false);
        key_track_next(&w.k, &w.t, &poll);
        assert_true(poll.at_boottime_usec <= w.now.boottime_usec);
}

static void test_revoked_is_confirmed_once(void **state _unused_) {
        struct key_poll poll;
        struct world w;

        begin(&w, ROLE_DATA);
        assert_int_equal(tell(&w, VERDICT_REVOKED, 0), VERDICT_REVOKED);
        assert_int_equal(decide(&w), LEASE_NOTHING);
        key_track_next(&w.k, &w.t, &poll);
        assert_true(poll.fresh_connection);
        assert_int_equal(poll.at_boottime_usec, w.now.boottime_usec + w.p.confirm_usec);
        pass(&w, w.p.confirm_usec);
        tell(&w, VERDICT_REVOKED, 0);
        assert_int_equal(w.k.state, KEY_REVOKED_ONCE);
        tell(&w, VERDICT_REVOKED, KEY_EVENT_FRESH_CONNECTION);
        assert_int_equal(decide(&w), LEASE_CUT);
        assert_int_equal(w.d.cause, CAUSE_REVOKED);
        assert_int_equal(w.d.deadline.boottime_usec, w.now.boottime_usec + w.p.notice_usec + LEASE_CUTTING_USEC);
        /* the confirmation goes unanswered: it is asked again, and no silence undoes the first */
        begin(&w, ROLE_DATA);
        tell(&w, VERDICT_REVOKED, 0);
        pass(&w, 2 * SEC);
        tell(&w, VERDICT_UNREACHABLE, KEY_EVENT_FRESH_CONNECTION);
        key_track_next(&w.k, &w.t, &poll);
        assert_true(poll.fresh_connection && poll.at_boottime_usec <= w.now.boottime_usec + w.p.confirm_usec);
        pass(&w, 2 * SEC);
        tell(&w, VERDICT_REVOKED, KEY_EVENT_FRESH_CONNECTION);
        assert_int_equal(decide(&w), LEASE_CUT);
        /* the confirmation says yes: forgotten */
        begin(&w, ROLE_DATA);
        tell(&w, VERDICT_REVOKED, 0);
        pass(&w, 2 * SEC);
        tell(&w, VERDICT_GRANTED, KEY_EVENT_FRESH_CONNECTION);
        pass(&w, 2 * SEC);
        tell(&w, VERDICT_REVOKED, KEY_EVENT_FRESH_CONNECTION);
        assert_int_equal(w.k.state, KEY_REVOKED_ONCE);
}

static void test_404_not_listed_waits_30_seconds(void **state _unused_) {
        const uint32_t unlisted = FRESH|KEY_EVENT_NOT_FOUND, listed = unlisted|KEY_EVENT_LISTED_DELETED;
        struct key_poll poll;
        struct world w;
        uint64_t first;

        begin(&w, ROLE_DATA);
        w.t.poll_usec = 5 * SEC;
        first = w.now.boottime_usec;
        while (w.now.boottime_usec < first + 30 * SEC) {
                tell(&w, VERDICT_REVOKED, unlisted);
                assert_int_equal(w.k.state, KEY_REVOKED_ONCE);
                key_track_next(&w.k, &w.t, &poll);
                assert_true(poll.at_boottime_usec > w.now.boottime_usec);
                assert_true(poll.at_boottime_usec <= first + 30 * SEC + w.p.confirm_usec);
                pass(&w, poll.at_boottime_usec - w.now.boottime_usec);
        }
        tell(&w, VERDICT_REVOKED, unlisted);
        assert_int_equal(w.k.state, KEY_REVOKED);
        /* listed meanwhile: no need to wait */
        begin(&w, ROLE_DATA);
        tell(&w, VERDICT_REVOKED, unlisted);
        pass(&w, 2 * SEC);
        tell(&w, VERDICT_REVOKED, listed);
        assert_int_equal(w.k.state, KEY_REVOKED);
}

static void test_denied_three_times(void **state _unused_) {
        struct key_poll poll;
        struct world w;
        uint64_t first;
        int n = 0;

        begin(&w, ROLE_DATA);
        tell(&w, VERDICT_DENIED, 0);          /* an old token: only the beginning */
        key_track_next(&w.k, &w.t, &poll);
        assert_true(poll.fresh_token && poll.fresh_connection);
        pass(&w, poll.at_boottime_usec - w.now.boottime_usec);
        for (first = w.now.boottime_usec; w.k.state != KEY_DENIED; n++) {
                assert_true(n < 10);
                tell(&w, VERDICT_DENIED, FRESH);
                if (w.now.boottime_usec < first + 30 * SEC)
                        assert_int_equal(decide(&w), LEASE_NOTHING);
                key_track_next(&w.k, &w.t, &poll);
                if (w.k.state != KEY_DENIED)
                        pass(&w, poll.at_boottime_usec - w.now.boottime_usec);
        }
        assert_int_equal(n, 3);
        assert_int_equal(w.now.boottime_usec, first + 30 * SEC);
        assert_int_equal(decide(&w), LEASE_HOLD);
        assert_int_equal(w.d.cause, CAUSE_DENIED);
        /* many at once are not three over the time, and old tokens never count */
        begin(&w, ROLE_DATA);
        for (int i = 0; i < 50; i++)
                tell(&w, VERDICT_DENIED, FRESH);
        assert_int_equal(w.k.state, KEY_DENIED_ONCE);
        begin(&w, ROLE_DATA);
        for (int i = 0; i < 50; i++) {
                tell(&w, VERDICT_DENIED, KEY_EVENT_FRESH_CONNECTION);
                pass(&w, 10 * SEC);
        }
        assert_int_equal(w.k.state, KEY_DENIED_ONCE);
}

static void test_key_that_never_worked(void **state _unused_) {
        struct world w;

        begin(&w, ROLE_DATA);
        key_track_init(&w.k, false, w.now);
        for (int i = 0; i < 5; i++) {
                assert_int_equal(tell(&w, VERDICT_REVOKED, FRESH), VERDICT_MISCONFIGURED);
                pass(&w, 20 * SEC);
                assert_int_equal(tell(&w, VERDICT_DENIED, FRESH), VERDICT_MISCONFIGURED);
                pass(&w, 20 * SEC);
        }
        assert_int_equal(w.k.state, KEY_SILENT);
        tell(&w, VERDICT_GRANTED, 0);
        pass(&w, 1);
        revoke(&w);
        assert_int_equal(w.k.state, KEY_REVOKED);
}

static void test_order_of_answers(void **state _unused_) {
        struct instant early;
        struct world w;

        begin(&w, ROLE_DATA);
        early = w.now;
        pass(&w, 10 * SEC);
        tell(&w, VERDICT_GRANTED, 0);
        pass(&w, SEC);
        /* refusals that were asked for before the last grant are history */
        tell_at(&w, VERDICT_REVOKED, FRESH, early);
        tell_at(&w, VERDICT_REVOKED, FRESH, early);
        assert_int_equal(w.k.state, KEY_GRANTED);
        /* a grant that was asked for before the refusal does not undo it, and does not move the lease back */
        revoke(&w);
        tell_at(&w, VERDICT_GRANTED, 0, early);
        assert_int_equal(w.k.state, KEY_REVOKED);
        assert_true(w.k.granted.boottime_usec > early.boottime_usec);
        /* the second of two that were under way at once, asked for before the first, confirms nothing */
        begin(&w, ROLE_DATA);
        early = w.now;
        pass(&w, SEC);
        tell(&w, VERDICT_REVOKED, 0);
        tell_at(&w, VERDICT_REVOKED, FRESH, early);
        assert_int_equal(w.k.state, KEY_REVOKED_ONCE);
        /* an issue instant in the future is one of now */
        begin(&w, ROLE_DATA);
        tell_at(&w, VERDICT_GRANTED, 0, (struct instant) { UINT64_MAX / 2, UINT64_MAX / 2 });
        assert_int_equal(w.k.granted.boottime_usec, w.now.boottime_usec);
        assert_int_equal(w.k.granted.realtime_usec, w.now.realtime_usec);
}

static void test_attributes_never_grant(void **state _unused_) {
        struct world w;

        begin(&w, ROLE_DATA);
        pass(&w, w.p.lease_usec + w.p.grace_usec - SEC);
        tell(&w, VERDICT_GRANTED, KEY_EVENT_ATTRIBUTES);
        pass(&w, SEC);
        assert_int_equal(decide(&w), LEASE_HOLD);
        begin(&w, ROLE_DATA);
        tell(&w, VERDICT_REVOKED, KEY_EVENT_ATTRIBUTES);
        pass(&w, SEC);
        tell(&w, VERDICT_REVOKED, FRESH);
        assert_int_equal(decide(&w), LEASE_CUT);
}

static void test_throttled_backs_off_within_the_lease(void **state _unused_) {
        struct key_event e = { .verdict = VERDICT_THROTTLED, .retry_after_usec = 4000000 * SEC };
        struct key_poll poll;
        struct world w;

        begin(&w, ROLE_DATA);
        e.issued = w.now;
        key_track_event(&w.k, &w.t, &e, w.now, 0);
        key_track_next(&w.k, &w.t, &poll);
        assert_true(poll.at_boottime_usec <= zero.boottime_usec + w.p.lease_usec);
        pass(&w, w.p.lease_usec);
        e.issued = w.now;
        key_track_event(&w.k, &w.t, &e, w.now, 0);
        key_track_next(&w.k, &w.t, &poll);
        assert_int_equal(poll.at_boottime_usec, w.now.boottime_usec + w.p.lease_usec);
        /* by itself, as often as ever: the grace runs */
        e.retry_after_usec = 0;
        for (int i = 0; i < 8; i++) {
                pass(&w, w.p.lease_usec);
                e.issued = w.now;
                key_track_event(&w.k, &w.t, &e, w.now, 0);
                key_track_next(&w.k, &w.t, &poll);
                assert_int_equal(poll.at_boottime_usec, w.now.boottime_usec + w.p.poll_usec);
        }
        e.retry_after_usec = 45 * SEC;
        begin(&w, ROLE_DATA);
        e.issued = w.now;
        key_track_event(&w.k, &w.t, &e, w.now, 0);
        key_track_next(&w.k, &w.t, &poll);
        assert_int_equal(poll.at_boottime_usec, w.now.boottime_usec + 45 * SEC);
}

static void test_jitter_only_shortens(void **state _unused_) {
        static const uint32_t randoms[] = { 0, 1, 0x7fffffff, 0x80000000, UINT32_MAX };
        struct key_poll poll;
        struct world w;

        for (size_t i = 0; i < ELEMENTSOF(randoms); i++) {
                struct key_event e = { .verdict = VERDICT_GRANTED };

                begin(&w, ROLE_DATA);
                e.issued = w.now;
                key_track_event(&w.k, &w.t, &e, w.now, randoms[i]);
                key_track_next(&w.k, &w.t, &poll);
                assert_true(poll.at_boottime_usec <= w.now.boottime_usec + w.p.poll_usec);
                assert_true(poll.at_boottime_usec >= w.now.boottime_usec + w.p.poll_usec / 8 * 7);
                if (randoms[i] >= 0x7fffffff)
                        assert_true(poll.at_boottime_usec <= w.now.boottime_usec + w.p.poll_usec / 16 * 15 + 1000);
                assert_false(poll.fresh_connection || poll.fresh_token);
        }
}

static void test_unanswered_poll_is_given_up(void **state _unused_) {
        struct key_poll poll;
        struct world w;

        begin(&w, ROLE_DATA);
        key_track_asked(&w.k, w.now);
        key_track_next(&w.k, &w.t, &poll);
        assert_int_equal(poll.at_boottime_usec, w.now.boottime_usec + LEASE_ASK_USEC);
        assert_true(poll.fresh_connection);
        w.t.lease_usec = 15 * SEC;
        key_track_next(&w.k, &w.t, &poll);
        assert_int_equal(poll.at_boottime_usec, w.now.boottime_usec + 15 * SEC);
}

static void test_restart_never_extends(void **state _unused_) {
        struct world w;

        begin(&w, ROLE_DATA);
        key_track_init(&w.k, true, w.now);
        key_track_adopt(&w.k, (struct instant) { UINT64_MAX, UINT64_MAX });
        assert_int_equal(w.k.granted.boottime_usec, w.now.boottime_usec);
        key_track_init(&w.k, true, w.now);
        key_track_adopt(&w.k, (struct instant) { w.now.boottime_usec - 50 * SEC, w.now.realtime_usec - 50 * SEC });
        pass(&w, w.p.lease_usec + w.p.grace_usec - 50 * SEC);
        assert_int_equal(decide(&w), LEASE_HOLD);
        /* two volumes have it, and one of them knows of an older yes: whoever is looked at first */
        for (unsigned i = 0; i < 2; i++) {
                const struct instant older = { w.now.boottime_usec - 50 * SEC, w.now.realtime_usec - 50 * SEC };
                struct lease_key of_older = { .track = &w.k, .adopted = older }, of_newer = { .track = &w.k, .adopted = w.now };
                struct instant granted;

                key_track_init(&w.k, true, w.now);
                key_track_adopt(&w.k, i == 0 ? w.now : older);
                key_track_adopt(&w.k, i == 0 ? older : w.now);
                assert_true(lease_key_granted(&of_newer, &granted));
                assert_int_equal(granted.boottime_usec, w.now.boottime_usec);
                assert_int_equal(granted.realtime_usec, w.now.realtime_usec);
                assert_true(lease_key_granted(&of_older, &granted));
                assert_int_equal(granted.boottime_usec, older.boottime_usec);
                assert_int_equal(granted.realtime_usec, older.realtime_usec);
        }
        tell(&w, VERDICT_GRANTED, 0);
        key_track_adopt(&w.k, zero);
        assert_int_equal(w.k.granted.boottime_usec, w.now.boottime_usec);
}

static enum lease_verb decide_adopted(struct world *w, struct instant adopted) {
        const struct lease_keys keys = { .keys = { { .track = &w->k, .adopted = adopted } }, .n = 1 };

        lease_decide(&w->v, &keys, &w->p, w->now, &w->d);
        return w->d.verb;
}

/* GraceSec of one volume was raised, so that its deadline says that its lease began long ago: the key's other one is not touched. */
static void test_adopted_lease_is_the_volume_s(void **state _unused_) {
        for (enum revoke revoke = REVOKE_ANY; revoke <= REVOKE_ALL; revoke++) {
                struct instant yes, of_b;
                uint64_t before, after;
                struct world w;

                begin(&w, ROLE_DATA);
                w.p.revoke = revoke;
                pass(&w, 30 * SEC);
                yes = w.k.granted;
                before = w.p.lease_usec + w.p.grace_usec;
                after = w.p.lease_usec + 4 * 3600 * SEC;
                pass(&w, 4 * 3600 * SEC);
                yes.boottime_usec = w.now.boottime_usec - 30 * SEC;
                yes.realtime_usec = w.now.realtime_usec - 30 * SEC;
                of_b = (struct instant) { yes.boottime_usec + before - after, yes.realtime_usec + before - after };
                key_track_init(&w.k, true, w.now);
                key_track_adopt(&w.k, yes);
                assert_int_equal(decide_adopted(&w, yes), LEASE_NOTHING);
                assert_int_equal(w.d.deadline.boottime_usec, yes.boottime_usec + before + LEASE_BREAKER_USEC);
                assert_int_equal(decide_adopted(&w, of_b), LEASE_HOLD);
                assert_int_equal(decide_adopted(&w, yes), LEASE_NOTHING);
                /* by its own policy it goes on to the deadline that it had */
                w.p.grace_usec = 4 * 3600 * SEC;
                assert_int_equal(decide_adopted(&w, of_b), LEASE_NOTHING);
                assert_int_equal(w.d.deadline.boottime_usec, yes.boottime_usec + before + LEASE_BREAKER_USEC);
                /* until its owner is heard */
                tell(&w, VERDICT_GRANTED, 0);
                assert_int_equal(decide_adopted(&w, of_b), LEASE_NOTHING);
                assert_int_equal(w.d.deadline.boottime_usec, w.now.boottime_usec + w.p.lease_usec + w.p.grace_usec + LEASE_BREAKER_USEC);
        }
}

/* What is held is not resumed by a yes that another volume's mark knows of: one has to be heard. */
static void test_adopted_hold(void **state _unused_) {
        struct instant began;
        struct world w;

        begin(&w, ROLE_DATA);
        pass(&w, 60 * SEC);
        lease_volume_enter(&w.v, LEASE_HELD, CAUSE_EXPIRED, w.now);
        began = (struct instant) { w.now.boottime_usec - 1, w.now.realtime_usec - 1 };
        pass(&w, 60 * SEC);
        key_track_init(&w.k, true, w.now);
        key_track_adopt(&w.k, (struct instant) { w.now.boottime_usec - 5 * SEC, w.now.realtime_usec - 5 * SEC });
        assert_int_equal(decide_adopted(&w, began), LEASE_NOTHING);
        tell(&w, VERDICT_GRANTED, 0);
        assert_int_equal(decide_adopted(&w, began), LEASE_RESUME);
}

static void test_timing_is_the_strictest(void **state _unused_) {
        struct key_timing t;
        struct policy a, b;

        policy_default(ROLE_DATA, &a);
        policy_default(ROLE_DATA, &b);
        a.poll_usec = 5 * SEC;
        b.lease_usec = 40 * SEC;
        key_timing_init(&t);
        key_timing_add(&t, &a, true);
        key_timing_add(&t, &b, false);
        assert_int_equal(t.poll_usec, 5 * SEC);
        assert_int_equal(t.lease_usec, 40 * SEC);
        assert_false(t.expiry_revokes);
        a.on_key_expiry = KEY_EXPIRY_REVOKE;
        key_timing_add(&t, &a, false);
        key_timing_add(&t, &b, false);
        assert_true(t.expiry_revokes);
        key_timing_add(&t, &b, true);
        assert_false(t.expiry_revokes);
        a.poll_usec = 60 * SEC;
        key_timing_add(&t, &a, true);
        assert_int_equal(t.poll_usec, 60 * SEC);
}

/* What a release waits for: a yes that is no older than a poll, and no bad news since. */
static void test_proven(void **state _unused_) {
        struct world w;
        struct key_poll next;

        begin(&w, ROLE_DATA);
        assert_true(key_track_is_proven(&w.k, &w.t, w.now));
        pass(&w, w.t.poll_usec - SEC);
        assert_true(key_track_is_proven(&w.k, &w.t, w.now));
        pass(&w, SEC);
        assert_false(key_track_is_proven(&w.k, &w.t, w.now));
        tell(&w, VERDICT_GRANTED, 0);
        for (enum verdict v = 0; v < _VERDICT_MAX; v++) {
                struct world other = w;

                tell(&other, v, FRESH);
                assert_true(key_track_is_proven(&other.k, &other.t, other.now) == (v == VERDICT_GRANTED));
        }
        /* what an earlier process knew is no proof */
        key_track_init(&w.k, true, w.now);
        assert_false(key_track_is_proven(&w.k, &w.t, w.now));
        key_track_adopt(&w.k, w.now);
        assert_false(key_track_is_proven(&w.k, &w.t, w.now));
        tell(&w, VERDICT_GRANTED, 0);
        key_track_next(&w.k, &w.t, &next);
        assert_true(next.at_boottime_usec > w.now.boottime_usec);
        key_track_hurry(&w.k);
        key_track_next(&w.k, &w.t, &next);
        assert_true(next.at_boottime_usec <= w.now.boottime_usec);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_adopted_lease_is_the_volume_s), cmocka_unit_test(test_adopted_hold),
                cmocka_unit_test(test_every_state_and_verdict),
                cmocka_unit_test(test_clock_jump_polls_at_once), cmocka_unit_test(test_restore_polls_at_once),
                cmocka_unit_test(test_revoked_is_confirmed_once),
                cmocka_unit_test(test_404_not_listed_waits_30_seconds),
                cmocka_unit_test(test_denied_three_times),
                cmocka_unit_test(test_key_that_never_worked),
                cmocka_unit_test(test_order_of_answers),
                cmocka_unit_test(test_attributes_never_grant),
                cmocka_unit_test(test_throttled_backs_off_within_the_lease),
                cmocka_unit_test(test_jitter_only_shortens),
                cmocka_unit_test(test_unanswered_poll_is_given_up),
                cmocka_unit_test(test_restart_never_extends),
                cmocka_unit_test(test_timing_is_the_strictest),
                cmocka_unit_test(test_proven),
        };
        return cmocka_run_group_tests_name("key-track", tests, NULL, NULL);
}
