/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/review/cgroup.c daemon/ctl/review/filter.c daemon/ctl/review/veil.c daemon/audit/privacy.c daemon/audit/privacy-forms.c daemon/ctl/review/html.c daemon/ctl/review/ledger.c daemon/ctl/review/workload.c daemon/ctl/review/report.c
// sources: daemon/ctl/review/review.c daemon/ctl/review/rules.c daemon/ctl/review/source.c daemon/ctl/review/source-journal.c daemon/ctl/review/journal-files.c daemon/ctl/review/stats.c daemon/ctl/review/story.c
// sources: daemon/ctl/review/sheet.c
// sources: daemon/ctl/audit.c daemon/ctl/when.c daemon/ctl/options.c daemon/ctl/print.c
// sources: daemon/audit/record.c daemon/audit/chain.c daemon/audit/seal.c daemon/audit/reader.c daemon/audit/trail.c daemon/common/verdict.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/sealer.c daemon/audit/keep.c
// libs: json-c libsystemd
#include "common/audit-events.h"
#include "ctl-capture.h"
#include "ctl/print.h"
#include "ctl/review/cgroup.h"
#include "ctl/review/review.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* last: it has a macro fail() */

#include "review-trail.h"

static char *const *baseline;              /* of the node's configuration */

/* What the last record is. */
static enum rule judged(const char *expected) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        _cleanup_(rules_freep) struct rules *rules = NULL;
        _cleanup_(veil_done) struct veil veil = {};
        enum rule rule = _RULE_MAX;

        assert_int_equal(veil_words(&veil, NULL, NULL, NULL, NULL, expected, baseline), 0);
        assert_int_equal(rules_new(veil.normal, &rules), 0);
        assert_int_equal(reader_open(trail_file, &reader), 0);
        for (;;) {
                _cleanup_(record_done) struct record r = {};

                if (reader_next(reader, &r) <= 0)
                        return rule;
                assert_int_equal(rules_judge(rules, "", &r, &rule), 0);
        }
}

/* Comparisons for a release and a key for each of n volumes, of several nodes; *ret_many: findings "too-many". */
static uint64_t compared_for(unsigned n, unsigned *ret_many) {
        struct record daemon = { .source = RECORD_DAEMON, .event = "release", .n_fields = 2, .fields[1] = { "verdict", "GRANTED" } };
        struct record kernel = { .source = RECORD_KERNEL, .event = "key_set", .n_fields = 2, .fields[1] = { "result", "ok" } };
        _cleanup_(rules_freep) struct rules *rules = NULL;
        enum rule rule;
        char uuid[37];

        *ret_many = 0;
        daemon.fields[0].name = kernel.fields[0].name = "uuid";
        daemon.fields[0].value = kernel.fields[0].value = uuid;
        assert_int_equal(rules_new(NULL, &rules), 0);
        for (unsigned i = 0; i < n; i++) {
                const char *node = i % 2 ? "one" : "two";

                snprintf(uuid, sizeof(uuid), "%08x-d1ed-43c9-95e3-833d376054ea", i);
                assert_int_equal(rules_judge(rules, node, &daemon, &rule), 0);
                *ret_many += rule == RULE_TOO_MANY;
                assert_int_equal(rules_judge(rules, node, &kernel, &rule), 0);
                /* Behind the bound what cmkd released is not known: the finding errs to the safe side */
                assert_int_equal(rule, i < RULES_SEEN_MAX ? RULE_NONE : RULE_KEY_SET);
        }
        return rules_compared(rules);
}

/* Whoever wrote the trail cannot make a reader of it compare each with each, nor keep all in mind. */
static void many_volumes_cost_little(void **state _unused_) {
        unsigned many;
        uint64_t few = compared_for(10000, &many), lot;

        assert_int_equal(many, 0);
        assert_true(few > 10000);
        lot = compared_for(200000, &many);
        assert_int_equal(many, 1);
        assert_true(lot < 200000u * 4 * 40);           /* finds, adds, finds: each down a tree of 65,536 */
        assert_true(lot / few < 20 * 2);               /* 20 times as many */
}

static void a_released_key_is_authorised_once(void **state _unused_) {
        release();
        KERNEL("key_set", "key=keyring", CMKD);
        assert_int_equal(judged(NULL), RULE_NONE);
        DAEMON("attached", "volume=data1", "uuid=" UUID);
        KERNEL("key_set", "key=keyring", OTHER("/usr/sbin/cryptsetup"));
        assert_int_equal(judged(NULL), RULE_KEY_SET);
}

static void a_key_given_to_others_is_theirs_to_set(void **state _unused_) {
        release();
        KERNEL("dm_create", "pid=70", OTHER("/usr/lib/systemd/systemd-cryptsetup"));
        assert_int_equal(judged(NULL), RULE_NONE);
        KERNEL("key_set", "key=keyring", "pid=70", OTHER("/usr/lib/systemd/systemd-cryptsetup"));
        assert_int_equal(judged(NULL), RULE_NONE);
        KERNEL("dm_load", "pid=70", OTHER("/usr/lib/systemd/systemd-cryptsetup"));
        assert_int_equal(judged(NULL), RULE_NONE);
        KERNEL("dm_load", "pid=71", OTHER("/usr/sbin/dmsetup"));
        assert_int_equal(judged(NULL), RULE_MAPPING);
        KERNEL("key_set", "key=keyring", "pid=71", OTHER("/usr/sbin/dmsetup"));
        assert_int_equal(judged(NULL), RULE_KEY_SET);
}

static void a_format_releases_nothing_to_the_kernel(void **state _unused_) {
        DAEMON("release", "volume=data1", "uuid=" UUID, "verb=format", "verdict=GRANTED");
        KERNEL("key_set", "key=keyring", OTHER("/usr/sbin/cryptsetup"));
        assert_int_equal(judged(NULL), RULE_KEY_SET);
}

static void a_release_that_was_not_used_is_over(void **state _unused_) {
        release();
        DAEMON("release_unused", "volume=data1", "uuid=" UUID);
        KERNEL("key_set", "key=keyring", OTHER("/usr/sbin/cryptsetup"));
        assert_int_equal(judged(NULL), RULE_KEY_SET);
}

static void a_key_in_a_table_is_found_whoever_put_it_there(void **state _unused_) {
        release();
        KERNEL("key_set", "key=inline", OTHER("/usr/sbin/dmsetup"));
        assert_int_equal(judged(NULL), RULE_KEY_INLINE);
        KERNEL("key_read", CMKD);
        assert_int_equal(judged(NULL), RULE_KEY_READ);
}

static void a_call_that_failed_used_nothing(void **state _unused_) {
        write_record(RECORD_KERNEL, "key_set", (const char *const[]) { "uuid=" UUID, "result=EINVAL", "by=other", NULL });
        assert_int_equal(judged(NULL), RULE_NONE);
}

static void opens_of_every_day_are_known(void **state _unused_) {
        KERNEL("volume_open", "mode=read", OTHER("/usr/bin/udevadm"));
        assert_int_equal(judged(NULL), RULE_NONE);
        KERNEL("volume_open", "mode=read", OTHER("/usr/sbin/e2fsck"));
        assert_int_equal(judged(NULL), RULE_NONE);
        KERNEL("volume_open", "mode=read", OTHER("/srv/x/usr/bin/mount"));
        assert_int_equal(judged(NULL), RULE_RAW_OPEN);
        KERNEL("volume_open", "mode=read", OTHER("/usr/bin/mounts"));
        assert_int_equal(judged(NULL), RULE_RAW_OPEN);
        KERNEL("volume_open", "mode=read", OTHER("/usr/bin/restic"));
        assert_int_equal(judged(NULL), RULE_RAW_OPEN);
        assert_int_equal(judged("/usr/bin/res,/usr/bin/restic"), RULE_NONE);
        assert_int_equal(judged("/usr/bin/res,/usr/bin/restic2"), RULE_RAW_OPEN);
}

/* What the configuration lists is normal, and only for what it lists: nothing that reaches for a key. */
static void a_node_has_its_own_baseline(void **state _unused_) {
        static char *const listed[] = { (char *) "/usr/bin/restic", (char *) "backup.service", NULL };

        baseline = listed;
        KERNEL("volume_open", "mode=read", OTHER("/usr/bin/restic"));
        assert_int_equal(judged(NULL), RULE_NONE);
        KERNEL("volume_open", "mode=read", OTHER("/usr/bin/restic2"));
        assert_int_equal(judged(NULL), RULE_RAW_OPEN);
        KERNEL("volume_open", "mode=read", "by=other", "exe=/usr/bin/cp", "cgroup=/system.slice/backup.service");
        assert_int_equal(judged(NULL), RULE_NONE);
        KERNEL("volume_open", "mode=read", "by=other", "exe=/usr/bin/cp", "cgroup=/system.slice/x.service/backup.service");
        assert_int_equal(judged(NULL), RULE_RAW_OPEN);
        KERNEL("volume_open", "mode=read", "by=other", "exe=/usr/bin/cp", "cgroup=/user.slice/user-7.slice/backup.service");
        assert_int_equal(judged(NULL), RULE_RAW_OPEN);
        KERNEL("volume_open", "mode=read", "by=other", "exe=/usr/bin/cp", "cgroup=/system.slice/night.service");
        assert_int_equal(judged(NULL), RULE_RAW_OPEN);
        assert_int_equal(judged("night.service"), RULE_NONE);
        KERNEL("key_read", OTHER("/usr/bin/restic"));
        assert_int_equal(judged(NULL), RULE_KEY_READ);
        KERNEL("key_set", "key=keyring", OTHER("/usr/bin/restic"));
        assert_int_equal(judged(NULL), RULE_KEY_SET);
        baseline = NULL;
}

/* dmsetup table, with --showkeys or without, which the kernel cannot tell apart. */
static void who_looks_for_the_key_is_found(void **state _unused_) {
        KERNEL("dm_table_read", "flags=table", OTHER("/usr/sbin/dmsetup"));
        assert_int_equal(judged(NULL), RULE_TABLE_READ);
        KERNEL("dm_table_read", "flags=table", OTHER("/root/reader"));
        assert_int_equal(judged(NULL), RULE_TABLE_READ);
        KERNEL("dm_table_read", "flags=table", OTHER("/usr/sbin/cryptsetup"));
        assert_int_equal(judged(NULL), RULE_NONE);
        KERNEL("dm_table_read", "flags=table", OTHER("/usr/lib/systemd/systemd-udevd"));
        assert_int_equal(judged(NULL), RULE_NONE);
        KERNEL("dm_table_read", "flags=table", CMKD);
        assert_int_equal(judged(NULL), RULE_NONE);
        write_record(RECORD_KERNEL, "dm_table_read", (const char *const[]) { "volume=x", "dm_uuid=CRYPT-PLAIN-x", "result=ok",
                                                                               OTHER("/usr/sbin/dmsetup"), NULL });
        assert_int_equal(judged(NULL), RULE_NONE);        /* no volume of ours */
}

static void a_drill_uses_its_own_volume(void **state _unused_) {
        KERNEL("volume_open", "mode=read", OTHER("/usr/bin/cmkctl"));
        assert_int_equal(judged(NULL), RULE_RAW_OPEN);
        DAEMON("formatted", "volume=cmkd-drill", "uuid=" UUID, "drill=id");
        KERNEL("volume_open", "mode=read", OTHER("/usr/bin/cmkctl"));
        assert_int_equal(judged(NULL), RULE_NONE);
        KERNEL("volume_open", "mode=read", OTHER("/usr/bin/dd"));
        assert_int_equal(judged(NULL), RULE_RAW_OPEN);
        DAEMON("drill_ended", "volume=cmkd-drill", "uuid=" UUID, "drill=id", "result=passed");
        assert_int_equal(judged(NULL), RULE_NONE);
        DAEMON("drill_ended", "volume=cmkd-drill", "drill=id", "result=failed", "why=cut");
        assert_int_equal(judged(NULL), RULE_DRILL_FAILED);
}

static void what_the_owner_did_to_the_vault_is_told(void **state _unused_) {
        DAEMON("vault_sealed", "vault=bao", "key=https://bao.test/keys/k/1", "verdict=UNREACHABLE", "code=sealed", "volume=data1");
        assert_int_equal(judged(NULL), RULE_VAULT_SEALED);
        assert_string_equal(rule_id(RULE_VAULT_SEALED), "vault-sealed");
        assert_true(audit_event_exists("vault_*", 7));
}

static void who_works_against_the_recording(void **state _unused_) {
        KERNEL("guard_signal", "signal=15", "pid=1", OTHER("/usr/lib/systemd/systemd"));
        assert_int_equal(judged(NULL), RULE_NONE);
        KERNEL("guard_signal", "signal=9", "pid=12", OTHER("/usr/bin/kill"));
        assert_int_equal(judged(NULL), RULE_GUARD);
        DAEMON("lost", "count=3");
        assert_int_equal(judged(NULL), RULE_LOST);
        DAEMON("gap", "reason=torn");
        assert_int_equal(judged(NULL), RULE_LOST);
        DAEMON("gap", "reason=key_lost");
        assert_int_equal(judged(NULL), RULE_SEAL_LOST);
        DAEMON("seal_failed", "why=no key");
        assert_int_equal(judged(NULL), RULE_UNSEALED);
}

/* The node's own configuration is read for its own trail; for another one that of --root. */
static void the_baseline_is_read_from_the_configuration(void **state _unused_) {
        static const char text[] = "[Audit]\nBaseline=/usr/bin/dd x.service\n", bad[] = "[Audit]\nBaseline=dd\n";
        struct captured *c;
        char path[128];

        write_story();
        snprintf(path, sizeof(path), "%s/etc/cmkd", dir);
        assert_int_equal(mkdir_parents(path, 0755), 0);
        snprintf(path, sizeof(path), "%s/etc/cmkd/cmkd.conf", dir);
        assert_int_equal(write_file_atomic(path, text, sizeof(text) - 1, 0644), 0);
        assert_non_null(strstr(RUN(verb_audit_stats, "--file", trail_file, "--root", dir)->out, "\n0 findings"));
        assert_non_null(strstr(RUN(verb_audit_stats, "--file", trail_file)->out, "\n1 finding\n"));
        assert_int_equal(write_file_atomic(path, bad, sizeof(bad) - 1, 0644), 0);
        c = RUN(verb_audit_stats, "--file", trail_file, "--root", dir);
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "\n1 finding\n"));
        assert_non_null(strstr(c->err, "Baseline=dd: allowed is paths of programs"));
}

static void numbers(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        struct json_object *list, *one;

        write_story();
        o = json_tokener_parse(RUN(verb_audit_stats, "--file", trail_file, "--json")->out);
        assert_non_null(o);
        assert_int_equal(json_number(o, "records"), 11);
        assert_true(json_object_object_get_ex(o, "volumes", &list));
        assert_int_equal(json_object_array_length(list), 1);
        one = json_object_array_get_idx(list, 0);
        assert_string_equal(json_text(one, "volume"), "data1");
        assert_string_equal(json_text(one, "key"), KEY);
        assert_int_equal(json_number(one, "releases"), 1);
        assert_int_equal(json_number(one, "keys_set"), 1);
        assert_true(json_object_object_get_ex(o, "keys", &list));
        one = json_object_array_get_idx(list, 0);
        assert_int_equal(json_number(one, "round_trip_usec_mean"), 3000);
        assert_int_equal(json_number(one, "round_trip_usec_max"), 4000);
        assert_int_equal(json_number(one, "polls"), 0);
        assert_true(json_object_object_get_ex(o, "findings", &list));
        assert_int_equal(json_object_array_length(list), 1);
        one = json_object_array_get_idx(list, 0);
        assert_string_equal(json_text(one, "finding"), "raw-open");
        assert_int_equal(json_number(one, "count"), 2);
        assert_int_equal(json_number(one, "first_record"), 7);
        assert_int_equal(json_number(one, "last_record"), 8);
        assert_non_null(strstr(RUN(verb_audit_stats, "--file", trail_file)->out, "GRANTED 1, REVOKED 1"));
        assert_non_null(strstr(RUN(verb_audit_stats, "--file", trail_file, "--expect", "/usr/bin/dd")->out, "0 findings"));
}

/* A record that stands for many events counts as many. */
static void what_repeats_itself_is_counted(void **state _unused_) {
        KERNEL("volume_open", "mode=read", "count=500", "span_usec=1000", OTHER("/usr/bin/dd"));
        KERNEL("volume_open", "mode=read", OTHER("/usr/bin/dd"));
        DAEMON("polls", "key=" KEY, "count=4", "ids_other=" USE);
        assert_non_null(strstr(RUN(verb_audit_stats, "--file", trail_file)->out, ", 501 times\n"));
        assert_non_null(strstr(RUN(verb_audit_stats, "--file", trail_file)->out, "volume_open  0     501\n"));
        assert_non_null(strstr(RUN(verb_audit_stats, "--file", trail_file)->out, "polls        1     0\n"));
        assert_non_null(strstr(RUN(verb_audit_stats, "--file", trail_file, "--json")->out, "\"reads\": 501"));
}

/* One record for many polls, of which those count that the vault met. */
static void polls_are_counted(void **state _unused_) {
        write_story();
        DAEMON("polls", "key=" KEY, "count=4", "ids=" USE " " USE " " USE, "ids_other=" USE);
        DAEMON("polls", "key=" KEY, "count=1", "ids_other=" USE);
        assert_non_null(strstr(RUN(verb_audit_stats, "--file", trail_file)->out, "GRANTED 1, REVOKED 1  3              3 ms, at most 4 ms"));
        assert_non_null(strstr(RUN(verb_audit_report, "--file", trail_file, "--html", "-")->out, "<b>3</b>challenges met"));
}

#define OTHER_USE "cbad6906-f311-4d54-bf2c-d69b2835ccc6"
#define IO_OF(id, use, cgroup, read, written) DAEMON("io", "uuid=" UUID, "volume=data1", "use=" use, "cgroup=" cgroup, "cgroup_id=" id, \
                                                     "read_bytes=" read, "written_bytes=" written)
#define IO(...) IO_OF("7", __VA_ARGS__)

/* Of one use a later record takes the place of an earlier one; uses add up. */
static void bytes_by_workload(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        struct json_object *list, *one;
        struct captured *c;

        write_story();
        IO(USE, "/system.slice/a.service", "1000", "0");
        IO(USE, "/system.slice/a.service", "5000", "10");
        IO(USE, "/system.slice/a.service", "5000", "10");
        IO(USE, "/system.slice/b.service", "1", "3670016");
        IO(OTHER_USE, "/system.slice/a.service", "700", "1");
        o = json_tokener_parse(RUN(verb_audit_stats, "--file", trail_file, "--json")->out);
        assert_true(json_object_object_get_ex(o, "volumes", &list));
        assert_true(json_object_object_get_ex(json_object_array_get_idx(list, 0), "workloads", &list));
        assert_int_equal(json_object_array_length(list), 2);
        one = json_object_array_get_idx(list, 1);
        assert_string_equal(json_text(one, "cgroup"), "/system.slice/a.service");
        assert_int_equal(json_number(one, "read_bytes"), 5700);
        assert_int_equal(json_number(one, "written_bytes"), 11);
        c = RUN(verb_audit_stats, "--file", trail_file);
        assert_non_null(strstr(c->out, "data1   /system.slice/b.service  1 B      3.5 MiB\n"));
        c = RUN(verb_audit_report, "--file", trail_file, "--html", "-");
        assert_non_null(strstr(c->out, "<td class=\"w\">/system.slice/a.service</td><td class=\"n\">5.6 KiB</td><td class=\"n\">11 B</td>"));
}

/* A unit that was started again; what it wrote before comes to the disk late. */
static void bytes_of_another_group_of_that_path(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        struct json_object *list, *one;

        write_story();
        IO_OF("7", USE, "/system.slice/a.service", "1000", "10");
        IO_OF("8", USE, "/system.slice/a.service", "3000", "20");
        IO_OF("7", USE, "/system.slice/a.service", "1000", "15");
        IO_OF("8", USE, "/system.slice/a.service", "3500", "20");
        o = json_tokener_parse(RUN(verb_audit_stats, "--file", trail_file, "--json")->out);
        assert_true(json_object_object_get_ex(o, "volumes", &list));
        assert_true(json_object_object_get_ex(json_object_array_get_idx(list, 0), "workloads", &list));
        assert_int_equal(json_object_array_length(list), 1);
        one = json_object_array_get_idx(list, 0);
        assert_int_equal(json_number(one, "read_bytes"), 4500);
        assert_int_equal(json_number(one, "written_bytes"), 35);
}

static size_t listed(const char *option, const char *value) {
        struct captured *c = value ? RUN(verb_audit_list, "--file", trail_file, option, value) :
                                     RUN(verb_audit_list, "--file", trail_file, option);
        size_t n = 0;

        assert_int_equal(c->code, EXIT_CODE_DONE);
        for (const char *p = c->out; (p = strchr(p, '\n')); p++)
                n++;
        return n;
}

static void filters(void **state _unused_) {
        write_story();
        assert_int_equal(listed("--unauthorised", NULL), 2);
        assert_int_equal(listed("--key", "k1"), 4);
        assert_int_equal(listed("--key", "https://vault.test/keys/k1"), 4);
        assert_int_equal(listed("--key", KEY), 4);
        assert_int_equal(listed("--key", "k"), 0);
        assert_int_equal(listed("--key", "https://vault.test/keys/k"), 0);
        assert_int_equal(listed("--actor", "dd"), 2);
        assert_int_equal(listed("--actor", "/usr/bin/dd"), 2);
        assert_int_equal(listed("--actor", "cmkctl"), 1);
        assert_int_equal(listed("--actor", "cmkct"), 0);
        assert_int_equal(listed("--actor", "loginuid=1000"), 4);
        assert_int_equal(listed("--actor", "loginuid=100"), 0);
        assert_int_equal(listed("--unit", "session-3.scope"), 3);
        assert_int_equal(listed("--unit", "cmkd.service"), 1);
        assert_int_equal(listed("--unit", "user.slice"), 3);
        assert_int_equal(listed("--unit", "session-3"), 0);
        assert_int_equal(listed("--event", "key_*,cut"), 2);
        assert_int_equal(listed("--event", "ke*,cut"), 2);
        assert_int_equal(listed("--event", "*"), 11);
        assert_int_equal(listed("--volume", UUID), 9);
        assert_int_equal(listed("--until", "2023-11-14 22:13:22Z"), 3);
        assert_int_equal(listed("--since", "2023-11-14 22:13:29Z"), 2);
        assert_int_equal(RUN(verb_audit_list, "--file", trail_file, "--since", "2023-11-15Z", "--until", "2023-11-14Z")->code,
                         EXIT_CODE_USAGE);
}

#define CONTAINER "8a1f00d5c0ffee8a1f00d5c0ffee8a1f00d5c0ffee8a1f00d5c0ffee8a1f00d5"

/* By unit, and by what people know a container by. */
static void units_and_containers(void **state _unused_) {
        static const struct { const char *cgroup, *unit; bool is; } cases[] = {
                { "/system.slice/docker-" CONTAINER ".scope", CONTAINER, true },
                { "/system.slice/docker-" CONTAINER ".scope", "8a1f00d5c0ff", true },
                { "/system.slice/docker-" CONTAINER ".scope", "8a1f00d5c0f", false },        /* fewer than 12 */
                { "/system.slice/docker-" CONTAINER ".scope", "f00d5c0ffee8", false },
                { "/system.slice/docker-" CONTAINER ".scope", "docker-" CONTAINER ".scope", true },
                { "/docker/" CONTAINER, "8a1f00d5c0ff", true },
                { "/kubepods.slice/kubepods-pod12.slice/cri-containerd-" CONTAINER ".scope", "8a1f00d5c0ffee", true },
                { "/kubepods.slice/kubepods-pod12.slice/cri-containerd-" CONTAINER ".scope", "kubepods-pod12.slice", true },
                { "/machine.slice/systemd-nspawn@web.service/payload", "web", true },
                { "/machine.slice/machine-web.scope", "web", true }, { "/machine.slice/machine-web2.scope", "web", false },
                { "/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service", "sync.service", true },
                { "/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service", "user@1000.service", true },
                { "", "x.service", false }, { "/", "x.service", false }, { "/system.slice/x.service.d", "x.service", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (cgroup_is_of(cases[i].cgroup, cases[i].unit) != cases[i].is)
                        fail_msg("%s of %s", cases[i].unit, cases[i].cgroup);
}

/* Its number, for audit show, and why it is one of those that need an answer. */
static void a_line_says_what_to_look_at(void **state _unused_) {
        struct captured *c;

        write_story();
        c = RUN(verb_audit_list, "--file", trail_file, "--unauthorised");
        assert_non_null(strstr(c->out, "      7 2023-11-14T22:13:26.000000Z kernel volume_open        data1 finding=raw-open by="));
        c = RUN(verb_audit_list, "--file", trail_file, "--wide", "--since", "2023-11-14T22:13:26.000000Z",
                "--until", "2023-11-14T22:13:26.000000Z");
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, " finding=raw-open volume=data1 dm_uuid=" DM_UUID));
        assert_null(strstr(strchr(c->out, '\n') + 1, "\n"));
}

static void one_use_from_request_to_end(void **state _unused_) {
        struct captured *c;

        write_story();
        DAEMON("verdict", "key=" KEY, "verdict=GRANTED", "counted_as=GRANTED", "volume=data1");
        DAEMON("request", "volume=data1", "uuid=" UUID, "use=11111111-2222-3333-4444-555555555555", "verb=attach");
        c = RUN(verb_audit_show, "--file", trail_file, USE);
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "0.000 s   1  "));
        assert_non_null(strstr(c->out, "counted_as REVOKED"));
        assert_non_null(strstr(c->out, "10.000 s  11 "));
        assert_null(strstr(c->out, "11.000 s"));       /* an answer after the end is not of this use */
        c = RUN(verb_audit_show, "--file", trail_file, "99999999-2222-3333-4444-555555555555");
        assert_int_equal(c->code, EXIT_CODE_FAILED);
}

/* Whatever a process is called, the report shows it and runs nothing of it. */
static void a_report_is_text(void **state _unused_) {
        struct captured *c;

        write_story();
        KERNEL("volume_open", "mode=read", OTHER("/tmp/<script>&\"'\xe2\x80\xae\x1b"));
        c = RUN(verb_audit_report, "--file", trail_file, "--html", "-");
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_null(strstr(c->out, "<script"));
        assert_non_null(strstr(c->out, "/tmp/&#60;script&#62;&#38;&#34;&#39;&#xfffd;?"));      /* the trail took no ESC */
        assert_null(strstr(c->out, "http://"));
        assert_null(strstr(c->out, "src="));
        assert_non_null(strstr(c->out, "default-src 'none'"));
        assert_non_null(strstr(c->out, "Verified: nothing was changed"));
        assert_non_null(strstr(c->out, "left:36.364%;width:45.455%"));      /* open from the 5th to the 10th of 12 records */
        assert_int_equal(RUN(verb_audit_report, "--file", trail_file)->code, EXIT_CODE_USAGE);
}

/* For who compares it with the vault: the key with its version, and the digest of its public half. */
static void a_report_has_what_was_pinned(void **state _unused_) {
        struct captured *c;

        write_story();
        DAEMON("key_rotated", "volume=data1", "uuid=" UUID, "key=" KEY, "spki_sha256=ba7816bf");
        DAEMON("verdict", "volume=data1", "uuid=" UUID, "key=" KEY, "verdict=GRANTED");
        c = RUN(verb_audit_report, "--file", trail_file, "--html", "-");
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "spki_sha256 ba7816bf; key " KEY "<"));
        assert_null(strstr(c->out, "key " KEY "; verdict"));
}

static void a_report_of_a_changed_trail_says_so(void **state _unused_) {
        _cleanup_(freep) char *text = NULL;
        struct captured *c;
        size_t size;

        write_story();
        assert_int_equal(read_small_file(trail_file, 65536, &text, &size), 0);
        memcpy(strstr(text, "pid=9"), "pid=8", 5);
        assert_int_equal(write_file_atomic(trail_file, text, size, 0600), 0);
        c = RUN(verb_audit_report, "--file", trail_file, "--html", "-");
        assert_int_equal(c->code, EXIT_CODE_TRAIL);
        assert_non_null(strstr(c->out, "does not verify"));
        assert_null(strstr(c->out, "Verified"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(many_volumes_cost_little), TEST(a_released_key_is_authorised_once), TEST(a_key_given_to_others_is_theirs_to_set),
                TEST(a_format_releases_nothing_to_the_kernel), TEST(a_release_that_was_not_used_is_over),
                TEST(a_key_in_a_table_is_found_whoever_put_it_there), TEST(a_call_that_failed_used_nothing),
                TEST(opens_of_every_day_are_known), TEST(what_the_owner_did_to_the_vault_is_told), TEST(who_works_against_the_recording),
                TEST(a_drill_uses_its_own_volume), TEST(a_node_has_its_own_baseline), TEST(who_looks_for_the_key_is_found),
                TEST(the_baseline_is_read_from_the_configuration), TEST(numbers), TEST(what_repeats_itself_is_counted),
                TEST(polls_are_counted), TEST(bytes_by_workload), TEST(bytes_of_another_group_of_that_path), TEST(filters), TEST(units_and_containers),
                TEST(a_line_says_what_to_look_at),
                TEST(one_use_from_request_to_end), TEST(a_report_is_text), TEST(a_report_has_what_was_pinned), TEST(a_report_of_a_changed_trail_says_so),
        };

        return cmocka_run_group_tests_name("review", tests, NULL, NULL);
}
