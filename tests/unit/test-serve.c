/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/serve.c
// libs: libsystemd

/* The socket of the trail, and a client with much to say that reads its answers when it is done. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <unistd.h>

#include "audit/serve.h"
#include "common/link.h"

struct state {
        char path[64];
        sd_event *event;
        struct serve *serve;
        struct wire_frame frame;
        struct audit_message_record record;
        uint64_t taken;
        unsigned gone;
};

static void on_record(void *user, struct client *c, uint32_t id, const struct audit_message_record *m _unused_) {
        serve_ack(c, id, 0, ++((struct state *) user)->taken);
}

static void on_check(void *user _unused_, struct client *c, uint32_t id) {
        serve_ack(c, id, -ENOSPC, 0);
}

static void on_gone(void *user, struct client *c _unused_) {
        ((struct state *) user)->gone++;
}

static int set_up(void **state) {
        struct state *t = calloc(1, sizeof(*t));
        const struct serve_handler handler = { on_record, on_check, on_gone, t };

        snprintf(t->path, sizeof(t->path), "/tmp/cmkd-test-serve.%d", (int) getpid());
        assert_int_equal(sd_event_new(&t->event), 0);
        assert_int_equal(serve_new(t->event, t->path, &handler, &t->serve), 0);
        audit_record_start(&t->record, "verdict", 6, false);
        *state = t;
        return 0;
}

static int tear_down(void **state) {
        struct state *t = *state;

        serve_free(t->serve);
        sd_event_unref(t->event);
        unlink(t->path);
        free(t);
        return 0;
}

static bool turn(struct state *t) {
        return sd_event_run(t->event, 0) > 0;
}

/* As many as it can. Returns how many there are now. */
static uint32_t say(struct state *t, int fd, uint32_t id, uint32_t last) {
        for (; id < last; id++) {
                assert_int_equal(audit_record_encode(&t->record, id + 1, &t->frame), 0);
                if (link_send(fd, &t->frame, -EBADF) == -EAGAIN)
                        break;
        }
        return id;
}

static void test_many_at_once(void **state) {
        enum { MANY = 2000 };
        struct state *t = *state;
        uint32_t said = 0, heard = 0;
        struct wire_cursor c;
        struct audit_ack a;
        int fd;

        if (geteuid() != 0)
                skip();
        fd = link_connect(t->path, true);
        assert_true(fd >= 0);
        while (turn(t) || said == 0)
                said = say(t, fd, said, MANY);
        assert_true(said < MANY);            /* it is held up, and is not dropped */
        assert_int_equal(t->gone, 0);
        while (heard < MANY) {
                int r = link_receive(fd, &t->frame, &c, NULL);

                if (r == -EAGAIN) {
                        said = say(t, fd, said, MANY);
                        assert_true(turn(t));
                        continue;
                }
                assert_int_equal(r, 1);
                assert_int_equal(c.id, ++heard);
                assert_int_equal(audit_ack_decode(&c, &a), 0);
                assert_int_equal(a.sequence, heard);
        }
        close(fd);
        while (t->gone == 0)
                assert_true(turn(t));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_many_at_once, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("serve", tests, NULL, NULL);
}
