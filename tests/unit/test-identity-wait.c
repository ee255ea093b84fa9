/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/identity-http.c daemon/vault/imds-reply.c daemon/vault/judgement.c daemon/vault/reply-secret.c
// libs: json-c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault/identity-http.h"

/* When a source is asked again, by a clock of the test's own. */
static uint64_t clock_usec;

static uint64_t fake_now(void) { return clock_usec; }

#define now_boottime_usec fake_now
#include "../../daemon/vault/identity.c"
#undef now_boottime_usec

static struct {
        unsigned asked;
        bool refuses;
        enum verdict verdict;
        uint32_t retry_after_sec;
        uint64_t lifetime_sec, refresh_sec;
} source = { .verdict = VERDICT_THROTTLED };

static int fetch(void *user _unused_, const struct token_wish *w _unused_, struct token_fetched *f) {
        source.asked++;
        if (source.refuses) {
                judgement_set(&f->failure, source.verdict, "too many", "come back later");
                f->retry_after_sec = source.retry_after_sec;
                return -EACCES;
        }
        assert_int_equal(secret_random(16, &f->token), 0);
        f->lifetime_sec = source.lifetime_sec;
        f->refresh_sec = source.refresh_sec;
        return 0;
}

static void nothing(void *user _unused_) { }

static struct identity *new_identity(void) {
        struct identity *i;

        source.asked = 0;
        assert_int_equal(identity_new(&(struct token_source) { .fetch = fetch, .free = nothing }, &i), 0);
        return i;
}

/* True: a token. */
static bool get(struct identity *i, uint64_t not_before_usec, uint32_t retry_after_sec) {
        const struct token_request q = { .not_before_usec = not_before_usec, .deadline_usec = clock_usec + 5 * USEC_PER_SEC };
        struct token_result t;
        int r = identity_get_token(i, &q, &t);

        assert_int_equal(!t.token, r < 0);
        assert_int_equal(t.retry_after_sec, retry_after_sec);
        if (r < 0)
                assert_string_equal(t.failure.code, "too many");
        secret_free(t.token);
        return r >= 0;
}

static void at(uint64_t msec) { clock_usec = 1000 * USEC_PER_SEC + msec * USEC_PER_MSEC; }

static void test_told_to_wait(void **state _unused_) {
        struct identity *i = new_identity();

        source.refuses = true;
        source.retry_after_sec = 120;
        source.lifetime_sec = 3600;
        source.refresh_sec = 3000;
        at(0);
        for (unsigned n = 0; n < 6; n++)
                assert_false(get(i, n % 2 ? clock_usec : 0, 120));
        at(30500);
        assert_false(get(i, 0, 90));
        at(119999);
        assert_false(get(i, clock_usec, 1));
        assert_int_equal(source.asked, 1);
        source.refuses = false;
        at(120000);
        assert_true(get(i, 0, 0));
        assert_true(get(i, 0, 0));
        assert_int_equal(source.asked, 2);
        identity_free(i);
}

static void test_not_told(void **state _unused_) {
        struct identity *i = new_identity();

        source.refuses = true;
        source.retry_after_sec = 0;
        at(0);
        assert_false(get(i, 0, 0));
        assert_false(get(i, 0, 0));
        assert_int_equal(source.asked, 2);
        identity_free(i);
}

/* One no with a Retry-After is one, not as many as ask in that time. */
static void test_denied_told_to_wait(void **state _unused_) {
        struct identity *i = new_identity();

        source.refuses = true;
        source.retry_after_sec = 120;
        source.verdict = VERDICT_DENIED;
        at(0);
        assert_false(get(i, clock_usec, 0));
        for (unsigned n = 1; n <= 2; n++) {
                at(n * 15000);
                assert_false(get(i, clock_usec, 0));
                assert_int_equal(source.asked, n + 1);
        }
        at(45000);
        source.refuses = false;
        source.verdict = VERDICT_THROTTLED;
        assert_true(get(i, clock_usec, 0));
        identity_free(i);
}

/* A token that is good is given out meanwhile; where a newer one is wanted the source's word holds. */
static void test_refresh_told_to_wait(void **state _unused_) {
        static const struct { uint32_t said, until; } rows[] = { { 300, 300 }, { 10, 60 }, { 0, 60 } };

        for (size_t n = 0; n < ELEMENTSOF(rows); n++) {
                struct identity *i = new_identity();

                source.refuses = false;
                source.lifetime_sec = 3600;
                source.refresh_sec = 1000;
                at(0);
                assert_true(get(i, 0, 0));
                source.refuses = true;
                source.retry_after_sec = rows[n].said;
                at(1000000);
                assert_true(get(i, 0, 0));
                assert_int_equal(source.asked, 2);
                at(1000000 + rows[n].until * 1000 - 1);
                assert_true(get(i, 0, 0));
                if (rows[n].said > 60)
                        assert_false(get(i, clock_usec, 1));
                assert_int_equal(source.asked, 2);
                at(1000000 + rows[n].until * 1000);
                assert_true(get(i, 0, 0));
                assert_int_equal(source.asked, 3);
                identity_free(i);
        }
}

static void test_refreshes_are_spread(void **state _unused_) {
        unsigned early = 0;

        source.refuses = false;
        source.lifetime_sec = 3600;
        source.refresh_sec = 800;
        for (unsigned n = 0; n < 64; n++) {
                struct identity *i = new_identity();

                at(0);
                assert_true(get(i, 0, 0));
                at(699999);
                assert_true(get(i, 0, 0));
                assert_int_equal(source.asked, 1);
                at(750000);
                assert_true(get(i, 0, 0));
                early += source.asked > 1;
                at(800000);
                assert_true(get(i, 0, 0));
                assert_int_equal(source.asked, 2);
                identity_free(i);
        }
        assert_in_range(early, 1, 63);
}

/* ---- one try after the other, by the machine's clock ---- */

static uint64_t tries[8];

static int try(void *user, const struct token_wish *w _unused_, struct token_fetched *f, bool *ret_retry) {
        unsigned *n = user;

        tries[(*n)++] = now_boottime_usec();
        *ret_retry = true;
        f->retry_after_sec = *n == 1 ? source.retry_after_sec : 0;
        return *n == 2 ? 0 : -EACCES;
}

static void test_tries(void **state _unused_) {
        static const struct { uint32_t said; unsigned tries; uint64_t least_msec, most_msec; } rows[] = {
                { 0, 2, 700, 1400 }, { 2, 2, 2000, 2750 }, { 10, 1, 0, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const struct token_wish w = { .deadline_usec = now_boottime_usec() + 4 * USEC_PER_SEC };
                struct token_fetched f = {};
                unsigned n = 0;

                source.retry_after_sec = rows[i].said;
                assert_int_equal(token_try(try, &n, &w, &f), rows[i].tries == 2 ? 0 : -EACCES);
                assert_int_equal(n, rows[i].tries);
                assert_int_equal(f.retry_after_sec, n == 1 ? rows[i].said : 0);
                if (n == 2)
                        assert_in_range(tries[1] - tries[0], rows[i].least_msec * USEC_PER_MSEC, rows[i].most_msec * USEC_PER_MSEC);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_told_to_wait), cmocka_unit_test(test_not_told), cmocka_unit_test(test_refresh_told_to_wait),
                cmocka_unit_test(test_refreshes_are_spread), cmocka_unit_test(test_denied_told_to_wait), cmocka_unit_test(test_tries),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
