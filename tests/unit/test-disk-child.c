/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/disk-child.c
// libs: libsystemd

/* A reply says whether anybody was asked at all: where nobody was, nothing has happened, and only then. The template is a model, and the test
 * is its child. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/socket.h>
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

static void ask(void) {
        const struct disk_request q = { .op = DISK_OP_HOLD, .name = "data1" };

        n_said = 0;
        assert_int_equal(disk_child_start(children, &q, -EBADF, -EBADF, 20 * USEC_PER_SEC, on_reply, &said, NULL), 0);
        assert_int_equal(n_said, 0);
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

        ask();
        assert_true(recv(start.sock, request, sizeof(request), MSG_TRUNC) > 0);
        start.sock = safe_close(start.sock);
        run_until_said();
        assert_int_equal(said.error, -EPIPE);
        assert_int_equal(said.silence, DISK_SILENT);
        start.callback(-EPIPE, start.user);
        assert_int_equal(n_said, 1);
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_no_template), TEST(test_template_cannot), TEST(test_template_dies), TEST(test_child_dies), TEST(test_child_answers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
