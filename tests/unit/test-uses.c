/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/uses.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "audit/uses.h"

#define UUID_A "11111111-2222-3333-4444-555555555555"
#define USE_1 "aaaaaaaa-0000-0000-0000-000000000001"
#define USE_2 "aaaaaaaa-0000-0000-0000-000000000002"

static struct audit_message_record record;
static struct uses uses;

static void said(const char *event, const char *uuid, const char *use, uint64_t at) {
        audit_record_start(&record, event, 5, false);
        record.boottime_usec = at;
        audit_record_add(&record, "uuid", uuid);
        audit_record_add(&record, "use", use);
        uses_note(&uses, &record);
}

/* The use that a kernel record of this volume and time is joined to, or NULL. */
static const char *joined(const char *uuid, uint64_t at) {
        audit_record_start(&record, "key_set", 5, false);
        record.boottime_usec = at;
        audit_record_add(&record, "uuid", uuid);
        uses_join(&uses, &record);
        for (size_t i = 0; i < record.n_fields; i++)
                if (streq(record.fields[i].name, "use"))
                        return record.fields[i].value;
        return NULL;
}

static int fresh(void **state) {
        (void) state;
        uses = (struct uses) {};
        return 0;
}

static void test_from_request_to_end(void **state) {
        (void) state;
        assert_null(joined(UUID_A, 50));
        said("request", UUID_A, USE_1, 100);
        said("release", UUID_A, USE_1, 200);
        assert_null(joined(UUID_A, 50));
        assert_string_equal(joined(UUID_A, 100), USE_1);
        assert_string_equal(joined(UUID_A, 5000), USE_1);
        said("detached", UUID_A, USE_1, 6000);
        assert_string_equal(joined(UUID_A, 5999), USE_1);
        assert_null(joined(UUID_A, 6001));
}

static void test_next_use(void **state) {
        (void) state;
        said("request", UUID_A, USE_1, 100);
        said("removed", UUID_A, "", 300);
        assert_null(joined(UUID_A, 301));
        said("request", UUID_A, USE_2, 400);
        assert_string_equal(joined(UUID_A, 500), USE_2);
        assert_null(joined("11111111-2222-3333-4444-666666666666", 500));
}

static void test_came_to_nothing(void **state) {
        (void) state;
        said("request", UUID_A, USE_1, 100);
        said("refused", UUID_A, "", 150);              /* another disk with its UUID */
        said("failed", UUID_A, USE_1, 160);            /* a detach while it is in use */
        assert_string_equal(joined(UUID_A, 180), USE_1);
        said("verdict", UUID_A, USE_1, 200);
        assert_null(joined(UUID_A, 201));
}

static void test_what_says_nothing(void **state) {
        (void) state;
        said("request", "", USE_1, 100);
        said("request", "x", USE_1, 100);
        said("request", UUID_A, "x", 100);
        said("formatted", UUID_A, USE_1, 100);
        said("detached", UUID_A, USE_1, 100);
        assert_null(joined(UUID_A, 100));
        assert_null(joined("", 0));
}

static void test_oldest_is_replaced(void **state) {
        char uuid[37];

        (void) state;
        for (unsigned i = 0; i <= USES_MAX; i++) {
                snprintf(uuid, sizeof(uuid), "11111111-2222-3333-4444-%012x", i);
                said("request", uuid, USE_1, 100);
        }
        assert_null(joined("11111111-2222-3333-4444-000000000000", 100));
        assert_string_equal(joined(uuid, 100), USE_1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_from_request_to_end, fresh),
                cmocka_unit_test_setup(test_next_use, fresh),
                cmocka_unit_test_setup(test_came_to_nothing, fresh),
                cmocka_unit_test_setup(test_what_says_nothing, fresh),
                cmocka_unit_test_setup(test_oldest_is_replaced, fresh),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
