/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/review/veil.c daemon/ctl/review/filter.c daemon/ctl/review/cgroup.c daemon/ctl/review/rules.c daemon/ctl/when.c
// sources: daemon/ctl/options.c daemon/ctl/print.c daemon/audit/record.c daemon/audit/chain.c daemon/audit/seal.c
// sources: daemon/audit/privacy.c daemon/audit/privacy-forms.c
// libs: json-c
// Questions by name to a trail without names: each filter, and what is normal.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/review/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>          /* last: it has a macro fail() */

static char key_path[64], other_path[64];
static struct audit_message_record message;

static void make_key(char *path, char fill) {
        char bytes[32];
        int fd;

        strcpy(path, "/tmp/test-veil.XXXXXX");
        fd = mkstemp(path);
        assert_true(fd >= 0);
        memset(bytes, fill, sizeof(bytes));
        assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
        close(fd);
}

static int set_up(void **state _unused_) {
        struct privacy *p;

        make_key(key_path, 'k');
        make_key(other_path, 'o');
        audit_record_start(&message, "volume_open", 6, false);
        audit_record_add(&message, "volume", "data1");
        audit_record_add(&message, "uuid", "11111111-2222-4333-8444-555555555555");
        audit_record_add(&message, "dm_uuid", "CRYPT-LUKS2-11111111222243338444555555555555-data1");
        audit_record_add(&message, "key", "https://kv.example/keys/k1/0123456789abcdef0123456789abcdef");
        audit_record_add(&message, "exe", "/opt/train/go");
        audit_record_add(&message, "comm", "go");
        audit_record_add(&message, "loginuid", "1000");
        audit_record_add(&message, "uid", "0");
        audit_record_add(&message, "cgroup", "/system.slice/train.service");
        audit_record_add(&message, "result", "ok");
        audit_record_add(&message, "mode", "read");
        audit_record_add(&message, "by", "other");
        if (privacy_load(key_path, &p) < 0 || privacy_record(p, &message) < 0)
                return -1;
        privacy_free(p);
        return 0;
}

static int tear_down(void **state _unused_) {
        return unlink(key_path) < 0 || unlink(other_path) < 0 ? -1 : 0;
}

static struct record record(void) {
        struct record r = { .source = RECORD_KERNEL };

        strcpy(r.event, message.event);
        for (size_t i = 0; i < message.n_fields; i++) {
                r.fields[i].name = message.fields[i].name;
                r.fields[r.n_fields++].value = message.fields[i].value;
        }
        return r;
}

/* words: the options of `cmkctl audit list`; --privacy-key is added. */
static struct filter ask(const char *key, const char *option, const char *value) {
        char *argv[] = { (char *) "cmkctl", (char *) option, (char *) value, (char *) "--privacy-key", (char *) key, (char *) "--file", (char *) "x", NULL };
        struct invocation in;
        struct filter f = {};

        assert_int_equal(options_parse(7, argv, &in), EXIT_CODE_DONE);
        assert_int_equal(filter_read(&in, &f), EXIT_CODE_DONE);
        return f;
}

static void filters_take_names(void **state _unused_) {
        static const struct { const char *option, *right, *wrong; } cases[] = {
                { "--volume", "data1", "data2" }, { "--volume", "11111111-2222-4333-8444-555555555555", "21111111-2222-4333-8444-555555555555" },
                { "--key", "k1", "k2" }, { "--key", "K1", "k" }, { "--key", "https://kv.example/keys/k1", "https://kv.example/keys/k2" },
                { "--key", "k1/0123456789abcdef0123456789abcdef", "k1/1123456789abcdef0123456789abcdef" },
                { "--actor", "/opt/train/go", "/opt/train/stop" }, { "--actor", "go", "stop" }, { "--actor", "loginuid=1000", "loginuid=1001" },
                { "--actor", "uid=0", "uid=1000" }, { "--unit", "train.service", "other.service" }, { "--unit", "system.slice", "user.slice" },
        };
        struct record r = record();

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct filter right = ask(key_path, cases[i].option, cases[i].right), wrong = ask(key_path, cases[i].option, cases[i].wrong);

                if (!filter_wants(&right, &r, RULE_NONE) || filter_wants(&wrong, &r, RULE_NONE))
                        fail_msg("%s %s or %s", cases[i].option, cases[i].right, cases[i].wrong);
                filter_done(&right);
                filter_done(&wrong);
        }
        for (size_t i = 0; i < 3; i++) {
                struct filter other = ask(other_path, cases[i].option, cases[i].right);

                assert_false(filter_wants(&other, &r, RULE_NONE));
                filter_done(&other);
        }
}

static enum rule judge(const char *key, const char *normal) {
        struct filter f = ask(key, "--expect", normal);
        struct record r = record();
        struct rules *rules;
        enum rule rule;

        assert_int_equal(filter_rules(&f, &rules), 0);
        assert_int_equal(rules_judge(rules, "", &r, &rule), 0);
        rules_free(rules);
        filter_done(&f);
        return rule;
}

static void normal_is_so_by_name(void **state _unused_) {
        assert_int_equal(judge(key_path, "other.service"), RULE_RAW_OPEN);
        assert_int_equal(judge(key_path, "other.service,train.service"), RULE_NONE);
        assert_int_equal(judge(key_path, "/opt/train/go"), RULE_NONE);
        assert_int_equal(judge(key_path, "/opt/train/stop,"), RULE_RAW_OPEN);
        assert_int_equal(judge(other_path, "train.service"), RULE_RAW_OPEN);
}

/* Below /usr, and run in a mount namespace of its own: hidden in the trail, named in Baseline=. */
static void normal_is_so_in_a_namespace_of_its_own(void **state _unused_) {
        _cleanup_(privacy_freep) struct privacy *p = NULL;
        struct audit_message_record dump;

        assert_int_equal(privacy_load(key_path, &p), 0);
        privacy_set_place(p, 1);
        audit_record_start(&dump, "volume_open", 6, false);
        audit_record_add(&dump, "exe", "/usr/bin/acme-dump");
        audit_record_add(&dump, "mnt_ns", "2");
        assert_int_equal(privacy_record(p, &dump), 0);
        assert_null(strstr(dump.fields[0].value, "acme"));
        for (size_t i = 0; i < message.n_fields; i++)
                if (streq(message.fields[i].name, "exe"))
                        strcpy(message.fields[i].value, dump.fields[0].value);
        assert_int_equal(judge(key_path, "/usr/bin/acme-dump"), RULE_NONE);
        assert_int_equal(judge(key_path, "/usr/bin/acme-other"), RULE_RAW_OPEN);
}

static void a_bad_key_is_said(void **state _unused_) {
        char *argv[] = { (char *) "cmkctl", (char *) "--privacy-key", key_path, (char *) "--file", (char *) "x", NULL };
        struct invocation in;
        struct filter f = {};

        assert_int_equal(chmod(key_path, 0644), 0);
        assert_int_equal(options_parse(5, argv, &in), EXIT_CODE_DONE);
        assert_int_equal(filter_read(&in, &f), EXIT_CODE_FAILED);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(filters_take_names, set_up, tear_down),
                cmocka_unit_test_setup_teardown(normal_is_so_by_name, set_up, tear_down),
                cmocka_unit_test_setup_teardown(normal_is_so_in_a_namespace_of_its_own, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_bad_key_is_said, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("veil", tests, NULL, NULL);
}
