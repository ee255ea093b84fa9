/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/policy-values.h"
#include "common/verdict.h"

/* Names and numbers are a contract with scripts, the trail and older programs: spelled out here once more. */
static void test_verdicts(void **state _unused_) {
        static const struct { enum verdict v; int number; const char *name; int exit; } table[] = {
                { VERDICT_GRANTED, 0, "GRANTED", 0 }, { VERDICT_REVOKED, 1, "REVOKED", 3 },
                { VERDICT_DENIED, 2, "DENIED", 3 }, { VERDICT_DENIED_WEAK, 3, "DENIED_WEAK", 3 },
                { VERDICT_THROTTLED, 4, "THROTTLED", 4 }, { VERDICT_UNREACHABLE, 5, "UNREACHABLE", 4 },
                { VERDICT_MISCONFIGURED, 6, "MISCONFIGURED", 1 }, { VERDICT_BROKEN, 7, "BROKEN", 4 },
        };

        assert_int_equal(ELEMENTSOF(table), _VERDICT_MAX);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                assert_int_equal(table[i].v, table[i].number);
                assert_string_equal(verdict_to_string(table[i].v), table[i].name);
                assert_int_equal(verdict_exit_code(table[i].v), table[i].exit);
        }
        assert_string_equal(verdict_to_string(_VERDICT_MAX), "unknown");
        assert_int_equal(verdict_exit_code(_VERDICT_MAX), 1);
}

static void test_exit_codes(void **state _unused_) {
        static const int numbers[] = {
                EXIT_CODE_DONE, EXIT_CODE_FAILED, EXIT_CODE_USAGE, EXIT_CODE_REVOKED, EXIT_CODE_UNREACHABLE,
                EXIT_CODE_BUSY, EXIT_CODE_TRAIL, EXIT_CODE_POLICY,
        };

        assert_int_equal(ELEMENTSOF(numbers), _EXIT_CODE_MAX);
        for (int i = 0; i < _EXIT_CODE_MAX; i++) {
                assert_int_equal(numbers[i], i);
                if (i == EXIT_CODE_DONE)
                        continue;
                assert_int_equal(exit_code_from_bus_error(exit_code_to_bus_error((enum exit_code) i)), i);
        }
        assert_string_equal(exit_code_to_bus_error(EXIT_CODE_DONE), "org.cmkd1.Error.Failed");
        assert_string_equal(exit_code_to_bus_error(_EXIT_CODE_MAX), "org.cmkd1.Error.Failed");
        assert_int_equal(exit_code_from_bus_error("org.example.Error"), EXIT_CODE_FAILED);
        assert_int_equal(exit_code_from_bus_error(NULL), EXIT_CODE_FAILED);
}

static void test_policy_words(void **state _unused_) {
        for (int i = 0; i < _ROLE_MAX; i++)
                assert_int_equal(role_from_string(role_to_string((enum role) i)), i);
        for (int i = 0; i < _ACTION_MAX; i++)
                assert_int_equal(action_from_string(action_to_string((enum action) i)), i);
        for (int i = 0; i < _REENABLE_MAX; i++)
                assert_int_equal(reenable_from_string(reenable_to_string((enum reenable) i)), i);
        for (int i = 0; i < _RECOVERY_MAX; i++)
                assert_int_equal(recovery_from_string(recovery_to_string((enum recovery) i)), i);
        for (int i = 0; i < _TRAIL_FAILURE_MAX; i++)
                assert_int_equal(trail_failure_from_string(trail_failure_to_string((enum trail_failure) i)), i);
        for (int i = 0; i < _TRUST_MAX; i++)
                assert_int_equal(trust_mode_from_string(trust_mode_to_string((enum trust_mode) i)), i);
        assert_int_equal(role_from_string("Data"), -EINVAL);
        assert_int_equal(action_from_string(""), -EINVAL);
        assert_int_equal(role_from_string("?"), -EINVAL);
        assert_string_equal(role_to_string(_ROLE_MAX), "?");
        /* on the wire and in tokens */
        assert_int_equal(ROLE_DATA, 0);
        assert_int_equal(ROLE_OS, 1);
        assert_int_equal(ROLE_SCRATCH, 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_verdicts),
                cmocka_unit_test(test_exit_codes),
                cmocka_unit_test(test_policy_words),
        };
        return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
