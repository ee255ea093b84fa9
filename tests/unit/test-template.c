/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/disk-template.c
// libs: libsystemd

/* The test is its own template: started again with TEMPLATE_WORD. Its children do what the first byte of their pipe says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "common/link.h"
#include "common/template.h"
#include "manager/disk-template.h"

struct report {
        pid_t pid, parent;
        uint32_t descriptors;
        char name[32];
};

/* ---- in a child ---- */

static int work(const char *name) {
        struct report r = { .pid = getpid(), .parent = getppid() };
        char what;

        for (int fd = 0; fd < 1024; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        r.descriptors |= fd < 31 ? 1u << fd : 1u << 31;
        snprintf(r.name, sizeof(r.name), "%s", name);
        if (read(CHILD_SECRET_FD, &what, 1) != 1)
                return 10;
        if (what == 'c')
                raise(SIGSEGV);
        if (send(CHILD_SOCKET_FD, &r, sizeof(r), 0) != sizeof(r))
                return 11;
        while (what == 'h')
                pause();
        return 7;
}

/* ---- the tests ---- */

static char program[64];
static sd_event *event;
static struct disk_template *template;
static int started, kept_fd = -1;       /* kept_fd: the write end of the last child's pipe, if it is not -1 */

static void on_started(int pid, void *user) {
        assert_ptr_equal(user, &started);
        started = pid;
}

/* Returns our end of its socket. */
static int begin(char what) {
        int pair[2], secret[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(pipe2(secret, O_CLOEXEC), 0);
        assert_int_equal(write(secret[1], &what, 1), 1);
        started = 0;
        for (int r; (r = disk_template_start(template, "inspect", pair[1], secret[0], on_started, &started)) < 0; ) {
                assert_int_equal(r, -EAGAIN);           /* it is not ready yet, or is being replaced */
                assert_true(sd_event_run(event, 100 * USEC_PER_MSEC) >= 0);
        }
        close(pair[1]);
        close(secret[0]);
        if (kept_fd != -1)
                kept_fd = secret[1];
        else
                close(secret[1]);
        return pair[0];
}

static void wait_started(void) {
        while (!started)
                assert_true(sd_event_run(event, 20 * USEC_PER_SEC) > 0);
}

static struct report report_of(int sock) {
        struct report r;

        assert_int_equal(recv(sock, &r, sizeof(r), 0), sizeof(r));
        return r;
}

static int status_of(pid_t pid) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static int set_up(void **state _unused_) {
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(disk_template_new(event, program, NULL, &template), 0);
        return 0;
}

static int tear_down(void **state _unused_) {
        template = disk_template_free(template);
        event = sd_event_unref(event);
        while (waitpid(-1, NULL, 0) > 0)
                ;
        return 0;
}

/* A child is ours, has its descriptors and nothing else, and its name. */
static void test_child_is_ours(void **state _unused_) {
        int sock = begin('x'), status;
        struct report r = report_of(sock);

        wait_started();
        assert_int_equal(r.pid, started);
        assert_int_equal(r.parent, getpid());
        assert_int_equal(r.descriptors, 0x1f);
        assert_string_equal(r.name, "inspect");
        status = status_of(started);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        close(sock);
}

/* One that hangs is killed alone. */
static void test_killed_alone(void **state _unused_) {
        int first = begin('h'), second, pid;

        wait_started();
        pid = started;
        (void) report_of(first);
        second = begin('x');
        (void) report_of(second);
        wait_started();
        assert_int_equal(WEXITSTATUS(status_of(started)), 7);
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(WTERMSIG(status_of(pid)), SIGKILL);
        close(first);
        close(second);
}

/* Nor does one outlive its parent, whoever copied it. */
static void test_dies_with_its_parent(void **state _unused_) {
        struct pollfd end = { .events = 0 };
        int fds[2], status;
        pid_t pid;

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, fds), 0);
        pid = fork();
        if (pid == 0) {
                struct wire_frame f;
                int sock;

                kept_fd = 0;
                (void) set_up(NULL);
                sock = begin('h');
                (void) report_of(sock);
                wire_start(&f, 1, 1);
                _exit(wire_finish(&f) < 0 || link_send(fds[1], &f, kept_fd) < 0);
        }
        {
                static struct wire_frame f;
                struct wire_cursor c;

                assert_int_equal(link_receive(fds[0], &f, &c, &end.fd), 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(poll(&end, 1, 20000), 1);          /* nobody reads that pipe any more */
        assert_true(end.revents & POLLERR);
        close(end.fd);
        close(fds[0]);
        close(fds[1]);
}

static pid_t template_of_next(void) {
        char text[64], c;
        int sock = begin('h');
        pid_t found = 0;

        wait_started();
        (void) report_of(sock);
        (void) kill(started, SIGKILL);
        (void) status_of(started);
        close(sock);
        /* the template is the child of ours that is left */
        snprintf(text, sizeof(text), "/proc/self/task/%d/children", (int) getpid());
        FILE *f = fopen(text, "re");
        assert_non_null(f);
        assert_int_equal(fscanf(f, "%d%c", &found, &c), 2);
        fclose(f);
        return found;
}

/* After a crash, a change of the program or its own death there is another one. */
static void test_replaced(void **state _unused_) {
        pid_t first = template_of_next(), second, third;
        int sock = begin('c');

        wait_started();
        assert_int_equal(WTERMSIG(status_of(started)) & 0x7f, SIGSEGV);
        close(sock);
        assert_int_equal(template_of_next(), first);
        disk_template_retire(template);
        second = template_of_next();
        assert_int_not_equal(second, first);
        assert_int_equal(utimensat(AT_FDCWD, program, NULL, 0), 0);
        third = template_of_next();
        assert_int_not_equal(third, second);
        assert_int_equal(kill(third, SIGKILL), 0);
        assert_int_equal(waitid(P_PID, (id_t) third, NULL, WEXITED|WNOWAIT), 0);
        while (sd_event_run(event, 0) > 0)
                ;
        assert_int_not_equal(template_of_next(), third);
}

/* What was asked of one that dies is answered. */
static void test_dies_with_a_question(void **state _unused_) {
        pid_t pid = template_of_next();
        int sock;

        assert_int_equal(kill(pid, SIGSTOP), 0);
        sock = begin('x');
        disk_template_kill(template);
        wait_started();
        assert_int_equal(started, -EPIPE);
        close(sock);
}

static void copy_program(void) {
        _cleanup_(closep) int in = open("/proc/self/exe", O_RDONLY|O_CLOEXEC), out;
        char buf[65536];
        ssize_t n;

        snprintf(program, sizeof(program), "/tmp/cmkd-test-template.%d", (int) getpid());
        out = open(program, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0700);
        if (in < 0 || out < 0)
                exit(1);
        while ((n = read(in, buf, sizeof(buf))) > 0)
                if (write(out, buf, (size_t) n) != n)
                        exit(1);
        close(out);
}

int main(int argc, char *argv[]) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_child_is_ours, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_killed_alone, set_up, tear_down),
                cmocka_unit_test(test_dies_with_its_parent),
                cmocka_unit_test_setup_teardown(test_replaced, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_dies_with_a_question, set_up, tear_down),
        };
        int r;

        if (argc == 2 && streq(argv[1], TEMPLATE_WORD)) {
                r = template_serve(argv[1]);
                return r == 0 ? work(argv[1]) : r < 0;
        }
        copy_program();
        r = cmocka_run_group_tests_name("template", tests, NULL, NULL);
        unlink(program);
        return r;
}
