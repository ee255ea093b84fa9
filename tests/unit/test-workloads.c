/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/workloads.c daemon/audit/uses.c

/* When the counters of a control group end: with the mapping, or a while after the group itself. The map, the groups, the clock and the
 * trail are this test's. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/workloads.h"

#include <bpf/bpf.h>
#include <syslog.h>
#include <time.h>

#define CELLS 4u
#define VOLUME "CRYPT-LUKS2-00112233445566778899aabbccddeeff-data1"

static struct { struct cmkd_workload key; struct cmkd_io io; bool used; } cells[CELLS];
static bool gone[CELLS + 1];               /* by the group's id */
static uint64_t seconds;
static uint64_t late;                      /* bytes that are read between the look and the end */
static struct audit_message_record said[16];
static size_t n_said;
static int fails_with;

int clock_gettime(clockid_t clock _unused_, struct timespec *ret) {
        *ret = (struct timespec) { .tv_sec = (time_t) seconds };
        return 0;
}

int bpf_map_lookup_batch(int fd _unused_, void *in _unused_, void *out _unused_, void *keys, void *values, __u32 *count,
                         const struct bpf_map_batch_opts *opts _unused_) {
        *count = 0;
        for (size_t i = 0; i < CELLS; i++)
                if (cells[i].used) {
                        ((struct cmkd_workload *) keys)[*count] = cells[i].key;
                        ((struct cmkd_io *) values)[(*count)++] = cells[i].io;
                }
        errno = ENOENT;
        return -1;
}

int bpf_map_lookup_elem(int fd _unused_, const void *key _unused_, void *value) {
        memset(value, 0, sizeof(uint64_t));
        return 0;
}

int bpf_map_lookup_and_delete_elem(int fd _unused_, const void *key, void *value) {
        for (size_t i = 0; i < CELLS; i++)
                if (cells[i].used && memcmp(&cells[i].key, key, sizeof(cells[i].key)) == 0) {
                        cells[i].io.read += late;
                        memcpy(value, &cells[i].io, sizeof(cells[i].io));
                        cells[i].used = false;
                        return 0;
                }
        errno = ENOENT;
        return -1;
}

bool who_cgroup(struct who *w _unused_, uint64_t id, char ret[static WHO_PATH_MAX]) {
        snprintf(ret, WHO_PATH_MAX, "/system.slice/u%u.service", (unsigned) id);
        return true;
}

bool who_cgroup_is_gone(const struct who *w _unused_, uint64_t id) {
        return gone[id];
}

int writer_say(struct writer *w _unused_, struct audit_message_record *m) {
        if (fails_with < 0)
                return fails_with;
        assert_true(n_said < ELEMENTSOF(said));
        said[n_said++] = *m;
        return 0;
}

static const char *field(const struct audit_message_record *m, const char *name) {
        for (size_t i = 0; i < m->n_fields; i++)
                if (streq(m->fields[i].name, name))
                        return m->fields[i].value;
        return "";
}

static void uses_map(size_t i, uint64_t bytes) {
        cells[i].key = (struct cmkd_workload) { .diskseq = 1, .cgroup_id = i + 1 };
        cells[i].io.read += bytes;
        memcpy(cells[i].io.hex, VOLUME + CMKD_LUKS_PREFIX, CMKD_LUKS_HEX);
        if (!cells[i].used)
                cells[i].io.read = bytes;
        cells[i].used = true;
}

/* So many seconds pass, each with its look. */
static void pass(struct workloads *w, unsigned n) {
        static const struct uses none;
        struct audit_message_record m;

        n_said = 0;
        while (n-- > 0) {
                seconds++;
                workloads_housekeep(w, NULL, &none, NULL, &m);
        }
}

static struct workloads *begin(void) {
        struct workloads *w;

        memset(cells, 0, sizeof(cells));
        memset(gone, 0, sizeof(gone));
        seconds = 1000;
        late = 0;
        fails_with = 0;
        assert_int_equal(workloads_new(0, 0, &w), 0);
        return w;
}

static void check(size_t i, unsigned group, const char *bytes, const char *last) {
        char name[32];

        assert_true(i < n_said);
        snprintf(name, sizeof(name), "%u", group);
        assert_string_equal(said[i].event, "io");
        assert_string_equal(field(said + i, "cgroup_id"), name);
        assert_string_equal(field(said + i, "read_bytes"), bytes);
        assert_string_equal(field(said + i, "last"), last);
}

static void test_group_ends(void **state _unused_) {
        struct workloads *w = begin();

        uses_map(0, 100);
        uses_map(1, 200);
        pass(w, 5);
        gone[1] = true;
        pass(w, 54);
        assert_int_equal(n_said, 0);
        pass(w, 70);                       /* quiet for a minute, and looked at */
        assert_int_equal(n_said, 1);
        check(0, 1, "100", "yes");
        assert_false(cells[0].used);
        assert_true(cells[1].used);        /* that one is there */
        uses_map(0, 7);                    /* written back very late */
        pass(w, 200);
        assert_int_equal(n_said, 1);
        check(0, 1, "7", "yes");
        pass(w, 600);
        assert_int_equal(n_said, 1);       /* what stays is said each ten minutes */
        check(0, 2, "200", "");
        workloads_free(w);
}

/* As long as something of it is written back, it goes on. */
static void test_group_not_quiet(void **state _unused_) {
        struct workloads *w = begin();

        gone[1] = true;
        for (unsigned i = 0; i < 9; i++) {
                uses_map(0, 10);
                pass(w, 50);
                assert_int_equal(n_said, 0);
                assert_true(cells[0].used);
        }
        workloads_free(w);
}

static void test_group_ends_with_more(void **state _unused_) {
        struct workloads *w = begin();

        gone[1] = true;
        uses_map(0, 100);
        late = 5;
        pass(w, 130);
        assert_int_equal(n_said, 2);
        check(0, 1, "100", "yes");
        check(1, 1, "105", "yes");
        workloads_free(w);
}

/* Not in the trail: it is not forgotten. */
static void test_trail_fails(void **state _unused_) {
        struct workloads *w = begin();

        gone[1] = true;
        uses_map(0, 100);
        fails_with = -ENOSPC;
        pass(w, 200);
        assert_true(cells[0].used);
        fails_with = 0;
        pass(w, 60);
        assert_int_equal(n_said, 1);
        check(0, 1, "100", "yes");
        assert_false(cells[0].used);
        workloads_free(w);
}

static void test_mapping_ends(void **state _unused_) {
        struct workloads *w = begin();

        uses_map(0, 100);
        pass(w, 2);
        workloads_removed(w, VOLUME, 1001 * USEC_PER_SEC);
        pass(w, 1);
        assert_int_equal(n_said, 1);
        check(0, 1, "100", "yes");
        assert_true(said[0].boottime_usec == 1001 * USEC_PER_SEC);
        assert_false(cells[0].used);
        workloads_free(w);
}

/* At an orderly end what the last ten minutes were is said, but not for ever. */
static void test_end(void **state _unused_) {
        static const struct uses none;
        struct workloads *w = begin();
        struct audit_message_record m;

        uses_map(0, 100);
        uses_map(1, 200);
        pass(w, 599);
        assert_int_equal(n_said, 0);
        uses_map(0, 20);
        n_said = 0;
        workloads_end(w, NULL, &none, 1, NULL, &m);
        assert_int_equal(n_said, 1);       /* no time left: how many are not told */
        assert_string_equal(said[0].event, "lost");
        assert_non_null(strstr(field(said, "reason"), "reads and writes"));
        assert_string_equal(field(said, "count"), "2");
        n_said = 0;
        workloads_end(w, NULL, &none, (seconds + 1) * USEC_PER_SEC, NULL, &m);
        assert_int_equal(n_said, 2);
        check(0, 1, "120", "");
        check(1, 2, "200", "");
        assert_true(cells[0].used);        /* they are sums: who comes next goes on with them */
        workloads_end(w, NULL, &none, (seconds + 1) * USEC_PER_SEC, NULL, &m);
        assert_int_equal(n_said, 2);
        workloads_free(w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_group_ends), cmocka_unit_test(test_group_not_quiet), cmocka_unit_test(test_group_ends_with_more),
                cmocka_unit_test(test_trail_fails), cmocka_unit_test(test_mapping_ends),
                cmocka_unit_test(test_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
