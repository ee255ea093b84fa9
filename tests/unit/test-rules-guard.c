/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/review/rules.c daemon/ctl/review/cgroup.c daemon/audit/record.c daemon/audit/chain.c daemon/audit/seal.c
// libs: json-c

/* Which of the guard's records need an answer: what the service manager, cmkd and time daemons do is none, nor
 * what the node's own agents do. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ctl/review/rules.h"

struct field { const char *name, *value; };

static enum rule judge(const char *event, const struct field fields[3]) {
        static char unit[] = "agent.service", program[] = "/opt/agent/bin/agent", *const baseline[] = { unit, program, NULL };
        struct record r = { .source = RECORD_KERNEL };
        _cleanup_(rules_freep) struct rules *rules = NULL;
        enum rule rule;

        assert_int_equal(rules_new(baseline, &rules), 0);
        snprintf(r.event, sizeof(r.event), "%s", event);
        for (size_t i = 0; i < 3 && fields[i].name; i++) {
                r.fields[i].name = fields[i].name;
                r.fields[r.n_fields++].value = fields[i].value;
        }
        assert_int_equal(rules_judge(rules, "", &r, &rule), 0);
        return rule;
}

static void each_is_judged(void **state _unused_) {
        static const struct { const char *event; struct field fields[3]; enum rule rule; } cases[] = {
                { "guard_signal", { { "pid", "77" }, { "by", "other" } }, RULE_GUARD },
                { "guard_signal", { { "pid", "1" }, { "by", "other" } }, RULE_NONE },
                { "guard_signal", { { "pid", "77" }, { "by", "cmkd" } }, RULE_NONE },
                { "guard_connect", { { "pid", "77" }, { "by", "other" } }, RULE_GUARD },
                { "guard_open", { { "refused", "would" } }, RULE_NONE },
                { "guard_open", { { "refused", "yes" } }, RULE_GUARD },
                { "guard_table", { { "refused", "would" } }, RULE_NONE },
                { "guard_pin", { { "refused", "would" } }, RULE_GUARD },
                { "guard_metadata", { { "refused", "would" }, { "exe", "/usr/bin/curl" } }, RULE_IDENTITY },
                { "guard_metadata", { { "refused", "yes" }, { "pid", "77" } }, RULE_IDENTITY },
                { "guard_metadata", { { "allowed", "yes" }, { "exe", "/usr/bin/python3.11" } }, RULE_NONE },
                { "guard_metadata", { { "exe", "/opt/agent/bin/agent" } }, RULE_NONE },
                { "guard_metadata", { { "cgroup", "/system.slice/agent.service" } }, RULE_NONE },
                { "guard_metadata", { { "cgroup", "/user.slice/agent.service" } }, RULE_IDENTITY },
                { "guard_metadata", { { "pid", "1" }, { "by", "other" } }, RULE_NONE },
                { "guard_connect", { { "exe", "/opt/agent/bin/agent" } }, RULE_GUARD },
                { "key_asked", { { "exe", "/usr/bin/keyctl" } }, RULE_KEY_ASKED },
                { "header_open", { { "exe", "/usr/bin/dd" } }, RULE_HEADER },
                { "header_open", { { "exe", "/usr/lib/systemd/systemd-udevd" } }, RULE_NONE },
                { "header_open", { { "exe", "/tmp/usr/lib/systemd/systemd-udevd" } }, RULE_HEADER },
                { "clock_back", { { "exe", "/usr/bin/date" } }, RULE_CLOCK },
                { "clock_back", { { "exe", "/usr/sbin/chronyd" } }, RULE_NONE },
                { "module_load", { { "module", "dm_thin_pool" } }, RULE_NONE },
                { "module_load", { { "module", "odd" }, { "foreign", "yes" } }, RULE_MODULE },
                { "module_free", { { "module", "dm_crypt" } }, RULE_MODULE },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (judge(cases[i].event, cases[i].fields) != cases[i].rule)
                        fail_msg("case %zu (%s) is judged otherwise", i, cases[i].event);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(each_is_judged) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
