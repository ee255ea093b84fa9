/* SPDX-License-Identifier: Apache-2.0 */
/* The test is its own child: started again with --child and a mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "common/link.h"
#include "common/secret.h"

extern char **environ;

static struct wire_frame f;

/* ---- in the child ---- */

/* Bit n: descriptor n is open. */
static uint32_t open_descriptors(void) {
        uint32_t bits = 0;

        for (int fd = 0; fd < 1024; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        bits |= fd < 31 ? 1u << fd : 1u << 31;
        return bits;
}

static int child_report(void) {
        struct wire_cursor c;
        char link[64] = "", name[32];
        sigset_t mask;
        uint32_t n = 0;

        if (link_receive(CHILD_SOCKET_FD, &f, &c, NULL) != 1)
                return 10;
        while (environ[n])
                n++;
        sigprocmask(SIG_SETMASK, NULL, &mask);
        wire_start(&f, 2, c.id);
        wire_put_u32(&f, open_descriptors());
        wire_put_u32(&f, n);
        wire_put_u32(&f, (uint32_t) sigismember(&mask, SIGUSR1));
        wire_put_u32(&f, signal(SIGPIPE, SIG_DFL) == SIG_DFL);
        for (int fd = 0; fd < 2; fd++) {
                snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
                memset(link, 0, sizeof(link));
                wire_put_string(&f, readlink(name, link, sizeof(link) - 1) > 0 ? link : "?");
        }
        return wire_finish(&f) < 0 || link_send(CHILD_SOCKET_FD, &f, -EBADF) < 0 ? 11 : 0;
}

static int child_secret(void) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        uint8_t sum = 0;

        if (secret_read(CHILD_SECRET_FD, 64, &s) < 0)
                return 10;
        for (size_t i = 0; i < 64; i++)
                sum ^= secret_cdata(s)[i];
        return sum;
}

/* Who started it is not who made its socket, as where that one is gone. */
static int child_of_another(void) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(child_follow_parent() == -ESRCH ? 0 : 14);
        return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 15;
}

static int run_child(const char *mode) {
        if (streq(mode, "report"))
                return child_report();
        if (streq(mode, "secret"))
                return child_secret();
        if (streq(mode, "of-another"))
                return child_of_another();
        if (streq(mode, "hang-forgotten") && (prctl(PR_SET_PDEATHSIG, 0) < 0 || child_follow_parent() < 0))
                return 13;
        if (startswith(mode, "hang")) {
                signal(SIGTERM, SIG_IGN);
                if (write(CHILD_SOCKET_FD, "", 1) != 1)
                        return 12;
                for (;;)
                        pause();
        }
        return atoi(mode);
}

/* ---- the tests ---- */

static int start(const char *program, const char *mode, int secret_fd, struct child *c) {
        char *argv[] = { (char *) "test-child", (char *) "--child", (char *) mode, NULL };

        return child_spawn(program, argv, secret_fd, c);
}

static bool wait_for(int fd, int ms) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return poll(&p, 1, ms) == 1;
}

static int status_of(struct child *c) {
        int status = -1;

        assert_true(wait_for(c->pidfd, 20000));
        assert_int_equal(child_reap(c, &status), 1);
        assert_int_equal(child_reap(c, &status), -ECHILD);
        child_close(c);
        assert_int_equal(c->pidfd, -EBADF);
        assert_int_equal(c->sock, -EBADF);
        return status;
}

static void ask_and_check(int secret_fd, uint32_t expected_fds) {
        struct wire_cursor cursor;
        char text[64];
        struct child c;

        assert_int_equal(start("/proc/self/exe", "report", secret_fd, &c), 0);
        assert_true(fcntl(c.sock, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(c.sock, F_GETFD) & FD_CLOEXEC);
        wire_start(&f, 1, 4711);
        assert_int_equal(wire_finish(&f), 0);
        assert_int_equal(link_send(c.sock, &f, -EBADF), 0);
        assert_true(wait_for(c.sock, 20000));
        assert_int_equal(link_receive(c.sock, &f, &cursor, NULL), 1);
        assert_int_equal(cursor.id, 4711);
        assert_int_equal(wire_get_u32(&cursor), expected_fds);
        assert_int_equal(wire_get_u32(&cursor), 2);                 /* PATH and LC_ALL */
        assert_int_equal(wire_get_u32(&cursor), 0);
        assert_int_equal(wire_get_u32(&cursor), 1);
        for (int i = 0; i < 2; i++) {
                wire_get_string(&cursor, text, sizeof(text));
                assert_string_equal(text, "/dev/null");
        }
        assert_int_equal(wire_end(&cursor), 0);
        assert_int_equal(status_of(&c), 0);
}

/* The parent is as untidy as it can be: open descriptors without CLOEXEC, blocked and ignored signals. */
static void test_child_begins_clean(void **state _unused_) {
        int low = open("/etc/passwd", O_RDONLY), high = fcntl(low, F_DUPFD, 500), p[2];
        sigset_t block, old;

        assert_true(low >= 0 && high >= 500);
        assert_int_equal(pipe(p), 0);
        sigemptyset(&block);
        sigaddset(&block, SIGUSR1);
        sigprocmask(SIG_BLOCK, &block, &old);
        signal(SIGPIPE, SIG_IGN);
        ask_and_check(-EBADF, 0x0f);
        ask_and_check(p[0], 0x1f);
        assert_true(fcntl(p[0], F_GETFD) >= 0);                     /* stays the caller's */
        signal(SIGPIPE, SIG_DFL);
        sigprocmask(SIG_SETMASK, &old, NULL);
        close(low);
        close(high);
        close(p[0]);
        close(p[1]);
}

/* Descriptors 3 and 4 of the parent may be the very ones that are handed over, in either order. */
static void test_descriptors_that_cross(void **state _unused_) {
        for (int target = CHILD_SOCKET_FD; target <= CHILD_SECRET_FD; target++) {
                int saved = fcntl(target, F_DUPFD_CLOEXEC, 100), p[2];

                assert_int_equal(pipe2(p, O_CLOEXEC), 0);
                if (p[0] != target)
                        assert_int_equal(dup2(p[0], target), target);
                ask_and_check(target, 0x1f);
                if (saved >= 0) {
                        dup2(saved, target);
                        close(saved);
                } else if (p[0] != target)
                        close(target);
                close(p[0]);
                close(p[1]);
        }
}

static void test_secret_arrives(void **state _unused_) {
        uint8_t bytes[64] = { [7] = 0x21, [60] = 0x02 };
        struct child c;
        int p[2];

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        assert_int_equal(start("/proc/self/exe", "secret", p[0], &c), 0);
        close(p[0]);
        assert_int_equal(write_all(p[1], bytes, sizeof(bytes)), 0);
        close(p[1]);
        assert_int_equal(WEXITSTATUS(status_of(&c)), 0x23);
        /* a short one is an error in the child and not a hang */
        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        assert_int_equal(start("/proc/self/exe", "secret", p[0], &c), 0);
        close(p[0]);
        assert_int_equal(write_all(p[1], bytes, 63), 0);
        close(p[1]);
        assert_int_equal(WEXITSTATUS(status_of(&c)), 10);
}

static void test_exit_status(void **state _unused_) {
        struct child c;

        assert_int_equal(start("/proc/self/exe", "77", -EBADF, &c), 0);
        assert_int_equal(WEXITSTATUS(status_of(&c)), 77);
        assert_int_equal(start("/nowhere/at/all", "77", -EBADF, &c), 0);
        assert_int_equal(WEXITSTATUS(status_of(&c)), 127);
}

static void test_end_of_file_at_exit(void **state _unused_) {
        struct wire_cursor cursor;
        struct child c;

        assert_int_equal(start("/proc/self/exe", "0", -EBADF, &c), 0);
        assert_true(wait_for(c.sock, 20000));
        assert_int_equal(link_receive(c.sock, &f, &cursor, NULL), 0);
        assert_int_equal(status_of(&c), 0);
}

static void test_hang_is_killed(void **state _unused_) {
        uint32_t before = open_descriptors();
        int status;
        struct child c;
        char byte;

        assert_int_equal(start("/proc/self/exe", "hang", -EBADF, &c), 0);
        assert_true(wait_for(c.sock, 20000));
        assert_int_equal(read(c.sock, &byte, 1), 1);
        kill(c.pid, SIGTERM);
        assert_false(wait_for(c.pidfd, 50));                        /* the deadline */
        assert_int_equal(child_reap(&c, &status), 0);
        child_kill(&c);
        status = status_of(&c);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        child_kill(&c);                                             /* closed: harmless */
        assert_int_equal(open_descriptors(), before);
}

static void test_kill_after_exit(void **state _unused_) {
        struct child c;

        assert_int_equal(start("/proc/self/exe", "3", -EBADF, &c), 0);
        assert_true(wait_for(c.pidfd, 20000));
        child_kill(&c);
        assert_int_equal(WEXITSTATUS(status_of(&c)), 3);
}

/* A child never outlives its parent. */
static void dies_with_its_parent(const char *mode) {
        int p[2], status;
        struct child c;
        char byte = 0;
        pid_t pid;

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                /* the child keeps the write end as its secret: we see the end of file when it is dead */
                if (start("/proc/self/exe", mode, p[1], &c) < 0 || !wait_for(c.sock, 20000))
                        _exit(1);
                _exit(read(c.sock, &byte, 1) == 1 ? 0 : 2);
        }
        close(p[1]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(read(p[0], &byte, 1), 0);
        close(p[0]);
}

static void test_dies_with_its_parent(void **state _unused_) {
        dies_with_its_parent("hang");
}

/* What a change of its AppArmor profile does: the kernel forgets the signal. */
static void test_follows_its_parent_anew(void **state _unused_) {
        struct child c;
        int status = -1;

        dies_with_its_parent("hang-forgotten");
        assert_int_equal(start("/proc/self/exe", "of-another", -EBADF, &c), 0);
        assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
        assert_int_equal(status, 0);
        child_close(&c);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_child_begins_clean),
                cmocka_unit_test(test_descriptors_that_cross),
                cmocka_unit_test(test_secret_arrives),
                cmocka_unit_test(test_exit_status),
                cmocka_unit_test(test_end_of_file_at_exit),
                cmocka_unit_test(test_hang_is_killed),
                cmocka_unit_test(test_kill_after_exit),
                cmocka_unit_test(test_dies_with_its_parent),
                cmocka_unit_test(test_follows_its_parent_anew),
        };

        if (argc == 3 && streq(argv[1], "--child"))
                return run_child(argv[2]);
        return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
