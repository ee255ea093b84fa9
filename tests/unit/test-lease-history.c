/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/lease.c daemon/manager/key-track.c daemon/manager/lease-keys.c daemon/manager/policy.c

/* Random histories against the invariants of lease.h. The walk keeps its own books (what was granted, seen and when)
 * and never reads the track's. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lease-world.h"

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
        unsigned n_denied;
        uint64_t denied_first;
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
        bool acts = d->verb == LEASE_HOLD || d->verb == LEASE_CUT || d->verb == LEASE_POWEROFF ||
                d->verb == LEASE_REBOOT;
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
        /* 7. in recovery nothing is done, and the breaker does nothing either */
        if (w->v.state == LEASE_RECOVERY) {
                assert_true(d->verb == LEASE_NOTHING || d->verb == LEASE_REPORT);
                assert_int_equal(d->deadline_action, BREAKER_ACTION_REPORT);
                assert_true(d->deadline.boottime_usec == 0 && d->deadline.realtime_usec == 0);
        }
        /* 8. what an operator or the node closed stays closed */
        if (w->v.state != LEASE_HELD && (d->verb == LEASE_ATTACH || d->verb == LEASE_CALL_OFF))
                assert_true(w->v.cause != CAUSE_OPERATOR && w->v.cause != CAUSE_REFUSED && w->v.cause != CAUSE_DISK_REMOVED);
        /* a hold lasts HoldSec, unless there is a reason of its own to cut: the owner's no, or silence beyond lease and
         * grace where that is a cut */
        if (w->v.state == LEASE_HELD && acts)
                assert_true(max_elapsed(w->v.since, w->now) >= w->p.hold_usec || b->revoked_sure || denied ||
                            (over && w->p.on_unreachable == ACTION_CUT));
        /* and no longer, where nobody said yes */
        if (w->v.state == LEASE_HELD && w->v.cause != CAUSE_OPERATOR && d->verb != LEASE_RESUME &&
            max_elapsed(w->v.since, w->now) >= w->p.hold_usec)
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
                /* looked at when lease and grace are over, by the boot clock at the latest, before the breaker acts */
                assert_true(d->wake_boottime_usec <= b->last_grant.boottime_usec + w->p.lease_usec + w->p.grace_usec);
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
        /* somebody opens it without us, the manager or an operator ends that */
        if (w->v.state == LEASE_CLOSED && random_below(40) == 0)
                lease_volume_enter(&w->v, LEASE_RECOVERY, CAUSE_NONE, w->now);
        else if (w->v.state == LEASE_RECOVERY && random_below(40) == 0)
                lease_volume_enter(&w->v, random_below(2) ? LEASE_NOTICE : LEASE_CLOSED,
                                   (enum lease_cause) (CAUSE_OPERATOR + random_below(3)), w->now);
        else if (w->v.state == LEASE_CLOSED && random_below(40) == 0)
                lease_volume_enter(&w->v, LEASE_CLOSED, (enum lease_cause) random_below(_LEASE_CAUSE_MAX), w->now);
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

/* Silence changes no deadline of an open volume, however long the vault asks to wait. */
static void tell_random(struct world *w, enum verdict v, uint32_t flags) {
        struct key_event e = {
                .verdict = v, .flags = flags, .issued = w->now,
                .retry_after_usec = v == VERDICT_THROTTLED && random_below(2) ? random_below(100000) * SEC : 0,
        };
        bool silent = v != VERDICT_GRANTED && v != VERDICT_REVOKED && v != VERDICT_DENIED;
        struct lease_decision before;

        decide(w);
        before = w->d;
        key_track_event(&w->k, &w->t, &e, w->now, (uint32_t) random_below(UINT32_MAX));
        decide(w);
        if (!silent || w->v.state != LEASE_OPEN)
                return;
        assert_int_equal(w->d.verb, before.verb);
        assert_true(w->d.deadline.boottime_usec == before.deadline.boottime_usec &&
                    w->d.deadline.realtime_usec == before.deadline.realtime_usec);
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
        if (key_track_look(&w->k, w->now, false) && !w->k.asking) {
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
        tell_random(w, v, flags);
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
                        lease_volume_enter(&w.v, LEASE_HELD, CAUSE_DENIED, w.now);
                pass(&w, 1);
                tell(&w, VERDICT_GRANTED, 0);
                assert_int_equal(w.k.state, KEY_GRANTED);
                decide(&w);
                if (w.v.state == LEASE_HELD)
                        assert_int_equal(w.d.verb, LEASE_RESUME);
                if (w.v.state == LEASE_CLOSED && w.p.on_reenable == REENABLE_ATTACH)
                        assert_int_equal(w.d.verb, lease_cause_is_undone(w.v.cause) ? LEASE_ATTACH : LEASE_NOTHING);
        }
        for (enum lease_verb v = 0; v < _LEASE_VERB_MAX; v++)
                if (verbs[v] == 0)
                        fail_msg("the random histories never came to %s", lease_verb_to_string(v));
}

/* From whatever the volume and its key have come to, one yes to a question that is asked now leads back. */
static void test_recovery_from_everywhere(void **state _unused_) {
        static const enum lease_verb back[_LEASE_STATE_MAX] = {
                [LEASE_CLOSED] = LEASE_ATTACH, [LEASE_HELD] = LEASE_RESUME, [LEASE_NOTICE] = LEASE_CALL_OFF,
                /* the others end in one of those first, or are not closed by us */
        };

        for (enum lease_state v = 0; v < _LEASE_STATE_MAX; v++)
                for (enum key_state s = 0; s < _KEY_STATE_MAX; s++)
                        for (enum verdict last = 0; last < _VERDICT_MAX; last++)
                                for (enum lease_cause c = CAUSE_REVOKED; c <= CAUSE_HELD_TOO_LONG; c++) {
                                        struct key_poll poll;
                                        struct world w;

                                        begin(&w, ROLE_DATA);
                                        bring_key_to(&w, s);
                                        pass(&w, 100000 * SEC);
                                        tell(&w, last, FRESH);
                                        lease_volume_enter(&w.v, v, v == LEASE_OPEN ? CAUSE_NONE : c, w.now);
                                        key_track_next(&w.k, &w.t, &poll);
                                        assert_true(poll.at_boottime_usec <= w.now.boottime_usec + w.t.lease_usec);
                                        pass(&w, w.t.lease_usec);
                                        tell(&w, VERDICT_GRANTED, 0);
                                        assert_int_equal(w.k.state, KEY_GRANTED);
                                        assert_int_equal(decide(&w), v == LEASE_HOLDING && w.now.boottime_usec -
                                                         w.v.since.boottime_usec >= LEASE_HOLDING_USEC ? LEASE_CUT : back[v]);
                                }
}

/* A vault that answers REVOKED from some moment on, GRANTED or nothing before: the cut comes within one poll, the
 * confirmation and the answers. */
static void test_revoked_within_a_poll_and_a_confirmation(void **state _unused_) {
        for (int run = 0; run < 5000; run++) {
                uint64_t revoked_at, latest, answer = random_below(SEC);
                enum verdict before;
                struct key_poll poll;
                struct world w;

                random_policy(&w);
                w.p.on_revoked = w.p.role == ROLE_OS ? ACTION_POWEROFF : ACTION_CUT;
                w.p.grace_usec = 100000 * SEC;
                before = random_below(2) ? VERDICT_GRANTED : VERDICT_UNREACHABLE;
                revoked_at = w.now.boottime_usec + random_below(300 * SEC);
                latest = revoked_at + w.p.poll_usec + w.p.confirm_usec + 2 * answer + SEC;
                for (;;) {
                        struct key_event e = { .verdict = before };

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
                cmocka_unit_test(test_random_histories),
                cmocka_unit_test(test_recovery_from_everywhere),
                cmocka_unit_test(test_revoked_within_a_poll_and_a_confirmation),
        };
        return cmocka_run_group_tests_name("lease-history", tests, NULL, NULL);
}
