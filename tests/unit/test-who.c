/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/who.c

/* Which cgroups and programs are cmkd's own: what they do is no use of a key by somebody else. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/who.h"

static void test_cgroups(void **state _unused_) {
        static const struct { const char *cgroup; bool ours; } cases[] = {
                { "/system.slice/cmkd.service", true },
                { "/system.slice/cmkd.service/control", true },
                { "/system.slice/cmkd-disk@1-684-0.service", true },
                { "/system.slice/cmkd-ladder@0-3-0.service/x", true },
                { "/system.slice/cmkd-ladder@.service", false },
                { "/system.slice/cmkd-disk@x.service", false },
                { "/system.slice/cmkd-disk@1.service.d", false },
                { "/system.slice/cmkd-vault@1.service", false },
                { "/cmkd-breaker.slice/cmkd-breaker.service", true },
                { "/system.slice/cmkd.service.d", false },
                { "/system.slice/other.service/cmkd.service", false },
                { "/user.slice/user-0.slice/cmkd.service", false },
                { "/", false },
                { "", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(who_cgroup_is_ours(cases[i].cgroup), cases[i].ours);
}

static void test_programs(void **state _unused_) {
        static const struct { const char *exe; bool ours; } cases[] = {
                { "/usr/lib/cmkd/cmkd-disk", true },
                { "/usr/lib/cmkd/cmkd-ladder (deleted)", true },
                { ".../usr/lib/cmkd/cmkd-ladder", true },
                { "/lib/cmkd/cmkd", true },            /* /usr is a file system of its own */
                { "/usr/sbin/dmsetup", false },
                { ".../lib/cmkd/dmsetup", false },
                { "/tmp/usr/lib/cmkd/dmsetup", false },
                { "/usr/lib/cmkd", false },
                { "", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(who_program_is_ours(cases[i].exe), cases[i].ours);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cgroups), cmocka_unit_test(test_programs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
