/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/disk-child.c
// libs: libsystemd

/* A reply says whether anybody was asked at all: where nobody was, nothing has happened, and only then; and what a child is sent before
 * anybody knows its process. The template is a model; the test is its child, or has one that waits. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/link.h"
#include "manager/disk-child.h"
#include "manager/disk-template.h"

static sd_event *event;
static struct disk_children *children;
static int start_error;                  /* of disk_template_start() */
static struct { disk_template_started callback; void *user; int sock; } start;
static struct disk_reply said;
static unsigned n_said;

int disk_template_new(sd_event *e _unused_, const char *path _unused_, const char *socket _unused_, const char *word _unused_,
                      struct disk_template **ret _unused_) {
        return 0;
}

struct disk_template *disk_template_free(struct disk_template *t _unused_) {
        return NULL;
}

int disk_template_start(struct disk_template *t _unused_, const char *name _unused_, int child_sock, int secret_fd _unused_,
                        disk_template_started callback, void *user, struct disk_maker **ret _unused_) {
        if (start_error < 0)
                return start_error;
        start = (typeof(start)) { callback, user, dup(child_sock) };
        return 0;
}

struct disk_maker *disk_maker_unref(struct disk_maker *k _unused_) {
        return NULL;
}

void disk_maker_give_up(struct disk_maker *k _unused_) {
}

static void on_reply(const struct disk_reply *y, int fd, void *user) {
        assert_ptr_equal(user, &said);
        assert_true(fd < 0);
        said = *y;
        n_said++;
}

static struct disk_child *ask(void) {
        const struct disk_request q = { .op = DISK_OP_HOLD, .name = "data1" };
        struct disk_child *d;

        n_said = 0;
        assert_int_equal(disk_child_start(children, &q, -EBADF, -EBADF, 20 * USEC_PER_SEC, on_reply, &said, &d), 0);
        assert_int_equal(n_said, 0);
        return d;
}

static void run_until_said(void) {
        while (n_said == 0)
                assert_true(sd_event_run(event, 20 * USEC_PER_SEC) > 0);
        assert_int_equal(n_said, 1);
}

static int set_up(void **state _unused_) {
        start_error = 0;
        start.sock = -EBADF;
        assert_int_equal(sd_event_new(&event), 0);
        return disk_children_new(event, false, false, &children);
}

static int tear_down(void **state _unused_) {
        children = disk_children_free(children);
        sd_event_unref(event);
        safe_close(start.sock);
        return 0;
}

static void test_no_template(void **state _unused_) {
        start_error = -ECONNREFUSED;
        ask();
        run_until_said();
        assert_int_equal(said.error, -ECONNREFUSED);
        assert_int_equal(said.silence, DISK_NOT_STARTED);
}

static void test_template_cannot(void **state _unused_) {
        ask();
        start.callback(-EAGAIN, start.user);
        run_until_said();
        assert_int_equal(said.error, -EAGAIN);
        assert_int_equal(said.silence, DISK_NOT_STARTED);
}

/* It may have made a child before, which has read its request. */
static void test_template_dies(void **state _unused_) {
        ask();
        start.callback(-EPIPE, start.user);
        run_until_said();
        assert_int_equal(said.error, -EPIPE);
        assert_int_equal(said.silence, DISK_SILENT);
}

static void test_child_dies(void **state _unused_) {
        char request[4096];

        for (int unread = 0; unread < 2; unread++) {
                ask();
                if (!unread)
                        assert_true(recv(start.sock, request, sizeof(request), MSG_TRUNC) > 0);
                start.sock = safe_close(start.sock);
                run_until_said();
                assert_int_equal(said.error, -EPIPE);
                assert_int_equal(said.silence, DISK_DIED);
                start.callback(-EPIPE, start.user);
                assert_int_equal(n_said, 1);
        }
}

/* Whatever a child sends, it has answered. */
static void test_child_answers(void **state _unused_) {
        const struct disk_reply y = { .error = -EAGAIN, .silence = DISK_NOT_STARTED, .exit_code = EXIT_CODE_FAILED };
        struct wire_frame f;

        ask();
        assert_int_equal(disk_reply_encode(&y, &f), 0);
        assert_true(link_send(start.sock, &f, -EBADF) >= 0);
        run_until_said();
        assert_int_equal(said.error, -EAGAIN);
        assert_int_equal(said.silence, DISK_ANSWERED);
        start.callback(-EPIPE, start.user);
        assert_int_equal(n_said, 1);
}

/* Its process is there. Returns it. */
static pid_t begin_process(void) {
        pid_t pid = fork();
        int pidfd;

        if (pid == 0) {
                close(start.sock);
                for (;;)
                        pause();
        }
        pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        assert_true(pid > 0 && pidfd >= 0);
        start.callback(pidfd, start.user);
        return pid;
}

/* By which signal it ended. */
static int end_of(pid_t pid) {
        siginfo_t i = {};

        run_until_said();
        assert_int_equal(waitid(P_PID, (id_t) pid, &i, WEXITED), 0);
        assert_int_equal(i.si_code, CLD_KILLED);
        start.sock = safe_close(start.sock);
        return i.si_status;
}

static void test_ended_while_it_starts(void **state _unused_) {
        static const int signals[][3] = { { SIGTERM, 0, SIGTERM }, { SIGKILL, 0, SIGKILL }, { SIGTERM, SIGKILL, SIGKILL }, { SIGKILL, SIGTERM, SIGKILL } };

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                struct disk_child *d = ask();

                disk_child_end(d, signals[i][0], 60 * USEC_PER_SEC);      /* does not wait for what is not there */
                if (signals[i][1])
                        disk_child_end(d, signals[i][1], 0);
                assert_int_equal(n_said, 0);
                assert_int_equal(end_of(begin_process()), signals[i][2]);
        }
}

static void test_ended_afterwards(void **state _unused_) {
        struct disk_child *d = ask();
        pid_t pid = begin_process();

        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        disk_child_end(d, SIGTERM, 20 * USEC_PER_SEC);
        assert_int_equal(end_of(pid), SIGTERM);
}

static void test_none_to_end(void **state _unused_) {
        struct disk_child *d = ask();

        disk_child_end(d, SIGTERM, 0);
        start.callback(-EPIPE, start.user);
        assert_int_equal(n_said, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_no_template), TEST(test_template_cannot), TEST(test_template_dies), TEST(test_child_dies), TEST(test_child_answers),
                TEST(test_ended_while_it_starts), TEST(test_ended_afterwards), TEST(test_none_to_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
