/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/unit-set.c daemon/manager/unit-name.c

/* In which order units are stopped, and that there is an end to their number. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/unit-set.h"

static void add(struct unit_set *s, const char *name, const char *a, const char *b) {
        struct unit *u;

        assert_int_equal(unit_set_add(s, name), 1);
        u = unit_set_find(s, name);
        u->after = calloc(3, sizeof(*u->after));
        u->after[0] = a ? strdup(a) : NULL;
        if (a)
                u->after[1] = b ? strdup(b) : NULL;
}

static void assert_order(const struct unit_set *s, enum unit_wave wave, const char *wanted) {
        _cleanup_(freep) struct unit **order = NULL;
        char text[512] = "";
        size_t n;

        assert_int_equal(unit_set_order(s, wave, &order, &n), 0);
        for (size_t i = 0; i < n; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", order[i]->name);
        assert_string_equal(text, wanted);
}

static void test_who_comes_after_goes_first(void **state _unused_) {
        _cleanup_(unit_set_done) struct unit_set s = {};

        add(&s, "srv.mount", "local-fs-pre.target", NULL);
        add(&s, "db.service", "srv.mount", "basic.target");
        add(&s, "web.service", "app.service", NULL);
        add(&s, "app.service", "db.service", "app.socket");
        add(&s, "cache.service", NULL, NULL);
        add(&s, "srv-sub.mount", "srv.mount", NULL);
        add(&s, "app.socket", NULL, NULL);
        assert_order(&s, WAVE_USERS, "web.service cache.service app.service app.socket db.service ");
        assert_order(&s, WAVE_MOUNTS, "srv-sub.mount srv.mount ");
}

static void test_what_is_never_stopped_is_in_no_wave(void **state _unused_) {
        _cleanup_(unit_set_done) struct unit_set s = {};

        add(&s, "session-1.scope", NULL, NULL);
        add(&s, "local-fs.target", NULL, NULL);
        add(&s, "dev-mapper-data1.device", NULL, NULL);
        add(&s, "a.service", NULL, NULL);
        unit_set_find(&s, "a.service")->never = "because";
        assert_order(&s, WAVE_USERS, "");
        assert_order(&s, WAVE_MOUNTS, "");
}

static void test_a_circle_has_an_end(void **state _unused_) {
        _cleanup_(unit_set_done) struct unit_set s = {};
        _cleanup_(freep) struct unit **order = NULL;
        size_t n;

        add(&s, "a.service", "b.service", NULL);
        add(&s, "b.service", "c.service", "b.service");
        add(&s, "c.service", "a.service", NULL);
        assert_int_equal(unit_set_order(&s, WAVE_USERS, &order, &n), 0);
        assert_int_equal(n, 3);
        assert_ptr_not_equal(order[0], order[1]);
        assert_ptr_not_equal(order[1], order[2]);
}

static void test_names_once_and_no_others(void **state _unused_) {
        _cleanup_(unit_set_done) struct unit_set s = {};
        char name[32];

        assert_int_equal(unit_set_add(&s, "a.service"), 1);
        assert_int_equal(unit_set_add(&s, "a.service"), 0);
        assert_int_equal(unit_set_add(&s, "a b.service"), -EINVAL);
        for (unsigned i = 1; i < UNITS_MAX; i++) {
                snprintf(name, sizeof(name), "u%u.service", i);
                assert_int_equal(unit_set_add(&s, name), 1);
        }
        assert_false(s.truncated);
        assert_int_equal(unit_set_add(&s, "last.service"), 0);
        assert_true(s.truncated);
        assert_int_equal(s.n, UNITS_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_who_comes_after_goes_first),
                cmocka_unit_test(test_what_is_never_stopped_is_in_no_wave),
                cmocka_unit_test(test_a_circle_has_an_end),
                cmocka_unit_test(test_names_once_and_no_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
