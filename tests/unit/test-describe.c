/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/describe.c

/* Every kind of event has a name, and what the guard's say in their fields. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/describe.h"

#include <syslog.h>

static struct audit_message_record record;

static void describe(const struct cmkd_event *e) {
        const struct who_names names = { .exe = "/usr/bin/nosy", .cgroup = "/system.slice/nosy.service" };
        const struct instant now = { .boottime_usec = 2000, .realtime_usec = 5000000 };
        struct cmkd_event copy = *e;

        copy.version = CMKD_EVENT_VERSION;
        copy.boottime_ns = 1000 * NSEC_PER_USEC;
        assert_int_equal(describe_event(&copy, sizeof(copy), &names, &now, "r.1", &record), 0);
        assert_int_equal(record.realtime_usec, 4999000);
}

static void has(const char *name, const char *value) {
        for (size_t i = 0; i < record.n_fields; i++)
                if (streq(record.fields[i].name, name)) {
                        assert_string_equal(record.fields[i].value, value);
                        return;
                }
        fail_msg("%s has no field %s", record.event, name);
}

static void has_not(const char *name) {
        for (size_t i = 0; i < record.n_fields; i++)
                assert_string_not_equal(record.fields[i].name, name);
}

static void every_kind_has_a_name(void **state _unused_) {
        for (unsigned kind = 1; kind < _CMKD_EVENT_MAX; kind++) {
                assert_non_null(describe_kind(kind));
                describe(&(struct cmkd_event) { .kind = (uint16_t) kind });
                assert_string_equal(record.event, describe_kind(kind));
        }
        assert_null(describe_kind(_CMKD_EVENT_MAX));
}

static void what_was_done_to_whom(void **state _unused_) {
        describe(&(struct cmkd_event) { .kind = CMKD_GUARD_PTRACE, .target = "cmkd-disk", .other_pid = 42,
                                        .how = CMKD_HOW_REFUSED, .result = -EPERM });
        has("to", "cmkd-disk[42]");
        has("refused", "yes");
        has("result", "EPERM");
        has_not("target");
        describe(&(struct cmkd_event) { .kind = CMKD_GUARD_SIGNAL, .target = "cmkd", .other_pid = 7, .number = 9 });
        has("signal", "9");
        has_not("refused");
}

static void what_was_touched(void **state _unused_) {
        describe(&(struct cmkd_event) { .kind = CMKD_GUARD_PIN, .text = "link-on_crypt_ctr", .how = CMKD_HOW_WOULD });
        has("pin", "link-on_crypt_ctr");
        has("refused", "would");
        describe(&(struct cmkd_event) { .kind = CMKD_GUARD_BPF, .text = "events", .how = CMKD_HOW_WRITE });
        has("map", "events");
        has("mode", "write");
        describe(&(struct cmkd_event) { .kind = CMKD_GUARD_BPF, .text = "on_sysctl", .number = 34 });
        has("program", "on_sysctl");
        describe(&(struct cmkd_event) { .kind = CMKD_GUARD_CONNECT, .text = "/run/cmkd/breaker.sock" });
        has("socket", "/run/cmkd/breaker.sock");
        describe(&(struct cmkd_event) { .kind = CMKD_GUARD_UMOUNT, .how = CMKD_HOW_REFUSED });
        has_not("own");
        describe(&(struct cmkd_event) { .kind = CMKD_GUARD_UMOUNT, .how = CMKD_HOW_REFUSED|CMKD_HOW_OURS });
        has("own", "yes");
        has("refused", "yes");
        describe(&(struct cmkd_event) { .kind = CMKD_GUARD_MOUNT, .text = "cmkd" });
        has("point", "cmkd");
        describe(&(struct cmkd_event) { .kind = CMKD_GUARD_METADATA, .text = "169.254.169.254", .number = 80, .how = CMKD_HOW_WOULD });
        has("address", "169.254.169.254");
        has("port", "80");
        has("refused", "would");
        has_not("allowed");
        assert_int_equal(record.priority, LOG_WARNING);
        describe(&(struct cmkd_event) { .kind = CMKD_GUARD_METADATA, .text = "169.254.169.254", .how = CMKD_HOW_ALLOWED });
        has("allowed", "yes");
        has_not("refused");
        assert_int_equal(record.priority, LOG_INFO);
        describe(&(struct cmkd_event) { .kind = CMKD_CLOCK_BACK, .number = 3600 });
        has("seconds", "3600");
        describe(&(struct cmkd_event) { .kind = CMKD_MODULE_LOAD, .text = "dm_thin_pool", .how = CMKD_HOW_FOREIGN });
        has("module", "dm_thin_pool");
        has("foreign", "yes");
}

static void which_key_was_asked_for(void **state _unused_) {
        describe(&(struct cmkd_event) { .kind = CMKD_KEY_ASKED, .number = CMKD_NEED_LINK, .key_serial = 77,
                                        .text = "cryptsetup:5cb6e4b8-9d8a-4b69-8b2e-0b7ab1f9a7b1-d0" });
        has("need", "link");
        has("key_serial", "77");
        has("uuid", "5cb6e4b8-9d8a-4b69-8b2e-0b7ab1f9a7b1");
}

static void another_version_is_refused(void **state _unused_) {
        const struct cmkd_event e = { .version = CMKD_EVENT_VERSION - 1, .kind = CMKD_KEY_SET };
        const struct cmkd_event short_one = { .version = CMKD_EVENT_VERSION, .kind = CMKD_KEY_SET };
        const struct instant now = {};
        const struct who_names names = {};

        assert_int_equal(describe_event(&e, sizeof(e), &names, &now, "r.1", &record), -EBADMSG);
        assert_int_equal(describe_event(&short_one, CMKD_EVENT_SIZE_FIRST - 1, &names, &now, "r.1", &record), -EBADMSG);
        assert_int_equal(describe_event(&short_one, CMKD_EVENT_SIZE_FIRST, &names, &now, "r.1", &record), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_kind_has_a_name), cmocka_unit_test(what_was_done_to_whom),
                cmocka_unit_test(what_was_touched), cmocka_unit_test(which_key_was_asked_for),
                cmocka_unit_test(another_version_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
