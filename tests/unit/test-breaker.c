/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/breaker/table.c

/* The breaker's slots: arming, renewal, deadlines by either clock, and the file that outlives it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "breaker/table.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define UUID "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-"

static const struct instant now = { .boottime_usec = 100, .realtime_usec = 5000 };

static struct table *new_table(void) {
        return calloc(1, sizeof(struct table));
}

static struct breaker_slot slot(const char *name, uint64_t boottime, uint64_t realtime) {
        struct breaker_slot s = {
                .sectors = 100, .action = BREAKER_ACTION_CUT,
                .deadline_boottime_usec = boottime, .deadline_realtime_usec = realtime,
        };

        memcpy(s.name, name, strlen(name));
        snprintf(s.dm_uuid, sizeof(s.dm_uuid), UUID "%s", name);
        return s;
}

static void test_valid(void **state _unused_) {
        static const char *const bad[] = {
                "", "CRYPT-LUKS2-", "LVM-0123456789abcdef0123456789abcdef-a",
                "CRYPT-LUKS1-0123456789abcdef0123456789abcdef-a",
                UUID, UUID "../a", UUID "a b", UUID "a\n", "CRYPT-LUKS2-0123456789abcdef0123456789abcde-a",
                "CRYPT-LUKS2-0123456789ABCDEF0123456789abcdef-a", "CRYPT-LUKS2-0123456789abcdef0123456789abcdef0-a",
        };
        struct breaker_slot s = slot("data", 1, 0);

        assert_true(slot_is_valid(&s));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                s = slot("data", 1, 0);
                memset(s.dm_uuid, 0, sizeof(s.dm_uuid));
                memcpy(s.dm_uuid, bad[i], strlen(bad[i]));
                assert_false(slot_is_valid(&s));
        }
        s = slot("data", 1, 0);
        memset(s.dm_uuid, 'a', sizeof(s.dm_uuid));
        assert_false(slot_is_valid(&s));
        s = slot("data", 1, 0);
        s.action = BREAKER_ACTION_REBOOT + 1;
        assert_false(slot_is_valid(&s));
        s = slot("da/ta", 1, 0);
        assert_false(slot_is_valid(&s));
        s = slot("data", 1, 0);
        memset(s.name, 'n', sizeof(s.name));
        assert_true(slot_is_valid(&s));
        /* mapped by somebody else, under a name of theirs */
        snprintf(s.dm_uuid, sizeof(s.dm_uuid), UUID "%s", "luks-3e1f\\x2d+root");
        assert_true(slot_is_valid(&s));
}

static void test_set_renew_clear(void **state _unused_) {
        _cleanup_(freep) struct table *t = new_table();
        struct breaker_slot s = slot("data", 1000, 0);

        assert_int_equal(table_set(t, &s), 0);
        assert_int_equal(t->slots[0].state, BREAKER_ARMED);
        s.deadline_boottime_usec = 2000;
        assert_int_equal(table_set(t, &s), 0);
        assert_int_equal(t->slots[0].deadline_boottime_usec, 2000);
        s = slot("other", 500, 0);
        assert_int_equal(table_set(t, &s), 1);
        assert_int_equal(table_count_armed(t), 2);
        s.action = 77;
        assert_int_equal(table_set(t, &s), -EINVAL);
        s = slot("data", 0, 0);
        table_clear(t, s.dm_uuid);
        table_clear(t, s.dm_uuid);
        assert_int_equal(table_find(t, s.dm_uuid), -ENOENT);
        assert_int_equal(table_count_armed(t), 1);
        assert_int_equal(table_set(t, &s), 0);
}

static void test_full(void **state _unused_) {
        _cleanup_(freep) struct table *t = new_table();
        struct breaker_slot s;
        char name[16];

        for (int i = 0; i < BREAKER_SLOTS; i++) {
                snprintf(name, sizeof(name), "v%d", i);
                s = slot(name, 1, 1);
                assert_int_equal(table_set(t, &s), i);
        }
        s = slot("one-too-many", 1, 1);
        assert_int_equal(table_set(t, &s), -ENOSPC);
        s = slot("v7", 5, 5);
        assert_int_equal(table_set(t, &s), 7);
}

static void test_due(void **state _unused_) {
        static const struct {
                uint64_t boottime, realtime;
                uint32_t state;
                bool due;
        } cases[] = {
                { 0, 0, BREAKER_ARMED, false },        { 100, 0, BREAKER_ARMED, true },
                { 101, 0, BREAKER_ARMED, false },      { 0, 5000, BREAKER_ARMED, true },
                { 0, 5001, BREAKER_ARMED, false },     { 101, 5000, BREAKER_ARMED, true },
                { 100, 5001, BREAKER_ARMED, true },    { 100, 5000, BREAKER_TRIPPED, false },
                { 100, 0, BREAKER_FAILED, true },      { 100, 0, BREAKER_EMPTY, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct breaker_slot s = slot("data", cases[i].boottime, cases[i].realtime);

                s.state = cases[i].state;
                assert_int_equal(slot_is_due(&s, now), cases[i].due);
        }
}

static void test_next_deadline(void **state _unused_) {
        _cleanup_(freep) struct table *t = new_table();
        const struct breaker_slot slots[] = {
                slot("a", 300, 0), slot("b", 200, 9000), slot("c", 0, 8000), slot("due", 50, 6000),
        };
        struct instant next = table_next_deadline(t, now);

        assert_int_equal(next.boottime_usec, 0);
        assert_int_equal(next.realtime_usec, 0);
        for (size_t i = 0; i < ELEMENTSOF(slots); i++)
                (void) table_set(t, &slots[i]);
        next = table_next_deadline(t, now);
        assert_int_equal(next.boottime_usec, 200);
        assert_int_equal(next.realtime_usec, 8000);
}

static void test_finish(void **state _unused_) {
        struct breaker_slot s = slot("data", 100, 0);

        s.state = BREAKER_ARMED;
        slot_finish(&s, -EIO, now);
        assert_int_equal(s.state, BREAKER_FAILED);
        assert_int_equal(s.error, -EIO);
        assert_true(slot_is_due(&s, now));
        slot_finish(&s, 0, now);
        assert_int_equal(s.state, BREAKER_TRIPPED);
        assert_int_equal(s.tripped_boottime_usec, 100);
        assert_false(slot_is_due(&s, now));
        /* renewed while a cut was under way that then failed: still armed, not failed */
        s = slot("data", 200, 0);
        s.state = BREAKER_ARMED;
        slot_finish(&s, -EIO, now);
        assert_int_equal(s.state, BREAKER_ARMED);
}

static void test_renewal_shows_trip(void **state _unused_) {
        _cleanup_(freep) struct table *t = new_table();
        struct breaker_slot s = slot("data", 100, 0);
        int i = table_set(t, &s);

        slot_finish(&t->slots[i], 0, now);
        s.deadline_boottime_usec = 1000;
        assert_int_equal(table_set(t, &s), i);
        assert_int_equal(t->slots[i].state, BREAKER_ARMED);
        assert_int_equal(t->slots[i].tripped_boottime_usec, 100);
        table_clear(t, s.dm_uuid);
        assert_int_equal(table_set(t, &s), i);
        assert_int_equal(t->slots[i].tripped_boottime_usec, 0);
}

static struct table *reopen(struct table *t, const char *path, unsigned *ret_dropped) {
        if (t)
                munmap(t, sizeof(*t));
        t = NULL;
        assert_int_equal(table_open(path, &t, ret_dropped), 0);
        return t;
}

static void test_file_keeps_slots(void **state _unused_) {
        char directory[] = "/tmp/cmkd-test-XXXXXX", path[64];
        struct breaker_slot s = slot("data", 1000, 2000);
        struct table *t = NULL;
        unsigned dropped = 99;
        struct stat st;

        assert_non_null(mkdtemp(directory));
        snprintf(path, sizeof(path), "%s/state", directory);
        t = reopen(t, path, &dropped);
        assert_int_equal(dropped, 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        (void) table_set(t, &s);
        t = reopen(t, path, &dropped);
        assert_int_equal(dropped, 0);
        assert_int_equal(table_find(t, s.dm_uuid), 0);
        assert_int_equal(t->slots[0].deadline_realtime_usec, 2000);
        /* what no request could have made is left out, the rest stays */
        t->slots[1] = slot("bad name", 1, 1);
        t->slots[1].state = BREAKER_ARMED;
        t->slots[2] = slot("fine", 1, 1);
        t->slots[2].state = 17;
        t = reopen(t, path, &dropped);
        assert_int_equal(dropped, 2);
        assert_int_equal(table_count_armed(t), 1);
        t->version++;
        t = reopen(t, path, &dropped);
        assert_int_equal(dropped, 1);
        assert_int_equal(table_count_armed(t), 0);
        munmap(t, sizeof(*t));
        assert_int_equal(truncate(path, 3), 0);
        t = reopen(NULL, path, &dropped);
        munmap(t, sizeof(*t));
        unlink(path);
        rmdir(directory);
}

static void test_file_of_others(void **state _unused_) {
        char directory[] = "/tmp/cmkd-test-XXXXXX", path[64], other[64];
        struct table *t = NULL;
        unsigned dropped;

        assert_non_null(mkdtemp(directory));
        snprintf(path, sizeof(path), "%s/state", directory);
        snprintf(other, sizeof(other), "%s/other", directory);
        t = reopen(t, path, &dropped);
        munmap(t, sizeof(*t));
        assert_int_equal(link(path, other), 0);
        assert_int_equal(table_open(path, &t, &dropped), -EPERM);
        assert_int_equal(unlink(other), 0);
        assert_int_equal(symlink(path, other), 0);
        assert_int_equal(table_open(other, &t, &dropped), -ELOOP);
        assert_int_equal(unlink(other), 0);
        assert_int_equal(mkfifo(other, 0600), 0);
        assert_int_equal(table_open(other, &t, &dropped), -EPERM);
        unlink(path);
        unlink(other);
        rmdir(directory);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_valid), cmocka_unit_test(test_set_renew_clear), cmocka_unit_test(test_full),
                cmocka_unit_test(test_due), cmocka_unit_test(test_next_deadline), cmocka_unit_test(test_finish),
                cmocka_unit_test(test_renewal_shows_trip), cmocka_unit_test(test_file_keeps_slots),
                cmocka_unit_test(test_file_of_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
