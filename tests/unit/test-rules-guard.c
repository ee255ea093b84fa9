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

#define OPENED { "result", "ok" }, { "dm_uuid", "CRYPT-LUKS2-7411100dd1ed43c995e3833d376054ea-v" }

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
                /* what the kernel never says of cmkd's own programs was done by another file under the path of one */
                { "guard_signal", { { "pid", "77" }, { "by", "cmkd" } }, RULE_GUARD },
                { "guard_ptrace", { { "pid", "77" }, { "by", "cmkd" } }, RULE_GUARD },
                { "guard_connect", { { "pid", "77" }, { "by", "cmkd" } }, RULE_GUARD },
                { "guard_pin", { { "pid", "77" }, { "by", "cmkd" } }, RULE_GUARD },
                { "guard_bpf", { { "pid", "77" }, { "by", "cmkd" } }, RULE_GUARD },
                { "guard_mount", { { "pid", "77" }, { "by", "cmkd" } }, RULE_GUARD },
                { "guard_sysctl", { { "pid", "77" }, { "by", "cmkd" } }, RULE_GUARD },
                { "guard_umount", { { "pid", "77" }, { "by", "cmkd" } }, RULE_GUARD },
                { "guard_umount", { { "pid", "77" }, { "by", "cmkd" }, { "refused", "yes" } }, RULE_GUARD },
                { "guard_umount", { { "pid", "77" }, { "own", "yes" }, { "refused", "yes" } }, RULE_NONE },
                { "guard_signal", { { "pid", "77" }, { "by", "cmkd" }, { "own", "yes" } }, RULE_GUARD },
                { "guard_open", { { "exe", "/usr/lib/cmkd/cmkd-disk" }, { "by", "cmkd" } }, RULE_RAW_OPEN },
                { "guard_open", { { "exe", "/usr/lib/cmkd/cmkd-disk" }, { "by", "cmkd" }, { "refused", "yes" } }, RULE_GUARD },
                { "guard_table", { { "exe", "/usr/lib/cmkd/cmkd-disk" }, { "by", "cmkd" }, { "refused", "would" } }, RULE_TABLE_READ },
                { "guard_connect", { { "pid", "77" }, { "by", "other" } }, RULE_GUARD },
                { "guard_open", { { "refused", "would" } }, RULE_NONE },
                { "guard_open", { { "refused", "would" }, { "exe", "/usr/bin/dd" } }, RULE_NONE },
                /* another file under a known one's name: volume_open has the name alone */
                { "guard_open", { { "refused", "would" }, { "exe", "/usr/bin/lsblk" } }, RULE_RAW_OPEN },
                { "guard_open", { { "exe", "/usr/bin/lsblk" } }, RULE_RAW_OPEN },
                { "guard_open", { { "exe", "/usr/bin/lsblk" }, { "cgroup", "/system.slice/agent.service" } }, RULE_NONE },
                { "guard_open", { { "exe", "/usr/bin/lsblk" }, { "pid", "1" } }, RULE_NONE },
                { "guard_open", { { "exe", "/usr/bin/lsblk" }, { "refused", "yes" } }, RULE_GUARD },
                { "guard_open", { { "exe", "/usr/bin/cmkctl" } }, RULE_NONE },
                { "guard_table", { { "refused", "would" }, { "exe", "/usr/sbin/lvm" } }, RULE_TABLE_READ },
                { "guard_table", { { "refused", "would" }, { "exe", "/usr/sbin/dmsetup" } }, RULE_NONE },
                { "guard_table", { { "refused", "would" }, { "exe", "/usr/bin/lsblk" } }, RULE_NONE },
                /* so that each of them has a finding by one of both */
                { "volume_open", { { "exe", "/usr/bin/dd" }, OPENED }, RULE_RAW_OPEN },
                { "volume_open", { { "exe", "/usr/bin/lsblk" }, OPENED }, RULE_NONE },
                { "volume_open", { { "exe", "/usr/bin/cmkctl" }, OPENED }, RULE_RAW_OPEN },
                { "volume_open", { { "exe", "/usr/sbin/e2image" }, OPENED }, RULE_RAW_OPEN },
                { "dm_table_read", { { "exe", "/usr/sbin/lvm" }, OPENED }, RULE_NONE },
                { "dm_table_read", { { "exe", "/usr/lib/systemd/systemd-growfs" }, OPENED }, RULE_NONE },
                { "dm_table_read", { { "exe", "/usr/sbin/dmsetup" }, OPENED }, RULE_TABLE_READ },
                { "dm_table_read", { { "exe", "/usr/bin/lsblk" }, OPENED }, RULE_TABLE_READ },
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

static enum rule at(struct rules *rules, enum record_source source, const char *event, uint64_t usec, const char *name, const char *value) {
        struct record r = { .source = source, .boottime_usec = usec, .n_fields = name ? 1 : 0, .fields = { { name, value } } };
        enum rule rule;

        snprintf(r.event, sizeof(r.event), "%s", event);
        assert_int_equal(rules_judge(rules, "", &r, &rule), 0);
        return rule;
}

/* The kernel was told of an initramfs' files; those of the system are others until its own cmkd-audit tells of them. */
static void nobody_is_known_just_behind_an_initramfs(void **state _unused_) {
        static const char lsblk[] = "/usr/bin/lsblk";
        _cleanup_(rules_freep) struct rules *rules = NULL;

        assert_int_equal(rules_new(NULL, &rules), 0);
        at(rules, RECORD_DAEMON, "audit_start", 2000, "place", "/run/cmkd/early");
        assert_int_equal(at(rules, RECORD_KERNEL, "guard_open", 3000, "exe", lsblk), RULE_RAW_OPEN);
        at(rules, RECORD_DAEMON, "audit_start", 9000, NULL, NULL);
        assert_int_equal(at(rules, RECORD_KERNEL, "guard_open", 8999, "exe", lsblk), RULE_NONE);
        assert_int_equal(at(rules, RECORD_KERNEL, "guard_signal", 8999, "by", "cmkd"), RULE_NONE);
        assert_int_equal(at(rules, RECORD_KERNEL, "guard_open", 8999, "by", "cmkd"), RULE_NONE);
        assert_int_equal(at(rules, RECORD_KERNEL, "guard_signal", 9000, "by", "cmkd"), RULE_GUARD);
        assert_int_equal(at(rules, RECORD_KERNEL, "guard_open", 9000, "exe", lsblk), RULE_RAW_OPEN);
        /* A restart changes nothing of what the kernel knows */
        at(rules, RECORD_DAEMON, "audit_start", 20000, NULL, NULL);
        assert_int_equal(at(rules, RECORD_KERNEL, "guard_open", 19000, "exe", lsblk), RULE_RAW_OPEN);
}

/* A trail that is to keep events from being read; what a kill leaves, and a program that a kernel does not take, are each a part of life. */
static void claims_about_the_ring(void **state _unused_) {
        _cleanup_(rules_freep) struct rules *rules = NULL;

        assert_int_equal(rules_new(NULL, &rules), 0);
        assert_int_equal(at(rules, RECORD_DAEMON, "probes", 1000, "problem", "the trail says that it has more of the ring than can be"), RULE_GUARD);
        assert_int_equal(at(rules, RECORD_DAEMON, "probes", 1000, "skipped", "12"), RULE_NONE);
        assert_int_equal(at(rules, RECORD_DAEMON, "probes", 1000, "on_sysctl", "ENOENT"), RULE_NONE);
        assert_int_equal(at(rules, RECORD_DAEMON, "lost", 1000, "count", "12"), RULE_LOST);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_is_judged), cmocka_unit_test(nobody_is_known_just_behind_an_initramfs),
                cmocka_unit_test(claims_about_the_ring),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
