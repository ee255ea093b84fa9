/* SPDX-License-Identifier: Apache-2.0 */

/* mountinfo and swaps: the parsers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/mountinfo.h"

#include <unistd.h>

static void test_line(void **state _unused_) {
        char line[] = "36 35 98:0 /mnt1 /mnt\\0402/a\\134b rw,noatime master:1 propagate_from:2 - ext3 /dev/root "
                      "rw,errors=continue";
        struct mount_line m;

        assert_int_equal(mount_line_parse(line, &m), 0);
        assert_int_equal(m.id, 36);
        assert_int_equal(m.parent, 35);
        assert_int_equal(m.major, 98);
        assert_int_equal(m.minor, 0);
        assert_string_equal(m.root, "/mnt1");
        assert_string_equal(m.point, "/mnt 2/a\\b");
        assert_string_equal(m.type, "ext3");
        assert_string_equal(m.source, "/dev/root");
        assert_string_equal(m.options, "rw,errors=continue");
}

static void test_swap_line(void **state _unused_) {
        static const struct { const char *line, *path; } cases[] = {
                { "/dev/dm-1                               partition\t1048572\t\t0\t\t-2", "/dev/dm-1" },
                { "/srv/my\\040swap\\011x\\134y\tfile\t1048572\t0\t-3", "/srv/my swap\tx\\y" },
                { "/srv/\\012line file 1 0 -3", "/srv/\nline" },
                { "Filename\t\t\t\tType\t\tSize", NULL },
                { "", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *line = strdup(cases[i].line);
                const char *path = swap_line_path(line);

                assert_int_equal(!path, !cases[i].path);
                if (path)
                        assert_string_equal(path, cases[i].path);
        }
}

static void test_bad_lines(void **state _unused_) {
        static const char *const bad[] = {
                "", " ", "36", "36 35", "36 35 98:0 / /mnt rw", "36 35 98:0 / /mnt rw - ext4",
                "36 35 98:0 / /mnt rw ext4 /dev/x rw", "x 35 98:0 / /mnt rw - ext4 /dev/x rw",
                "36 35 98 / /mnt rw - ext4 /dev/x rw", "36 35 :0 / /mnt rw - ext4 /dev/x rw",
                "36 35 98: / /mnt rw - ext4 /dev/x rw", "36 -1 98:0 / /mnt rw - ext4 /dev/x rw",
                "99999999999 35 98:0 / /mnt rw - ext4 /dev/x rw", "36 35 98:4294967296 / /mnt rw - ext4 /dev/x rw",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(freep) char *line = strdup(bad[i]);
                struct mount_line m = { .id = 7 };

                assert_int_equal(mount_line_parse(line, &m), -EINVAL);
                assert_int_equal(m.id, 7);
        }
}

static void test_odd_lines(void **state _unused_) {
        char broken_escape[] = "36 35 98:0 / /a\\04 rw - ext4 \\ rw", empty_source[] = "36 35 0:5 / /a rw - tmpfs  rw";
        struct mount_line m;

        assert_int_equal(mount_line_parse(broken_escape, &m), 0);
        assert_string_equal(m.point, "/a\\04");
        assert_string_equal(m.source, "\\");
        assert_int_equal(mount_line_parse(empty_source, &m), 0);
        assert_string_equal(m.source, "");
}

static void test_below(void **state _unused_) {
        assert_true(path_is_below("/var", "/") && path_is_below("/", "/") && path_is_below("/var", "/var"));
        assert_true(path_is_below("/var/log", "/var"));
        assert_false(path_is_below("/variable", "/var") || path_is_below("/", "/var") || path_is_below("/usr", "/var"));
}

/* Longer than the first buffer, so that it has to grow. */
static void test_read(void **state _unused_) {
        _cleanup_(fclosep) FILE *f = tmpfile();
        _cleanup_(freep) char *text = NULL;

        assert_non_null(f);
        for (int i = 0; i < 20000; i++)
                assert_true(fprintf(f, "%05d\n", i) == 6);
        assert_int_equal(fflush(f), 0);
        rewind(f);
        assert_int_equal(mountinfo_read(fileno(f), &text), 0);
        assert_int_equal(strlen(text), 120000);
        assert_string_equal(text + 119994, "19999\n");
        assert_int_equal(mountinfo_read(-EBADF, &text), -EBADF);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_line), cmocka_unit_test(test_swap_line), cmocka_unit_test(test_bad_lines),
                cmocka_unit_test(test_odd_lines), cmocka_unit_test(test_below), cmocka_unit_test(test_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
