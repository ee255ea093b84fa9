/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/half-made.c

/* A mapping in the way of an attach: what may be taken away, and what is somebody's. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "disk/half-made.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define DM_UUID "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-data1"

static const struct dm_table crypt = { .sectors = 8, .targets = 1, .first_type = "crypt" };
static const struct dm_table error = { .sectors = 8, .targets = 1, .all_error = true, .first_type = "error" };

static bool is(uint32_t state, const struct dm_table *live) {
        const struct dm_info i = { .name = "data1", .uuid = DM_UUID, .state = state };
        struct dm_info other = i;

        /* whatever it has, it is not what is open, or another's */
        other.open_count = 1;
        assert_false(half_made_is(&other, live, UUID, "data1"));
        assert_false(half_made_is(&i, live, UUID, "data2"));
        assert_false(half_made_is(&i, live, "11234567-89ab-cdef-0123-456789abcdef", "data1"));
        assert_false(half_made_is(&i, live, "", "data1"));
        return half_made_is(&i, live, UUID, "data1");
}

static void test_no_table(void **state _unused_) {
        assert_true(is(0, NULL));
        assert_true(is(DM_STATE_SUSPENDED, NULL));
}

static void test_cut(void **state _unused_) {
        assert_true(is(DM_STATE_LIVE_TABLE, &error));
        assert_true(is(DM_STATE_LIVE_TABLE|DM_STATE_READ_ONLY, &error));
        /* whoever makes it goes on */
        assert_false(is(DM_STATE_LIVE_TABLE|DM_STATE_INACTIVE_TABLE, &error));
}

static void test_mapping(void **state _unused_) {
        assert_false(is(DM_STATE_LIVE_TABLE, &crypt));
        assert_false(is(DM_STATE_LIVE_TABLE|DM_STATE_SUSPENDED, &crypt));
        assert_false(is(DM_STATE_LIVE_TABLE, NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_no_table), cmocka_unit_test(test_cut), cmocka_unit_test(test_mapping) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
