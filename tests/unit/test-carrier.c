/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/carrier.c

/* Which mount the trail's directory is on. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/carrier.h"
#include "common/util.h"

#define ROOT "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
#define VAR "30 22 253:4 / /var rw shared:2 - ext4 /dev/mapper/var rw\n"
#define LOG "31 30 8:2 / /var/log/cmkd rw shared:3 - ext4 /dev/sda2 rw\n"
#define BESIDE "32 30 8:3 / /var/log/cmkd-old rw shared:4 - ext4 /dev/sda3 rw\n33 30 8:3 / /var/lo rw - ext4 /dev/sda3 rw\n"
#define BTRFS "34 22 0:40 /@var /var rw - btrfs /dev/mapper/pool rw\n"

static void is_on(const char *text, uint32_t want_major, uint32_t want_minor, const char *want_source) {
        _cleanup_(freep) char *copy = strdup(text);
        uint32_t major, minor;
        const char *source;

        assert_non_null(copy);
        assert_int_equal(carrier_mount(copy, "/var/log/cmkd", &major, &minor, &source), 1);
        assert_int_equal(major, want_major);
        assert_int_equal(minor, want_minor);
        assert_string_equal(source, want_source);
}

static void the_longest_that_is_above_it(void **state _unused_) {
        is_on(ROOT, 8, 1, "/dev/sda1");
        is_on(ROOT VAR, 253, 4, "/dev/mapper/var");
        is_on(VAR ROOT, 253, 4, "/dev/mapper/var");
        is_on(ROOT VAR LOG BESIDE, 8, 2, "/dev/sda2");
        is_on(ROOT VAR BESIDE, 253, 4, "/dev/mapper/var");
}

static void the_last_of_those_on_one_point(void **state _unused_) {
        is_on(ROOT VAR "35 30 8:9 / /var rw - ext4 /dev/sda9 rw\n", 8, 9, "/dev/sda9");
        is_on(ROOT BTRFS, 0, 40, "/dev/mapper/pool");
}

static void nothing_is_above_it(void **state _unused_) {
        char nothing[] = "no line\n\n", beside[] = BESIDE;
        uint32_t major, minor;
        const char *source;

        assert_int_equal(carrier_mount(nothing, "/var/log/cmkd", &major, &minor, &source), 0);
        assert_int_equal(carrier_mount(beside, "/var/log/cmkd", &major, &minor, &source), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_longest_that_is_above_it), cmocka_unit_test(the_last_of_those_on_one_point),
                cmocka_unit_test(nothing_is_above_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
