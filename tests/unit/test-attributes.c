/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/attributes.c daemon/manager/attributes-mark.c daemon/manager/floors.c daemon/manager/policy.c

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/attributes-mark.h"

#define SEC USEC_PER_SEC
#define EXP UINT64_C(1700000000)

static const struct instant start = { 1000 * SEC, EXP * SEC };

static struct instant later(uint64_t usec) {
        return (struct instant) { start.boottime_usec + usec, start.realtime_usec + usec };
}

static void test_when(void **state _unused_) {
        struct attributes a;

        attributes_init(&a);
        assert_true(attributes_due(&a, 0, start));
        attributes_asked(&a, 5, start);
        assert_false(attributes_due(&a, 5, start));
        /* whichever is later: ten polls, a minute */
        assert_false(attributes_due(&a, 14, later(3600 * SEC)));
        assert_true(attributes_due(&a, 15, later(3600 * SEC)));
        assert_false(attributes_due(&a, 1000, later(60 * SEC - 1)));
        assert_true(attributes_due(&a, 1000, later(60 * SEC)));
        /* a step of the wall clock is no time */
        assert_false(attributes_due(&a, 1000, (struct instant) { start.boottime_usec, start.realtime_usec * 2 }));
}

static struct vault_reply reading(const char *tag, const char *value) {
        struct vault_reply y = { .verdict = VERDICT_GRANTED, .http_status = 200, .key_flags = VAULT_KEY_ENABLED };

        if (tag) {
                snprintf(y.tags[0].name, sizeof(y.tags[0].name), "%s", tag);
                snprintf(y.tags[0].value, sizeof(y.tags[0].value), "%s", value);
                y.n_tags = 1;
        }
        return y;
}

static bool take(struct attributes *a, const char *tag, const char *value) {
        struct vault_reply y = reading(tag, value);

        return attributes_take(a, &y);
}

static void test_changes(void **state _unused_) {
        struct attributes a;

        attributes_init(&a);
        assert_false(take(&a, NULL, NULL));
        assert_true(take(&a, "cmkd-poll-sec", "5"));
        assert_int_equal(a.floors.settings.poll_usec, 5 * SEC);
        assert_false(take(&a, "cmkd-poll-sec", "5s"));       /* the same, written otherwise */
        assert_true(take(&a, "cmkd-poll-sec", "6"));
        assert_true(take(&a, "cmkd-poll-sec", "often"));     /* said */
        assert_true(a.floors.settings.poll_usec == USEC_INFINITY);
        assert_false(take(&a, "cmkd-poll-sec", "often"));    /* once */
        assert_true(take(&a, NULL, NULL));
        assert_string_equal(a.text.ignored, "");
}

/* Whatever the failure brings along. */
static void test_failure_changes_nothing(void **state _unused_) {
        struct attributes a, before;

        attributes_init(&a);
        assert_true(take(&a, "cmkd-grace-sec", "5"));
        before = a;
        for (enum verdict v = 0; v < _VERDICT_MAX; v++) {
                struct vault_reply y = reading("cmkd-grace-sec", "99"), judged;

                if (v == VERDICT_GRANTED)
                        continue;
                y.verdict = v;
                y.key_flags = 0;
                y.expires = 1;
                assert_false(attributes_take(&a, &y));
                assert_memory_equal(&a, &before, sizeof(a));
                judged = y;
                attributes_judge(&judged, true, start);
                assert_memory_equal(&judged, &y, sizeof(y));
        }
}

static void test_expiry(void **state _unused_) {
        struct vault_reply y = reading(NULL, NULL);
        struct attributes a;

        attributes_init(&a);
        assert_false(attributes_expired(&a, start));
        attributes_take(&a, &y);
        assert_false(attributes_expired(&a, start));         /* none */
        y.expires = EXP;
        attributes_take(&a, &y);
        assert_true(attributes_expired(&a, start));
        assert_false(attributes_expired(&a, (struct instant) { start.boottime_usec, start.realtime_usec - 1 }));
        y.expires = UINT64_MAX;
        attributes_take(&a, &y);
        assert_false(attributes_expired(&a, later(3600 * SEC)));
}

static void test_expires_soon(void **state _unused_) {
        struct vault_reply y = reading(NULL, NULL);
        struct attributes a;
        char date[32];

        attributes_init(&a);
        assert_false(attributes_expire_soon(&a, start, date));          /* never */
        y.expires = EXP + ATTRIBUTES_SOON_SEC;
        attributes_take(&a, &y);
        assert_true(attributes_expire_soon(&a, start, date));
        assert_string_equal(date, "2023-12-14T22:13:20Z");
        assert_false(attributes_expire_soon(&a, (struct instant) { start.boottime_usec, start.realtime_usec - SEC }, date));
        assert_false(attributes_expire_soon(&a, later(ATTRIBUTES_SOON_SEC * SEC), date));      /* expired: another word for it */
        y.expires = UINT64_MAX;
        attributes_take(&a, &y);
        assert_false(attributes_expire_soon(&a, start, date));
}

static void test_judge(void **state _unused_) {
        struct vault_reply y;

        y = reading(NULL, NULL); y.expires = EXP + 1;
        attributes_judge(&y, true, start);
        assert_int_equal(y.verdict, VERDICT_GRANTED);
        attributes_judge(&y, true, later(SEC));
        assert_int_equal(y.verdict, VERDICT_REVOKED);
        assert_string_equal(y.code, "attributes: expired");
        assert_non_null(strstr(y.text, "2023-11-14T22:13:21Z"));
        y = reading(NULL, NULL); y.expires = EXP;
        attributes_judge(&y, false, later(SEC));
        assert_int_equal(y.verdict, VERDICT_GRANTED);
        y = reading(NULL, NULL); y.key_flags = 0;
        attributes_judge(&y, false, start);
        assert_int_equal(y.verdict, VERDICT_REVOKED);
        assert_string_equal(y.code, "attributes: disabled");
        y = reading(NULL, NULL); y.expires = UINT64_MAX;     /* no date that can be written */
        attributes_judge(&y, true, start);
        assert_int_equal(y.verdict, VERDICT_GRANTED);
}

static void test_mark(void **state _unused_) {
        static const char *const bad[] = {
                "", "x", "cmkd-poll-sec=5", "cmkd-poll-sec\n", "poll-sec=5\n", "expires=\n", "expires=5x\n", "expires=5\n\n",
                "cmkd-poll-sec=5\nx\n", "cmkd-poll-sec=a value that is too long for any setting\n",
        };
        struct attributes a, b;
        struct vault_reply y = {};
        char text[2048], again[2048];

        attributes_init(&a);
        attributes_mark_format(&a, text, sizeof(text));
        assert_string_equal(text, "");
        y = reading("cmkd-poll-sec", "1min 5s");
        y.expires = 4711;
        strcpy(y.tags[1].name, "cmkd-odd");
        strcpy(y.tags[1].value, "a=b");
        y.n_tags = 2;
        attributes_take(&a, &y);
        attributes_mark_format(&a, text, sizeof(text));
        assert_string_equal(text, "expires=4711\ncmkd-poll-sec=1min 5s\ncmkd-odd=a=b\n");
        assert_int_equal(attributes_mark_parse(text, &y), 0);
        attributes_init(&b);
        assert_true(attributes_take(&b, &y));
        assert_true(floors_equal(&a.floors, &b.floors));
        assert_true(attributes_expired(&b, start));
        attributes_mark_format(&b, again, sizeof(again));
        assert_string_equal(text, again);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (attributes_mark_parse(bad[i], &y) != -EBADMSG)
                        fail_msg("accepted: %s", bad[i]);
        /* as many and as long as there can be */
        y = (struct vault_reply) { .verdict = VERDICT_GRANTED, .expires = UINT64_MAX, .n_tags = VAULT_TAGS_MAX };
        for (unsigned i = 0; i < VAULT_TAGS_MAX; i++) {
                snprintf(y.tags[i].name, sizeof(y.tags[i].name), "cmkd-%027u", i);
                memset(y.tags[i].value, '=', VAULT_TAG_VALUE_MAX);
        }
        attributes_take(&a, &y);
        attributes_mark_format(&a, text, sizeof(text));
        assert_int_equal(attributes_mark_parse(text, &y), 0);
        assert_int_equal(y.n_tags, VAULT_TAGS_MAX);
        strcat(text, "cmkd-one-more=1\n");
        assert_int_equal(attributes_mark_parse(text, &y), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_when), cmocka_unit_test(test_changes),
                cmocka_unit_test(test_failure_changes_nothing), cmocka_unit_test(test_expiry), cmocka_unit_test(test_expires_soon),
                cmocka_unit_test(test_judge), cmocka_unit_test(test_mark),
        };
        return cmocka_run_group_tests_name("attributes", tests, NULL, NULL);
}
