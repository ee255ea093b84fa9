/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/budget.c

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>

#include "manager/budget.h"

#define README "README.md"
#define DAY (86400 * USEC_PER_SEC)

static const unsigned poll_secs[] = { 10, 30, 60, 300 };

/* Both tables of "What polling costs" are computed here; a row that the README does not have is said as it should be. */
static void expect_row(const char *row) {
        _cleanup_(freep) char *text = NULL;

        assert_int_equal(read_small_file(README, 1024 * 1024, &text, NULL), 0);
        if (!strstr(text, row))
                fail_msg("the README has no row %s", row);
}

static uint64_t nodes_at(double weight, unsigned poll_sec) {
        uint64_t n = (uint64_t) ((double) (poll_sec * USEC_PER_SEC) / (4 * weight));

        while (budget_shortest_poll_usec(n + 1, weight) <= poll_sec * USEC_PER_SEC)
                n++;
        while (budget_shortest_poll_usec(n, weight) > poll_sec * USEC_PER_SEC)
                n--;
        return n;
}

/* Nodes with one key each: so many fit, and not one more. */
static void test_the_readmes_nodes(void **state _unused_) {
        static const unsigned bits[] = { 2048, 3072, 4096 };
        char row[256];

        for (size_t b = 0; b < ELEMENTSOF(bits); b++)
                for (int hsm = 0; hsm < 2; hsm++)
                        for (int stored = 0; stored < 2; stored++) {
                                double w = budget_weight(bits[b], hsm, false, stored);
                                int n = snprintf(row, sizeof(row), "\n| RSA %u%s | %s |", bits[b], hsm ? ", HSM" : "", stored ? "vault" : "header");

                                for (size_t i = 0; i < ELEMENTSOF(poll_secs); i++) {
                                        uint64_t nodes = nodes_at(w, poll_secs[i]);

                                        n += snprintf(row + n, sizeof(row) - (size_t) n, " %llu |", (unsigned long long) nodes);
                                        assert_in_range(budget_percent(nodes, w, poll_secs[i] * USEC_PER_SEC), 20, 25);
                                }
                                strcat(row, "\n");
                                expect_row(row);
                        }
}

/* One node with one key. A transaction with an RSA key of 2048 bits or a secret costs 3 dollars a million, with a larger key 15. */
static void test_the_readmes_calls(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(poll_secs); i++)
                for (int stored = 0; stored < 2; stored++) {
                        struct budget_calls c = budget_calls(poll_secs[i] * USEC_PER_SEC, DAY, false, stored);
                        double month = 30 * 3e-6 * c.secret;
                        char row[256];

                        snprintf(row, sizeof(row), "\n| %u s | %s | %.0f | %.0f | %.2f | %.2f |", poll_secs[i], stored ? "vault" : "header", c.key,
                                 c.secret, month + 30 * 3e-6 * c.key, month + 30 * 15e-6 * c.key);
                        expect_row(row);
                }
}

/* What is asked in a while and what of the limit that takes are one arithmetic. */
static void test_calls_are_the_weight(void **state _unused_) {
        struct budget_calls c = budget_calls(30 * USEC_PER_SEC, 10 * USEC_PER_SEC, true, true);

        assert_true(fabs(c.key / 4000 + c.secret / 4000 - budget_weight(2048, false, true, true) / (30e6)) < 1e-12);
        assert_true(c.key > 2 * c.secret && c.secret > 0);
        assert_true(budget_calls(30 * USEC_PER_SEC, DAY, false, false).secret == 0);
        /* eleven requests in 262.5 s */
        assert_true(fabs(budget_calls(30 * USEC_PER_SEC, 2625 * USEC_PER_SEC / 10, false, false).key - 11) < 1e-9);
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
                cmocka_unit_test(test_the_readmes_nodes), cmocka_unit_test(test_the_readmes_calls),
                cmocka_unit_test(test_calls_are_the_weight), cmocka_unit_test(test_edges),
        };
        return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
