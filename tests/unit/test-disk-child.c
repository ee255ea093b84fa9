/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/disk-child.c
// libs: libsystemd

/* What a child is sent before anybody knows its process. The template is a model; the child is one that waits. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/disk-child.h"
#include "manager/disk-template.h"

static sd_event *event;
static struct disk_children *children;
static struct { disk_template_started callback; void *user; int sock; } asked;
static unsigned answers;

int disk_template_new(sd_event *e _unused_, const char *path _unused_, const char *socket _unused_, const char *word _unused_,
                      struct disk_template **ret) {
        *ret = NULL;
        return 0;
}

struct disk_template *disk_template_free(struct disk_template *t _unused_) { return NULL; }
struct disk_maker *disk_maker_unref(struct disk_maker *k _unused_) { return NULL; }
void disk_maker_give_up(struct disk_maker *k _unused_) { fail(); }

int disk_template_start(struct disk_template *t _unused_, const char *name _unused_, int child_sock, int secret_fd _unused_,
                        disk_template_started callback, void *user, struct disk_maker **ret) {
        asked.callback = callback;
        asked.user = user;
        asked.sock = dup(child_sock);
        *ret = NULL;
        return 0;
}

static void on_answer(const struct disk_reply *y, int fd, void *user _unused_) {
        assert_int_equal(y->error, -EPIPE);
        assert_true(fd < 0);
        answers++;
}

static struct disk_child *begin(void) {
        const struct disk_request q = { .op = DISK_OP_ENCRYPT_RUN, .device = "/dev/vda" };
        struct disk_child *d;

        answers = 0;
        assert_int_equal(disk_child_start(children, &q, -EBADF, -EBADF, 60 * USEC_PER_SEC, on_answer, NULL, &d), 0);
        return d;
}

/* Its process is there. Returns it. */
static pid_t start(void) {
        pid_t pid = fork();
        int pidfd;

        if (pid == 0) {
                close(asked.sock);
                for (;;)
                        pause();
        }
        pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        assert_true(pid > 0 && pidfd >= 0);
        asked.callback(pidfd, asked.user);
        return pid;
}

/* By which signal it ended. */
static int end_of(pid_t pid) {
        siginfo_t i = {};

        while (answers == 0)
                assert_true(sd_event_run(event, 20 * USEC_PER_SEC) > 0);
        assert_int_equal(waitid(P_PID, (id_t) pid, &i, WEXITED), 0);
        assert_int_equal(i.si_code, CLD_KILLED);
        assert_int_equal(answers, 1);
        close(asked.sock);
        return i.si_status;
}

static void test_ended_while_it_starts(void **state _unused_) {
        static const int signals[][3] = { { SIGTERM, 0, SIGTERM }, { SIGKILL, 0, SIGKILL }, { SIGTERM, SIGKILL, SIGKILL }, { SIGKILL, SIGTERM, SIGKILL } };

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                struct disk_child *d = begin();

                disk_child_end(d, signals[i][0], 60 * USEC_PER_SEC);      /* does not wait for what is not there */
                if (signals[i][1])
                        disk_child_end(d, signals[i][1], 0);
                assert_int_equal(answers, 0);
                assert_int_equal(end_of(start()), signals[i][2]);
        }
}

static void test_ended_afterwards(void **state _unused_) {
        struct disk_child *d = begin();
        pid_t pid = start();

        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        disk_child_end(d, SIGTERM, 20 * USEC_PER_SEC);
        assert_int_equal(end_of(pid), SIGTERM);
}

static void test_none_to_end(void **state _unused_) {
        struct disk_child *d = begin();

        disk_child_end(d, SIGTERM, 0);
        asked.callback(-EPIPE, asked.user);
        assert_int_equal(answers, 1);
        close(asked.sock);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ended_while_it_starts), cmocka_unit_test(test_ended_afterwards), cmocka_unit_test(test_none_to_end),
        };
        int r;

        if (sd_event_new(&event) < 0 || disk_children_new(event, false, true, &children) < 0)
                return 1;
        (void) alarm(60);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        disk_children_free(children);
        sd_event_unref(event);
        return r;
}
