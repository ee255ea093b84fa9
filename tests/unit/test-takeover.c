/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/breaker/takeover.c
// One breaker follows another: the one that holds the table's lock goes, and only that one.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "breaker/takeover.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64];

static int setup(void **state _unused_) {
        int fd;

        strcpy(path, "/tmp/test-takeover.XXXXXX");
        fd = mkstemp(path);
        assert_true(fd >= 0);
        return close(fd);
}

static int teardown(void **state _unused_) {
        return unlink(path);
}

/* A process that holds the lock, or just lives; returns once it does. */
static pid_t start(bool lock) {
        int fds[2];
        pid_t pid, from;
        char byte;

        assert_int_equal(pipe(fds), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                if (lock && takeover(path, &from) < 0)
                        _exit(1);
                if (write(fds[1], "", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        assert_int_equal(read(fds[0], &byte, 1), 1);
        close(fds[0]);
        close(fds[1]);
        return pid;
}

static void nobody_is_there(void **state _unused_) {
        pid_t from = -1;

        assert_int_equal(takeover(path, &from), 0);
        assert_int_equal(from, 0);
}

static void the_earlier_one_goes(void **state _unused_) {
        pid_t other = start(false), earlier = start(true), from = 0;
        int status;

        assert_int_equal(takeover(path, &from), 0);
        assert_int_equal(from, earlier);
        assert_int_equal(waitpid(earlier, &status, 0), earlier);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(waitpid(other, &status, WNOHANG), 0);
        kill(other, SIGKILL);
        assert_int_equal(waitpid(other, &status, 0), other);
}

/* The lock is ours afterwards: the next one finds us. */
static void the_lock_moves_on(void **state _unused_) {
        pid_t earlier = start(true), from = 0;
        struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int status, fd;
        pid_t asker;

        assert_int_equal(takeover(path, &from), 0);
        assert_int_equal(waitpid(earlier, &status, 0), earlier);
        asker = fork();
        assert_true(asker >= 0);
        if (asker == 0) {
                fd = open(path, O_RDWR|O_CLOEXEC);
                _exit(fd >= 0 && fcntl(fd, F_GETLK, &l) >= 0 && l.l_type == F_WRLCK && l.l_pid == getppid() ? 0 : 1);
        }
        assert_int_equal(waitpid(asker, &status, 0), asker);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void no_table_no_lock(void **state _unused_) {
        pid_t from = 0;

        assert_int_equal(takeover("/nonexistent/table", &from), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(nobody_is_there, setup, teardown),
                cmocka_unit_test_setup_teardown(the_earlier_one_goes, setup, teardown),
                cmocka_unit_test_setup_teardown(the_lock_moves_on, setup, teardown),
                cmocka_unit_test(no_table_no_lock),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
