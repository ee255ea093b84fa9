/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/breaker-link.c daemon/breaker/clients.c daemon/breaker/table.c
// libs: libsystemd

/* Manager and breaker, joined by a socket: a node with as many volumes as there are slots, all of which one answer of a vault is about.
 * The socket holds less than that in either direction. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "breaker/breaker.h"
#include "breaker/say.h"
#include "common/link.h"
#include "manager/breaker-link.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define UUID "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-v%d"

struct state {
        sd_event *event;
        struct breaker_link *link;
        struct breaker *breaker;
        unsigned ready, answers, refused;
        char refused_name[64];
};

static int manager_end = -EBADF;

int link_connect(const char *path _unused_, bool nonblock _unused_) { return TAKE_FD(manager_end); }
int link_peer(int fd _unused_, uid_t *ret_uid _unused_, pid_t *ret_pid _unused_) { return -EPERM; }
void workers_reopen(struct workers *w _unused_) { }
void say(int priority _unused_, const char *format _unused_, ...) { }

static void on_ready(const struct breaker_slot *found _unused_, size_t n _unused_, void *user) {
        ((struct state *) user)->ready++;
}

static void on_slot(int error, const struct breaker_slot *s, void *user) {
        struct state *t = user;

        assert_true(s->state == BREAKER_ARMED || s->state == BREAKER_EMPTY);
        t->answers++;
        t->refused += error < 0;
        if (error < 0)
                snprintf(t->refused_name, sizeof(t->refused_name), "%s", s->name);
}

static const struct breaker_events events = { on_ready, on_slot };

static void serve(struct state *t) {
        clients_serve(t->breaker, 0);
}

static bool turn(struct state *t) {
        return sd_event_run(t->event, 0) > 0;
}

static int set_up(void **state) {
        struct state *t = calloc(1, sizeof(*t));
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC|SOCK_NONBLOCK, 0, pair), 0);
        manager_end = pair[0];
        t->breaker = calloc(1, sizeof(*t->breaker));
        t->breaker->table = calloc(1, sizeof(*t->breaker->table));
        for (size_t i = 0; i < BREAKER_CLIENTS_MAX; i++)
                t->breaker->clients[i] = (struct client) { .fd = i == 0 ? pair[1] : -EBADF, .list_next = -1 };
        assert_int_equal(sd_event_new(&t->event), 0);
        assert_int_equal(breaker_link_new(t->event, &events, t, &t->link), 0);
        while (t->ready == 0) {
                (void) turn(t);
                serve(t);
        }
        *state = t;
        return 0;
}

static int tear_down(void **state) {
        struct state *t = *state;

        breaker_link_free(t->link);
        sd_event_unref(t->event);
        safe_close(t->breaker->clients[0].fd);
        free(t->breaker->table);
        free(t->breaker);
        free(t);
        return 0;
}

static struct breaker_slot slot(int i, uint64_t deadline) {
        struct breaker_slot s = { .sectors = 1, .action = BREAKER_ACTION_CUT, .deadline_boottime_usec = deadline };

        snprintf(s.name, sizeof(s.name), "v%d", i);
        snprintf(s.dm_uuid, sizeof(s.dm_uuid), UUID, i);
        return s;
}

/* The manager has no turn meanwhile. serving: the breaker, on another CPU, does. */
static void set_all(struct state *t, uint64_t deadline, bool serving) {
        for (int i = 0; i < BREAKER_SLOTS; i++) {
                struct breaker_slot s = slot(i, deadline);

                assert_int_equal(breaker_set(t->link, &s), 0);
                if (serving)
                        serve(t);
        }
}

static void test_all_at_once(void **state) {
        struct state *t = *state;

        for (uint64_t deadline = 1000; deadline <= 2000; deadline += 1000) {
                t->answers = 0;
                set_all(t, deadline, deadline == 1000);
                if (deadline == 1000)
                        assert_true(t->breaker->clients[0].owes);
                while (t->answers < BREAKER_SLOTS && t->breaker->clients[0].fd >= 0) {
                        (void) turn(t);
                        serve(t);
                }
                assert_int_equal(t->answers, BREAKER_SLOTS);
                assert_int_equal(table_count_armed(t->breaker->table), BREAKER_SLOTS);
                for (int i = 0; i < BREAKER_SLOTS; i++)
                        assert_int_equal(t->breaker->table->slots[i].deadline_boottime_usec, deadline);
        }
        assert_int_equal(t->refused, 0);
        assert_int_equal(t->ready, 1);
        assert_true(breaker_is_ready(t->link));
}

/* Which volume has no deadline now is a finding of that volume's. */
static void test_refused(void **state) {
        struct state *t = *state;
        struct breaker_slot s = slot(BREAKER_SLOTS, 1000);

        set_all(t, 1000, true);
        while (t->answers < BREAKER_SLOTS && t->breaker->clients[0].fd >= 0) {
                (void) turn(t);
                serve(t);
        }
        assert_int_equal(breaker_set(t->link, &s), 0);
        while (t->refused == 0 && t->breaker->clients[0].fd >= 0) {
                serve(t);
                (void) turn(t);
        }
        assert_int_equal(t->refused, 1);
        assert_string_equal(t->refused_name, s.name);
}

/* The last word about a slot is the last one: nothing overtakes what waits. */
static void test_in_order(void **state) {
        struct state *t = *state;
        char dm_uuid[128];

        set_all(t, 1000, false);
        snprintf(dm_uuid, sizeof(dm_uuid), UUID, BREAKER_SLOTS - 1);
        assert_int_equal(breaker_clear(t->link, dm_uuid), 0);
        while (t->answers < BREAKER_SLOTS + 1 && t->breaker->clients[0].fd >= 0) {
                (void) turn(t);
                serve(t);
        }
        assert_int_equal(table_count_armed(t->breaker->table), BREAKER_SLOTS - 1);
        assert_true(table_find(t->breaker->table, dm_uuid) < 0);
}

#define LONG_USEC (2500 * USEC_PER_MSEC)

/* For longer than the breaker may be silent the manager has no turn: time is what this is about. */
static void test_manager_is_busy(void **state) {
        struct state *t = *state;
        uint64_t until = now_boottime_usec() + LONG_USEC;
        struct breaker_slot s = slot(0, 3000);

        set_all(t, 1000, false);
        while (now_boottime_usec() < until)
                (void) poll(NULL, 0, 100);
        assert_int_equal(breaker_set(t->link, &s), 0);
        while (t->answers < BREAKER_SLOTS + 1 && t->breaker->clients[0].fd >= 0) {
                (void) turn(t);
                serve(t);
        }
        assert_int_equal(t->ready, 1);
        assert_true(breaker_is_ready(t->link));
        assert_int_equal(table_count_armed(t->breaker->table), BREAKER_SLOTS);
        assert_int_equal(t->breaker->table->slots[0].deadline_boottime_usec, 3000);
}

/* One that reads nothing while the manager has its turns is not there. */
static void test_reads_no_more(void **state) {
        struct state *t = *state;
        uint64_t until = now_boottime_usec() + 4 * LONG_USEC;

        set_all(t, 1000, false);
        while (breaker_is_ready(t->link) && now_boottime_usec() < until)
                assert_true(sd_event_run(t->event, LONG_USEC) >= 0);
        assert_false(breaker_is_ready(t->link));
}

/* cmkd asks for the end, and decides anew while that is on its way: a machine whose power goes is not kept by that, a volume that is cut may be. */
static void test_deadline_after_act(void **state) {
        for (uint32_t action = BREAKER_ACTION_CUT; action <= BREAKER_ACTION_REBOOT; action++) {
                struct breaker_slot s = slot(0, 1000);
                struct state *t = *state;

                s.action = action;
                assert_int_equal(breaker_act(t->link, &s), 0);
                serve(t);
                t->breaker->work[0].due_since_usec = 7;
                s.deadline_boottime_usec = UINT64_MAX;
                assert_int_equal(breaker_set(t->link, &s), 0);
                serve(t);
                assert_int_equal(t->breaker->table->slots[0].deadline_boottime_usec == UINT64_MAX, action == BREAKER_ACTION_CUT);
                assert_int_equal(t->breaker->work[0].due_since_usec, action == BREAKER_ACTION_CUT ? 0 : 7);
                /* called off: the next is as any other */
                assert_int_equal(breaker_clear(t->link, s.dm_uuid), 0);
                serve(t);
                assert_int_equal(breaker_set(t->link, &s), 0);
                serve(t);
                assert_int_equal(t->breaker->table->slots[0].deadline_boottime_usec, UINT64_MAX);
                assert_int_equal(t->breaker->work[0].due_since_usec, 0);
                assert_int_equal(breaker_clear(t->link, s.dm_uuid), 0);
                serve(t);
        }
}

/* Nor one that lets more wait than there is reason for. */
static void test_never_read(void **state) {
        struct state *t = *state;
        struct breaker_slot s = slot(0, 1);
        int r = 0;

        for (int i = 0; i < 5 * BREAKER_SLOTS && r >= 0; i++)
                r = breaker_set(t->link, &s);
        assert_int_equal(r, -ETIMEDOUT);
        assert_false(breaker_is_ready(t->link));
        assert_int_equal(breaker_set(t->link, &s), -ENOTCONN);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_all_at_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_in_order, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_deadline_after_act, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_never_read, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_manager_is_busy, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_reads_no_more, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("breaker-burst", tests, NULL, NULL);
}
