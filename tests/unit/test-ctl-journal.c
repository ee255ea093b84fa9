/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/review/cgroup.c daemon/ctl/review/filter.c daemon/ctl/review/veil.c daemon/audit/privacy.c daemon/audit/privacy-forms.c daemon/ctl/review/html.c daemon/ctl/review/ledger.c daemon/ctl/review/workload.c daemon/ctl/review/report.c
// sources: daemon/ctl/review/review.c daemon/ctl/review/rules.c daemon/ctl/review/source.c daemon/ctl/review/source-journal.c daemon/ctl/review/journal-files.c
// sources: daemon/ctl/review/sheet.c daemon/ctl/review/stats.c daemon/ctl/review/story.c
// sources: daemon/ctl/audit.c daemon/ctl/when.c daemon/ctl/options.c daemon/ctl/print.c
// sources: daemon/audit/record.c daemon/audit/chain.c daemon/audit/seal.c daemon/audit/reader.c daemon/common/verdict.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c
// libs: json-c libsystemd
#include "ctl-capture.h"
#include "ctl/print.h"
#include "ctl/review/review.h"
#include "ctl/review/source-journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* last: it has a macro fail() */

/* Journals as systemd-journal-remote makes them of what nodes send (its export format), by the real one. */
#define REMOTE "/usr/lib/systemd/systemd-journal-remote"
#define UUID "7411100d-d1ed-43c9-95e3-833d376054ea"
#define DM_UUID "CRYPT-LUKS2-7411100dd1ed43c995e3833d376054ea-data1"

static char dir[64];

static int set_up(void **state _unused_) {
        snprintf(dir, sizeof(dir), "/tmp/test-ctl-journal.XXXXXX");
        return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state _unused_) {
        char command[96];

        snprintf(command, sizeof(command), "rm -r %s", dir);
        return system(command);
}

struct node { const char *host; char machine; FILE *f; unsigned uptime; };         /* uptime: 0: as of second */

static struct node node_begin(const char *host, char machine) {
        char command[256];

        snprintf(command, sizeof(command), REMOTE " -o %s/remote-%c.journal - 2>/dev/null", dir, machine);
        return (struct node) { .host = host, .machine = machine, .f = popen(command, "w") };
}

/* fields: more lines. second: since 1700000000. */
static void entry(struct node *n, unsigned second, unsigned sequence, const char *unit, const char *event, const char *fields) {
        char machine[33];

        memset(machine, n->machine, 32);
        machine[32] = 0;
        fprintf(n->f, "__REALTIME_TIMESTAMP=%llu\n__MONOTONIC_TIMESTAMP=%u\n_BOOT_ID=%s\n_MACHINE_ID=%s\n_HOSTNAME=%s\n"
                      "_SYSTEMD_UNIT=%s\nPRIORITY=5\nMESSAGE=%s\nCMKD_EVENT=%s\nCMKD_SOURCE=%s\nCMKD_SEQ=%u\nCMKD_HASH=%064x\n%s\n",
                (unsigned long long) (1700000000 + second) * USEC_PER_SEC, n->uptime ? n->uptime : second + 1, machine, machine, n->host, unit, event, event,
                startswith(event, "volume_") || startswith(event, "key_") ? "kernel" : "daemon", sequence, sequence, fields);
}

#define RECORD(n, second, sequence, event, fields) entry(n, second, sequence, "cmkd-audit.service", event, fields)
#define RELEASE "CMKD_VOLUME=data1\nCMKD_UUID=" UUID "\nCMKD_VERDICT=GRANTED\nCMKD_VERB=attach\nCMKD_KEY=https://v/keys/k/1\n"
#define KEY_SET "CMKD_VOLUME=data1\nCMKD_UUID=" UUID "\nCMKD_DM_UUID=" DM_UUID "\nCMKD_RESULT=ok\nCMKD_KEY=keyring\nCMKD_BY=other\n" \
                "CMKD_EXE=/usr/sbin/cryptsetup\nCMKD_PID=7\n"

static void node_end(struct node *n) {
        assert_int_equal(pclose(n->f), 0);
}

static size_t count_lines(const char *text) {
        size_t n = 0;

        for (; (text = strchr(text, '\n')); text++)
                n++;
        return n;
}

static void write_two_nodes(void) {
        struct node a = node_begin("web1", 'a'), b = node_begin("web2", 'b');

        RECORD(&a, 0, 7, "release", RELEASE);
        RECORD(&a, 3, 8, "key_set", KEY_SET);              /* released on this node */
        RECORD(&b, 1, 1, "audit_start", "");
        RECORD(&b, 2, 2, "key_set", KEY_SET);              /* and not on that one, the same disk or a copy of it */
        RECORD(&b, 4, 6, "attached", "CMKD_VOLUME=data1\nCMKD_UUID=" UUID "\n");
        entry(&b, 5, 7, "logger.service", "cut", "CMKD_VOLUME=data1\n");        /* anybody's words */
        RECORD(&b, 6, 7, "detached", "CMKD_VOLUME=data1\nCMKD_UUID=" UUID "\nCMKD_CAUSE=x\xc2\x9b" "2J\n");
        node_end(&a);
        node_end(&b);
}

static void nodes_are_merged_by_time(void **state _unused_) {
        struct captured *c;
        const char *p;

        write_two_nodes();
        c = RUN(verb_audit_list, "--directory", dir);
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_int_equal(count_lines(c->out), 7);          /* six records and a hole */
        assert_true(startswith(c->out, "web1       7 2023-11-14T22:13:20.000000Z daemon release"));
        p = strchr(c->out, '\n') + 1;
        assert_true(startswith(p, "web2       1 2023-11-14T22:13:21.000000Z daemon audit_start"));
        assert_null(strstr(c->out, " cut "));
        assert_null(strstr(c->out, "\xc2\x9b"));
        assert_non_null(strstr(c->out, "finding=sequence-gap count=3"));
        assert_int_equal(count_lines(RUN(verb_audit_list, "--directory", dir, "--unauthorised")->out), 1);
        assert_int_equal(count_lines(RUN(verb_audit_list, "--directory", dir, "--lines", "2", "--event", "key_*")->out), 2);
        assert_int_equal(RUN(verb_audit_list, "--directory", dir, "--file", "/x")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_audit_list, "--directory", "/nonexistent")->code, EXIT_CODE_FAILED);
}

/* Privacy=strict: journald's word for a node is not told; two of the same name stay two. */
static void nodes_without_names(void **state _unused_) {
        struct node a = node_begin("web1", 'a'), b = node_begin("web1", 'b');
        struct captured *c;

        RECORD(&a, 0, 7, "release", RELEASE "CMKD_NODE=~0123456789abcdef\n");
        RECORD(&b, 1, 1, "key_set", KEY_SET "CMKD_NODE=~0123456789abcdef\n");
        RECORD(&a, 2, 8, "key_set", KEY_SET "CMKD_NODE=~0123456789abcdef\n");
        node_end(&a);
        node_end(&b);
        c = RUN(verb_audit_list, "--directory", dir, "--wide");
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_true(startswith(c->out, "~0123456789abcdef       7 "));
        assert_non_null(strstr(c->out, "\n~0123456789abcdef/bbbbbbbb       1 "));
        assert_non_null(strstr(c->out, "\n~0123456789abcdef       8 "));
        assert_null(strstr(c->out, "web1"));
        assert_null(strstr(c->out, "node="));
        c = RUN(verb_audit_stats, "--directory", dir);
        assert_null(strstr(c->out, "web1"));
        assert_non_null(strstr(c->out, "node ~0123456789abcdef/bbbbbbbb, record 1, volume data1"));
}

static void each_node_is_judged_by_itself(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        struct json_object *list, *one;

        write_two_nodes();
        o = json_tokener_parse(RUN(verb_audit_stats, "--directory", dir, "--json")->out);
        assert_true(json_object_object_get_ex(o, "volumes", &list));
        assert_int_equal(json_object_array_length(list), 2);
        assert_true(json_object_object_get_ex(o, "findings", &list));
        assert_int_equal(json_object_array_length(list), 2);
        one = json_object_array_get_idx(list, 0);
        assert_string_equal(json_text(one, "finding"), "key-set");
        assert_string_equal(json_text(one, "node"), "web2");
        one = json_object_array_get_idx(list, 1);
        assert_string_equal(json_text(one, "finding"), "sequence-gap");
        assert_string_equal(json_text(one, "detail"), "first 3; last 5; count 3");
        assert_non_null(strstr(RUN(verb_audit_stats, "--directory", dir)->out, "node web2, record 2, volume data1"));
}

static void a_line_of_json_names_the_node(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        struct captured *c;

        write_two_nodes();
        c = RUN(verb_audit_list, "--directory", dir, "--json", "--event", "attached");
        o = json_tokener_parse(c->out);
        assert_non_null(o);
        assert_string_equal(json_text(o, "node"), "web2");
        assert_int_equal(json_number(o, "number"), 6);
        assert_int_equal(count_lines(c->out), 1);
}

/* Collected from two places, or sent again: once. Numbers that go back are not: that is another story of the same node. */
static void what_comes_twice_counts_once(void **state _unused_) {
        struct node a = node_begin("web1", 'a');
        struct captured *c;

        RECORD(&a, 0, 4, "audit_start", "");
        RECORD(&a, 0, 4, "audit_start", "");
        RECORD(&a, 1, 5, "audit_stop", "");
        RECORD(&a, 2, 2, "audit_start", "");
        RECORD(&a, 3, 0, "audit_stop", "");                /* no record */
        node_end(&a);
        c = RUN(verb_audit_list, "--directory", dir);
        assert_int_equal(c->code, EXIT_CODE_TRAIL);
        assert_int_equal(count_lines(c->out), 4);
        assert_non_null(strstr(c->out, "finding=sequence-gap why=\"a number came again"));
        assert_non_null(strstr(c->err, "entry 5 is not a record"));
}

static void two_nodes_of_one_name(void **state _unused_) {
        struct node a = node_begin("node", 'a'), b = node_begin("node", 'b');
        struct captured *c;

        RECORD(&a, 0, 1, "audit_start", "");
        RECORD(&b, 1, 9, "audit_start", "");
        RECORD(&a, 2, 2, "audit_stop", "");
        node_end(&a);
        node_end(&b);
        c = RUN(verb_audit_list, "--directory", dir);
        assert_int_equal(count_lines(c->out), 3);
        assert_true(startswith(c->out, "node "));
        assert_non_null(strstr(c->out, "\nnode/bbbbbbbb "));
        assert_null(strstr(c->out, "finding="));
}

static void must_come(struct journal_source *s, const char *node, uint64_t sequence) {
        _cleanup_(record_done) struct record r = {};

        while (journal_source_next(s, &r) == 0)
                assert_int_equal(journal_source_wait(s), 1);
        assert_string_equal(journal_source_node(s), node);
        assert_int_equal(r.sequence, sequence);
}

/* Also of a node whose file is new, of a boot that began before what has been read, and of a clock that was set back. */
static void what_comes_later_is_waited_for(void **state _unused_) {
        struct node a = node_begin("web1", 'a'), b = node_begin("web2", 'b'), c;
        struct journal_source *s;
        struct record none;

        RECORD(&a, 0, 1, "audit_start", "");
        RECORD(&b, 9, 1, "audit_start", "");
        node_end(&a);
        node_end(&b);
        assert_int_equal(journal_source_open(dir, &s), 0);
        must_come(s, "web1", 1);
        must_come(s, "web2", 1);
        assert_int_equal(journal_source_next(s, &none), 0);
        a = node_begin("web1", 'a');
        RECORD(&a, 5, 2, "audit_stop", "");
        node_end(&a);
        must_come(s, "web1", 2);
        c = node_begin("web3", 'c');
        RECORD(&c, 1, 1, "audit_start", "");
        node_end(&c);
        must_come(s, "web3", 1);
        assert_int_equal(journal_source_next(s, &none), 0);
        journal_source_free(s);
}

/* In another file, with its name of then: the clock that nobody sets says which is the first. */
static void a_clock_that_was_set_back(void **state _unused_) {
        struct node a = node_begin("web1", 'a');
        struct captured *c;
        char command[192];

        entry(&a, 100, 1, "cmkd-audit.service", "audit_start", "");
        node_end(&a);
        snprintf(command, sizeof(command), "mv %s/remote-a.journal %s/remote-a@1.journal", dir, dir);
        assert_int_equal(system(command), 0);
        a = node_begin("web1", 'a');
        a.uptime = 200;
        entry(&a, 50, 2, "cmkd-audit.service", "audit_stop", "");
        node_end(&a);
        c = RUN(verb_audit_list, "--directory", dir);
        assert_int_equal(count_lines(c->out), 2);
        assert_null(strstr(c->out, "finding="));
        assert_true(startswith(c->out, "web1       1 "));
}

static void a_file_that_is_no_journal_is_said(void **state _unused_) {
        struct captured *c;
        char path[96];

        write_two_nodes();
        snprintf(path, sizeof(path), "%s/torn.journal", dir);
        assert_int_equal(write_file_atomic(path, "LPKSHHRH", 8, 0600), 0);
        c = RUN(verb_audit_list, "--directory", dir);
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_int_equal(count_lines(c->out), 7);
        assert_non_null(strstr(c->err, "torn.journal: left out, it cannot be read"));
}

/* Journals prove nothing, and the report does not say they did. */
static void a_report_of_journals_is_not_verified(void **state _unused_) {
        struct captured *c;

        write_two_nodes();
        c = RUN(verb_audit_report, "--directory", dir, "--html", "-");
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "not verified"));
        assert_null(strstr(c->out, "Verified"));
        assert_non_null(strstr(c->out, "<h2>Volume data1 on web2</h2>"));
        assert_non_null(strstr(c->out, "node web2"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(nodes_are_merged_by_time), TEST(nodes_without_names), TEST(each_node_is_judged_by_itself), TEST(a_line_of_json_names_the_node),
                TEST(what_comes_twice_counts_once), TEST(two_nodes_of_one_name), TEST(a_report_of_journals_is_not_verified),
                TEST(what_comes_later_is_waited_for), TEST(a_clock_that_was_set_back), TEST(a_file_that_is_no_journal_is_said),
        };

        return cmocka_run_group_tests_name("ctl-journal", tests, NULL, NULL);
}
