/* SPDX-License-Identifier: Apache-2.0 */

/* The list of who uses a volume: whatever a mount point or a process is called, it comes out as it went in, and nothing else
 * is taken for a list. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "common/uses.h"

static const struct use uses[] = {
        { USE_MOUNT, 0, 0, "/srv/data", "/dev/mapper/data1" },
        { USE_MOUNT, USE_BELOW, 912, "/srv/a b\n\\x\xff\x01", "none" },
        { USE_SWAP, 0, 0, "/dev/dm-3", "" },
        { USE_PROCESS, USE_PROTECTED, 1, "systemd", "/init.scope" },
        { USE_PROCESS, 0, UINT32_MAX, "a b) (c", "" },
        { USE_DEVICE, 0, 2, "vg-lv", "dm-3 252:3" },
};

static char *text_of(void) {
        const uint64_t total[_USE_KIND_MAX] = { 2, 1, 500, 1 };
        char *text = calloc(1, 8192);
        int n = 0;

        for (size_t i = 0; i < ELEMENTSOF(uses); i++) {
                int k = use_line_format(uses + i, text + n, (size_t) (8192 - n));

                assert_true(k > 0);
                n += k;
        }
        assert_true(uses_total_format(total, text + n, (size_t) (8192 - n)) > 0);
        return text;
}

static void test_there_and_back(void **state _unused_) {
        _cleanup_(uses_done) struct uses u = {};

        assert_int_equal(uses_parse(text_of(), &u), 0);
        assert_int_equal(u.n, ELEMENTSOF(uses));
        for (size_t i = 0; i < u.n; i++) {
                assert_int_equal(u.u[i].kind, uses[i].kind);
                assert_int_equal(u.u[i].flags, uses[i].flags);
                assert_int_equal(u.u[i].number, uses[i].number);
                assert_string_equal(u.u[i].name, uses[i].name);
                assert_string_equal(u.u[i].extra, uses[i].extra);
        }
        assert_int_equal(u.total[USE_PROCESS], 500);
}

static void test_by_descriptor(void **state _unused_) {
        _cleanup_(freep) char *text = text_of();
        int fd = memfd_create("uses", MFD_CLOEXEC);
        struct uses u = {};

        assert_int_equal(uses_read(fd, &u), -EBADMSG);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));
        assert_int_equal(uses_read(fd, &u), 0);
        assert_int_equal(u.n, ELEMENTSOF(uses));
        uses_done(&u);
        assert_int_equal(ftruncate(fd, USES_TEXT_MAX + 1), 0);
        assert_int_equal(uses_read(fd, &u), -EFBIG);
        close(fd);
        assert_int_equal(uses_read(-EBADF, &u), -EBADMSG);
}

static void test_cut_off_is_no_list(void **state _unused_) {
        _cleanup_(freep) char *text = text_of();
        struct uses u = {};

        for (size_t n = 0; n < strlen(text); n++)
                assert_int_equal(uses_parse(strndup(text, n), &u), -EBADMSG);
}

static void test_nothing_else_is_a_list(void **state _unused_) {
        static const char *const bad[] = {
                "", "\n", "total 0 0 0\n", "total 0 0 0 0 0\n", "total 0 0 0 x\n", "total 0 0 0 -1\n", "totals 0 0 0 0\n",
                "mount 0 0 / x\n", "total 0 0 0 0\ntotal 0 0 0 0\n", "mount 0 0 / \ntotal 0 0 0 0\n", "mount 0 0 /\ntotal 0 0 0 0\n",
                "mount 4 0 / x\ntotal 0 0 0 0\n", "mount 0 4294967296 / x\ntotal 0 0 0 0\n", "door 0 0 / x\ntotal 0 0 0 0\n",
                "mount 0 0 \\x00 x\ntotal 0 0 0 0\n", "mount 0 0 \\x4 x\ntotal 0 0 0 0\n", "mount 0 0 \\y41 x\ntotal 0 0 0 0\n",
                "mount 0 0 \\- x\ntotal 0 0 0 0\n", "mount 0 0 / x y\ntotal 0 0 0 0\n", "mount 0 0 \x01 x\ntotal 0 0 0 0\n",
                "mount 0 0 \\x4G x\ntotal 0 0 0 0\n",
        };
        struct uses u = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(uses_parse(strdup(bad[i]), &u), -EBADMSG);
        assert_int_equal(uses_parse(strdup("total 0 0 0 0\n"), &u), 0);
        uses_done(&u);
}

static void test_more_lines_than_may_be(void **state _unused_) {
        char *text = calloc(USES_LISTED_MAX * _USE_KIND_MAX + 2, 32), *p = text;
        struct uses u = {};

        for (unsigned i = 0; i <= USES_LISTED_MAX * _USE_KIND_MAX; i++)
                p += sprintf(p, "swap 0 0 /s \\-\n");
        strcpy(p, "total 0 0 0 0\n");
        assert_int_equal(uses_parse(text, &u), -EBADMSG);
}

static void test_too_long(void **state _unused_) {
        struct use u = { USE_SWAP, 0, 0, NULL, "" };
        char buf[64], name[30000];

        memset(name, 'a', sizeof(name) - 1);
        name[sizeof(name) - 1] = 0;
        u.name = name;
        assert_int_equal(use_line_format(&u, buf, sizeof(buf)), -ENAMETOOLONG);
        u.name = "/a/path/that/fits/but/the/line/does/not/as/it/has/a/number/and/so/on";
        assert_int_equal(use_line_format(&u, buf, sizeof(buf)), -ENAMETOOLONG);
        use_text_escape("a b\\", buf, sizeof(buf));
        assert_string_equal(buf, "a\\x20b\\x5c");
        use_text_escape("a b", buf, 4);
        assert_string_equal(buf, "a");
        use_text_escape("", buf, sizeof(buf));
        assert_string_equal(buf, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_there_and_back),
                cmocka_unit_test(test_by_descriptor),
                cmocka_unit_test(test_cut_off_is_no_list),
                cmocka_unit_test(test_nothing_else_is_a_list),
                cmocka_unit_test(test_more_lines_than_may_be),
                cmocka_unit_test(test_too_long),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
