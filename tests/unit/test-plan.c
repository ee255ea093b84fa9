/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/plan.c

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/lease.h"
#include "manager/plan.h"

#define UUID "0f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69"

static const struct plan_facts usual = {
        .name = "data1", .uuid = UUID, .dev_major = 253, .dev_minor = 4, .sectors = 2097152,
        .disk_flags = DISK_FLAG_MAPPED|DISK_FLAG_OURS|DISK_FLAG_MOUNTED, .role = ROLE_DATA, .action = ACTION_CUT,
};

static void expect(const struct plan_facts *f, const char *expected) {
        char text[256] = "";
        struct plan p;

        assert_int_equal(plan_make(f, &p), 0);
        for (size_t i = 0; i < p.n_steps; i++) {
                strcat(text, i ? " " : "");
                strcat(text, disk_op_to_string(p.steps[i].op));
        }
        assert_string_equal(text, expected);
}

static ptrdiff_t position(const struct plan *p, enum disk_op op) {
        for (size_t i = 0; i < p->n_steps; i++)
                if (p->steps[i].op == op)
                        return (ptrdiff_t) i;
        return -1;
}

static void test_ladders(void **state _unused_) {
        struct plan_facts f = usual;

        expect(&f, "open shut cut thaw flush kill unmount remove verify");
        f.notice_usec = 10 * USEC_PER_SEC;
        expect(&f, "notice open shut cut thaw flush kill unmount remove verify");
        f.disk_flags |= DISK_FLAG_SUSPENDED;
        expect(&f, "open cut shut thaw flush kill unmount remove verify");
        f = usual;
        f.disk_flags = DISK_FLAG_MAPPED|DISK_FLAG_OURS;
        expect(&f, "cut flush kill remove verify");
        f.in_use_unknown = true;
        expect(&f, "open shut cut thaw flush kill unmount remove verify");
        f.in_use_unknown = false;
        f.stacked = true;
        expect(&f, "open shut cut thaw flush kill unmount remove verify");
        f = usual;
        f.disk_flags = DISK_FLAG_MAPPED|DISK_FLAG_SWAP;
        expect(&f, "open shut cut thaw flush kill unmount remove verify");
        f.action = ACTION_HOLD;
        expect(&f, "hold");
        f.action = ACTION_REPORT;
        expect(&f, "");
}

static void test_os_is_the_breakers(void **state _unused_) {
        struct plan_facts f = usual;
        struct plan p;

        f.role = ROLE_OS;
        f.action = ACTION_POWEROFF;
        expect(&f, "");
        f.notice_usec = 300 * USEC_PER_SEC;
        expect(&f, "notice");
        assert_int_equal(plan_make(&f, &p), 0);
        assert_int_equal(p.then, ACTION_POWEROFF);
        f.action = ACTION_REBOOT;
        assert_int_equal(plan_make(&f, &p), 0);
        assert_int_equal(p.then, ACTION_REBOOT);
        assert_int_equal(plan_make(&usual, &p), 0);
        assert_int_equal(p.then, ACTION_REPORT);
}

/* Steps before the cut that all hang leave the cut some of the 2 s that are promised after the confirmation. */
static void test_cut_in_time(void **state _unused_) {
        uint64_t before = 0;
        struct plan p;

        assert_int_equal(plan_make(&usual, &p), 0);
        for (ptrdiff_t i = 0; i < position(&p, DISK_OP_STEP_CUT); i++)
                before += p.steps[i].budget_usec;
        assert_true(before > 0 && before <= 1800 * USEC_PER_MSEC);
}

/* What the ladder was measured for must hold in every plan that there is. */
static void test_invariants_of_all_plans(void **state _unused_) {
        static const uint32_t flag_bits[] = { DISK_FLAG_MOUNTED, DISK_FLAG_SWAP, DISK_FLAG_SUSPENDED,
                DISK_FLAG_ERROR_TABLE };
        unsigned made = 0;

        for (unsigned bits = 0; bits < 1 << 9; bits++)
                for (enum role role = 0; role < _ROLE_MAX; role++)
                        for (enum action a = 0; a < _ACTION_MAX; a++) {
                                struct plan_facts f = usual;
                                struct plan p;

                                f.disk_flags = 0;
                                for (unsigned i = 0; i < ELEMENTSOF(flag_bits); i++)
                                        if (bits & 1u << i)
                                                f.disk_flags |= flag_bits[i];
                                f.stacked = bits & 1 << 4;
                                f.in_use_unknown = bits & 1 << 5;
                                f.notice_usec = bits & 1 << 6 ? 5 * USEC_PER_SEC : 0;
                                f.role = role;
                                f.action = a;
                                if (plan_make(&f, &p) < 0)
                                        continue;
                                made++;
                                assert_true(p.n_steps <= PLAN_STEPS_MAX);
                                for (size_t i = 0; i < p.n_steps; i++) {
                                        assert_true(p.steps[i].budget_usec > 0 &&
                                                    p.steps[i].budget_usec <= 10 * USEC_PER_SEC);
                                        if (p.steps[i].needs_fd)
                                                assert_true(position(&p, DISK_OP_STEP_OPEN) >= 0 &&
                                                            position(&p, DISK_OP_STEP_OPEN) < (ptrdiff_t) i);
                                }
                                if (a != ACTION_CUT) {
                                        assert_int_equal(position(&p, DISK_OP_STEP_CUT), -1);
                                        continue;
                                }
                                assert_true(position(&p, DISK_OP_STEP_CUT) >= 0);
                                assert_int_equal(p.steps[p.n_steps - 1].op, DISK_OP_STEP_VERIFY);
                                assert_true(position(&p, DISK_OP_STEP_CUT) < position(&p, DISK_OP_STEP_KILL));
                                assert_true(position(&p, DISK_OP_STEP_KILL) < position(&p, DISK_OP_STEP_REMOVE));
                                assert_true(position(&p, DISK_OP_STEP_UNMOUNT) < position(&p, DISK_OP_STEP_REMOVE));
                                assert_int_equal(p.steps[position(&p, DISK_OP_STEP_CUT)].on_failure, PLAN_ESCALATE);
                                for (ptrdiff_t i = 0; i < position(&p, DISK_OP_STEP_CUT); i++)
                                        assert_int_equal(p.steps[i].on_failure, PLAN_CONTINUE);
                                if (position(&p, DISK_OP_STEP_SHUT) >= 0)
                                        assert_int_equal(position(&p, DISK_OP_STEP_SHUT) > position(&p,
                                                DISK_OP_STEP_CUT),
                                                         !!(f.disk_flags & DISK_FLAG_SUSPENDED));
                        }
        assert_true(made > 1000);
}

static void test_refused(void **state _unused_) {
        struct plan p = { .n_steps = 7 };
        struct plan_facts f = usual;

        f.role = ROLE_OS;
        assert_int_equal(plan_make(&f, &p), -EOPNOTSUPP);
        f.role = ROLE_DATA;
        f.action = ACTION_POWEROFF;
        assert_int_equal(plan_make(&f, &p), -EOPNOTSUPP);
        f.role = ROLE_SCRATCH;
        f.action = ACTION_HOLD;
        assert_int_equal(plan_make(&f, &p), -EOPNOTSUPP);
        f = usual;
        f.action = _ACTION_MAX;
        assert_int_equal(plan_make(&f, &p), -EINVAL);
        f = usual;
        f.sectors = 0;
        assert_int_equal(plan_make(&f, &p), -EINVAL);
        f = usual;
        strcpy(f.name, "a/b");
        assert_int_equal(plan_make(&f, &p), -EINVAL);
        assert_int_equal(plan_make_retry(&f, false, &p), -EINVAL);
        f = usual;
        f.uuid[0] = 'x';
        assert_int_equal(plan_make(&f, &p), -EINVAL);
        assert_int_equal(p.n_steps, 7);
}

static void test_retry(void **state _unused_) {
        struct plan p;

        assert_int_equal(plan_make_retry(&usual, false, &p), 0);
        assert_int_equal(p.steps[0].op, DISK_OP_STEP_CUT);
        assert_int_equal(plan_make_retry(&usual, true, &p), 0);
        assert_int_equal(position(&p, DISK_OP_STEP_CUT), -1);
        assert_int_equal(p.steps[p.n_steps - 1].op, DISK_OP_STEP_VERIFY);
        for (size_t i = 0; i < p.n_steps; i++)
                assert_false(p.steps[i].needs_fd);
}

static void test_notice(void **state _unused_) {
        struct plan_facts f = usual;
        struct plan p;

        f.notice_usec = 100 * USEC_PER_SEC;
        assert_int_equal(plan_make(&f, &p), 0);
        assert_int_equal(p.steps[0].wait_usec, 100 * USEC_PER_SEC);
        assert_true(p.steps[0].budget_usec >= USEC_PER_SEC && p.steps[0].budget_usec <= p.steps[0].wait_usec);
}

/* The breaker must not cut in between: what plan.c may take is within what lease.c grants. */
static void test_within_the_breakers_deadlines(void **state _unused_) {
        struct plan_facts f = usual;
        uint64_t until_cut = 0;
        struct plan p;

        f.notice_usec = 10 * USEC_PER_SEC;
        assert_int_equal(plan_make(&f, &p), 0);
        for (ptrdiff_t i = 0; i <= position(&p, DISK_OP_STEP_CUT); i++)
                until_cut += MAX_OF(p.steps[i].budget_usec, p.steps[i].wait_usec);
        assert_true(until_cut < f.notice_usec + LEASE_CUTTING_USEC);
        f.action = ACTION_HOLD;
        assert_int_equal(plan_make(&f, &p), 0);
        assert_true(p.steps[0].budget_usec < LEASE_HOLDING_USEC);
}

static void test_printed(void **state _unused_) {
        struct plan_facts f = usual;
        char buf[256], tiny[8];
        struct plan p;

        f.notice_usec = 10 * USEC_PER_SEC;
        assert_int_equal(plan_make(&f, &p), 0);
        plan_step_to_string(&f, p.steps + position(&p, DISK_OP_STEP_CUT), buf, sizeof(buf));
        assert_string_equal(buf,
                "cut      error table on data1 (253:4, 2097152 sectors), at most 4.000 s; else by the breaker");
        plan_step_to_string(&f, p.steps, buf, sizeof(buf));
        assert_non_null(strstr(buf, "; up to 10.000 s in all for them to stop"));
        plan_step_to_string(&f, p.steps + position(&p, DISK_OP_STEP_REMOVE), buf, sizeof(buf));
        assert_non_null(strstr(buf, "lingers"));
        for (size_t i = 0; i < p.n_steps; i++)
                plan_step_to_string(&f, p.steps + i, tiny, sizeof(tiny));
        assert_int_equal(strlen(tiny), 7);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ladders),
                cmocka_unit_test(test_os_is_the_breakers),
                cmocka_unit_test(test_cut_in_time),
                cmocka_unit_test(test_invariants_of_all_plans),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_retry),
                cmocka_unit_test(test_notice),
                cmocka_unit_test(test_within_the_breakers_deadlines),
                cmocka_unit_test(test_printed),
        };
        return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
