/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/policy.c

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/disk-proto.h"
#include "manager/policy.h"

#define SEC USEC_PER_SEC

static struct volume_config volume = { .name = (char *) "data1" };
static struct config config = { .volumes = &volume };

static int reset(void **state _unused_) {
        policy_settings_init(&config.policy);
        policy_settings_init(&volume.policy);
        return 0;
}

static void make(enum role role, const struct policy_floors *floors, struct policy *p) {
        char *why = NULL;

        if (policy_make(&config, role, "data1", floors, p, &why) < 0)
                fail_msg("refused: %s", why);
}

static void refuse(enum role role, const char *expected) {
        struct policy p = { .poll_usec = 4711 };
        char *why = NULL;

        assert_int_equal(policy_make(&config, role, "data1", NULL, &p, &why), -EINVAL);
        if (!why || !strstr(why, expected))
                fail_msg("said \"%s\", expected \"%s\" in it", strempty(why), expected);
        assert_int_equal(p.poll_usec, 4711);
        free(why);
        assert_int_equal(policy_make(&config, role, "data1", NULL, &p, NULL), -EINVAL);
}

static void test_defaults(void **state _unused_) {
        static const struct { enum role role; const char *value[_POLICY_KEY_MAX]; } table[] = {
                { ROLE_DATA, { "cut", "hold", "hold", "attach", "allow", "refuse", "report", "any", "10", "30", "90", "3600", "600",
                               "2", "30" } },
                { ROLE_SCRATCH,
                  { "cut", "hold", "hold", "attach", "allow", "refuse", "report", "any", "10", "30", "90", "3600", "600", "2", "30" } },
                { ROLE_OS, { "poweroff", "report", "report", "attach", "allow", "report", "report", "any", "300", "30", "90", "3600",
                             "600", "2", "30" } },
        };
        char buf[32];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct policy p;

                make(table[i].role, NULL, &p);
                for (enum policy_key k = 0; k < _POLICY_KEY_MAX; k++) {
                        policy_value_to_string(&p, k, buf, sizeof(buf));
                        assert_string_equal(buf, table[i].value[k]);
                        assert_int_equal(p.source[k], SOURCE_DEFAULT);
                }
        }
}

static void test_volume_over_policy_over_default(void **state _unused_) {
        struct policy p;

        config.policy.poll_usec = 5 * SEC;
        config.policy.grace_usec = 60 * SEC;
        config.policy.on_denied = ACTION_CUT;
        volume.policy.grace_usec = 7 * SEC;
        volume.policy.on_reenable = REENABLE_NOTHING;
        make(ROLE_DATA, NULL, &p);
        assert_int_equal(p.poll_usec, 5 * SEC);
        assert_int_equal(p.source[POLICY_POLL], SOURCE_POLICY);
        assert_int_equal(p.on_denied, ACTION_CUT);
        assert_int_equal(p.grace_usec, 7 * SEC);
        assert_int_equal(p.source[POLICY_GRACE], SOURCE_VOLUME);
        assert_int_equal(p.on_reenable, REENABLE_NOTHING);
        assert_int_equal(p.source[POLICY_LEASE], SOURCE_DEFAULT);
        assert_int_equal(policy_make(&config, ROLE_DATA, "another", NULL, &p, NULL), 0);
        assert_int_equal(p.grace_usec, 60 * SEC);
}

static void test_words_of_a_role(void **state _unused_) {
        static const bool allowed[2][_ACTION_MAX] = {
                { [ACTION_REPORT] = true, [ACTION_HOLD] = true, [ACTION_CUT] = true },
                { [ACTION_REPORT] = true, [ACTION_POWEROFF] = true, [ACTION_REBOOT] = true },
        };

        for (enum role role = 0; role < _ROLE_MAX; role++)
                for (enum action a = 0; a < _ACTION_MAX; a++) {
                        struct policy p, d;

                        reset(NULL);
                        policy_default(role, &d);
                        config.policy.on_denied = (int) a;
                        make(role, NULL, &p);
                        assert_int_equal(p.on_denied, allowed[role == ROLE_OS][a] ? a : d.on_denied);
                        config.policy.on_denied = -1;
                        volume.policy.on_denied = (int) a;
                        if (allowed[role == ROLE_OS][a]) {
                                make(role, NULL, &p);
                                assert_int_equal(p.on_denied, a);
                        } else
                                refuse(role, "not possible for role");
                }
        reset(NULL);
}

static void test_bounds(void **state _unused_) {
        struct policy p;

        config.policy.poll_usec = 90 * SEC;
        refuse(ROLE_DATA, "LeaseSec=90 (default) must be longer than PollSec=90 ([Policy])");
        config.policy.lease_usec = 91 * SEC;
        make(ROLE_DATA, NULL, &p);
        reset(NULL);
        config.policy.poll_usec = 0;
        refuse(ROLE_DATA, "PollSec=0 is out of bounds");
        config.policy.poll_usec = 3601 * SEC;
        refuse(ROLE_DATA, "PollSec=3601 is out of bounds");
        reset(NULL);
        volume.policy.lease_usec = 86401 * SEC;
        refuse(ROLE_DATA, "LeaseSec");
        reset(NULL);
        volume.policy.grace_usec = UINT64_MAX - 1;
        refuse(ROLE_DATA, "GraceSec");
        reset(NULL);
        /* a poll shorter than the confirmation that nobody set takes it along, one that was set is an error */
        config.policy.poll_usec = SEC;
        make(ROLE_DATA, NULL, &p);
        assert_int_equal(p.confirm_usec, SEC);
        config.policy.confirm_usec = 2 * SEC;
        refuse(ROLE_DATA, "ConfirmSec");
}

static void test_owner_only_tightens(void **state _unused_) {
        struct policy_floors f;
        struct policy p, before;

        policy_floors_init(&f);
        make(ROLE_DATA, &f, &p);
        for (enum policy_key k = 0; k < _POLICY_KEY_MAX; k++)
                assert_int_equal(p.source[k], SOURCE_DEFAULT);
        /* longer and weaker than the node's: without effect */
        before = p;
        f.settings.on_revoked = f.settings.on_denied = f.settings.on_unreachable = ACTION_REPORT;
        f.settings.on_reenable = REENABLE_ATTACH;
        f.settings.recovery = RECOVERY_ALLOW;
        f.settings.on_foreign = FOREIGN_REPORT;
        f.settings.on_key_expiry = KEY_EXPIRY_REPORT;
        f.settings.poll_usec = f.settings.lease_usec = f.settings.grace_usec = f.settings.notice_usec = 86400 * SEC;
        make(ROLE_DATA, &f, &p);
        assert_memory_equal(&p, &before, sizeof(p));
        /* shorter and stronger */
        f.settings.grace_usec = 60 * SEC;
        f.settings.lease_usec = 20 * SEC;
        f.settings.on_denied = ACTION_POWEROFF;
        f.settings.on_reenable = REENABLE_NOTHING;
        f.settings.recovery = RECOVERY_NEVER;
        f.settings.on_foreign = FOREIGN_REFUSE;
        f.settings.on_key_expiry = KEY_EXPIRY_REVOKE;
        config.policy.on_foreign = FOREIGN_REPORT;
        make(ROLE_DATA, &f, &p);
        assert_int_equal(p.on_foreign, FOREIGN_REFUSE);
        assert_int_equal(p.source[POLICY_ON_FOREIGN], SOURCE_OWNER);
        assert_int_equal(p.on_key_expiry, KEY_EXPIRY_REVOKE);
        assert_int_equal(p.source[POLICY_ON_KEY_EXPIRY], SOURCE_OWNER);
        assert_int_equal(p.recovery, RECOVERY_NEVER);
        assert_int_equal(p.source[POLICY_RECOVERY], SOURCE_OWNER);
        assert_int_equal(p.grace_usec, 60 * SEC);
        assert_int_equal(p.lease_usec, 20 * SEC);
        assert_int_equal(p.poll_usec, 6666 * USEC_PER_MSEC);
        assert_int_equal(p.source[POLICY_POLL], SOURCE_OWNER);
        assert_int_equal(p.on_denied, ACTION_CUT);
        assert_int_equal(p.on_unreachable, ACTION_HOLD);
        assert_int_equal(p.on_reenable, REENABLE_NOTHING);
        assert_int_equal(p.source[POLICY_ON_DENIED], SOURCE_OWNER);
        f.settings.on_denied = ACTION_HOLD;
        make(ROLE_OS, &f, &p);
        assert_int_equal(p.on_denied, ACTION_POWEROFF);
        /* absurd floors make no policy that breaks the invariants */
        f.settings.lease_usec = f.settings.poll_usec = f.settings.confirm_usec = f.settings.hold_usec = 0;
        make(ROLE_DATA, &f, &p);
        assert_true(p.poll_usec < p.lease_usec && p.confirm_usec <= p.poll_usec && p.confirm_usec > 0 &&
                p.hold_usec > 0);
}

static void test_hold(void **state _unused_) {
        const char *why = "x";
        struct policy p;

        assert_true(policy_hold_possible(ROLE_DATA, DISK_FLAG_MOUNTED, false, &why));
        assert_null(why);
        assert_false(policy_hold_possible(ROLE_DATA, DISK_FLAG_SWAP, false, &why));
        assert_non_null(strstr(why, "swap"));
        assert_false(policy_hold_possible(ROLE_DATA, DISK_FLAG_SYSTEM, false, NULL));
        assert_false(policy_hold_possible(ROLE_DATA, 0, true, &why));
        assert_non_null(strstr(why, "hung_task_panic"));
        assert_false(policy_hold_possible(ROLE_SCRATCH, 0, false, NULL));
        assert_false(policy_hold_possible(ROLE_OS, 0, false, NULL));
        for (enum role role = 0; role < _ROLE_MAX; role++)
                for (enum action a = 0; a < _ACTION_MAX; a++)
                        for (int possible = 0; possible < 2; possible++) {
                                enum action e;

                                policy_default(role, &p);
                                e = policy_effective_action(&p, a, possible, &why);
                                /* never weaker, hold only for data, and said where it differs */
                                if (e != a)
                                        assert_non_null(why);
                                else
                                        assert_null(why);
                                if (e == ACTION_HOLD)
                                        assert_true(role == ROLE_DATA && possible);
                                if (role == ROLE_OS)
                                        assert_true(e != ACTION_HOLD && e != ACTION_CUT);
                                else
                                        assert_true(e != ACTION_POWEROFF && e != ACTION_REBOOT);
                                if (a == ACTION_REPORT)
                                        assert_int_equal(e, ACTION_REPORT);
                                else
                                        assert_int_not_equal(e, ACTION_REPORT);
                        }
}

static void test_stronger(void **state _unused_) {
        static const enum action order[] = { ACTION_REPORT, ACTION_HOLD, ACTION_CUT, ACTION_REBOOT, ACTION_POWEROFF };

        for (size_t i = 0; i < ELEMENTSOF(order); i++)
                for (size_t k = 0; k < ELEMENTSOF(order); k++)
                        assert_int_equal(action_stronger(order[i], order[k]), order[i > k ? i : k]);
}

static void test_words(void **state _unused_) {
        struct policy p;
        char buf[32];

        policy_default(ROLE_DATA, &p);
        p.poll_usec = 1500 * USEC_PER_MSEC;
        policy_value_to_string(&p, POLICY_POLL, buf, sizeof(buf));
        assert_string_equal(buf, "1500ms");
        p.on_key_expiry = KEY_EXPIRY_REVOKE;
        p.on_reenable = REENABLE_NOTHING;
        p.recovery = RECOVERY_NEVER;
        p.on_foreign = FOREIGN_REPORT;
        policy_value_to_string(&p, POLICY_ON_KEY_EXPIRY, buf, sizeof(buf));
        assert_string_equal(buf, "revoke");
        policy_value_to_string(&p, POLICY_ON_REENABLE, buf, sizeof(buf));
        assert_string_equal(buf, "nothing");
        policy_value_to_string(&p, POLICY_RECOVERY, buf, sizeof(buf));
        assert_string_equal(buf, "never");
        policy_value_to_string(&p, POLICY_ON_FOREIGN, buf, sizeof(buf));
        assert_string_equal(buf, "report");
        policy_value_to_string(&p, POLICY_POLL, buf, sizeof(buf));
        assert_string_equal(buf, "1500ms");
        assert_string_equal(policy_key_to_string(POLICY_DENIED_CONFIRM), "DeniedConfirmSec");
        assert_string_equal(policy_source_to_string(SOURCE_OWNER), "owner");
        assert_string_equal(policy_source_to_string(_SOURCE_MAX), "unknown");
        assert_string_equal(policy_key_to_string(_POLICY_KEY_MAX), "unknown");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_defaults, reset),
                cmocka_unit_test_setup(test_volume_over_policy_over_default, reset),
                cmocka_unit_test_setup(test_words_of_a_role, reset),
                cmocka_unit_test_setup(test_bounds, reset),
                cmocka_unit_test_setup(test_owner_only_tightens, reset),
                cmocka_unit_test_setup(test_hold, reset),
                cmocka_unit_test(test_stronger),
                cmocka_unit_test(test_words),
        };
        return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
