/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/floors.c daemon/manager/policy.c

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/floors.h"

#define SEC USEC_PER_SEC
#define READ(...) read_tags((const char *const []) { __VA_ARGS__, NULL })

static struct policy_floors floors, nothing;
static struct floors_text text;

/* Name, value, name, value, ... */
static void read_tags(const char *const *words) {
        struct vault_tag tags[VAULT_TAGS_MAX] = {};
        size_t n = 0;

        for (; words[0] && words[1]; words += 2, n++) {
                snprintf(tags[n].name, sizeof(tags[n].name), "%s", words[0]);
                snprintf(tags[n].value, sizeof(tags[n].value), "%s", words[1]);
        }
        floors_from_tags(tags, n, false, &floors, &text);
        policy_floors_init(&nothing);
}

static void test_nothing(void **state _unused_) {
        READ(NULL);
        assert_true(floors_equal(&floors, &nothing));
        assert_string_equal(text.floors, "");
        assert_string_equal(text.ignored, "");
}

static void test_every_tag(void **state _unused_) {
        READ("cmkd-on-revoked", "poweroff", "cmkd-on-denied", "cut", "cmkd-on-unreachable", "hold", "cmkd-on-reenable",
             "nothing", "cmkd-recovery", "never", "cmkd-notice-sec", "0", "cmkd-poll-sec", "1min 5s", "cmkd-lease-sec",
             "2min", "cmkd-grace-sec", "1h", "cmkd-hold-sec", "9", "cmkd-pause-max-sec", "1d", "cmkd-on-key-expiry",
             "revoke");
        assert_string_equal(text.ignored, "");
        assert_int_equal(floors.settings.on_revoked, ACTION_POWEROFF);
        assert_int_equal(floors.settings.on_denied, ACTION_CUT);
        assert_int_equal(floors.settings.on_unreachable, ACTION_HOLD);
        assert_int_equal(floors.settings.on_reenable, REENABLE_NOTHING);
        assert_int_equal(floors.settings.recovery, RECOVERY_NEVER);
        assert_int_equal(floors.settings.on_key_expiry, KEY_EXPIRY_REVOKE);
        assert_int_equal(floors.settings.notice_usec, 0);
        assert_int_equal(floors.settings.poll_usec, 65 * SEC);
        assert_int_equal(floors.settings.lease_usec, 120 * SEC);
        assert_int_equal(floors.settings.grace_usec, 3600 * SEC);
        assert_int_equal(floors.settings.hold_usec, 9 * SEC);
        assert_int_equal(floors.pause_max_usec, 86400 * SEC);
        assert_int_equal(floors.settings.on_foreign, -1);
        assert_true(floors.settings.confirm_usec == USEC_INFINITY);
        assert_string_equal(text.floors, "cmkd-on-revoked=poweroff cmkd-on-denied=cut cmkd-on-unreachable=hold "
                            "cmkd-on-reenable=nothing cmkd-recovery=never cmkd-notice-sec=0 cmkd-poll-sec=1min 5s "
                            "cmkd-lease-sec=2min cmkd-grace-sec=1h cmkd-hold-sec=9 cmkd-pause-max-sec=1d "
                            "cmkd-on-key-expiry=revoke");
}

/* A mistake is said, and takes nothing along. */
static void test_mistakes(void **state _unused_) {
        READ("cmkd-pol-sec", "5", "cmkd-poll-sec", "often", "cmkd-on-denied", "Cut", "cmkd-hold-sec", "7",
             "cmkd-grace-sec", "", "cmkd-lease-sec", "-1", "cmkd-recovery", "yes");
        assert_string_equal(text.floors, "cmkd-hold-sec=7");
        assert_string_equal(text.ignored, "there is no tag cmkd-pol-sec; is cmkd-poll-sec meant?; "
                            "cmkd-poll-sec=often: allowed is a time span such as 30, 500ms or 1h 30min; "
                            "cmkd-on-denied=Cut: allowed is report, hold, cut, poweroff or reboot; "
                            "cmkd-grace-sec=: allowed is a time span such as 30, 500ms or 1h 30min; "
                            "cmkd-lease-sec=-1: allowed is a time span such as 30, 500ms or 1h 30min; "
                            "cmkd-recovery=yes: allowed is allow or never");
        assert_int_equal(floors.settings.hold_usec, 7 * SEC);
        floors.settings.hold_usec = USEC_INFINITY;
        assert_true(floors_equal(&floors, &nothing));
        floors_from_tags(NULL, 0, true, &floors, &text);
        assert_non_null(strstr(text.ignored, "too long"));
        assert_true(floors_equal(&floors, &nothing));
}

/* As much as can come: cut off, never past the end. */
static void test_long_texts(void **state _unused_) {
        struct vault_tag tags[VAULT_TAGS_MAX] = {};

        for (unsigned i = 0; i < VAULT_TAGS_MAX; i++) {
                memset(tags[i].name, 'x', VAULT_TAG_NAME_MAX);
                memset(tags[i].value, '9', VAULT_TAG_VALUE_MAX);
        }
        floors_from_tags(tags, VAULT_TAGS_MAX, true, &floors, &text);
        assert_int_equal(strlen(text.ignored), sizeof(text.ignored) - 1);
        for (unsigned i = 0; i < VAULT_TAGS_MAX; i++) {
                strcpy(tags[i].name, "cmkd-pause-max-sec");
                memset(tags[i].value, ' ', VAULT_TAG_VALUE_MAX - 1);
                tags[i].value[VAULT_TAG_VALUE_MAX - 1] = '9';
                tags[i].value[VAULT_TAG_VALUE_MAX] = 0;
        }
        floors_from_tags(tags, VAULT_TAGS_MAX, false, &floors, &text);
        assert_true(strlen(text.floors) < sizeof(text.floors));
        assert_int_equal(floors.pause_max_usec, 9 * SEC);
}

static void test_each_difference(void **state _unused_) {
        static const char *const tags[][2] = {
                { "cmkd-on-revoked", "cut" }, { "cmkd-on-denied", "cut" }, { "cmkd-on-unreachable", "cut" },
                { "cmkd-on-reenable", "attach" }, { "cmkd-on-key-expiry", "report" }, { "cmkd-recovery", "allow" },
                { "cmkd-revoke", "all" },
                { "cmkd-notice-sec", "1" }, { "cmkd-poll-sec", "1" }, { "cmkd-lease-sec", "1" },
                { "cmkd-grace-sec", "1" }, { "cmkd-hold-sec", "1" }, { "cmkd-pause-max-sec", "1" },
        };

        for (size_t i = 0; i < ELEMENTSOF(tags); i++) {
                READ(tags[i][0], tags[i][1]);
                assert_string_equal(text.ignored, "");
                assert_false(floors_equal(&floors, &nothing));
                assert_false(floors_equal(&nothing, &floors));
        }
}

/* Through to the policy: an owner tightens, and never loosens. */
static void test_policy(void **state _unused_) {
        struct config c = {};
        struct policy p;

        policy_settings_init(&c.policy);
        READ("cmkd-poll-sec", "1h", "cmkd-on-revoked", "report", "cmkd-on-unreachable", "cut", "cmkd-grace-sec", "10min",
             "cmkd-on-key-expiry", "revoke");
        assert_int_equal(policy_make(&c, ROLE_DATA, "d", &floors, &p, NULL), 0);
        assert_int_equal(p.poll_usec, 30 * SEC);
        assert_int_equal(p.source[POLICY_POLL], SOURCE_DEFAULT);
        assert_int_equal(p.on_revoked, ACTION_CUT);
        assert_int_equal(p.source[POLICY_ON_REVOKED], SOURCE_DEFAULT);
        assert_int_equal(p.on_unreachable, ACTION_CUT);
        assert_int_equal(p.source[POLICY_ON_UNREACHABLE], SOURCE_OWNER);
        assert_int_equal(p.grace_usec, 600 * SEC);
        assert_int_equal(p.on_key_expiry, KEY_EXPIRY_REVOKE);
        assert_int_equal(policy_make(&c, ROLE_OS, "root", &floors, &p, NULL), 0);
        assert_int_equal(p.on_unreachable, ACTION_POWEROFF);
}

/* Several owners: of each setting the strictest counts, in whatever order they are heard. */
static void test_several_owners(void **state _unused_) {
        struct policy_floors first, second;
        struct config c = {};
        struct policy p;

        policy_settings_init(&c.policy);
        c.policy.revoke = REVOKE_ALL;
        READ("cmkd-poll-sec", "20", "cmkd-grace-sec", "1min", "cmkd-revoke", "all", "cmkd-on-denied", "reboot");
        first = floors;
        READ("cmkd-poll-sec", "10", "cmkd-grace-sec", "1h", "cmkd-on-denied", "cut");
        second = floors;
        for (int turn = 0; turn < 2; turn++) {
                assert_int_equal(policy_make(&c, ROLE_OS, "root", NULL, &p, NULL), 0);
                policy_tighten(&p, turn == 0 ? &first : &second);
                policy_tighten(&p, turn == 0 ? &second : &first);
                assert_int_equal(p.poll_usec, 10 * SEC);
                assert_int_equal(p.grace_usec, 60 * SEC);
                assert_int_equal(p.on_denied, ACTION_POWEROFF);       /* what a cut is for role os, not the reboot */
                assert_int_equal(p.revoke, REVOKE_ALL);               /* "all" asks for nothing */
        }
        READ("cmkd-revoke", "any");
        policy_tighten(&p, &floors);
        assert_int_equal(p.revoke, REVOKE_ANY);
        assert_int_equal(p.source[POLICY_REVOKE], SOURCE_OWNER);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing), cmocka_unit_test(test_every_tag), cmocka_unit_test(test_mistakes),
                cmocka_unit_test(test_long_texts), cmocka_unit_test(test_each_difference), cmocka_unit_test(test_policy),
                cmocka_unit_test(test_several_owners),
        };
        return cmocka_run_group_tests_name("floors", tests, NULL, NULL);
}
