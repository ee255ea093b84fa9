/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/unit-mark.c daemon/manager/unit-set.c daemon/manager/unit-name.c daemon/manager/lease.c daemon/manager/key-track.c daemon/manager/lease-keys.c
// sources: daemon/manager/policy.c

/* The mark of what was stopped: only what was written by us; and which of it is started again. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/unit-mark.h"

#define ID "0123456789abcdef0123456789abcdef"
#define OTHER "1123456789abcdef0123456789abcdef"

static int parse(const char *text, struct unit_mark *ret) {
        _cleanup_(freep) char *copy = strdup(text);

        return unit_mark_parse(copy, ret);
}

static void test_there_and_back(void **state _unused_) {
        _cleanup_(unit_mark_done) struct unit_mark m = { .cause = CAUSE_HELD_TOO_LONG }, t = {};
        _cleanup_(freep) char *text = NULL;
        struct unit a = { .name = (char *) "a.service", .invocation = ID, .file_state = "enabled" };
        struct unit b = { .name = (char *) "srv-a\\x20b.mount" };

        assert_int_equal(unit_mark_add(&m, &a), 0);
        assert_int_equal(unit_mark_add(&m, &b), 0);
        text = unit_mark_format(&m);
        assert_string_equal(text, "held too long\n" ID " enabled a.service\n- - srv-a\\x20b.mount\n");
        assert_int_equal(parse(text, &t), 0);
        assert_int_equal(t.cause, m.cause);
        assert_int_equal(t.n, 2);
        assert_memory_equal(t.u, m.u, 2 * sizeof(*m.u));
        /* stopped again, later than the other: in a new place and once */
        assert_int_equal(unit_mark_add(&t, &a), 0);
        assert_int_equal(t.n, 2);
        assert_string_equal(t.u[1].name, "a.service");
}

static void test_none(void **state _unused_) {
        struct unit_mark t = {};

        assert_int_equal(parse("operator\n", &t), 0);
        assert_int_equal(t.cause, CAUSE_OPERATOR);
        assert_int_equal(t.n, 0);
        unit_mark_done(&t);
}

static void test_nothing_else_is_a_mark(void **state _unused_) {
        static const char *const bad[] = {
                "", "\n", "revoked", "revoke\n", "revoked\n\n", "revoked\n- - \n", "revoked\n- - a\n", "revoked\n- a.service\n",
                "revoked\n- - a.service", "revoked\n- - a.service extra\n", "revoked\n-  - a.service\n",
                "revoked\n0123 - a.service\n", "revoked\n" ID "0 - a.service\n", "revoked\n0123456789ABCDEF0123456789abcdef - a.service\n",
                "revoked\n- Enabled a.service\n", "revoked\n- enabled\ta.service\n", "revoked\n- - ../a.service\n",
                "revoked\n- aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa a.service\n", " revoked\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                struct unit_mark t = { .n = 7 };

                assert_int_equal(parse(bad[i], &t), -EBADMSG);
                assert_int_equal(t.n, 7);
        }
}

static void test_too_many(void **state _unused_) {
        char *text = calloc(UNITS_MAX + 2, 32), *end = stpcpy(text, "revoked\n");
        struct unit_mark t = {};

        for (unsigned i = 0; i < UNITS_MAX; i++)
                end += sprintf(end, "- - u%u.service\n", i);
        assert_int_equal(parse(text, &t), 0);
        assert_int_equal(t.n, UNITS_MAX);
        assert_int_equal(unit_mark_add(&t, &(struct unit) { .name = (char *) "last.service" }), -E2BIG);
        unit_mark_done(&t);
        strcpy(end, "- - last.service\n");
        assert_int_equal(parse(text, &t), -EBADMSG);
        free(text);
}

static const struct {
        const char *then_file, *then_id, *load, *active, *file, *id;
        bool can_start;
        const char *why;                 /* NULL: started */
        bool silent;
} cases[] = {
        { "enabled", ID, "loaded", "inactive", "enabled", ID, true, NULL, false },
        { "enabled", ID, "loaded", "failed", "enabled", ID, true, NULL, false },
        { "enabled", ID, "loaded", "deactivating", "enabled", ID, true, NULL, false },
        /* it was started by hand before, and is started again */
        { "disabled", ID, "loaded", "inactive", "disabled", ID, true, NULL, false },
        { "static", ID, "loaded", "inactive", "static", "", true, NULL, false },
        { "generated", "", "loaded", "inactive", "generated", ID, true, NULL, false },
        { "enabled", ID, "loaded", "active", "enabled", OTHER, true, "it runs already", true },
        { "enabled", ID, "loaded", "activating", "enabled", OTHER, true, "it runs already", true },
        { "enabled", ID, "masked", "inactive", "masked", "", false, "it was masked meanwhile", false },
        { "enabled", ID, "loaded", "inactive", "masked-runtime", "", true, "it was masked meanwhile", false },
        { "enabled", ID, "loaded", "inactive", "disabled", ID, true, "it was disabled meanwhile", false },
        { "enabled-runtime", ID, "loaded", "inactive", "disabled", ID, true, "it was disabled meanwhile", false },
        { "enabled", ID, "loaded", "inactive", "enabled", OTHER, true, "it was started and stopped again meanwhile", false },
        { "enabled", ID, "not-found", "inactive", "", "", false, "there is nothing to start it from any more", false },
        { "enabled", ID, "loaded", "inactive", "enabled", ID, false, "there is nothing to start it from any more", false },
};

static void test_who_is_started_again(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct marked_unit then = { .name = "a.service" };
                struct unit_now now = { .can_start = cases[i].can_start };
                bool worth_saying = false;
                const char *why;

                strcpy(then.file_state, cases[i].then_file);
                strcpy(then.invocation, cases[i].then_id);
                strcpy(now.load_state, cases[i].load);
                strcpy(now.active_state, cases[i].active);
                strcpy(now.file_state, cases[i].file);
                strcpy(now.invocation, cases[i].id);
                why = unit_leave_alone(&then, &now, &worth_saying);
                assert_true(streq_ptr(why, cases[i].why));
                if (why)
                        assert_int_equal(worth_saying, !cases[i].silent);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_there_and_back),
                cmocka_unit_test(test_none),
                cmocka_unit_test(test_nothing_else_is_a_mark),
                cmocka_unit_test(test_too_many),
                cmocka_unit_test(test_who_is_started_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
