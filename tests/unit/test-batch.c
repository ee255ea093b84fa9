/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/common/batch.c

/* Steps that meet: nobody goes on before all are there, and nobody waits for ever. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/batch.h"

#include <sys/wait.h>
#include <unistd.h>

#define LONG (60 * USEC_PER_SEC)

static pid_t meet_in_child(int fd, uint64_t wait_usec) {
        pid_t pid = fork();

        if (pid == 0)
                _exit(batch_meet(fd, wait_usec));
        assert_true(pid > 0);
        return pid;
}

static int status_of(pid_t pid) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void test_all_come(void **state _unused_) {
        int fd = batch_new(3, now_boottime_usec() + LONG);
        pid_t a, b;

        assert_true(fd >= 0);
        a = meet_in_child(fd, LONG);
        b = meet_in_child(fd, LONG);
        assert_int_equal(waitpid(a, NULL, WNOHANG), 0);
        assert_int_equal(batch_meet(fd, LONG), 1);
        assert_int_equal(status_of(a), 1);
        assert_int_equal(status_of(b), 1);
        assert_int_equal(batch_meet(fd, 0), 1);
        close(fd);
}

static void test_one_does_not(void **state _unused_) {
        uint64_t began = now_boottime_usec();
        int fd = batch_new(2, began + LONG);

        assert_int_equal(batch_meet(fd, 20 * USEC_PER_MSEC), 0);
        assert_true(now_boottime_usec() - began >= 20 * USEC_PER_MSEC);
        close(fd);
        /* too late for any waiting */
        fd = batch_new(2, began);
        assert_int_equal(batch_meet(fd, LONG), 0);
        close(fd);
}

static void test_no_page(void **state _unused_) {
        int fd[2];

        assert_int_equal(pipe(fd), 0);
        assert_int_equal(batch_meet(fd[0], 0), -EBADMSG);
        assert_int_equal(batch_meet(-EBADF, 0), -EBADMSG);
        close(fd[0]);
        close(fd[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_come), cmocka_unit_test(test_one_does_not), cmocka_unit_test(test_no_page),
        };
        return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
