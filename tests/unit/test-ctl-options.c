/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/options.c daemon/ctl/print.c daemon/ctl/when.c
// libs: json-c
#include "ctl-capture.h"
#include "ctl/print.h"
#include "ctl/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* last: it has a macro fail() */

static struct invocation seen;

static int look(const struct invocation *in) {
        seen = *in;
        return EXIT_CODE_DONE;
}

static void options_stand_anywhere(void **state _unused_) {
        assert_int_equal(RUN(look, "a", "--name", "n1", "b", "--key=https://x", "-y", "--", "--json")->code, EXIT_CODE_DONE);
        assert_int_equal(seen.n_args, 3);
        assert_string_equal(seen.args[0], "a");
        assert_string_equal(seen.args[1], "b");
        assert_string_equal(seen.args[2], "--json");
        assert_string_equal(seen.values[OPTION_NAME], "n1");
        assert_string_equal(seen.values[OPTION_KEY], "https://x");
        assert_int_equal(RUN(look, "--key", "a", "-k", "b", "--key=c")->code, EXIT_CODE_DONE);
        assert_int_equal(seen.n_keys, 3);
        assert_string_equal(seen.keys[2], "c");
        assert_string_equal(seen.values[OPTION_KEY], "a");
        assert_int_equal(RUN(look, "a", "-y")->code, EXIT_CODE_DONE);
        assert_true(has_option(&seen, OPTION_YES));
        assert_false(has_option(&seen, OPTION_JSON));
}

static void bad_options_are_usage(void **state _unused_) {
        struct captured *c;

        c = RUN(look, "--nmae", "x");
        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "did you mean --name"));
        assert_int_equal(RUN(look, "--name")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(look, "--name=")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(look, "--json=yes")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(look, "--json", "--json")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(look, "-k", "a", "-k", "b", "-k", "c", "-k", "d", "-k", "e")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(look, "-x")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(look, "-yn", "x")->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(look, "--nam", "x")->code, EXIT_CODE_USAGE);
}

static int check_none(const struct invocation *in) {
        return options_check(in, OPTION_BIT(OPTION_JSON), "status");
}

static void options_of_other_verbs_are_usage(void **state _unused_) {
        struct captured *c = RUN(check_none, "--json", "--wipe");

        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "status has no option --wipe"));
        assert_int_equal(RUN(check_none, "--json")->code, EXIT_CODE_DONE);
}

static int ask(const struct invocation *in) {
        return confirm(in, "All is lost.");
}

static void nobody_is_asked_without_a_terminal(void **state _unused_) {
        struct captured *c = RUN_BARE(ask);

        assert_int_equal(c->code, EXIT_CODE_USAGE);
        assert_non_null(strstr(c->err, "--yes"));
        assert_int_equal(RUN(ask, "--yes")->code, EXIT_CODE_DONE);
}

static void errors_cannot_forge_lines(void **state _unused_) {
        struct captured *c = RUN(look, "--x\ncmkctl: done\033[2J");

        assert_ptr_equal(strchr(c->err, '\n'), c->err + strlen(c->err) - 1);
        assert_null(strchr(c->err, '\033'));
}

static void distances(void **state _unused_) {
        assert_int_equal(word_distance("status", "status"), 0);
        assert_int_equal(word_distance("statsu", "status"), 1);
        assert_int_equal(word_distance("hots", "Host"), 1);
        assert_int_equal(word_distance("ab", "ba"), 1);
        assert_int_equal(word_distance("a", "ab"), 1);
        assert_int_equal(word_distance("", "abc"), 3);
        assert_int_equal(word_distance("kitten", "sitting"), 3);
        assert_true(words_are_near("statsu", "status"));
        assert_true(words_are_near("hots", "Host"));
        assert_true(words_are_near("cit", "cut"));
        assert_true(words_are_near("recovery-kee ad", "recovery-key add"));
        assert_false(words_are_near("help", "hold"));
        assert_false(words_are_near(" ", "cut"));
        assert_false(words_are_near("\xff\xfe", "cut"));
        assert_false(words_are_near("hots", "Wipe"));
        assert_false(words_are_near("status", "drill"));
}

static void spans(void **state _unused_) {
        static const struct { uint64_t seconds; const char *text; } cases[] = {
                { 0, "0s" }, { 59, "59s" }, { 60, "1min" }, { 3661, "1h 1min" }, { 90061, "1d 1h" }, { 3605, "1h 5s" },
                { UINT64_MAX, "-" },
        };
        char text[32];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                format_span(cases[i].seconds, text, sizeof(text));
                assert_string_equal(text, cases[i].text);
        }
}

static int print_table(const struct invocation *in _unused_) {
        static const char *const header[] = { "A", "BB" };
        struct table t;

        table_start(&t, header, 2);
        table_add(&t, "äöü\033[1m");
        table_add(&t, NULL);
        table_addf(&t, "%d", 7);
        table_add(&t, "x\ny");
        return table_print(&t);
}

static void tables_align_and_are_clean(void **state _unused_) {
        struct captured *c = RUN_BARE(print_table);

        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_string_equal(c->out, "A        BB\näöü?[1m  -\n7        x?y\n");
}

static void points_in_time(void **state _unused_) {
        const uint64_t now = UINT64_C(1800000000) * USEC_PER_SEC;
        uint64_t t = 0;

        assert_int_equal(parse_when("10min", now, &t), 0);
        assert_int_equal(t, now - 600 * USEC_PER_SEC);
        assert_int_equal(parse_when("2026-01-31T12:00:30Z", now, &t), 0);
        assert_int_equal(t, UINT64_C(1769860830) * USEC_PER_SEC);
        assert_int_equal(parse_when("1970-01-02Z", now, &t), 0);
        assert_int_equal(t, 86400 * USEC_PER_SEC);
        assert_int_equal(parse_when("2026-02-30Z", now, &t), -EINVAL);
        assert_int_equal(parse_when("2026-01-31 24:00Z", now, &t), -EINVAL);
        assert_int_equal(parse_when("2026-1-31", now, &t), -EINVAL);
        assert_int_equal(parse_when("2026-01-31 12:00x", now, &t), -EINVAL);
        assert_int_equal(parse_when("", now, &t), -EINVAL);
        assert_int_equal(parse_when("99999d", now, &t), -EINVAL);
        assert_int_equal(t, 86400 * USEC_PER_SEC);
}

/* 2026-11-26 14:00:30 UTC, in a place where that is 15:00:30. */
static void points_in_time_as_in_journalctl(void **state _unused_) {
        const uint64_t now = UINT64_C(1795701630) * USEC_PER_SEC, minute = 60 * USEC_PER_SEC, day = 24 * 60 * minute;
        const uint64_t midnight = now - 15 * 60 * minute - 30 * USEC_PER_SEC;
        const struct { const char *s; int r; uint64_t at; } cases[] = {
                { "now", 0, now }, { "today", 0, midnight }, { "yesterday", 0, midnight - day }, { "tomorrow", 0, midnight + day },
                { "-1h", 0, now - 60 * minute }, { "1h 30min ago", 0, now - 90 * minute }, { "+5min", 0, now + 5 * minute },
                { "09:30", 0, midnight + 570 * minute }, { "@1795701630", 0, now },
                { "2026-11-26T14:00:30.000250Z", 0, now + 250 }, { "2026-11-26 15:00:30.5", 0, now + 500000 },
                { "2026-11-26T14:00:30.Z", -EINVAL, 0 }, { "+5min ago", -EINVAL, 0 }, { "--1h", -EINVAL, 0 }, { "@", -EINVAL, 0 },
                { "@-1", -EINVAL, 0 }, { "Today", -EINVAL, 0 }, { "25:00", -EINVAL, 0 }, { " ago", -EINVAL, 0 }, { "-", -EINVAL, 0 },
                { "+18446744073709551615", -EINVAL, 0 },
        };

        setenv("TZ", "XXX-1", 1);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t t = 0;

                assert_int_equal(parse_when(cases[i].s, now, &t), cases[i].r);
                assert_int_equal(t, cases[i].at);
        }
        unsetenv("TZ");
}

/* 2026-11-26 14:00:30 UTC, in a place where that is 15:00:30. */
static void points_in_time_to_come(void **state _unused_) {
        const uint64_t now = UINT64_C(1795701630) * USEC_PER_SEC, minute = 60 * USEC_PER_SEC;
        const uint64_t hour = now - 30 * USEC_PER_SEC;
        const struct { const char *s; int r; uint64_t at; } cases[] = {
                { "30min", 0, now + 30 * minute }, { "+2h", 0, now + 120 * minute }, { "1h 30min", 0, now + 90 * minute },
                { "500ms", 0, now + 500 * USEC_PER_MSEC }, { "15:01", 0, hour + minute }, { "15:00:31", 0, now + USEC_PER_SEC },
                { "23:59", 0, hour + 539 * minute }, { "14:01Z", 0, hour + minute },
                { "2026-11-26 15:30", 0, hour + 30 * minute }, { "2026-11-26T14:30Z", 0, hour + 30 * minute },
                { "2026-11-27", 0, hour + 540 * minute },
                /* not after now */
                { "15:00", -ETIME, 0 }, { "15:00:30", -ETIME, 0 }, { "14:00:30Z", -ETIME, 0 }, { "00:00", -ETIME, 0 },
                { "2026-11-26", -ETIME, 0 }, { "2026-11-26 15:00", -ETIME, 0 }, { "0s", -ETIME, 0 }, { "+0min", -ETIME, 0 },
                /* no time at all */
                { "", -EINVAL, 0 }, { "+", -EINVAL, 0 }, { "30", -EINVAL, 0 }, { "+30", -EINVAL, 0 }, { "1h 30", -EINVAL, 0 },
                { "30 ", -EINVAL, 0 }, { "-30min", -EINVAL, 0 }, { "++30min", -EINVAL, 0 }, { "+15:01", -EINVAL, 0 },
                { "+2026-11-27", -EINVAL, 0 }, { "24:00", -EINVAL, 0 }, { "15:60", -EINVAL, 0 }, { "5:01", -EINVAL, 0 },
                { "15:01x", -EINVAL, 0 }, { "15:01 ", -EINVAL, 0 }, { "15", -EINVAL, 0 }, { "2026-11-31", -EINVAL, 0 },
                { "2027-03-28 02:30", -EINVAL, 0 }, { "2h ago", -EINVAL, 0 }, { "now", -EINVAL, 0 }, { "tomorrow", -EINVAL, 0 },
                { "999999999999999h", -EINVAL, 0 }, { "18446744073709551614ms", -EINVAL, 0 },
        };
        char text[32];

        setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t t = 4711;

                if (parse_until(cases[i].s, now, &t) != cases[i].r || t != (cases[i].r < 0 ? 4711 : cases[i].at))
                        fail_msg("\"%s\"", cases[i].s);
        }
        format_local_time(now, text, sizeof(text));
        assert_string_equal(text, "2026-11-26 15:00:30");
        unsetenv("TZ");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(options_stand_anywhere),
                cmocka_unit_test(bad_options_are_usage),
                cmocka_unit_test(options_of_other_verbs_are_usage),
                cmocka_unit_test(nobody_is_asked_without_a_terminal),
                cmocka_unit_test(errors_cannot_forge_lines),
                cmocka_unit_test(distances),
                cmocka_unit_test(spans),
                cmocka_unit_test(tables_align_and_are_clean),
                cmocka_unit_test(points_in_time), cmocka_unit_test(points_in_time_as_in_journalctl),
                cmocka_unit_test(points_in_time_to_come),
        };

        return cmocka_run_group_tests_name("ctl-options", tests, NULL, NULL);
}
