/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/poll-log.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/poll-log.h"

static void ask(struct poll_log *l, unsigned number, uint64_t at) {
        char id[37];

        snprintf(id, sizeof(id), "%08x-1111-4111-8111-111111111111", number);
        poll_log_asked(l, id, at);
}

static const char *field(const struct audit_message_record *r, const char *name) {
        for (size_t i = 0; i < r->n_fields; i++)
                if (streq(r->fields[i].name, name))
                        return r->fields[i].value;
        return NULL;
}

static void one_record_for_many(void **state _unused_) {
        static struct audit_message_record r;
        struct poll_log l = {};

        for (unsigned i = 0; i < POLL_LOG_MAX; i++) {
                assert_false(poll_log_is_due(&l, 1000));
                ask(&l, i, 1000);
                poll_log_granted(&l);
        }
        assert_true(poll_log_is_due(&l, 1000));
        poll_log_take(&l, "https://v/keys/k/1", &r);
        assert_string_equal(field(&r, "key"), "https://v/keys/k/1");
        assert_string_equal(field(&r, "count"), "27");
        assert_int_equal(strlen(field(&r, "ids")), POLL_LOG_MAX * 37 - 1);     /* all of them, none cut off */
        assert_memory_equal(strrchr(field(&r, "ids"), ' ') + 1, "0000001a-", 9);
        assert_null(field(&r, "ids_other"));
        assert_false(poll_log_is_due(&l, UINT64_MAX));
}

static void what_was_not_granted_stands_apart(void **state _unused_) {
        static struct audit_message_record r;
        struct poll_log l = {};

        poll_log_granted(&l);                  /* of nothing */
        ask(&l, 1, 5);
        ask(&l, 2, 6);
        poll_log_granted(&l);
        ask(&l, 3, 7);
        poll_log_take(&l, "k", &r);
        assert_string_equal(field(&r, "ids"), "00000002-1111-4111-8111-111111111111");
        assert_string_equal(field(&r, "ids_other"), "00000001-1111-4111-8111-111111111111 00000003-1111-4111-8111-111111111111");
}

static void the_oldest_does_not_wait_long(void **state _unused_) {
        struct poll_log l = {};

        ask(&l, 1, 1000);
        assert_false(poll_log_is_due(&l, 999 + POLL_LOG_USEC));
        assert_true(poll_log_is_due(&l, 1000 + POLL_LOG_USEC));
}

static void a_full_log_forgets_the_oldest(void **state _unused_) {
        static struct audit_message_record r;
        struct poll_log l = {};

        for (unsigned i = 0; i < POLL_LOG_MAX + 2; i++)
                ask(&l, i, 1);
        poll_log_granted(&l);
        poll_log_take(&l, "k", &r);
        assert_string_equal(field(&r, "ids"), "0000001c-1111-4111-8111-111111111111");
        assert_memory_equal(field(&r, "ids_other"), "00000002-", 9);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_record_for_many), cmocka_unit_test(what_was_not_granted_stands_apart),
                cmocka_unit_test(the_oldest_does_not_wait_long), cmocka_unit_test(a_full_log_forgets_the_oldest),
        };

        return cmocka_run_group_tests_name("poll-log", tests, NULL, NULL);
}
