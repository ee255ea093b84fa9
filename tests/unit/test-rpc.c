/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/rpc.c
// libs: libsystemd

/* Calls to a peer that answers, dies and comes back, in one process. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "common/link.h"
#include "manager/rpc.h"

#define LONG (60 * USEC_PER_SEC)

static char path[64];
static sd_event *event;
static struct rpc *rpc;
static int listener;
static struct wire_frame frame;

static int set_up(void **state _unused_) {
        snprintf(path, sizeof(path), "/tmp/cmkd-test-rpc.%d", (int) getpid());
        listener = link_listen(path, 0600);
        assert_true(listener >= 0);
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(rpc_new(event, path, "peer", &rpc), 0);
        return 0;
}

static int tear_down(void **state _unused_) {
        rpc = rpc_free(rpc);
        event = sd_event_unref(event);
        listener = safe_close(listener);
        unlink(path);
        return 0;
}

struct end {
        int count, error;
};

static void on_end(int error, struct wire_cursor *c _unused_, void *user) {
        struct end *e = user;

        e->count++;
        e->error = error;
}

static uint32_t call(struct end *e) {
        uint32_t id = rpc_next_id(rpc);

        *e = (struct end) {};
        wire_start(&frame, 1, id);
        assert_int_equal(wire_finish(&frame), 0);
        assert_int_equal(rpc_call(rpc, id, &frame, -EBADF, LONG, on_end, e), 0);
        assert_int_equal(e->count, 0);
        return id;
}

static void answer(int peer, uint32_t id) {
        wire_start(&frame, 2, id);
        assert_int_equal(wire_finish(&frame), 0);
        assert_int_equal(link_send(peer, &frame, -EBADF), 0);
}

/* Turns the loop until that call has ended; all of this takes no time. */
static void wait_for(const struct end *e) {
        for (int turns = 0; e->count == 0; turns++) {
                assert_true(turns < 100);
                assert_true(sd_event_run(event, 5 * USEC_PER_SEC) > 0);
        }
        assert_int_equal(e->count, 1);
}

static int peer(void) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK);

        assert_true(fd >= 0);
        return fd;
}

static void receive(int fd) {
        static struct wire_frame f;
        struct wire_cursor c;

        assert_int_equal(link_receive(fd, &f, &c, NULL), 1);
}

static void test_answers_by_id(void **state _unused_) {
        struct end a, b;
        uint32_t first = call(&a), second = call(&b);
        int fd = peer();

        answer(fd, second);
        wait_for(&b);
        assert_int_equal(b.error, 0);
        assert_int_equal(a.count, 0);
        answer(fd, first);
        wait_for(&a);
        assert_int_equal(a.error, 0);
        close(fd);
}

/* The peer is gone before the loop sees it, and another call finds that out first: the one that waits ends as well. */
static void test_found_out_by_another_call(void **state _unused_) {
        struct end a, b;
        uint32_t id;
        int fd;

        call(&a);
        fd = peer();
        receive(fd);
        close(fd);
        id = call(&b);
        wait_for(&a);
        assert_int_equal(a.error, -ECONNRESET);
        assert_int_equal(b.count, 0);
        fd = peer();
        answer(fd, id);
        wait_for(&b);
        assert_int_equal(b.error, 0);
        close(fd);
}

static void test_gone(void **state _unused_) {
        struct end a, b;
        int fd;

        call(&a);
        call(&b);
        fd = peer();
        receive(fd);
        receive(fd);
        close(fd);
        wait_for(&a);
        wait_for(&b);
        assert_int_equal(a.error, -ECONNRESET);
        assert_int_equal(b.error, -ECONNRESET);
        assert_false(rpc_is_connected(rpc));
}

/* It answered the first call and went without reading the second: the answer counts. */
static void test_answered_before_it_went(void **state _unused_) {
        struct end a, b;
        uint32_t id = call(&a);
        int fd = peer();

        receive(fd);
        call(&b);
        answer(fd, id);
        close(fd);
        wait_for(&a);
        wait_for(&b);
        assert_int_equal(a.error, 0);
        assert_int_equal(b.error, -ECONNRESET);
}

/* Kept: the next peer is there before anybody calls, but not after one that was good for nothing. */
static void test_kept(void **state _unused_) {
        struct end a;
        uint32_t id;
        int fd;

        rpc_keep_connected(rpc);
        fd = peer();
        id = call(&a);
        answer(fd, id);
        wait_for(&a);
        close(fd);
        for (int turns = 0; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK)) < 0; turns++) {
                assert_true(turns < 100);
                assert_true(sd_event_run(event, 5 * USEC_PER_SEC) > 0);
        }
        assert_true(rpc_is_connected(rpc));
        close(fd);
        while (rpc_is_connected(rpc))
                assert_true(sd_event_run(event, 5 * USEC_PER_SEC) > 0);
        assert_int_equal(sd_event_run(event, USEC_PER_SEC / 2), 0);
        assert_false(rpc_is_connected(rpc));
}

/* More than a socket takes, before the peer reads for the first time: each comes, once, in order, with its descriptor. */
static void test_many_at_once(void **state _unused_) {
        enum { MANY = 600 };
        static struct end ends[MANY];
        static uint32_t ids[MANY];
        struct wire_cursor c;
        int pipe_fds[2], got, last = -1, fd;

        assert_int_equal(pipe(pipe_fds), 0);
        for (int i = 0; i < MANY - 1; i++)
                ids[i] = call(ends + i);
        ids[MANY - 1] = rpc_next_id(rpc);
        wire_start(&frame, 1, ids[MANY - 1]);
        assert_int_equal(wire_finish(&frame), 0);
        assert_int_equal(rpc_call(rpc, ids[MANY - 1], &frame, pipe_fds[1], LONG, on_end, ends + MANY - 1), 0);
        close(pipe_fds[1]);
        fd = peer();
        for (int i = 0; i < MANY; ) {
                int r = link_receive(fd, &frame, &c, &got);

                if (r == -EAGAIN) {
                        assert_true(sd_event_run(event, 5 * USEC_PER_SEC) > 0);
                        continue;
                }
                assert_int_equal(r, 1);
                assert_int_equal(c.id, ids[i]);
                assert_int_equal(got >= 0, i == MANY - 1);
                last = got;
                answer(fd, ids[i]);
                wait_for(ends + i);
                assert_int_equal(ends[i].error, 0);
                i++;
        }
        assert_int_equal(write(last, "x", 1), 1);
        assert_int_equal(read(pipe_fds[0], &(char) { 0 }, 1), 1);
        close(last);
        close(pipe_fds[0]);
        close(fd);
}

/* What was not sent to one peer is not sent to the next. */
static void test_gone_without_reading(void **state _unused_) {
        enum { MANY = 600 };
        static struct end ends[MANY];
        struct end after;
        uint32_t id;
        int fd;

        for (int i = 0; i < MANY; i++)
                (void) call(ends + i);
        close(peer());
        for (int i = 0; i < MANY; i++) {
                wait_for(ends + i);
                assert_int_equal(ends[i].error, -ECONNRESET);
        }
        id = call(&after);
        fd = peer();
        receive(fd);
        answer(fd, id);
        wait_for(&after);
        assert_int_equal(after.error, 0);
        close(fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_answers_by_id, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_found_out_by_another_call, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_gone, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_kept, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_many_at_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_gone_without_reading, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_answered_before_it_went, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
