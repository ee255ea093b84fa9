/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/review/sheet.c
// sources: daemon/ctl/audit.c daemon/ctl/review/cgroup.c daemon/ctl/review/filter.c daemon/ctl/review/veil.c daemon/audit/privacy.c daemon/audit/privacy-forms.c daemon/ctl/review/ledger.c daemon/ctl/review/workload.c daemon/ctl/review/review.c daemon/ctl/review/rules.c daemon/ctl/review/source.c daemon/ctl/review/source-journal.c daemon/ctl/review/journal-files.c
// sources: daemon/ctl/review/verify-log.c daemon/ctl/review/anchor-log.c daemon/ctl/review/anchors.c daemon/ctl/review/vault-log.c daemon/ctl/review/vault-entry.c
// sources: daemon/ctl/review/story.c daemon/ctl/verify.c daemon/ctl/when.c daemon/ctl/options.c daemon/ctl/print.c
// sources: daemon/audit/record.c daemon/audit/chain.c daemon/audit/seal.c daemon/audit/reader.c daemon/audit/trail.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/sealer.c daemon/audit/keep.c
// libs: json-c libsystemd
#include "audit/reader.h"
#include "audit/trail.h"
#include "ctl-capture.h"
#include "ctl/print.h"

#include <fcntl.h>
#include <syslog.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* last: it has a macro fail() */

static char dir[] = "/tmp/test-ctl-audit.XXXXXX";
static char trail_file[64];

static void add(struct trail *t, enum record_source source, const char *event, const char *volume, const char *exe) {
        static struct audit_message_record m;
        uint64_t sequence;

        audit_record_start(&m, event, LOG_INFO, true);
        audit_record_add(&m, "volume", volume);
        audit_record_add(&m, "exe", exe);
        m.realtime_usec = UINT64_C(1700000000) * USEC_PER_SEC + trail_sequence(t);
        assert_int_equal(trail_append(t, &m, source, NULL, &sequence), 0);
}

/* Four records: two of volume a, two of volume b. */
static int set_up(void **state _unused_) {
        struct trail_recovery recovery;
        struct trail *t;
        bool kept;

        snprintf(dir, sizeof(dir), "/tmp/test-ctl-audit.XXXXXX");
        if (!mkdtemp(dir) || trail_open(dir, &t, &recovery) < 0)
                return -1;
        snprintf(trail_file, sizeof(trail_file), "%s/trail.jsonl", dir);
        add(t, RECORD_DAEMON, "release", "a", NULL);
        add(t, RECORD_KERNEL, "key_set", "a", "/usr/lib/cmkd/cmkd-disk");
        add(t, RECORD_KERNEL, "open", "b", "/usr/bin/x y\033[31m\"");
        add(t, RECORD_DAEMON, "cut", "b", NULL);
        assert_int_equal(trail_commit(t, true, &kept), 0);
        trail_free(t);
        return 0;
}

/* Two more, with what looks harmless. */
static int set_up_more(void **state) {
        struct trail_recovery recovery;
        struct trail *t;
        bool kept;

        if (set_up(state) < 0 || trail_open(dir, &t, &recovery) < 0)
                return -1;
        add(t, RECORD_DAEMON, "closed_elsewhere", "c", "a\xc2\x9b" "2J\xc3\xa4\xc2\x80");
        add(t, RECORD_DAEMON, "probes", "c", "a \"\xc2\x9f\xc3\xa4");
        assert_int_equal(trail_commit(t, true, &kept), 0);
        trail_free(t);
        return 0;
}

static int tear_down(void **state _unused_) {
        char command[96];

        snprintf(command, sizeof(command), "rm -r %s", dir);
        return system(command);
}

static size_t count_lines(const char *s) {
        size_t n = 0;

        for (; (s = strchr(s, '\n')); s++)
                n++;
        return n;
}

static void everything_is_listed(void **state _unused_) {
        struct captured *c = RUN(verb_audit_list, "--file", trail_file);

        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_int_equal(count_lines(c->out), 4);
        assert_non_null(strstr(c->out, " kernel key_set            a by=/usr/lib/cmkd/cmkd-disk\n"));
        assert_non_null(strstr(c->out, " b by=\"/usr/bin/x y"));
        assert_null(strchr(c->out, '\033'));
}

static void filters(void **state _unused_) {
        assert_int_equal(count_lines(RUN(verb_audit_list, "--file", trail_file, "--volume", "b")->out), 2);
        assert_int_equal(count_lines(RUN(verb_audit_list, "--file", trail_file, "--event", "cut")->out), 1);
        assert_int_equal(count_lines(RUN(verb_audit_list, "--file", trail_file, "--event", "cut,volume_open,removed")->out), 1);
        assert_int_equal(count_lines(RUN(verb_audit_list, "--file", trail_file, "--event", "cut,key_set")->out),
                         count_lines(RUN(verb_audit_list, "--file", trail_file, "--event", "cut")->out) +
                         count_lines(RUN(verb_audit_list, "--file", trail_file, "--event", "key_set")->out));
        assert_int_equal(count_lines(RUN(verb_audit_list, "--file", trail_file, "--event", ",cut,")->out), 1);
        assert_int_equal(count_lines(RUN(verb_audit_list, "--file", trail_file, "--since", "2023-11-14Z")->out), 4);
        assert_int_equal(count_lines(RUN(verb_audit_list, "--file", trail_file, "--since", "2023-11-16Z")->out), 0);
        assert_int_equal(RUN(verb_audit_list, "--file", trail_file, "--since", "once")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_audit_list, "--file", trail_file, "--lines", "-1")->code, EXIT_CODE_USAGE);
}

static void the_last_ones(void **state _unused_) {
        struct captured *c = RUN(verb_audit_list, "--file", trail_file, "--lines", "1");

        assert_int_equal(count_lines(c->out), 1);
        assert_non_null(strstr(c->out, " cut "));
        c = RUN(verb_audit_list, "--file", trail_file, "--lines", "1", "--volume", "a");
        assert_int_equal(count_lines(c->out), 1);
        assert_non_null(strstr(c->out, " key_set "));
        assert_int_equal(count_lines(RUN(verb_audit_list, "--file", trail_file, "--lines", "0")->out), 0);
        assert_int_equal(count_lines(RUN(verb_audit_list, "--file", trail_file, "--lines", "9")->out), 4);
}

static void json_is_the_lines_themselves(void **state _unused_) {
        _cleanup_(freep) char *text = NULL;

        assert_int_equal(read_small_file(trail_file, 65536, &text, NULL), 0);
        assert_string_equal(RUN(verb_audit_list, "--file", trail_file, "--json")->out, text);
}

static void one_record(void **state _unused_) {
        struct captured *c = RUN(verb_audit_show, "--file", trail_file, "2");

        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "event            key_set\n"));
        assert_int_equal(RUN(verb_audit_show, "--file", trail_file, "5")->code, EXIT_CODE_FAILED);
        assert_int_equal(RUN(verb_audit_show, "--file", trail_file, "x")->code, EXIT_CODE_USAGE);
}

static void a_whole_trail_verifies(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        struct captured *c = RUN(verb_audit_verify, "--file", trail_file);

        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "verified"));
        o = json_tokener_parse(RUN(verb_audit_verify, "--file", trail_file, "--json")->out);
        assert_int_equal(json_number(o, "records"), 4);
        assert_int_equal(json_number(o, "problem_count"), 0);
}

static void a_changed_byte_does_not(void **state _unused_) {
        _cleanup_(freep) char *text = NULL;
        struct captured *c;
        size_t size;

        assert_int_equal(read_small_file(trail_file, 65536, &text, &size), 0);
        memcpy(strstr(text, "key_set"), "key_get", 7);
        assert_int_equal(write_file_atomic(trail_file, text, size, 0600), 0);
        c = RUN(verb_audit_verify, "--file", trail_file);
        assert_int_equal(c->code, EXIT_CODE_TRAIL);
        assert_non_null(strstr(c->out, "line 2: changed"));
        assert_null(strstr(c->out, "verified"));
        c = RUN(verb_audit_verify, "--file", trail_file, "--json");
        assert_int_equal(c->code, EXIT_CODE_TRAIL);
        assert_non_null(strstr(c->out, "\"verified\": false"));
}

static void an_end_that_was_cut_off_does_not(void **state _unused_) {
        _cleanup_(freep) char *text = NULL;
        size_t size;

        assert_int_equal(read_small_file(trail_file, 65536, &text, &size), 0);
        text[size - 1] = 0;
        size = (size_t) (strrchr(text, '\n') + 1 - text);
        assert_int_equal(write_file_atomic(trail_file, text, size, 0600), 0);
        assert_int_equal(RUN(verb_audit_verify, "--file", trail_file)->code, EXIT_CODE_TRAIL);
}

static void rubbish_in_a_trail_is_said(void **state _unused_) {
        int fd = open(trail_file, O_WRONLY|O_APPEND|O_CLOEXEC);
        struct captured *c;

        assert_int_equal(write_all(fd, "rubbish\n", 8), 0);
        close(fd);
        c = RUN(verb_audit_list, "--file", trail_file);
        assert_int_equal(c->code, EXIT_CODE_TRAIL);
        assert_int_equal(count_lines(c->out), 4);
        assert_non_null(strstr(c->err, "line 5 is not a record"));
}

/* A read that fails does so again: no reason to go on for ever, as with a line that is no record. */
static void an_error_ends_it(void **state _unused_) {
        static int (*const verbs[])(const struct invocation *) = { verb_audit_list, verb_audit_follow };
        struct captured *c;

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                alarm(10);
                c = RUN(verbs[i], "--file", dir);
                assert_int_equal(c->code, EXIT_CODE_FAILED);
                assert_string_equal(c->out, "");
                assert_non_null(strstr(c->err, "Is a directory\n"));
                assert_int_equal(count_lines(c->err), 1);
        }
        c = RUN(verb_audit_show, "--file", dir, "1");
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "Is a directory\n"));
        c = RUN(verb_audit_list, "--file", dir, "--lines", "3");
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_int_equal(count_lines(c->err), 1);
        alarm(0);
}

/* What a trail from elsewhere holds may be made for the terminal of who reads it. */
static void nothing_reaches_the_terminal(void **state _unused_) {
        static const char *const evil[][2] = {
                { "\"event\":\"cut\"", "\"event\":\"c\033[2J\"" }, { "\"event\":\"cut\"", "\"event\":\"c\\u009b2J\"" },
                { "\"event\":\"cut\"", "\"event\":\"\"" }, { "\"event\":\"cut\"", "\"event\":\"Cut\"" },
                { "{\"volume\":\"b\"}", "{\"v\\u001b[2J\":\"b\"}" }, { "{\"volume\":\"b\"}", "{\"\":\"b\"}" },
        };
        _cleanup_(freep) char *text = NULL;

        assert_int_equal(read_small_file(trail_file, 65536, &text, NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(evil); i++) {
                char *last = strstr(text, "\"seq\":4"), changed[65536];
                char *at = last ? strstr(last, evil[i][0]) : NULL;
                struct captured *c;
                int n;

                assert_non_null(at);
                n = snprintf(changed, sizeof(changed), "%.*s%s%s", (int) (at - text), text, evil[i][1],
                             at + strlen(evil[i][0]));
                assert_int_equal(write_file_atomic(trail_file, changed, (size_t) n, 0600), 0);
                c = RUN(verb_audit_list, "--file", trail_file);
                assert_int_equal(c->code, EXIT_CODE_TRAIL);
                assert_int_equal(count_lines(c->out), 3);
                assert_non_null(strstr(c->err, "line 4 is not a record"));
                assert_int_equal(RUN(verb_audit_show, "--file", trail_file, "4")->code, EXIT_CODE_FAILED);
        }
}

/* C1 control characters work in UTF-8 too: U+009B is "ESC [". */
static void c1_is_replaced(void **state _unused_) {
        struct captured *c = RUN(verb_audit_show, "--file", trail_file, "5");

        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "exe              a?2J\xc3\xa4?\n"));
        c = RUN(verb_audit_list, "--file", trail_file, "--event", "closed_elsewhere");
        assert_non_null(strstr(c->out, "by=a?2J\xc3\xa4?\n"));
        c = RUN(verb_audit_list, "--file", trail_file, "--event", "probes");
        assert_non_null(strstr(c->out, "by=\"a \\\"?\xc3\xa4\"\n"));
        c = RUN(verb_audit_list, "--file", "/nonexistent/\xc2\x9b" "2J\x1b\x7f");
        assert_non_null(strstr(c->err, "/nonexistent/?2J??: "));
}

static void no_trail_is_no_empty_trail(void **state _unused_) {
        assert_int_equal(RUN(verb_audit_list, "--file", "/nonexistent/trail")->code, EXIT_CODE_FAILED);
        assert_int_equal(RUN(verb_audit_verify, "--file", "/nonexistent/trail")->code, EXIT_CODE_FAILED);
        assert_int_equal(RUN(verb_audit_follow, "--file", "/nonexistent/trail")->code, EXIT_CODE_FAILED);
}

static void nothing_is_said_to_be_nothing(void **state _unused_) {
        struct captured *c;

        c = RUN(verb_audit_list, "--file", trail_file, "--event", "volume_open", "--volume", "a");
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_string_equal(c->out, "");
        assert_string_equal(c->err, "cmkctl: no record of 4 is an event volume_open\n");
        c = RUN(verb_audit_list, "--file", trail_file, "--volume", "nosuch", "--unit", "x.service");
        assert_string_equal(c->err, "cmkctl: no record of 4 is of volume nosuch\ncmkctl: no record of 4 is of unit x.service\n");
        c = RUN(verb_audit_list, "--file", trail_file, "--volume", "a", "--event", "cut");
        assert_string_equal(c->err, "cmkctl: no record of 4 is all that was asked for\n");
        c = RUN(verb_audit_list, "--file", trail_file, "--volume", "a", "--lines", "1");
        assert_string_equal(c->err, "");
        c = RUN(verb_audit_list, "--file", trail_file, "--actor", "uid=x");
        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "uid= takes a number"));
        assert_int_equal(RUN(verb_audit_list, "--file", trail_file, "--actor", "loginuid=unset")->code, EXIT_CODE_DONE);
        assert_int_equal(RUN(verb_audit_list, "--file", trail_file, "--event", ",")->code, EXIT_CODE_USAGE);
}

/* "There is none" about an event that there cannot be is a wrong answer. */
static void events_are_known(void **state _unused_) {
        static const struct { const char *events, *says; } wrong[] = {
                { "volume_opn", "cmkctl: there is no event volume_opn; did you mean volume_open?\n" },
                { "cut,Volume_Open", "cmkctl: there is no event Volume_Open; did you mean volume_open?\n" },
                { "cu", "no event cu; did you mean cut?" }, { "xyzzy", "there is no event xyzzy; there are adopted, attached, " }, { "cut,,zzz_*", "there is no event zzz_*; there are " },
                { "zzz", ", verdict, volume_open\n" }, { "cut*t", "no event cut*t" }, { "cutkey_set", "no event cutkey_set" },
        };
        static const char *const right[] = { "cut", "cut,key_*", ",volume_open,", "*", "io" };
        struct captured *c;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                c = RUN(verb_audit_list, "--file", trail_file, "--event", wrong[i].events);
                assert_int_equal(c->code, EXIT_CODE_USAGE);
                assert_string_equal(c->out, "");
                assert_non_null(strstr(c->err, wrong[i].says));
                assert_int_equal(RUN(verb_audit_follow, "--file", trail_file, "--event", wrong[i].events)->code, EXIT_CODE_USAGE);
        }
        for (size_t i = 0; i < ELEMENTSOF(right); i++)
                assert_int_equal(RUN(verb_audit_list, "--file", trail_file, "--event", right[i])->code, EXIT_CODE_DONE);
}

static void an_empty_trail_is_not_verified(void **state _unused_) {
        char head[96];
        struct captured *c;

        assert_int_equal(truncate(trail_file, 0), 0);
        assert_int_equal(trail_head_path(trail_file, head, sizeof(head)), 0);
        assert_int_equal(unlink(head), 0);
        c = RUN(verb_audit_verify, "--file", trail_file);
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_null(strstr(c->out, "verified"));
        assert_non_null(strstr(c->err, "has no records: there is nothing to verify"));
        c = RUN(verb_audit_verify, "--file", trail_file, "--json");
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->out, "\"verified\": false"));
        c = RUN(verb_audit_list, "--file", trail_file);
        assert_non_null(strstr(c->err, "has no records"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(nothing_is_said_to_be_nothing), TEST(events_are_known), TEST(an_empty_trail_is_not_verified),
                TEST(everything_is_listed), TEST(filters), TEST(the_last_ones), TEST(json_is_the_lines_themselves),
                TEST(one_record), TEST(a_whole_trail_verifies), TEST(a_changed_byte_does_not),
                TEST(an_end_that_was_cut_off_does_not), TEST(rubbish_in_a_trail_is_said),
                TEST(no_trail_is_no_empty_trail), TEST(nothing_reaches_the_terminal), TEST(an_error_ends_it),
                cmocka_unit_test_setup_teardown(c1_is_replaced, set_up_more, tear_down),
        };

        return cmocka_run_group_tests_name("ctl-audit", tests, NULL, NULL);
}
