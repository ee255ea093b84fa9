/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/repeat.c

/* Which neighbours in the ring become one record: every byte of an event decides, but for its time and thread. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/repeat.h"

static const struct cmkd_event one = {
        .version = CMKD_EVENT_VERSION, .kind = CMKD_VOLUME_OPEN, .boottime_ns = 1000, .pid = 7, .tgid = 7, .name = "data1",
        .comm = "nosy", .dev_major = 253,
};

static void the_same_is_counted(void **state _unused_) {
        struct cmkd_event again = one;
        struct repeat p = {};

        assert_false(repeat_add(&p, &one, sizeof(one), 0));
        repeat_start(&p, &one, sizeof(one), 100);
        assert_int_equal(p.count, 1);
        again.boottime_ns = 5000;
        again.pid = 8;
        assert_true(repeat_add(&p, &again, sizeof(again), 200));
        again.boottime_ns = 9000;
        assert_true(repeat_add(&p, &again, sizeof(again), 300));
        assert_int_equal(p.count, 3);
        assert_int_equal(p.first, 100);
        assert_int_equal(p.last, 300);
        assert_int_equal(p.event.boottime_ns, 1000);
        assert_int_equal(p.last_boottime_ns, 9000);
}

static bool is_free(size_t i, size_t offset, size_t size) {
        return i >= offset && i < offset + size;
}

static void every_other_byte_decides(void **state _unused_) {
        for (size_t i = 0; i < sizeof(one); i++) {
                uint8_t bytes[sizeof(one)];
                struct repeat p;
                bool free = is_free(i, offsetof(struct cmkd_event, boottime_ns), sizeof(one.boottime_ns)) ||
                        is_free(i, offsetof(struct cmkd_event, pid), sizeof(one.pid));

                memcpy(bytes, &one, sizeof(one));
                bytes[i] ^= 1;
                repeat_start(&p, &one, sizeof(one), 0);
                assert_int_equal(repeat_add(&p, bytes, sizeof(bytes), 8), free);
                assert_int_equal(p.count, free ? 2 : 1);
        }
}

static void what_changes_something_is_told_each_time(void **state _unused_) {
        static const unsigned never[] = {
                CMKD_KEY_SET, CMKD_KEY_SET_MESSAGE, CMKD_KEY_WIPED, CMKD_KEY_FREED, CMKD_KEY_FETCHED, CMKD_DM_LOAD, CMKD_DM_CLEAR,
                CMKD_DM_CREATE, CMKD_DM_REMOVE, CMKD_DM_SUSPEND, CMKD_DM_RENAME, CMKD_DM_MESSAGE, CMKD_MODULE_LOAD,
                CMKD_MODULE_FREE, CMKD_CLOCK_BACK,
        };
        unsigned n = 0;

        for (unsigned kind = 0; kind < _CMKD_EVENT_MAX + 1; kind++) {
                struct cmkd_event e = one;
                struct repeat p;
                bool is_never = kind == CMKD_EVENT_NONE || kind >= _CMKD_EVENT_MAX;

                for (size_t i = 0; i < ELEMENTSOF(never); i++)
                        is_never = is_never || never[i] == kind;
                e.kind = (uint16_t) kind;
                repeat_start(&p, &e, sizeof(e), 0);
                assert_int_equal(repeat_add(&p, &e, sizeof(e), 8), !is_never);
                n += !is_never;
        }
        assert_int_equal(n, _CMKD_EVENT_MAX - 1 - ELEMENTSOF(never));
}

static void another_version_or_size_is_let_alone(void **state _unused_) {
        struct cmkd_event other = one;
        struct repeat p;

        other.version++;
        repeat_start(&p, &other, sizeof(other), 0);
        assert_false(repeat_add(&p, &other, sizeof(other), 8));
        repeat_start(&p, &one, CMKD_EVENT_SIZE_FIRST - 8, 0);
        assert_false(repeat_add(&p, &one, CMKD_EVENT_SIZE_FIRST - 8, 8));
        assert_false(repeat_add(&p, &one, CMKD_EVENT_SIZE_FIRST, 8));
        repeat_start(&p, "", 0, 16);                /* nothing in it is still something that waits */
        assert_int_equal(p.count, 1);
        assert_int_equal(p.size, 0);
}

/* An older build's has no fields at its end: they are zero, whatever lies behind it. */
static void an_older_event_is_shorter(void **state _unused_) {
        struct cmkd_event with_more = one;
        struct repeat p;

        with_more.exe_ino = 5;
        with_more.exe_dev = 6;
        repeat_start(&p, &with_more, CMKD_EVENT_SIZE_FIRST, 0);
        assert_int_equal(p.event.exe_ino | p.event.exe_dev, 0);
        assert_false(repeat_add(&p, &one, sizeof(one), 8));
        with_more.exe_ino = 7;
        assert_true(repeat_add(&p, &with_more, CMKD_EVENT_SIZE_FIRST, 8));
        assert_int_equal(p.count, 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_same_is_counted), cmocka_unit_test(every_other_byte_decides),
                cmocka_unit_test(what_changes_something_is_told_each_time),
                cmocka_unit_test(another_version_or_size_is_let_alone), cmocka_unit_test(an_older_event_is_shorter),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
