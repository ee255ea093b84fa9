/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/tool.c

/* Programs of the system as a child runs them. */

#include "disk/tool.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static int run(const char *script, uint64_t timeout_usec, char *said, size_t size) {
        char *const argv[] = { (char *) "/bin/sh", (char *) "-c", (char *) script, NULL };

        return tool_run(argv, timeout_usec, said, size);
}

static void test_status_and_words(void **state _unused_) {
        char said[32];

        assert_int_equal(run("echo begin; echo end >&2; exit 3", 60 * USEC_PER_SEC, said, sizeof(said)), 3);
        assert_string_equal(said, "begin?end?");
        assert_int_equal(run("kill -9 $$", 60 * USEC_PER_SEC, said, sizeof(said)), 128 + SIGKILL);
}

/* Of much that is said the end. */
static void test_end_is_kept(void **state _unused_) {
        char said[8];

        assert_int_equal(run("i=0; while [ $i -lt 4000 ]; do i=$((i+1)); echo $i; done; printf last", 60 * USEC_PER_SEC, said, sizeof(said)), 0);
        assert_string_equal(said + 3, "last");
}

static void test_not_there(void **state _unused_) {
        char *const argv[] = { (char *) "/nonexistent", NULL };
        char said[32];

        assert_int_equal(tool_run(argv, 60 * USEC_PER_SEC, said, sizeof(said)), 127);
}

static void test_too_long(void **state _unused_) {
        char said[32];

        assert_int_equal(run("exec sleep 1000", 200 * USEC_PER_MSEC, said, sizeof(said)), -ETIMEDOUT);
}

/* No descriptor of ours, whatever its flags, and nothing of our environment. */
static void test_nothing_is_handed_on(void **state _unused_) {
        char said[64];
        int fd = open("/dev/null", O_RDONLY);

        assert_true(fd > 2);
        assert_int_equal(setenv("CMKD_TEST", "x", 1), 0);
        assert_int_equal(run("ls /proc/self/fd | tr '\\n' ' '; echo \"$CMKD_TEST\"", 60 * USEC_PER_SEC, said, sizeof(said)), 0);
        assert_string_equal(said, "0 1 2 3 ?");                /* 3: the directory that ls reads */
        close(fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_status_and_words), cmocka_unit_test(test_end_is_kept), cmocka_unit_test(test_not_there),
                cmocka_unit_test(test_too_long), cmocka_unit_test(test_nothing_is_handed_on),
        };

        return cmocka_run_group_tests_name("tool", tests, NULL, NULL);
}
