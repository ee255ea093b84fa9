/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ladder/roots.c

/* Several descriptors in one, looked at more than once, each in a child that may hang. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "ladder/roots.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define N 3

static int order;                        /* what each child appends its number to */

static int number_of(int fd) {
        char c = 0;

        (void) !pread(fd, &c, 1, 0);
        (void) !write(order, &c, 1);
        if (c == 99)
                (void) sleep(2);
        return c;
}

static int pack(const char numbers[static N]) {
        int fds[N], packed;

        for (size_t i = 0; i < N; i++) {
                fds[i] = memfd_create("root", MFD_CLOEXEC);
                assert_int_equal(pwrite(fds[i], &numbers[i], 1, 0), 1);
        }
        packed = roots_pack(fds, N);
        assert_true(packed >= 0);
        for (size_t i = 0; i < N; i++)
                close(fds[i]);
        return packed;
}

static void assert_order(const char *expected) {
        char seen[N + 1] = {};

        assert_int_equal(pread(order, seen, sizeof(seen), 0), N);
        assert_memory_equal(seen, expected, N);
        assert_int_equal(ftruncate(order, 0), 0);
}

static unsigned count_fds(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static int set_up(void **state _unused_) {
        char path[] = "/dev/shm/cmkd-test-XXXXXX";
        int fd = mkstemp(path);

        order = open(path, O_RDWR|O_APPEND|O_CLOEXEC);
        unlink(path);
        close(fd);
        return order < 0;
}

static void test_each(void **state _unused_) {
        int errors[ROOTS_MAX], packed = pack((char[]) { 1, 0, 7 });
        unsigned before = count_fds();

        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(roots_each(packed, false, number_of, 5000, errors), N);
                assert_int_equal(errors[0], 1);
                assert_int_equal(errors[1], 0);
                assert_int_equal(errors[2], 7);
                assert_order((char[]) { 1, 0, 7 });
        }
        assert_int_equal(roots_each(packed, true, number_of, 5000, errors), N);
        assert_int_equal(errors[0], 1);
        assert_order((char[]) { 7, 0, 1 });
        assert_int_equal(count_fds(), before);
        close(packed);
}

static void test_one_that_hangs(void **state _unused_) {
        int errors[ROOTS_MAX], packed = pack((char[]) { 5, 99, 6 });

        assert_int_equal(roots_each(packed, false, number_of, 900, errors), N);
        assert_int_equal(errors[0], 5);
        assert_int_equal(errors[1], ETIMEDOUT);
        assert_int_equal(errors[2], 6);
        assert_order((char[]) { 5, 99, 6 });
        close(packed);
}

static void test_bad(void **state _unused_) {
        int errors[ROOTS_MAX], one = dup(0);

        assert_int_equal(roots_pack(&one, 0), -EINVAL);
        assert_int_equal(roots_pack(&one, ROOTS_MAX + 1), -EINVAL);
        assert_int_equal(roots_each(one, false, number_of, 100, errors), -ENOTSOCK);
        close(one);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each), cmocka_unit_test(test_one_that_hangs), cmocka_unit_test(test_bad),
        };

        return cmocka_run_group_tests(tests, set_up, NULL);
}
