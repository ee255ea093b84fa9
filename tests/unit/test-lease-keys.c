/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/lease.c daemon/manager/key-track.c daemon/manager/lease-keys.c daemon/manager/policy.c

/* How verdicts add up: two and three keys, each in every state that a track can be brought to by the eight verdicts, its lease
 * running, in grace or over, or never granted; against the table of README, which is written down here a second time. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/lease-keys.h"

#define SEC USEC_PER_SEC
#define FRESH (KEY_EVENT_FRESH_CONNECTION|KEY_EVENT_FRESH_TOKEN)

static const struct instant start = { 10000 * SEC, UINT64_C(1700000000) * SEC };
static struct instant now;
static struct policy p;
static struct key_timing timing;

static void set_up_policy(enum revoke revoke) {
        policy_default(ROLE_DATA, &p);
        p.revoke = revoke;
        key_timing_init(&timing);
        key_timing_add(&timing, &p, true);
}

static struct instant ago(uint64_t usec) {
        return (struct instant) { now.boottime_usec - usec, now.realtime_usec - usec };
}

static void tell(struct key_track *k, enum verdict v, uint64_t when_ago) {
        const struct key_event e = { .verdict = v, .flags = FRESH, .issued = ago(when_ago) };

        key_track_event(k, &timing, &e, ago(when_ago), 0);
}

/* What one owner has said, by the last verdict, and how long ago the last grant was. */
enum said { SAID_GRANTED, SAID_REVOKED, SAID_REVOKED_ONCE, SAID_DENIED, SAID_DENIED_ONCE, SAID_DENIED_WEAK, SAID_THROTTLED,
            SAID_UNREACHABLE, SAID_MISCONFIGURED, SAID_BROKEN, SAID_NOTHING, SAID_NEVER, _SAID_MAX };
enum age { AGE_FRESH, AGE_GRACE, AGE_OVER, _AGE_MAX };

static uint64_t age_usec(enum age a) {
        static const uint64_t ages[_AGE_MAX] = { 40 * SEC, 0, 0 };

        return a == AGE_GRACE ? p.lease_usec + 60 * SEC : a == AGE_OVER ? p.lease_usec + p.grace_usec : ages[a];
}

/* NOTHING: granted then, not heard of since. NEVER: asked and silent from then on, never granted. */
static void bring(struct key_track *k, enum said s, enum age a) {
        static const enum verdict silent[_SAID_MAX] = {
                [SAID_DENIED_WEAK] = VERDICT_DENIED_WEAK, [SAID_THROTTLED] = VERDICT_THROTTLED,
                [SAID_UNREACHABLE] = VERDICT_UNREACHABLE, [SAID_MISCONFIGURED] = VERDICT_MISCONFIGURED,
                [SAID_BROKEN] = VERDICT_BROKEN,
        };

        key_track_init(k, true, start);
        if (s == SAID_NEVER) {
                tell(k, VERDICT_UNREACHABLE, age_usec(a));
                return;
        }
        tell(k, VERDICT_GRANTED, age_usec(a));
        if (s == SAID_REVOKED || s == SAID_REVOKED_ONCE)
                tell(k, VERDICT_REVOKED, 35 * SEC);
        if (s == SAID_REVOKED)
                tell(k, VERDICT_REVOKED, 33 * SEC);
        for (uint64_t i = 0; i < (s == SAID_DENIED ? 3 : s == SAID_DENIED_ONCE ? 1 : 0); i++)
                tell(k, VERDICT_DENIED, (35 - 16 * i) * SEC);
        if (silent[s])
                tell(k, silent[s], 30 * SEC);
}

struct owner {
        enum said said;
        enum age age;
};

/* ---- the table, in other words than lease-keys.c has ---- */

static struct lease_sum table_any(const struct owner *o, unsigned n) {
        struct lease_sum s = { .has_lease = true };
        bool somebody = false;
        uint64_t oldest = 0;

        for (unsigned i = 0; i < n; i++)
                somebody |= o[i].said != SAID_NEVER;
        for (unsigned i = 0; i < n; i++) {
                s.revoked |= o[i].said == SAID_REVOKED;
                s.denied |= o[i].said == SAID_DENIED;
                oldest = MAX_OF(oldest, age_usec(o[i].age));
        }
        s.has_lease = somebody;
        s.lease = ago(oldest);
        return s;
}

static struct lease_sum table_all(const struct owner *o, unsigned n) {
        struct lease_sum s = {};
        unsigned revoked = 0, denied = 0, no;
        uint64_t youngest = UINT64_MAX;

        for (unsigned i = 0; i < n; i++) {
                revoked += o[i].said == SAID_REVOKED;
                denied += o[i].said == SAID_DENIED;
        }
        no = revoked + denied;
        s.revoked = revoked == n;
        s.denied = no == n && denied > 0;
        for (unsigned i = 0; i < n; i++)
                if (o[i].said != SAID_NEVER && (no == n || (o[i].said != SAID_REVOKED && o[i].said != SAID_DENIED)))
                        youngest = MIN_OF(youngest, age_usec(o[i].age));
        s.has_lease = youngest < UINT64_MAX;
        if (s.has_lease)
                s.lease = ago(youngest);
        return s;
}

/* What is done to an open volume; by the table of policies that policy.h has. */
static enum lease_verb expect_verb(const struct lease_sum *s) {
        bool expired = !s->has_lease || now.boottime_usec - s->lease.boottime_usec >= p.lease_usec + p.grace_usec;

        return s->revoked ? LEASE_CUT : s->denied || expired ? LEASE_HOLD : LEASE_NOTHING;
}

static void check(const struct owner *o, unsigned n) {
        struct key_track tracks[3];
        struct lease_keys keys = { .n = n };
        struct lease_volume v = { .state = LEASE_OPEN, .since = start, .hold_possible = true };
        struct lease_sum sum, expected = p.revoke == REVOKE_ALL ? table_all(o, n) : table_any(o, n);
        enum lease_verb verb = expect_verb(&expected);
        struct lease_decision d;
        enum lease_cause forbids;
        bool once = false, every = true;

        for (unsigned i = 0; i < n; i++) {
                bring(tracks + i, o[i].said, o[i].age);
                keys.keys[i].track = tracks + i;
                if (o[i].said == SAID_NEVER)
                        keys.keys[i].begun = ago(age_usec(o[i].age));
                once |= o[i].said == SAID_REVOKED_ONCE;
                every = every && (o[i].said == SAID_REVOKED_ONCE || o[i].said == SAID_REVOKED);
        }
        lease_keys_add_up(&keys, start, &p, now, &sum);
        lease_decide(&v, &keys, &p, now, &d);
        if (sum.revoked != expected.revoked || sum.denied != expected.denied || sum.has_lease != expected.has_lease ||
            (sum.has_lease && sum.lease.boottime_usec != expected.lease.boottime_usec) || d.verb != verb)
                fail_msg("%s of %u: said %d/%d/%d, age %d/%d/%d: revoked %d denied %d lease %d, %s instead of %s",
                         revoke_to_string(p.revoke), n, o[0].said, o[1].said, n > 2 ? (int) o[2].said : -1, o[0].age,
                         o[1].age, n > 2 ? (int) o[2].age : -1, sum.revoked, sum.denied, sum.has_lease,
                         lease_verb_to_string(d.verb), lease_verb_to_string(verb));
        /* the breaker acts without us when the first does, or the last */
        if (verb == LEASE_NOTHING)
                assert_int_equal(d.deadline.boottime_usec, expected.lease.boottime_usec + p.lease_usec + p.grace_usec +
                                 LEASE_BREAKER_USEC);
        /* what would be acted on at once is not opened, nor is it before a REVOKED is confirmed */
        forbids = lease_forbids_opening(&keys, &p, true, now);
        if (verb != LEASE_NOTHING)
                assert_int_equal(forbids, d.cause);
        else
                assert_int_equal(forbids, (p.revoke == REVOKE_ALL ? every : once) ? CAUSE_REVOKED : CAUSE_NONE);
        assert_true(lease_keys_telling(&keys, &p) < n);
}

static void walk(enum revoke revoke, unsigned n) {
        const unsigned each = _SAID_MAX * _AGE_MAX;
        unsigned all = 1, checked = 0;

        set_up_policy(revoke);
        for (unsigned i = 0; i < n; i++)
                all *= each;
        for (unsigned at = 0; at < all; at++) {
                struct owner o[3] = {};
                unsigned rest = at;
                bool possible = true;

                for (unsigned i = 0; i < n; i++, rest /= each) {
                        o[i] = (struct owner) { (enum said) (rest % each / _AGE_MAX), (enum age) (rest % _AGE_MAX) };
                        /* what was just granted is fresh, and what is over was not */
                        possible = possible && (o[i].said != SAID_GRANTED || o[i].age == AGE_FRESH);
                }
                if (!possible)
                        continue;
                check(o, n);
                checked++;
        }
        assert_true(checked > all / 2);
}

static void test_any_of_two(void **state _unused_) {
        walk(REVOKE_ANY, 2);
}

static void test_all_of_two(void **state _unused_) {
        walk(REVOKE_ALL, 2);
}

static void test_any_of_three(void **state _unused_) {
        walk(REVOKE_ANY, 3);
}

static void test_all_of_three(void **state _unused_) {
        walk(REVOKE_ALL, 3);
}

/* The words of the README, one row each. */
static void test_rows_of_the_table(void **state _unused_) {
        static const struct {
                struct owner a, b;
                enum lease_verb any, all;
        } rows[] = {
                { { SAID_GRANTED, AGE_FRESH }, { SAID_GRANTED, AGE_FRESH }, LEASE_NOTHING, LEASE_NOTHING },
                { { SAID_REVOKED, AGE_FRESH }, { SAID_GRANTED, AGE_FRESH }, LEASE_CUT, LEASE_NOTHING },
                { { SAID_REVOKED, AGE_FRESH }, { SAID_REVOKED, AGE_FRESH }, LEASE_CUT, LEASE_CUT },
                { { SAID_REVOKED, AGE_FRESH }, { SAID_DENIED, AGE_FRESH }, LEASE_CUT, LEASE_HOLD },
                { { SAID_REVOKED, AGE_FRESH }, { SAID_UNREACHABLE, AGE_GRACE }, LEASE_CUT, LEASE_NOTHING },
                { { SAID_REVOKED, AGE_FRESH }, { SAID_UNREACHABLE, AGE_OVER }, LEASE_CUT, LEASE_HOLD },
                { { SAID_DENIED, AGE_FRESH }, { SAID_GRANTED, AGE_FRESH }, LEASE_HOLD, LEASE_NOTHING },
                { { SAID_UNREACHABLE, AGE_GRACE }, { SAID_GRANTED, AGE_FRESH }, LEASE_NOTHING, LEASE_NOTHING },
                { { SAID_UNREACHABLE, AGE_OVER }, { SAID_GRANTED, AGE_FRESH }, LEASE_HOLD, LEASE_NOTHING },
                { { SAID_NEVER, AGE_GRACE }, { SAID_GRANTED, AGE_FRESH }, LEASE_NOTHING, LEASE_NOTHING },
                { { SAID_NEVER, AGE_OVER }, { SAID_GRANTED, AGE_FRESH }, LEASE_HOLD, LEASE_NOTHING },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (int turn = 0; turn < 4; turn++) {
                        const struct owner o[] = { turn & 1 ? rows[i].b : rows[i].a, turn & 1 ? rows[i].a : rows[i].b };
                        struct lease_sum s;

                        set_up_policy(turn & 2 ? REVOKE_ALL : REVOKE_ANY);
                        s = turn & 2 ? table_all(o, 2) : table_any(o, 2);
                        assert_int_equal(expect_verb(&s), turn & 2 ? rows[i].all : rows[i].any);
                        check(o, 2);
                }
}

static enum lease_verb decide(const struct lease_volume *v, struct key_track *a, struct key_track *b, struct instant begun_b) {
        const struct lease_keys keys = { .keys = { { .track = a }, { .track = b, .begun = begun_b } }, .n = 2 };
        struct lease_decision d;

        lease_decide(v, &keys, &p, now, &d);
        return d.verb;
}

/* A hold or a cut is undone by a new yes, while nobody stands against it. */
static void test_undone(void **state _unused_) {
        struct lease_volume v = { .state = LEASE_HELD, .cause = CAUSE_DENIED, .hold_possible = true };
        struct key_track a, b;

        set_up_policy(REVOKE_ANY);
        v.since = ago(60 * SEC);
        bring(&a, SAID_GRANTED, AGE_FRESH);
        bring(&b, SAID_UNREACHABLE, AGE_GRACE);
        assert_int_equal(decide(&v, &a, &b, (struct instant) {}), LEASE_RESUME);
        bring(&b, SAID_UNREACHABLE, AGE_OVER);
        assert_int_equal(decide(&v, &a, &b, (struct instant) {}), LEASE_NOTHING);
        bring(&b, SAID_DENIED_ONCE, AGE_FRESH);
        assert_int_equal(decide(&v, &a, &b, (struct instant) {}), LEASE_NOTHING);
        bring(&b, SAID_NEVER, AGE_GRACE);
        assert_int_equal(decide(&v, &a, &b, ago(age_usec(AGE_GRACE))), LEASE_RESUME);
        bring(&b, SAID_REVOKED, AGE_FRESH);
        assert_int_equal(decide(&v, &a, &b, (struct instant) {}), LEASE_CUT);
        p.revoke = REVOKE_ALL;
        assert_int_equal(decide(&v, &a, &b, (struct instant) {}), LEASE_RESUME);
        v.state = LEASE_CLOSED;
        v.cause = CAUSE_REVOKED;
        assert_int_equal(decide(&v, &a, &b, (struct instant) {}), LEASE_ATTACH);
        p.revoke = REVOKE_ANY;
        assert_int_equal(decide(&v, &a, &b, (struct instant) {}), LEASE_NOTHING);
        bring(&b, SAID_GRANTED, AGE_FRESH);
        assert_int_equal(decide(&v, &a, &b, (struct instant) {}), LEASE_ATTACH);
        v.cause = CAUSE_OPERATOR;
        assert_int_equal(decide(&v, &a, &b, (struct instant) {}), LEASE_NOTHING);
}

/* A key that nobody may ask is silent: for any from the opening on, for all it is nobody. */
static void test_not_allowed(void **state _unused_) {
        struct lease_volume v = { .state = LEASE_OPEN, .since = start, .hold_possible = true };
        struct key_track a;

        set_up_policy(REVOKE_ANY);
        bring(&a, SAID_GRANTED, AGE_FRESH);
        assert_int_equal(decide(&v, &a, NULL, ago(60 * SEC)), LEASE_NOTHING);
        assert_int_equal(decide(&v, &a, NULL, ago(age_usec(AGE_OVER))), LEASE_HOLD);
        assert_int_equal(decide(&v, &a, NULL, (struct instant) {}), LEASE_HOLD);
        p.revoke = REVOKE_ALL;
        assert_int_equal(decide(&v, &a, NULL, (struct instant) {}), LEASE_NOTHING);
        bring(&a, SAID_REVOKED, AGE_FRESH);
        assert_int_equal(decide(&v, &a, NULL, (struct instant) {}), LEASE_HOLD);
}

/* Where a key is being used, the breaker's deadline is of the owner who has been silent for longest. */
static void test_deadline_of_a_use(void **state _unused_) {
        struct lease_volume v = { .state = LEASE_CLOSED, .since = start };
        struct key_track a, b;
        const struct lease_keys keys = { .keys = { { .track = &a }, { .track = &b, .begun = ago(600 * SEC) } }, .n = 2 };
        struct lease_decision d;

        set_up_policy(REVOKE_ANY);
        v.used = ago(1 * SEC);
        bring(&a, SAID_GRANTED, AGE_FRESH);
        bring(&b, SAID_NEVER, AGE_GRACE);
        lease_decide(&v, &keys, &p, now, &d);
        assert_int_equal(d.deadline.boottime_usec, ago(600 * SEC).boottime_usec + p.lease_usec + p.grace_usec + LEASE_BREAKER_USEC);
        p.revoke = REVOKE_ALL;
        lease_decide(&v, &keys, &p, now, &d);
        assert_int_equal(d.deadline.boottime_usec, v.used.boottime_usec + p.lease_usec + p.grace_usec + LEASE_BREAKER_USEC);
}

/* The breaker has no notion of a pause that began after it was told, and reporting is enough where policy says so. */
static void test_report_opens(void **state _unused_) {
        struct key_track a, b;
        const struct lease_keys keys = { .keys = { { .track = &a }, { .track = &b } }, .n = 2 };

        set_up_policy(REVOKE_ANY);
        p.on_revoked = ACTION_REPORT;
        bring(&a, SAID_REVOKED, AGE_FRESH);
        bring(&b, SAID_GRANTED, AGE_FRESH);
        assert_int_equal(lease_forbids_opening(&keys, &p, true, now), CAUSE_NONE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_any_of_two), cmocka_unit_test(test_all_of_two),
                cmocka_unit_test(test_any_of_three), cmocka_unit_test(test_all_of_three),
                cmocka_unit_test(test_rows_of_the_table), cmocka_unit_test(test_undone), cmocka_unit_test(test_not_allowed),
                cmocka_unit_test(test_deadline_of_a_use), cmocka_unit_test(test_report_opens),
        };

        now = (struct instant) { start.boottime_usec + 20000 * SEC, start.realtime_usec + 20000 * SEC };
        return cmocka_run_group_tests_name("lease-keys", tests, NULL, NULL);
}
