/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/pin-refused.c daemon/vault/kept.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault/kept.h"
#include "vault/pin-refused.h"

struct try { const char *vault, *token, *serial, *pin; };

static int ask(const struct try *t, int (*f)(const struct pin_use *u)) {
        _cleanup_(secret_freep) struct secret *pin = NULL;
        char copy[32];

        snprintf(copy, sizeof(copy), "%s", t->pin);
        assert_int_equal(secret_take(copy, strlen(t->pin) + 1, &pin), 0);
        return f(&(struct pin_use) { .vault = t->vault, .token = t->token, .serial = t->serial, .pin = pin });
}

/* That PIN for that token of that vault, and nothing else; texts do not run into each other. */
static void test_which(void **state _unused_) {
        static const struct try refused = { "a", "node", "01", "1234" }, others[] = {
                { "b", "node", "01", "1234" }, { "a", "nod", "e01", "1234" }, { "a", "node", "02", "1234" }, { "a", "node", "0", "11234" },
                { "a", "node", "01", "12345" }, { "a", "node", "01", "123" }, { "a", "node0", "1", "1234" },
        };

        assert_int_equal(ask(&refused, pin_was_refused), 0);
        assert_int_equal(ask(&refused, pin_keep_refused), 0);
        assert_int_equal(ask(&refused, pin_was_refused), 1);
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                assert_int_equal(ask(others + i, pin_was_refused), 0);
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                assert_int_equal(ask(others + i, pin_keep_refused), 0);
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                assert_int_equal(ask(others + i, pin_was_refused), 1);
        assert_int_equal(ask(&refused, pin_was_refused), 1);
}

/* The last eight of a vault. */
static void test_many(void **state _unused_) {
        char pin[8];
        struct try t = { "many", "node", "01", pin };

        for (unsigned i = 0; i < 10; i++) {
                snprintf(pin, sizeof(pin), "%u", i);
                assert_int_equal(ask(&t, pin_keep_refused), 0);
        }
        for (unsigned i = 0; i < 10; i++) {
                snprintf(pin, sizeof(pin), "%u", i);
                assert_int_equal(ask(&t, pin_was_refused), i >= 2);
        }
}

/* Whatever it is that is kept by that name. */
static void test_rubbish(void **state _unused_) {
        static const struct try t = { "rubbish", "node", "01", "1234" };

        for (size_t n = 1; n <= SECRET_MAX; n = n * 3 + 1) {
                _cleanup_(secret_freep) struct secret *s = NULL;

                assert_int_equal(secret_random(n, &s), 0);
                assert_int_equal(kept_put("pin-rubbish", s), -ENOTCONN);
                assert_int_equal(ask(&t, pin_was_refused), 0);
                assert_int_equal(ask(&t, pin_keep_refused), 0);
                assert_int_equal(ask(&t, pin_was_refused), 1);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_which), cmocka_unit_test(test_many), cmocka_unit_test(test_rubbish),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
