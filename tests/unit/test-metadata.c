/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/metadata.c

/* How many connections there were that are no events is said once: a minute later, or at an orderly end, which waits for nothing. The map,
 * the clock and the trail are this test's. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/metadata.h"

#include <bpf/bpf.h>
#include <time.h>

#define CELLS 100u

static struct { struct cmkd_asker key; struct cmkd_asked value; bool used; } cells[CELLS];
static uint64_t seconds = 1000, counted, passes;   /* passes: with each record */
static unsigned n_said, fails_after;
static char lost[32];                      /* how many, by the last record that says so */

int clock_gettime(clockid_t clock _unused_, struct timespec *ret) {
        *ret = (struct timespec) { .tv_sec = (time_t) seconds };
        return 0;
}

static size_t find(const struct cmkd_asker *key) {
        size_t i = 0;

        while (i < CELLS && !(cells[i].used && memcmp(&cells[i].key, key, sizeof(*key)) == 0))
                i++;
        return i;
}

int bpf_map_get_next_key(int fd _unused_, const void *key, void *next) {
        size_t i = key ? find(key) : CELLS;

        i = i < CELLS ? i + 1 : 0;         /* behind one that is gone it begins anew */
        while (i < CELLS && !cells[i].used)
                i++;
        if (i < CELLS)
                memcpy(next, &cells[i].key, sizeof(cells[i].key));
        errno = ENOENT;
        return i < CELLS ? 0 : -1;
}

int bpf_map_lookup_elem(int fd _unused_, const void *key, void *value) {
        size_t i = find(key);

        if (i < CELLS)
                memcpy(value, &cells[i].value, sizeof(cells[i].value));
        errno = ENOENT;
        return i < CELLS ? 0 : -1;
}

int bpf_map_lookup_and_delete_elem(int fd, const void *key, void *value) {
        size_t i = find(key);
        int r = bpf_map_lookup_elem(fd, key, value);

        if (r >= 0)
                cells[i].used = false;
        return r;
}

int bpf_map_update_elem(int fd _unused_, const void *key _unused_, const void *value _unused_, __u64 flags _unused_) { return 0; }
int bpf_map_delete_elem(int fd _unused_, const void *key _unused_) { return 0; }

int writer_say(struct writer *w _unused_, struct audit_message_record *m) {
        if (n_said == fails_after)
                return -ENOSPC;
        if (streq(m->event, "lost")) {
                assert_string_equal(m->fields[1].name, "count");
                snprintf(lost, sizeof(lost), "%s", m->fields[1].value);
                return 0;
        }
        n_said++;
        seconds += passes;
        assert_string_equal(m->event, "guard_metadata_more");
        assert_string_equal(m->fields[0].name, "count");
        counted += strtoull(m->fields[0].value, NULL, 10);
        return 0;
}

int writer_commit(struct writer *w _unused_, bool sync _unused_) { return 0; }

static int begin(void **state _unused_) {
        for (unsigned i = 0; i < CELLS; i++) {
                cells[i].key = (struct cmkd_asker) { .tgid = i + 1 };
                cells[i].value = (struct cmkd_asked) {
                        .first_ns = 970 * NSEC_PER_SEC, .last_ns = 990 * NSEC_PER_SEC, .more = i % 10 == 9 ? 0 : 2,
                };
                cells[i].used = true;
        }
        seconds = 1000;
        n_said = counted = passes = 0;
        *lost = 0;
        fails_after = UINT32_MAX;
        return 0;
}

static void said_a_minute_later(void **state _unused_) {
        struct audit_message_record m;

        assert_false(metadata_tell(0, 0, NULL, &m));
        assert_int_equal(n_said, 0);
        seconds = 1030;
        for (unsigned i = 0; i < 2; i++)
                (void) metadata_tell(0, 0, NULL, &m);
        assert_int_equal(counted, 180);
        assert_int_equal(find(&cells[9].key), CELLS);
}

/* At an end all of them at once, and once; what an event stands for alone needs no word. */
static void said_at_an_end(void **state _unused_) {
        struct audit_message_record m;

        metadata_end(0, seconds * USEC_PER_SEC, NULL, &m);         /* no time left */
        assert_int_equal(n_said, 0);
        assert_string_equal(lost, "180");
        *lost = 0;
        metadata_end(0, (seconds + 1) * USEC_PER_SEC, NULL, &m);
        assert_int_equal(n_said, 90);
        assert_int_equal(counted, 180);
        assert_int_equal(find(&cells[9].key), 9);
        metadata_end(0, (seconds + 1) * USEC_PER_SEC, NULL, &m);
        assert_int_equal(n_said, 90);
        assert_string_equal(lost, "");
}

/* It goes by while they are said: the rest is a number. */
static void late_ones_are_counted(void **state _unused_) {
        struct audit_message_record m;

        passes = 1;
        metadata_end(0, (seconds + 30) * USEC_PER_SEC, NULL, &m);
        assert_int_equal(counted, 2 * 30);
        assert_string_equal(lost, "120");
}

static void full_trail_keeps_nobody(void **state _unused_) {
        struct audit_message_record m;

        fails_after = 3;
        metadata_end(0, (seconds + 1) * USEC_PER_SEC, NULL, &m);
        assert_int_equal(n_said, 3);
        fails_after = UINT32_MAX;
        metadata_end(0, (seconds + 1) * USEC_PER_SEC, NULL, &m);
        assert_int_equal(counted, 180);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(said_a_minute_later, begin), cmocka_unit_test_setup(said_at_an_end, begin),
                cmocka_unit_test_setup(late_ones_are_counted, begin), cmocka_unit_test_setup(full_trail_keeps_nobody, begin),
        };

        return cmocka_run_group_tests_name("metadata", tests, NULL, NULL);
}
