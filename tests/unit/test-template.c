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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "common/link.h"
#include "common/template.h"
#include "manager/disk-template.h"

struct report {
        pid_t pid, parent;
        uint32_t descriptors;
        char name[32], word[32];
};

/* ---- in a child ---- */

static int work(const char *name, const char *word) {
        struct report r = { .pid = getpid(), .parent = getppid() };
        char what;

        for (int fd = 0; fd < 1024; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        r.descriptors |= fd < 31 ? 1u << fd : 1u << 31;
        snprintf(r.name, sizeof(r.name), "%s", name);
        snprintf(r.word, sizeof(r.word), "%s", word);
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
static struct disk_maker *maker;
static int started, kept_fd = -1;       /* kept_fd: the write end of the last child's pipe, if it is not -1 */

static void on_started(int pidfd, void *user) {
        assert_ptr_equal(user, &started);
        started = pidfd;
}

/* Returns our end of its socket. */
static int begin(char what) {
        int pair[2], secret[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(pipe2(secret, O_CLOEXEC), 0);
        assert_int_equal(write(secret[1], &what, 1), 1);
        started = 0;
        assert_int_equal(disk_template_start(template, "inspect", pair[1], secret[0], on_started, &started, &maker), 0);
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

/* Of the child that was started last; it lets go of what made it. */
static void wait_end(int pidfd, struct disk_maker *made_by) {
        struct pollfd p = { .fd = pidfd, .events = POLLIN };

        assert_int_equal(poll(&p, 1, 20000), 1);
        close(pidfd);
        disk_maker_unref(made_by);
}

static bool lives(int pidfd) {
        struct pollfd p = { .fd = pidfd, .events = POLLIN };

        return poll(&p, 1, 0) == 0;
}

static void run_until_gone(int pidfd) {
        struct pollfd p = { .fd = pidfd, .events = POLLIN };

        while (poll(&p, 1, 0) == 0)
                assert_true(sd_event_run(event, 10 * USEC_PER_MSEC) >= 0);
        close(pidfd);
}

static int handle_of(pid_t pid) {
        int fd = (int) syscall(SYS_pidfd_open, pid, 0);

        assert_true(fd >= 0);
        return fd;
}

static void send_signal(int pidfd, int signal) {
        assert_int_equal(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0), 0);
}

static int set_up(void **state _unused_) {
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(disk_template_new(event, program, NULL, "word", &template), 0);
        return 0;
}

static int tear_down(void **state _unused_) {
        template = disk_template_free(template);
        event = sd_event_unref(event);
        while (waitpid(-1, NULL, 0) > 0)
                ;
        return 0;
}

/* A child has its descriptors and nothing else, its name, and what the template was told. */
static void test_child(void **state _unused_) {
        int sock = begin('x');
        struct report r = report_of(sock);

        wait_started();
        assert_true(started >= 0);
        assert_int_not_equal(r.parent, getpid());
        assert_int_equal(r.descriptors, 0x1f);
        assert_string_equal(r.name, "inspect");
        assert_string_equal(r.word, "word");
        wait_end(started, maker);
        close(sock);
}

/* One that hangs is killed alone. */
static void test_killed_alone(void **state _unused_) {
        int first = begin('h'), second, pidfd;
        struct disk_maker *of_first = maker;

        wait_started();
        pidfd = started;
        (void) report_of(first);
        second = begin('x');
        (void) report_of(second);
        wait_started();
        wait_end(started, maker);
        assert_true(lives(pidfd));
        send_signal(pidfd, SIGKILL);
        wait_end(pidfd, of_first);
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
        int sock = begin('x');
        struct report r = report_of(sock);

        wait_started();
        wait_end(started, maker);
        close(sock);
        return r.parent;
}

/* After a crash there is another one; the first lives as long as its children do. */
static void test_crash(void **state _unused_) {
        int hangs = begin('h'), sock, pidfd, template_fd;
        struct disk_maker *of_hanging = maker;
        struct report r = report_of(hangs);

        wait_started();
        pidfd = started;
        template_fd = handle_of(r.parent);
        assert_int_equal(template_of_next(), r.parent);
        sock = begin('c');
        wait_started();
        wait_end(started, maker);
        close(sock);
        while (template_of_next() == r.parent)                /* until the news of the crash are read */
                ;
        assert_true(lives(pidfd));
        assert_true(lives(template_fd));
        send_signal(pidfd, SIGKILL);
        wait_end(pidfd, of_hanging);
        run_until_gone(template_fd);
        close(hangs);
}

/* After its own death there is another one at once. */
static void test_dies(void **state _unused_) {
        pid_t first = template_of_next();
        int fd = handle_of(first);

        send_signal(fd, SIGKILL);
        run_until_gone(fd);
        while (sd_event_run(event, 0) > 0)
                ;
        assert_int_not_equal(template_of_next(), first);
}

/* What was asked of one that hangs and is killed is answered, and a killed one is not asked again. */
static void test_killed_with_a_question(void **state _unused_) {
        pid_t pid = template_of_next();
        int sock, fd = handle_of(pid);

        send_signal(fd, SIGSTOP);
        sock = begin('x');
        disk_maker_give_up(maker);
        assert_int_equal(started, 0);
        wait_started();
        assert_int_equal(started, -EPIPE);
        disk_maker_unref(maker);
        close(sock);
        assert_int_not_equal(template_of_next(), pid);
        run_until_gone(fd);
}

/* It is not killed before a child that it made earlier has ended. */
static void test_hangs_with_a_child(void **state _unused_) {
        int first = begin('h'), second, pidfd, fd;
        struct disk_maker *of_first = maker;
        struct report r = report_of(first);

        wait_started();
        pidfd = started;
        fd = handle_of(r.parent);
        send_signal(fd, SIGSTOP);
        second = begin('x');
        assert_ptr_equal(maker, of_first);
        disk_maker_give_up(maker);
        assert_int_not_equal(template_of_next(), r.parent);
        assert_true(lives(pidfd));
        assert_true(lives(fd));
        started = 0;
        send_signal(pidfd, SIGKILL);
        wait_end(pidfd, of_first);
        wait_started();
        assert_int_equal(started, -EPIPE);
        disk_maker_unref(of_first);
        run_until_gone(fd);
        close(first);
        close(second);
}

/* What cannot be started is not tried again and again. */
static void test_not_there(void **state _unused_) {
        int pair[2];

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(disk_template_new(event, program, "/tmp/cmkd-test-template.nowhere", "", &template), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(disk_template_start(template, "inspect", pair[1], -EBADF, on_started, &started, &maker), -EAGAIN);
        close(pair[0]);
        close(pair[1]);
}

/* As systemd does for a socket with Accept=yes, but that it does it for one connection and only when it is told to. */
static pid_t accept_one(int listening, int told) {
        pid_t pid = fork();

        if (pid == 0) {
                char *argv[] = { program, (char *) TEMPLATE_WORD, NULL }, what;
                int fd;

                if (read(told, &what, 1) != 1)
                        _exit(1);
                fd = accept(listening, NULL, NULL);
                if (fd < 0 || (fd != CHILD_SOCKET_FD && dup2(fd, CHILD_SOCKET_FD) < 0) ||
                    close_range(CHILD_SOCKET_FD + 1, ~0U, 0) < 0)
                        _exit(1);
                execv(program, argv);
                _exit(1);
        }
        return pid;
}

/* What is asked of a service that is not up yet waits for it; it ends with the connection. */
static void test_service(void **state _unused_) {
        static const char path[] = "/tmp/cmkd-test-template.sock";
        int listening = link_listen(path, 0600), told[2], sock, status;
        struct report r;
        pid_t service;

        assert_true(listening >= 0);
        assert_int_equal(fcntl(listening, F_SETFL, 0), 0);
        assert_int_equal(pipe2(told, O_CLOEXEC), 0);
        service = accept_one(listening, told[0]);
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(disk_template_new(event, "/nowhere", path, "other", &template), 0);
        sock = begin('h');
        assert_int_equal(sd_event_run(event, 0), 0);
        disk_maker_give_up(maker);                 /* too early: nobody was started yet */
        assert_int_equal(sd_event_run(event, 0), 0);
        assert_int_equal(started, 0);
        assert_int_equal(write(told[1], "", 1), 1);
        wait_started();
        r = report_of(sock);
        assert_int_equal(r.parent, service);
        assert_string_equal(r.word, "other");
        assert_true(lives(started));
        template = disk_template_free(template);
        wait_end(started, NULL);
        assert_int_equal(waitpid(service, &status, 0), service);
        assert_int_equal(status, 0);
        close(sock);
        close(listening);
        close(told[0]);
        close(told[1]);
        unlink(path);
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
                cmocka_unit_test_setup_teardown(test_child, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_killed_alone, set_up, tear_down),
                cmocka_unit_test(test_dies_with_its_parent),
                cmocka_unit_test_setup_teardown(test_crash, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_dies, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_killed_with_a_question, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_hangs_with_a_child, set_up, tear_down),
                cmocka_unit_test_teardown(test_not_there, tear_down),
                cmocka_unit_test_teardown(test_service, tear_down),
        };
        int r;

        if (argc == 2 && streq(argv[1], TEMPLATE_WORD)) {
                char word[sizeof(TEMPLATE_WORD)];

                r = template_settings(word);
                if (r > 0)
                        r = template_serve(argv[1]);
                return r == 0 ? work(argv[1], word) : r < 0;
        }
        copy_program();
        r = cmocka_run_group_tests_name("template", tests, NULL, NULL);
        unlink(program);
        return r;
}
