/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/login-watch.c

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/login-watch.h"

static struct login_watch watch;

static void expect(const char *vault, enum verdict v, const char *code, const char *event) {
        struct vault_reply y = { .verdict = v };
        const char *got;

        snprintf(y.code, sizeof(y.code), "%s", code);
        got = login_watch_look(&watch, vault, &y);
        if (!streq_ptr(got, event))
                fail_msg("%s, %s \"%s\": %s, not %s", vault, verdict_to_string(v), code, got ? got : "nothing", event ? event : "nothing");
}

static int tear_down(void **state _unused_) {
        login_watch_clear(&watch);
        return 0;
}

/* Whatever the vault says of the key meanwhile, and of each vault by itself. */
static void test_once(void **state _unused_) {
        expect("main", VERDICT_GRANTED, "", NULL);
        expect("main", VERDICT_GRANTED, VAULT_CODE_SECRET_ID_TAKEN, "login_alarm");
        expect("main", VERDICT_GRANTED, VAULT_CODE_SECRET_ID_TAKEN, NULL);
        expect("main", VERDICT_REVOKED, "key soft-deleted", NULL);
        expect("main", VERDICT_MISCONFIGURED, VAULT_CODE_SECRET_ID_TAKEN, NULL);
        expect("other", VERDICT_MISCONFIGURED, VAULT_CODE_SECRET_ID_TAKEN, "login_alarm");
        expect("main", VERDICT_UNREACHABLE, "curl: no connection", NULL);
        expect("main", VERDICT_GRANTED, VAULT_CODE_SECRET_ID_TAKEN, NULL);
        expect("main", VERDICT_GRANTED, VAULT_CODE_SECRET_ID_FOREIGN, "login_alarm");
}

static void test_again_once_it_was_well(void **state _unused_) {
        expect("main", VERDICT_MISCONFIGURED, VAULT_CODE_SECRET_ID_TAKEN, "login_alarm");
        expect("main", VERDICT_GRANTED, "", NULL);
        expect("main", VERDICT_MISCONFIGURED, VAULT_CODE_SECRET_ID_TAKEN, "login_alarm");
        expect("main", VERDICT_GRANTED, VAULT_CODE_SECRET_ID_REPLACED, "login_replaced");
        expect("main", VERDICT_GRANTED, VAULT_CODE_SECRET_ID_REPLACED, NULL);
        expect("main", VERDICT_GRANTED, "", NULL);
        expect("main", VERDICT_GRANTED, VAULT_CODE_SECRET_ID_REPLACED, "login_replaced");
        expect("main", VERDICT_DENIED, "login refused", NULL);
}

/* For each of its keys, again and again. */
static void test_sealed(void **state _unused_) {
        for (unsigned i = 0; i < 2; i++) {
                expect("main", VERDICT_UNREACHABLE, "sealed", "vault_sealed");
                expect("main", VERDICT_UNREACHABLE, "sealed", NULL);
                expect("main", VERDICT_UNREACHABLE, "curl: no connection", NULL);
                expect("main", VERDICT_UNREACHABLE, "sealed", NULL);
                expect("other", VERDICT_UNREACHABLE, "sealed", i == 0 ? "vault_sealed" : NULL);
                expect("main", VERDICT_UNREACHABLE, "namespace locked", "vault_sealed");
                expect("main", VERDICT_GRANTED, "", NULL);
        }
}

/* Neither keeps the other from being said, nor has it said twice. */
static void test_sealed_beside_a_login(void **state _unused_) {
        expect("main", VERDICT_GRANTED, VAULT_CODE_SECRET_ID_TAKEN, "login_alarm");
        expect("main", VERDICT_UNREACHABLE, "sealed", "vault_sealed");
        expect("main", VERDICT_MISCONFIGURED, VAULT_CODE_SECRET_ID_TAKEN, NULL);
        expect("main", VERDICT_UNREACHABLE, "sealed", NULL);
        expect("main", VERDICT_GRANTED, VAULT_CODE_SECRET_ID_TAKEN, NULL);
        expect("main", VERDICT_UNREACHABLE, "sealed", "vault_sealed");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_once, tear_down),
                cmocka_unit_test_teardown(test_again_once_it_was_well, tear_down),
                cmocka_unit_test_teardown(test_sealed, tear_down),
                cmocka_unit_test_teardown(test_sealed_beside_a_login, tear_down),
        };
        return cmocka_run_group_tests_name("login-watch", tests, NULL, NULL);
}
