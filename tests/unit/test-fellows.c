/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/fellows.c daemon/manager/cut-mark.c daemon/manager/volume.c daemon/manager/lease.c daemon/manager/lease-keys.c daemon/manager/key-track.c daemon/manager/policy.c
// libs: libsystemd

/* Volumes that were cut together wait for one another, and the next manager knows of whom. Who has a stack in common with
 * whom is known by real devices only: tests/vm/revoke-stack-*. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/cut-mark.h"
#include "manager/fellows.h"
#include "manager/key.h"
#include "manager/manager.h"
#include "manager/teardown.h"
#include "manager/unit-return.h"

#define A "01234567-89ab-cdef-0123-456789abcdef"
#define B "11234567-89ab-cdef-0123-456789abcdef"

static struct manager manager;
static struct volume *wants, *asked;

void manager_volume_changed(struct manager *m _unused_, struct volume *v _unused_) { }
struct teardown *teardown_free(struct teardown *t _unused_) { return NULL; }
struct unit_return *unit_return_free(struct unit_return *r _unused_) { return NULL; }
void teardown_hurry(struct volume *v _unused_) { fail(); }
void teardown_meet(struct volume *v _unused_, int fd _unused_) { fail(); }
bool teardown_is_cut(const struct volume *v _unused_) { return false; }
bool teardown_cuts_first(const struct volume *v _unused_) { return false; }
bool key_wants_attach(const struct volume *v) { return v == wants; }
void key_evaluate_volume(struct volume *v) { asked = v; }

int teardown_start(struct volume *v _unused_, enum action a _unused_, enum lease_cause c _unused_, const char *why _unused_) {
        fail();
        return 0;
}

struct volume *manager_volume_by_uuid(struct manager *m, const char *uuid) {
        struct volume *v;

        LIST_FOREACH(v, &m->volumes, volumes)
                if (streq(v->uuid, uuid))
                        return v;
        return NULL;
}

struct pair {
        struct volume *a, *b;
};

static struct volume *closed_together(const char *uuid, const char *name, const char *with) {
        struct volume *v = volume_new(&manager, uuid, name, ROLE_DATA);

        assert_non_null(v);
        LIST_INSERT_HEAD(&manager.volumes, v, volumes);
        assert_int_equal(volume_set_state(v, VOLUME_CUT), 0);
        memcpy(v->fellows[0], with, sizeof(v->fellows[0]));
        v->n_fellows = 1;
        return v;
}

static int set_up(void **state) {
        static struct pair p;

        LIST_INIT(&manager.volumes);
        p.a = closed_together(A, "data1", B);
        p.b = closed_together(B, "data2", A);
        wants = asked = NULL;
        *state = &p;
        return 0;
}

static int tear_down(void **state) {
        struct pair *p = *state;

        volume_free(p->a);
        volume_free(p->b);
        return 0;
}

static void test_wait_for_one_another(void **state) {
        struct pair *p = *state;

        assert_string_equal(fellows_missing(p->a), "data2");
        wants = p->b;
        assert_null(fellows_missing(p->a));
        assert_string_equal(fellows_missing(p->b), "data1");
        wants = NULL;
        assert_int_equal(volume_set_state(p->b, VOLUME_ATTACHING), 0);
        assert_null(fellows_missing(p->a));
        assert_int_equal(volume_set_state(p->b, VOLUME_ATTACHED), 0);
        assert_null(fellows_missing(p->a));
        assert_int_equal(p->b->n_fellows, 0);
        fellows_look(p->b);
        assert_ptr_equal(asked, p->a);
        /* one that is closed, or being cut again, is waited for */
        assert_int_equal(volume_set_state(p->b, VOLUME_NOTICE), 0);
        assert_string_equal(fellows_missing(p->a), "data2");
        assert_int_equal(volume_set_state(p->b, VOLUME_CLOSED), 0);
        assert_string_equal(fellows_missing(p->a), "data2");
        LIST_REMOVE(p->b, volumes);
        assert_string_equal(fellows_missing(p->a), B);
        LIST_INSERT_HEAD(&manager.volumes, p->b, volumes);
}

static void test_who_was_alone_waits_for_nobody(void **state) {
        struct pair *p = *state;

        p->a->n_fellows = 0;
        assert_null(fellows_missing(p->a));
        fellows_look(p->b);
        assert_null(asked);
}

static void test_not_taken_along(void **state) {
        struct pair *p = *state;

        /* known already, a pulled disk, role os: nothing is looked for, and teardown_start() would fail this test */
        fellows_take_along(p->a);
        p->a->n_fellows = 0;
        p->a->cause = CAUSE_DISK_REMOVED;
        fellows_take_along(p->a);
        p->a->cause = CAUSE_REVOKED;
        p->a->role = ROLE_OS;
        fellows_take_along(p->a);
        assert_int_equal(p->a->n_fellows, 0);
}

static void test_mark(void **state _unused_) {
        char alone[] = "revoked\n", old[] = "denied", two[] = "stack\n" A "\nrubbish\n" B "\n", none[] = "", odd[] = "odd\n" A "\n";
        char fellows[FELLOWS_MAX][37];
        unsigned n = 7;

        assert_int_equal(cut_mark_parse(alone, fellows, &n), CAUSE_REVOKED);
        assert_int_equal(n, 0);
        assert_int_equal(cut_mark_parse(old, fellows, &n), CAUSE_DENIED);
        assert_int_equal(cut_mark_parse(two, fellows, &n), CAUSE_STACK);
        assert_int_equal(n, 2);
        assert_string_equal(fellows[0], A);
        assert_string_equal(fellows[1], B);
        assert_int_equal(cut_mark_parse(none, fellows, &n), CAUSE_NONE);
        assert_int_equal(cut_mark_parse(odd, fellows, &n), CAUSE_NONE);
        assert_int_equal(n, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_wait_for_one_another, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_who_was_alone_waits_for_nobody, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_not_taken_along, set_up, tear_down),
                cmocka_unit_test(test_mark),
        };
        return cmocka_run_group_tests_name("fellows", tests, NULL, NULL);
}
