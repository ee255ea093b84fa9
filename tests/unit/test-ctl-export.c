/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/review/bundle.c daemon/ctl/review/bundle-file.c daemon/ctl/review/export.c daemon/ctl/review/sheet.c
// sources: daemon/ctl/review/cgroup.c daemon/ctl/review/filter.c daemon/ctl/review/veil.c daemon/audit/privacy.c daemon/audit/privacy-forms.c daemon/ctl/review/html.c daemon/ctl/review/ledger.c daemon/ctl/review/workload.c daemon/ctl/review/report.c
// sources: daemon/ctl/review/review.c daemon/ctl/review/rules.c daemon/ctl/review/source.c daemon/ctl/review/source-journal.c daemon/ctl/review/journal-files.c daemon/ctl/review/stats.c daemon/ctl/review/story.c
// sources: daemon/ctl/audit.c daemon/ctl/when.c daemon/ctl/options.c daemon/ctl/print.c
// sources: daemon/audit/record.c daemon/audit/chain.c daemon/audit/seal.c daemon/audit/reader.c daemon/audit/trail.c daemon/common/verdict.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/sealer.c daemon/audit/keep.c
// libs: json-c libsystemd
#include "ctl-capture.h"
#include "ctl/print.h"
#include "ctl/review/review.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* last: it has a macro fail() */

#include "review-trail.h"

static const char *in_dir(const char *name) {
        static char path[160];

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        return path;
}

static int run(const char *format, const char *argument) {
        char command[256];

        snprintf(command, sizeof(command), format, argument);
        return system(command);
}

/* It verifies where it was taken to, and anybody can check its sums. */
static void of_no_records_nothing_is_proven(void **state _unused_) {
        struct captured *c;

        assert_int_equal(write_file_atomic(trail_file, "", 0, 0600), 0);
        c = RUN(verb_audit_export, "--file", trail_file, in_dir("out"));
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "has no records: there is nothing to verify"));
        c = RUN(verb_audit_report, "--file", trail_file, "--html", "-");
        assert_non_null(strstr(c->out, "there is nothing to verify"));
        assert_null(strstr(c->out, "Verified:"));
}

static void an_export_stands_alone(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        _cleanup_(freep) char *text = NULL;
        struct json_object *one, *whole;
        struct captured *c;

        write_story();
        assert_int_equal(write_file_atomic(in_dir("trail.torn"), "x", 1, 0600), 0);
        assert_int_equal(write_file_atomic(in_dir("trail-0\n1"), "x", 1, 0600), 0);
        assert_int_equal(write_file_atomic(in_dir("trails"), "x", 1, 0600), 0);
        c = RUN(verb_audit_export, "--file", trail_file, in_dir("out"));
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_int_equal(run("cd %s/out && sha256sum --quiet -c SHA256SUMS", dir), 0);
        assert_int_equal(run("cd %s && cmp trail.jsonl out/trail.jsonl && cmp trail.head out/trail.head && cmp trail.torn out/trail.torn",
                             dir), 0);
        assert_int_equal(run("test $(ls -A %s/out | wc -l) = 5", dir), 0);
        assert_int_equal(read_small_file(in_dir("out/MANIFEST.json"), 65536, &text, NULL), 0);
        o = json_tokener_parse(text);
        assert_true(json_object_object_get_ex(o, "whole_trail", &whole));
        assert_int_equal(json_number(whole, "last"), 11);
        assert_true(json_object_object_get_ex(o, "files", &one));
        assert_int_equal(json_object_array_length(one), 3);
        assert_string_equal(json_text(json_object_array_get_idx(one, 0), "name"), "trail.head");
        assert_true(json_object_object_get_ex(o, "node", &one));
        assert_null(one);                  /* nobody knows whose file that is */
        c = RUN(verb_audit_export, "--file", trail_file, in_dir("out"));
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "nothing is overwritten"));
        assert_int_equal(run("test $(ls -d %s/out* | wc -l) = 1", dir), 0);
}

/* Whole lines without a hole, with a head; what they follow is said. */
static void a_stretch_of_time_keeps_its_chain(void **state _unused_) {
        _cleanup_(freep) struct trail_report *t = calloc(1, sizeof(*t));
        _cleanup_(freep) char *text = NULL;
        struct captured *c;

        write_story();
        c = RUN(verb_audit_export, "--file", trail_file, "--since", "@1700000003", "--until", "@1700000006", in_dir("part"));
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_int_equal(trail_verify(in_dir("part/trail.jsonl"), t), 0);
        assert_int_equal(t->records, 4);
        assert_int_equal(t->first_sequence, 4);
        assert_true(t->head_checked);
        assert_int_equal(t->n_problems, 1);        /* that it does not begin with the first record, and nothing else */
        assert_int_equal(t->problems[0].kind, TRAIL_REMOVED);
        assert_int_equal(read_small_file(in_dir("part/MANIFEST.json"), 65536, &text, NULL), 0);
        assert_non_null(strstr(text, "\"follows\""));
        c = RUN(verb_audit_export, "--file", trail_file, "--since", "@1800000000", in_dir("none"));
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_int_equal(run("test -z \"$(ls -d %s/none* 2>/dev/null)\"", dir), 0);
        c = RUN(verb_audit_export, "--file", trail_file, "--volume", "data1", in_dir("part2"));
        assert_int_equal(c->code, EXIT_CODE_USAGE);
}

/* A trail of two files: both go out, and a stretch that begins in the one and ends in the other is one. */
static void a_trail_of_several_files(void **state _unused_) {
        _cleanup_(freep) struct trail_report *t = calloc(1, sizeof(*t));

        write_story();
        assert_int_equal(run("cd %s && head -n 5 trail.jsonl > trail-00000000000000000001.jsonl && tail -n +6 trail.jsonl > x && "
                             "mv x trail.jsonl", dir), 0);
        assert_int_equal(RUN(verb_audit_export, "--file", trail_file, in_dir("all"))->code, EXIT_CODE_DONE);
        assert_int_equal(trail_verify(in_dir("all/trail.jsonl"), t), 0);
        assert_int_equal(t->n_problems, 0);
        assert_int_equal(t->records, 11);
        assert_int_equal(RUN(verb_audit_export, "--file", trail_file, "--since", "@1700000003", "--until", "@1700000007",
                             in_dir("part"))->code, EXIT_CODE_DONE);
        assert_int_equal(trail_verify(in_dir("part/trail.jsonl"), t), 0);
        assert_int_equal(t->records, 5);
        assert_int_equal(t->first_sequence, 4);
        assert_int_equal(t->n_problems, 1);
}

/* A line that is being written is none yet; a changed one goes out as it is, and that is said. */
static void an_export_hides_nothing(void **state _unused_) {
        _cleanup_(freep) struct trail_report *t = calloc(1, sizeof(*t));
        _cleanup_(freep) char *text = NULL;
        size_t size;
        int fd;

        write_story();
        fd = open(trail_file, O_WRONLY|O_APPEND|O_CLOEXEC);
        assert_int_equal(write_all(fd, "{\"v\":1", 6), 0);
        close(fd);
        assert_int_equal(RUN(verb_audit_export, "--file", trail_file, in_dir("torn"))->code, EXIT_CODE_TRAIL);
        assert_int_equal(trail_verify(in_dir("torn/trail.jsonl"), t), 0);
        assert_int_equal(t->n_problems, 0);
        assert_int_equal(read_small_file(trail_file, 65536, &text, &size), 0);
        memcpy(strstr(text, "pid=9"), "pid=8", 5);
        assert_int_equal(write_file_atomic(trail_file, text, size, 0600), 0);
        assert_int_equal(RUN(verb_audit_export, "--file", trail_file, in_dir("changed"))->code, EXIT_CODE_TRAIL);
        assert_int_equal(run("grep -q pid=8 %s/changed/trail.jsonl", dir), 0);
        assert_int_equal(run("grep -q '\"verified\": false' %s/changed/MANIFEST.json", dir), 0);
}

/* A process may be called whatever it likes; a spreadsheet computes none of it. */
static void a_sheet_computes_nothing(void **state _unused_) {
        static const char *const evil[] = { "=1+1", "+1", "-1", "@SUM(A1)", "|x", "\t=1", " =1" };
        struct captured *c;

        for (size_t i = 0; i < ELEMENTSOF(evil); i++) {
                char exe[64];

                snprintf(exe, sizeof(exe), "exe=%s", evil[i]);
                KERNEL("volume_open", "mode=read", "by=other", exe, "comm=a\"b,c\nd", "extra==cmd");
        }
        c = RUN(verb_audit_export, "--file", trail_file, "--format", "csv", "-");
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "\"'=1+1\""));
        assert_non_null(strstr(c->out, "\"'+1\""));
        assert_non_null(strstr(c->out, "\"'-1\""));
        assert_non_null(strstr(c->out, "\"'@SUM(A1)\""));
        assert_null(strstr(c->out, ",\"="));
        assert_null(strstr(c->out, ",\" ="));
        assert_non_null(strstr(c->out, "\"a\"\"b,c"));
        for (const char *p = c->out; (p = strchr(p, '\n')); p++)
                assert_int_equal(p[-1], '\r');
        c = RUN(verb_audit_export, "--file", trail_file, "--format", "csv", "--volume", "none", "-");
        assert_null(strchr(strchr(c->out, '\n') + 1, '\n'));
}

static void a_sheet_has_what_the_filter_wants(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        _cleanup_(freep) char *text = NULL;
        struct json_object *one;

        write_story();
        assert_int_equal(RUN(verb_audit_export, "--file", trail_file, "--format", "json", "--unauthorised", in_dir("s.json"))->code,
                         EXIT_CODE_DONE);
        assert_int_equal(read_small_file(in_dir("s.json"), 65536, &text, NULL), 0);
        o = json_tokener_parse(text);
        assert_int_equal(json_object_array_length(o), 2);
        one = json_object_array_get_idx(o, 0);
        assert_int_equal(json_number(one, "number"), 7);
        assert_string_equal(json_text(one, "finding"), "raw-open");
        assert_int_equal(RUN(verb_audit_export, "--file", trail_file, "--format", "json", in_dir("s.json"))->code, EXIT_CODE_FAILED);
        assert_int_equal(RUN(verb_audit_export, "--file", trail_file, "--format", "xlsx", in_dir("s"))->code, EXIT_CODE_USAGE);
        json_object_put(o);
        o = json_tokener_parse(RUN(verb_audit_export, "--file", trail_file, "--format", "json", "--volume", "none", "-")->out);
        assert_int_equal(json_object_array_length(o), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(of_no_records_nothing_is_proven), TEST(an_export_stands_alone), TEST(a_stretch_of_time_keeps_its_chain), TEST(a_trail_of_several_files),
                TEST(an_export_hides_nothing),
                TEST(a_sheet_computes_nothing), TEST(a_sheet_has_what_the_filter_wants),
        };

        return cmocka_run_group_tests_name("ctl-export", tests, NULL, NULL);
}
