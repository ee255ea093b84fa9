/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/lease.c daemon/manager/policy.c

/* Every pair of state and verdict against a table of what the rules say, then random histories against the invariants
 * of lease.h. The random walk keeps its own books (what was granted, seen and when) and never reads the track's. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/lease.h"

#define SEC USEC_PER_SEC
#define FRESH (KEY_EVENT_FRESH_CONNECTION|KEY_EVENT_FRESH_TOKEN)

static const struct instant zero = { 1000 * SEC, 1700000000 * SEC };

struct world {
        struct key_track k;
        struct key_timing t;
        struct policy p;
        struct lease_volume v;
        struct instant now;
        struct lease_decision d;
};

static void pass(struct world *w, uint64_t usec) {
        w->now.boottime_usec += usec;
        w->now.realtime_usec += usec;
}

static enum verdict tell_at(struct world *w, enum verdict v, uint32_t flags, struct instant issued) {
        struct key_event e = { .verdict = v, .flags = flags, .issued = issued };

        return key_track_event(&w->k, &w->t, &e, w->now, 0);
}

static enum verdict tell(struct world *w, enum verdict v, uint32_t flags) {
        return tell_at(w, v, flags, w->now);
}

static enum lease_verb decide(struct world *w) {
        lease_decide(&w->v, &w->k, &w->p, w->now, &w->d);
        return w->d.verb;
}

/* An open volume of that role, whose key was granted right now. */
static void begin(struct world *w, enum role role) {
        *w = (struct world) { .now = zero };
        policy_default(role, &w->p);
        key_timing_init(&w->t);
        key_timing_add(&w->t, &w->p, true);
        key_track_init(&w->k, true, w->now);
        tell(w, VERDICT_GRANTED, 0);
        w->v.hold_possible = role == ROLE_DATA;
        pass(w, 1);
        lease_volume_enter(&w->v, LEASE_OPEN, CAUSE_NONE, w->now);
}

static void revoke(struct world *w) {
        tell(w, VERDICT_REVOKED, 0);
        pass(w, w->p.confirm_usec);
        tell(w, VERDICT_REVOKED, KEY_EVENT_FRESH_CONNECTION);
}

static void deny(struct world *w) {
        for (int i = 0; i < 3; i++) {
                tell(w, VERDICT_DENIED, FRESH);
                if (i < 2)
                        pass(w, w->p.denied_confirm_usec / 2);
        }
}

static void bring_key_to(struct world *w, enum key_state s) {
        switch (s) {
        case KEY_GRANTED:
                break;
        case KEY_SILENT:
                tell(w, VERDICT_UNREACHABLE, 0);
                break;
        case KEY_REVOKED_ONCE:
                tell(w, VERDICT_REVOKED, 0);
                break;
        case KEY_REVOKED:
                revoke(w);
                break;
        case KEY_DENIED_ONCE:
                tell(w, VERDICT_DENIED, FRESH);
                break;
        case KEY_DENIED:
                deny(w);
                break;
        default:
                key_track_init(&w->k, true, w->now);
        }
        assert_int_equal(w->k.state, s);
}

/* ---- the key: every state with every verdict ---- */

static void test_every_state_and_verdict(void **state _unused_) {
        static const enum key_state expected[_KEY_STATE_MAX][_VERDICT_MAX] = {
                /*                      GRANTED      REVOKED           DENIED           WEAK THROTTLED UNREACH. MISCONF. BROKEN */
#define SILENT4(s) s, s, s, s, s
                [KEY_UNKNOWN] =      { KEY_GRANTED, KEY_REVOKED_ONCE, KEY_DENIED_ONCE, SILENT4(KEY_SILENT) },
                [KEY_GRANTED] =      { KEY_GRANTED, KEY_REVOKED_ONCE, KEY_DENIED_ONCE, SILENT4(KEY_SILENT) },
                [KEY_SILENT] =       { KEY_GRANTED, KEY_REVOKED_ONCE, KEY_DENIED_ONCE, SILENT4(KEY_SILENT) },
                [KEY_REVOKED_ONCE] = { KEY_GRANTED, KEY_REVOKED, KEY_REVOKED_ONCE, SILENT4(KEY_REVOKED_ONCE) },
                [KEY_REVOKED] =      { KEY_GRANTED, KEY_REVOKED, KEY_REVOKED, SILENT4(KEY_REVOKED) },
                [KEY_DENIED_ONCE] =  { KEY_GRANTED, KEY_REVOKED_ONCE, KEY_DENIED_ONCE, SILENT4(KEY_DENIED_ONCE) },
                [KEY_DENIED] =       { KEY_GRANTED, KEY_DENIED, KEY_DENIED, SILENT4(KEY_DENIED) },
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

/* ---- the volume: every state of it with every state of the key, before and after lease and grace ---- */

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
                { LEASE_RECOVERY, KEY_REVOKED, false, LEASE_REPORT }, { LEASE_RECOVERY, KEY_DENIED, false, LEASE_REPORT },
                { LEASE_RECOVERY, KEY_UNKNOWN, false, LEASE_REPORT },
                { LEASE_RECOVERY, KEY_REVOKED, true, LEASE_REPORT }, { LEASE_RECOVERY, KEY_DENIED, true, LEASE_REPORT },
                { LEASE_RECOVERY, KEY_UNKNOWN, true, LEASE_REPORT }, { LEASE_RECOVERY, KEY_GRANTED, true, LEASE_REPORT },
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

/* ---- single rules ---- */

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

static void test_clock_jump_polls_at_once(void **state _unused_) {
        static const int64_t jumps[] = { 3600, -3600, 10, -10 };
        struct key_poll poll;
        struct world w;

        for (size_t i = 0; i < ELEMENTSOF(jumps); i++) {
                begin(&w, ROLE_DATA);
                key_track_next(&w.k, &w.t, &poll);
                assert_true(poll.at_boottime_usec > w.now.boottime_usec);
                pass(&w, SEC);
                assert_false(key_track_look(&w.k, w.now));
                w.now.realtime_usec += (uint64_t) (jumps[i] * (int64_t) SEC);
                assert_true(key_track_look(&w.k, w.now));
                key_track_next(&w.k, &w.t, &poll);
                assert_true(poll.at_boottime_usec <= w.now.boottime_usec);
                assert_false(key_track_look(&w.k, w.now));
        }
        /* slewing is not a jump */
        begin(&w, ROLE_DATA);
        for (int n = 0; n < 100; n++) {
                pass(&w, 10 * SEC);
                w.now.realtime_usec += SEC;
                assert_false(key_track_look(&w.k, w.now));
        }
        /* a snapshot that comes back: both clocks are far ahead, also while a poll was under way */
        begin(&w, ROLE_DATA);
        key_track_asked(&w.k, w.now);
        pass(&w, 86400 * SEC);
        key_track_look(&w.k, w.now);
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
        tell(&w, VERDICT_GRANTED, 0);
        key_track_adopt(&w.k, zero);
        assert_int_equal(w.k.granted.boottime_usec, w.now.boottime_usec);
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
        a.poll_usec = 60 * SEC;
        key_timing_add(&t, &a, true);
        assert_int_equal(t.poll_usec, 60 * SEC);
}

/* ---- random histories ---- */

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t random_below(uint64_t n) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed % n;
}

/* What really happened, written down independently of the track. */
struct books {
        struct instant last_grant;             /* issue of the newest granted challenge */
        bool revoked_pending, revoked_sure;    /* by the order of events as they came, all in order here */
        uint64_t revoked_sure_at;
        unsigned n_denied;
        uint64_t denied_first;
        uint64_t due_since;                    /* an action was due and not given for that long */
};

static uint64_t max_elapsed(struct instant a, struct instant b) {
        uint64_t boot = b.boottime_usec > a.boottime_usec ? b.boottime_usec - a.boottime_usec : 0;
        uint64_t wall = b.realtime_usec > a.realtime_usec ? b.realtime_usec - a.realtime_usec : 0;

        return boot > wall ? boot : wall;
}

static void random_policy(struct world *w) {
        enum role role = (enum role) random_below(_ROLE_MAX);
        static const enum action data[] = { ACTION_REPORT, ACTION_HOLD, ACTION_CUT };
        static const enum action os[] = { ACTION_REPORT, ACTION_POWEROFF, ACTION_REBOOT };
        const enum action *words = role == ROLE_OS ? os : data;

        begin(w, role);
        w->p.on_revoked = words[random_below(3)];
        w->p.on_denied = words[random_below(3)];
        w->p.on_unreachable = words[random_below(3)];
        w->p.on_reenable = (enum reenable) random_below(2);
        w->p.poll_usec = (1 + random_below(60)) * SEC;
        w->p.lease_usec = w->p.poll_usec + (1 + random_below(120)) * SEC;
        w->p.grace_usec = random_below(2000) * SEC;
        w->p.hold_usec = (1 + random_below(600)) * SEC;
        w->p.notice_usec = random_below(30) * SEC;
        w->p.confirm_usec = MIN_OF(w->p.poll_usec, (1 + random_below(5)) * SEC);
        key_timing_add(&w->t, &w->p, true);
        w->v.hold_possible = random_below(2) && role == ROLE_DATA;
}

static void check_decision(const struct world *w, const struct books *b) {
        const struct lease_decision *d = &w->d;
        bool over = max_elapsed(b->last_grant, w->now) >= w->p.lease_usec + w->p.grace_usec;
        bool acts = d->verb == LEASE_HOLD || d->verb == LEASE_CUT || d->verb == LEASE_POWEROFF || d->verb == LEASE_REBOOT;
        bool denied = b->n_denied >= 3;

        /* 1. never torn down on silence before lease and grace */
        if (acts && w->v.state == LEASE_OPEN)
                assert_true(over || b->revoked_sure || denied);
        if (d->cause == CAUSE_EXPIRED && d->verb != LEASE_NOTHING && w->v.state == LEASE_OPEN)
                assert_true(over);
        /* 2. always acted on after, as strongly as was configured at least */
        if (w->v.state == LEASE_OPEN && over && w->p.on_unreachable != ACTION_REPORT)
                assert_true(acts);
        if (w->v.state == LEASE_OPEN && b->revoked_sure && w->p.on_revoked != ACTION_REPORT)
                assert_true(acts);
        /* 3. hold never where rule 7 forbids it */
        if (d->verb == LEASE_HOLD)
                assert_true(w->p.role == ROLE_DATA && w->v.hold_possible);
        /* 4. a role has its own actions only */
        assert_false(w->p.role != ROLE_OS && (d->verb == LEASE_POWEROFF || d->verb == LEASE_REBOOT));
        assert_false(w->p.role == ROLE_OS && (d->verb == LEASE_CUT || d->verb == LEASE_HOLD));
        /* 5. opened again only by a grant that is newer than the closing */
        if (d->verb == LEASE_RESUME || d->verb == LEASE_ATTACH || d->verb == LEASE_CALL_OFF)
                assert_true(b->last_grant.boottime_usec > w->v.since.boottime_usec);
        /* 6. the breaker watches every open volume that silence would be acted on */
        if (w->v.state == LEASE_OPEN && !acts && w->p.on_unreachable != ACTION_REPORT) {
                assert_true(d->deadline_action != BREAKER_ACTION_REPORT);
                assert_true(d->deadline.boottime_usec <= b->last_grant.boottime_usec + w->p.lease_usec +
                            w->p.grace_usec + LEASE_BREAKER_USEC);
                assert_true(d->wake_boottime_usec <= d->deadline.boottime_usec);
        }
}

static void carry_out(struct world *w) {
        const struct lease_decision *d = &w->d;

        switch (d->verb) {
        case LEASE_HOLD:
                lease_volume_enter(&w->v, random_below(2) ? LEASE_HOLDING : LEASE_HELD, d->cause, w->now);
                break;
        case LEASE_CUT:
        case LEASE_POWEROFF:
        case LEASE_REBOOT:
                lease_volume_enter(&w->v, random_below(2) ? LEASE_NOTICE : LEASE_CLOSED, d->cause, w->now);
                break;
        case LEASE_RESUME:
        case LEASE_ATTACH:
        case LEASE_CALL_OFF:
                lease_volume_enter(&w->v, LEASE_OPEN, CAUSE_NONE, w->now);
                break;
        default:
                if (w->v.state == LEASE_HOLDING && random_below(4) == 0)
                        lease_volume_enter(&w->v, LEASE_HELD, w->v.cause, w->now);
                else if (w->v.state == LEASE_NOTICE && random_below(8) == 0)
                        lease_volume_enter(&w->v, LEASE_CLOSED, w->v.cause, w->now);
        }
        lease_volume_note(&w->v, d);
}

static void keep_books(struct books *b, const struct world *w, enum verdict v, uint32_t flags) {
        if (v == VERDICT_GRANTED)
                *b = (struct books) { .last_grant = w->now };
        else if (v == VERDICT_REVOKED) {
                if (b->revoked_pending && (flags & KEY_EVENT_FRESH_CONNECTION))
                        b->revoked_sure = true;
                b->revoked_pending = true;
        } else if (v == VERDICT_DENIED && (flags & KEY_EVENT_FRESH_TOKEN)) {
                if (b->n_denied == 0)
                        b->denied_first = w->now.boottime_usec;
                if (b->n_denied < 2 || w->now.boottime_usec - b->denied_first >= w->p.denied_confirm_usec)
                        b->n_denied++;
        }
}

static void random_step(struct world *w, struct books *b) {
        struct key_poll poll;
        uint64_t kind = random_below(100);
        uint32_t flags = 0;
        enum verdict v;

        pass(w, 1 + random_below(20 * SEC));
        if (kind == 0)
                w->now.realtime_usec += random_below(5000) * SEC;
        else if (kind == 1)
                w->now.realtime_usec -= random_below(5000) * SEC;
        else if (kind == 2)
                pass(w, random_below(5000) * SEC);
        if (key_track_look(&w->k, w->now) && !w->k.asking) {
                key_track_next(&w->k, &w->t, &poll);
                assert_true(poll.at_boottime_usec <= w->now.boottime_usec);
        }
        decide(w);
        check_decision(w, b);
        carry_out(w);
        key_track_next(&w->k, &w->t, &poll);
        /* polls never stop: the next is at most a lease or a poll away */
        assert_true(poll.at_boottime_usec <= w->now.boottime_usec + MAX_OF(w->t.lease_usec, w->t.poll_usec));
        if (poll.at_boottime_usec > w->now.boottime_usec)
                return;
        key_track_asked(&w->k, w->now);
        if (poll.fresh_connection)
                flags |= KEY_EVENT_FRESH_CONNECTION;
        if (poll.fresh_token)
                flags |= KEY_EVENT_FRESH_TOKEN;
        if (random_below(10) == 0)
                return;                        /* no answer ever */
        /* long runs of one verdict, so that every path is walked to its end */
        v = random_below(8) ? (enum verdict) ((seed >> 40) % _VERDICT_MAX) : VERDICT_GRANTED;
        if (random_below(3) && w->k.heard)
                v = w->k.last;
        tell(w, v, flags);
        keep_books(b, w, v, flags);
        decide(w);
        check_decision(w, b);
        carry_out(w);
}

static void test_random_histories(void **state _unused_) {
        unsigned verbs[_LEASE_VERB_MAX] = {};

        for (int run = 0; run < 2000; run++) {
                struct books b = { .last_grant = zero };
                struct world w;

                random_policy(&w);
                for (int step = 0; step < 600; step++) {
                        random_step(&w, &b);
                        verbs[w.d.verb]++;
                }
                /* recovery is always possible, from wherever the history ended */
                if (w.v.state == LEASE_NOTICE || w.v.state == LEASE_HOLDING)
                        lease_volume_enter(&w.v, LEASE_HELD, w.v.cause, w.now);
                pass(&w, 1);
                tell(&w, VERDICT_GRANTED, 0);
                assert_int_equal(w.k.state, KEY_GRANTED);
                decide(&w);
                if (w.v.state == LEASE_HELD)
                        assert_int_equal(w.d.verb, LEASE_RESUME);
                if (w.v.state == LEASE_CLOSED && w.p.on_reenable == REENABLE_ATTACH)
                        assert_int_equal(w.d.verb, LEASE_ATTACH);
        }
        for (enum lease_verb v = 0; v < _LEASE_VERB_MAX; v++)
                if (verbs[v] == 0)
                        fail_msg("the random histories never came to %s", lease_verb_to_string(v));
}

/* A vault that answers REVOKED from some moment on: the cut comes within one poll, the confirmation and the answers. */
static void test_revoked_within_a_poll_and_a_confirmation(void **state _unused_) {
        for (int run = 0; run < 5000; run++) {
                uint64_t revoked_at, latest, answer = random_below(SEC);
                struct key_poll poll;
                struct world w;

                random_policy(&w);
                w.p.on_revoked = w.p.role == ROLE_OS ? ACTION_POWEROFF : ACTION_CUT;
                w.p.grace_usec = 100000 * SEC;
                revoked_at = w.now.boottime_usec + random_below(300 * SEC);
                latest = revoked_at + w.p.poll_usec + w.p.confirm_usec + 2 * answer + SEC;
                for (;;) {
                        struct key_event e = { .verdict = VERDICT_GRANTED };

                        key_track_next(&w.k, &w.t, &poll);
                        if (poll.at_boottime_usec > w.now.boottime_usec)
                                pass(&w, poll.at_boottime_usec - w.now.boottime_usec);
                        e.issued = w.now;
                        if (w.now.boottime_usec >= revoked_at)
                                e.verdict = VERDICT_REVOKED;
                        if (poll.fresh_connection)
                                e.flags |= KEY_EVENT_FRESH_CONNECTION;
                        key_track_asked(&w.k, w.now);
                        pass(&w, answer);
                        key_track_event(&w.k, &w.t, &e, w.now, (uint32_t) random_below(UINT32_MAX));
                        if (decide(&w) == LEASE_CUT || w.d.verb == LEASE_POWEROFF)
                                break;
                        assert_true(w.now.boottime_usec <= latest);
                }
                assert_true(w.now.boottime_usec >= revoked_at && w.now.boottime_usec <= latest);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_state_and_verdict),
                cmocka_unit_test(test_every_volume_state_and_key_state),
                cmocka_unit_test(test_silence_waits_for_lease_and_grace),
                cmocka_unit_test(test_either_clock_ends_the_lease),
                cmocka_unit_test(test_clock_jump_polls_at_once),
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
                cmocka_unit_test(test_hold_then_resume_or_cut),
                cmocka_unit_test(test_reenable),
                cmocka_unit_test(test_os),
                cmocka_unit_test(test_report_only_and_hold_not_possible),
                cmocka_unit_test(test_pause),
                cmocka_unit_test(test_timing_is_the_strictest),
                cmocka_unit_test(test_random_histories),
                cmocka_unit_test(test_revoked_within_a_poll_and_a_confirmation),
        };
        return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
