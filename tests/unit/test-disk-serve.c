/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/common/disk-serve.c

/* The children's side of a request, in a process of its own with operations of ours: one request, or more. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "common/disk-serve.h"
#include "common/link.h"

static int op_inspect(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        if (streq(q->name, "bad"))
                return op_fail(y, -EBADMSG, EXIT_CODE_POLICY, "no good");
        if (streq(q->name, "odd"))         /* of a header, cut off in the middle of a character */
                strcpy(y->message, "token of type a\x01\xc3\xa9\xc3");
        y->count = 1;
        return 0;
}

/* Says what came by the pipe. */
static int op_activate(const struct disk_request *q _unused_, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        ssize_t n = read(CHILD_SECRET_FD, y->message, sizeof(y->message) - 1);

        if (n < 0 || in_fd >= 0)
                return op_fail(y, n < 0 ? -errno : -EINVAL, EXIT_CODE_FAILED, "no pipe");
        return 0;
}

/* Says what came with the request. */
static int op_step(const struct disk_request *q _unused_, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        return read(in_fd, y->message, sizeof(y->message) - 1) < 0 ? -errno : 0;
}

static const struct disk_operation operations[_DISK_OP_MAX] = {
        [DISK_OP_INSPECT] = { op_inspect, true, 0 },
        [DISK_OP_ACTIVATE] = { op_activate, true, 0 },
        [DISK_OP_STEP_SHUT] = { op_step, false, 0 },
};

struct served {
        pid_t pid;
        int sock;
};

/* high: descriptor 4 is taken, so that a pipe that comes has to be moved there. */
static struct served start_with(bool high) {
        struct served s;
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
        s.pid = fork();
        assert_true(s.pid >= 0);
        if (s.pid == 0) {
                if (dup2(pair[1], 10) != 10 || dup2(10, CHILD_SOCKET_FD) != CHILD_SOCKET_FD)
                        _exit(99);
                close(CHILD_SECRET_FD);
                if (high && dup2(10, CHILD_SECRET_FD) != CHILD_SECRET_FD)
                        _exit(99);
                for (int fd = CHILD_SECRET_FD + 1; fd < 64; fd++)
                        close(fd);
                _exit(disk_serve("test", operations));
        }
        close(pair[1]);
        s.sock = pair[0];
        return s;
}

static struct served start(void) {
        return start_with(false);
}

static void ask(const struct served *s, enum disk_op op, uint32_t flags, const char *name, int fd) {
        struct disk_request q = { .op = (uint8_t) op, .flags = flags };
        static struct wire_frame f;

        snprintf(q.name, sizeof(q.name), "%s", name);
        assert_int_equal(disk_request_encode(&q, &f), 0);
        assert_int_equal(link_send(s->sock, &f, fd), 0);
}

static void told(const struct served *s, struct disk_reply *y) {
        static struct wire_frame f;
        struct wire_cursor c;
        int fd = -EBADF;

        assert_true(link_receive(s->sock, &f, &c, &fd) > 0);
        assert_int_equal(disk_reply_decode(&c, y), 0);
        assert_true(fd < 0);
}

/* It has nothing more to say, and ended with this status. */
static void ended(struct served *s, int status) {
        static struct wire_frame f;
        struct wire_cursor c;
        int fd = -EBADF, got;

        assert_true(link_receive(s->sock, &f, &c, &fd) <= 0);
        close(s->sock);
        assert_int_equal(waitpid(s->pid, &got, 0), s->pid);
        assert_true(WIFEXITED(got) && WEXITSTATUS(got) == status);
}

static void test_one(void **state _unused_) {
        struct served s = start();
        struct disk_reply y;

        ask(&s, DISK_OP_INSPECT, 0, "good", -EBADF);
        told(&s, &y);
        assert_int_equal(y.error, 0);
        assert_int_equal(y.count, 1);
        ended(&s, EXIT_SUCCESS);
}

static void test_two(void **state) {
        struct served s = start_with(*state != NULL);
        struct disk_reply y;
        int p[2];

        assert_int_equal(pipe(p), 0);
        assert_int_equal(write(p[1], "by the pipe", 11), 11);
        close(p[1]);
        ask(&s, DISK_OP_INSPECT, DISK_FLAG_STAY, "good", -EBADF);
        told(&s, &y);
        assert_int_equal(y.error, 0);
        ask(&s, DISK_OP_ACTIVATE, 0, "good", p[0]);
        close(p[0]);
        told(&s, &y);
        assert_int_equal(y.error, 0);
        assert_string_equal(y.message, "by the pipe");
        ended(&s, EXIT_SUCCESS);
}

/* What it says arrives, whatever it is made of. */
static void test_unprintable(void **state _unused_) {
        struct served s = start();
        struct disk_reply y;

        ask(&s, DISK_OP_INSPECT, 0, "odd", -EBADF);
        told(&s, &y);
        assert_int_equal(y.error, 0);
        assert_string_equal(y.message, "token of type a????");
        ended(&s, EXIT_SUCCESS);
}

/* Where no key is seen it stays as often as it is asked to; what comes with a request is that one's. */
static void test_many(void **state _unused_) {
        static const char *const words[] = { "one", "two", "three", "four" };
        struct served s = start();
        struct disk_reply y;
        int p[2];

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                assert_int_equal(pipe(p), 0);
                assert_int_equal(write(p[1], words[i], strlen(words[i])), (ssize_t) strlen(words[i]));
                close(p[1]);
                ask(&s, DISK_OP_STEP_SHUT, i + 1 < ELEMENTSOF(words) ? DISK_FLAG_STAY : 0, "good", p[0]);
                close(p[0]);
                told(&s, &y);
                assert_int_equal(y.error, 0);
                assert_string_equal(y.message, words[i]);
        }
        ended(&s, EXIT_SUCCESS);
}

/* Where keys are seen STAY is for one request more, also where that asks for it again. */
static void test_not_three(void **state _unused_) {
        struct served s = start();
        struct disk_reply y;

        for (int i = 0; i < 2; i++) {
                ask(&s, DISK_OP_INSPECT, DISK_FLAG_STAY, "good", -EBADF);
                told(&s, &y);
                assert_int_equal(y.error, 0);
        }
        ended(&s, EXIT_SUCCESS);
}

static void test_a_failure_does_not_stay(void **state _unused_) {
        struct served s = start();
        struct disk_reply y;

        ask(&s, DISK_OP_INSPECT, DISK_FLAG_STAY, "bad", -EBADF);
        told(&s, &y);
        assert_int_equal(y.error, -EBADMSG);
        ended(&s, EXIT_SUCCESS);
}

static void test_nothing_more(void **state _unused_) {
        struct served s = start();
        struct disk_reply y;

        ask(&s, DISK_OP_INSPECT, DISK_FLAG_STAY, "good", -EBADF);
        told(&s, &y);
        shutdown(s.sock, SHUT_WR);
        ended(&s, EXIT_SUCCESS);
}

static void test_rubbish(void **state _unused_) {
        struct served s = start();
        struct disk_reply y;

        ask(&s, DISK_OP_INSPECT, DISK_FLAG_STAY, "good", -EBADF);
        told(&s, &y);
        assert_int_equal(send(s.sock, "rubbish", 7, MSG_NOSIGNAL), 7);
        ended(&s, EXIT_FAILURE);
}

static void test_no_request(void **state _unused_) {
        struct served s = start();

        shutdown(s.sock, SHUT_WR);
        ended(&s, EXIT_FAILURE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one),
                cmocka_unit_test(test_two),
                cmocka_unit_test_prestate(test_two, (void *) operations),
                cmocka_unit_test(test_many), cmocka_unit_test(test_unprintable),
                cmocka_unit_test(test_not_three),
                cmocka_unit_test(test_a_failure_does_not_stay),
                cmocka_unit_test(test_nothing_more),
                cmocka_unit_test(test_rubbish),
                cmocka_unit_test(test_no_request),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
