/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/budget.c

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>

#include "manager/budget.h"

#define README "README.md"

/* The README's table, "| RSA 2048 | 4000, 2386 | 2000, 1193 |": so many nodes fit at PollSec=30, and not one more. */
static void test_the_readme_is_right(void **state _unused_) {
        unsigned bits, limit[2], nodes[2], rows = 0;
        char line[512];
        FILE *f = fopen(README, "re");

        assert_non_null(f);
        while (fgets(line, sizeof(line), f))
                if (sscanf(line, "| RSA %u | %u, %u | %u, %u |", &bits, limit, nodes, limit + 1, nodes + 1) == 5) {
                        rows++;
                        for (int hsm = 0; hsm < 2; hsm++) {
                                double w = budget_weight(bits, hsm, false, false);

                                assert_true(budget_shortest_poll_usec(nodes[hsm], w) <= 30 * USEC_PER_SEC);
                                assert_true(budget_shortest_poll_usec(nodes[hsm] + 1, w) > 30 * USEC_PER_SEC);
                                assert_int_equal(budget_percent(nodes[hsm], w, 30 * USEC_PER_SEC), 25);
                                /* eleven requests in 262.5 s */
                                assert_true(nodes[hsm] * 11 / 26.25 <= limit[hsm] / 4.0);
                        }
                }
        fclose(f);
        assert_int_equal(rows, 3);
}

static void test_edges(void **state _unused_) {
        double w = budget_weight(4096, true, false, false);

        assert_int_equal(budget_shortest_poll_usec(0, w), 0);
        assert_int_equal(budget_percent(0, w, 1), 0);
        assert_true(budget_weight(0, false, false, false) == budget_weight(4096, false, false, false));
        assert_true(budget_weight(2048, false, true, false) > 1.9 * budget_weight(2048, false, false, false));
        /* a secret of the vault with each of ten polls, beside eleven requests for the key */
        assert_true(fabs(budget_weight(2048, false, false, true) / budget_weight(2048, false, false, false) - 21.0 / 11) < 1e-9);
        assert_true(budget_weight(4096, true, false, true) < 1.1 * w);
        /* two keys, twice the span */
        assert_true(budget_shortest_poll_usec(100, 2 * w) / 10 == 2 * budget_shortest_poll_usec(100, w) / 10);
        assert_int_equal(budget_percent(1000000, w, 0), 1000000);
        assert_true(budget_shortest_poll_usec(1000000, 100 * w) > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_readme_is_right),
                cmocka_unit_test(test_edges),
        };
        return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
