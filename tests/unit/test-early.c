/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/chain.c daemon/audit/seal.c daemon/audit/record.c daemon/audit/reader.c daemon/audit/trail.c daemon/audit/early.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/sealer.c daemon/audit/keep.c
// libs: json-c libsystemd
// Records from before the trail was there: joined once, with time and hash, verified again from the real trail alone.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "audit/early.h"
#include "common/place.h"
#include "audit/verify.h"

static char dir[64], early_dir[80], real_dir[80], real_path[128], early_path[128];
static struct audit_message_record message;
static struct trail_report report;

static unsigned waits;

int poll(struct pollfd *p _unused_, nfds_t n _unused_, int timeout _unused_) {
        waits++;
        return 0;
}

static int setup(void **state _unused_) {
        waits = 0;
        strcpy(dir, "/tmp/test-early.XXXXXX");
        assert_non_null(mkdtemp(dir));
        snprintf(early_dir, sizeof(early_dir), "%s/early", dir);
        snprintf(real_dir, sizeof(real_dir), "%s/real", dir);
        snprintf(early_path, sizeof(early_path), "%s/trail.jsonl", early_dir);
        snprintf(real_path, sizeof(real_path), "%s/trail.jsonl", real_dir);
        return 0;
}

static int teardown(void **state _unused_) {
        char command[128];

        snprintf(command, sizeof(command), "rm -rf '%s'", dir);
        return system(command);
}

static struct trail *open_trail(const char *where, struct trail_recovery *recovery) {
        struct trail *t;

        assert_int_equal(trail_open(where, &t, recovery), 0);
        return t;
}

static void write_early(unsigned n) {
        struct trail_recovery recovery;
        struct trail *t = open_trail(early_dir, &recovery);
        uint64_t sequence;
        bool kept;

        for (unsigned i = 0; i < n; i++) {
                audit_record_start(&message, i % 2 ? "key_set" : "release", LOG_NOTICE, true);
                message.realtime_usec = 1700000000u * USEC_PER_SEC + i;
                audit_record_addf(&message, "number", "%u", i);
                audit_record_add(&message, "comm", i % 3 ? "a \"b\" \\ c" : "odd \xff\xef\xbf\xbd\xc3\xa4");
                if (i % 2)
                        audit_record_addf(&message, "ring", "boot.%u", i);
                assert_int_equal(trail_append(t, &message, i % 2 ? RECORD_KERNEL : RECORD_DAEMON, NULL, &sequence), 0);
        }
        assert_int_equal(trail_commit(t, true, &kept), 0);
        trail_free(t);
}

static unsigned budget;         /* of append(): then it fails */
static const char *as_event;    /* ... and what its second record is; NULL: what it is */

static int append(void *user, const struct audit_message_record *m, const struct record *from) {
        uint64_t sequence;

        if (budget == 0)
                return -ENOSPC;
        budget--;
        message = *m;
        if (as_event && from->sequence == 2)
                snprintf(message.event, sizeof(message.event), "%s", as_event);
        return trail_append(user, &message, from->source, NULL, &sequence);
}

static struct early_join join(struct trail *t, const struct trail_recovery *recovery, int expected) {
        struct early_join j = {};
        bool kept;

        assert_int_equal(early_join(early_dir, recovery, append, t, &j), expected);
        assert_int_equal(trail_commit(t, true, &kept), 0);
        return j;
}

static void close_join(struct trail *t, const struct early_join *j) {
        uint64_t sequence;
        bool kept;

        audit_record_start(&message, "early_joined", LOG_INFO, true);
        audit_record_addf(&message, "last", "%llu", (unsigned long long) j->last);
        assert_int_equal(trail_append(t, &message, RECORD_DAEMON, NULL, &sequence), 0);
        assert_int_equal(trail_commit(t, true, &kept), 0);
}

static uint64_t verify(void) {
        assert_int_equal(trail_verify(real_path, &report), 0);
        for (size_t i = 0; i < report.n_problems; i++)
                printf("%s\n", report.problems[i].text);
        return report.n_problems;
}

/* The early trail says which of the ring's events are in it, and whoever can write there says it: only of a ring of which the trail itself
 * has nothing, also when the record has been joined. */
static void test_ring(void **state _unused_) {
        struct trail_recovery recovery;
        uint64_t written, sequence;
        struct early_join j;
        struct trail *t;
        bool kept, is_early;

        write_early(7);
        t = open_trail(real_dir, &recovery);
        budget = 100;
        j = join(t, &recovery, 0);
        close_join(t, &j);
        trail_free(t);
        t = open_trail(real_dir, &recovery);
        assert_string_equal(recovery.ring, "");
        assert_string_equal(recovery.early_ring, "boot.5");
        assert_int_equal(early_ring_written(&recovery, "boot", &written, &is_early), 0);
        assert_int_equal(written, 5);
        assert_true(is_early);
        assert_int_equal(early_ring_written(&recovery, "boo", &written, &is_early), -ENOENT);
        audit_record_start(&message, "key_set", LOG_INFO, false);
        audit_record_add(&message, "ring", "boot.3");
        assert_int_equal(trail_append(t, &message, RECORD_KERNEL, NULL, &sequence), 0);
        assert_int_equal(trail_commit(t, true, &kept), 0);
        trail_free(t);
        t = open_trail(real_dir, &recovery);
        assert_int_equal(early_ring_written(&recovery, "boot", &written, &is_early), 0);
        assert_int_equal(written, 3);
        assert_false(is_early);
        snprintf(recovery.early_ring, sizeof(recovery.early_ring), "boot.18446744073709551615");
        assert_int_equal(early_ring_written(&recovery, "boot", &written, &is_early), 0);
        assert_int_equal(written, 3);
        assert_false(is_early);
        trail_free(t);
}

static void test_join(void **state _unused_) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        struct trail_recovery recovery;
        struct early_join j;
        struct record r = {};
        struct trail *t;
        uint64_t sequence;
        uint8_t hash[CHAIN_HASH_SIZE];

        write_early(7);
        t = open_trail(real_dir, &recovery);
        budget = 100;
        j = join(t, &recovery, 0);
        assert_int_equal(j.records, 7);
        assert_int_equal(j.last, 7);
        assert_int_equal(j.n_problems, 0);
        assert_string_equal(j.ring, "boot.5");
        close_join(t, &j);
        trail_free(t);
        assert_int_equal(verify(), 0);
        assert_int_equal(report.early, 7);
        assert_int_equal(report.records, 8);
        assert_int_equal(reader_open(real_path, &reader), 0);
        assert_int_equal(reader_next(reader, &r), 1);
        assert_string_equal(r.time, "2023-11-14T22:13:20.000000Z");
        assert_int_equal(record_early(&r, &sequence, hash), 0);
        assert_int_equal(sequence, 1);
        record_done(&r);
        assert_int_equal(early_done(early_dir), 0);
        assert_int_equal(access(early_path, F_OK), -1);
        assert_int_equal(early_done(early_dir), -ENOENT);
}

static void test_nothing(void **state _unused_) {
        struct trail_recovery recovery;
        struct trail *t = open_trail(real_dir, &recovery);
        struct early_join j;

        budget = 100;
        j = join(t, &recovery, 0);
        assert_int_equal(j.last, 0);
        assert_int_equal(j.records, 0);
        trail_free(t);
}

/* Killed, or the disk was full, in the middle: the next one goes on where it ended. */
static void test_interrupted(void **state _unused_) {
        struct trail_recovery recovery;
        struct early_join j;
        struct trail *t;

        write_early(9);
        t = open_trail(real_dir, &recovery);
        budget = 4;
        join(t, &recovery, -ENOSPC);
        trail_free(t);
        t = open_trail(real_dir, &recovery);
        assert_int_equal(recovery.early_sequence, 4);
        budget = 100;
        j = join(t, &recovery, 0);
        assert_int_equal(j.records, 5);
        assert_int_equal(j.last, 9);
        close_join(t, &j);
        trail_free(t);
        assert_int_equal(verify(), 0);
        assert_int_equal(report.early, 9);
}

/* The next boot has another early trail: the number of the last one's end means nothing there. */
static void test_two_boots(void **state _unused_) {
        struct trail_recovery recovery;
        struct early_join j;
        struct trail *t;

        budget = 100;
        for (unsigned boot = 0; boot < 2; boot++) {
                write_early(3 + boot);
                t = open_trail(real_dir, &recovery);
                j = join(t, &recovery, 0);
                assert_int_equal(j.records, 3 + boot);
                close_join(t, &j);
                trail_free(t);
                assert_int_equal(early_done(early_dir), 0);
        }
        assert_int_equal(verify(), 0);
        assert_int_equal(report.early, 7);
}

static int change_byte(const char *path, const char *text, char to) {
        _cleanup_(freep) char *all = NULL;
        size_t size;
        char *at;

        assert_true(read_small_file(path, 1 << 20, &all, &size) >= 0);
        at = strstr(all, text);
        assert_non_null(at);
        *at = to;
        return write_file_atomic(path, all, size, 0600);
}

/* Changed before it was joined: the join says so, and so does verification later. */
static void test_changed(void **state _unused_) {
        struct trail_recovery recovery;
        struct early_join j;
        struct trail *t;

        write_early(5);
        assert_int_equal(change_byte(early_path, "release", 'x'), 0);
        t = open_trail(real_dir, &recovery);
        budget = 100;
        j = join(t, &recovery, 0);
        assert_int_equal(j.n_problems, 1);
        assert_true(*j.problem);
        trail_free(t);
        assert_int_equal(verify(), 1);
        assert_int_equal(report.problems[0].kind, TRAIL_CHANGED);
}

/* Nobody writes it any more: what has no end will get none, and recording does not wait for it. */
static void test_torn(void **state _unused_) {
        struct trail_recovery recovery;
        struct early_join j;
        struct trail *t;
        FILE *f;

        write_early(5);
        f = fopen(early_path, "a");
        assert_non_null(f);
        fputs("\n{", f);
        fclose(f);
        t = open_trail(real_dir, &recovery);
        budget = 100;
        j = join(t, &recovery, 0);
        assert_int_equal(waits, 0);
        assert_int_equal(j.records, 5);
        assert_int_equal(j.n_problems, 2);
        trail_free(t);
}

/* Somebody wrote one that no trail takes: the others are joined, and it is said, also later. */
static void test_refused(void **state _unused_) {
        struct trail_recovery recovery;
        struct early_join j;
        struct trail *t;

        write_early(5);
        t = open_trail(real_dir, &recovery);
        budget = 100;
        as_event = "epoch";
        j = join(t, &recovery, 0);
        as_event = NULL;
        assert_int_equal(j.records, 4);
        assert_int_equal(j.last, 5);
        assert_int_equal(j.n_problems, 1);
        assert_non_null(strstr(j.problem, "number 2 "));
        close_join(t, &j);
        trail_free(t);
        assert_true(verify() > 0);
        assert_int_equal(report.problems[0].kind, TRAIL_REMOVED);
}

/* Whoever joins leaves one out, or the last ones: the numbers tell. */
static void test_left_out(void **state _unused_) {
        struct trail_recovery recovery, forged;
        struct early_join j;
        struct trail *t;

        write_early(6);
        t = open_trail(real_dir, &recovery);
        budget = 2;
        join(t, &recovery, -ENOSPC);
        trail_free(t);
        t = open_trail(real_dir, &recovery);
        forged = recovery;
        budget = 2;
        join(t, &forged, -ENOSPC);
        j = (struct early_join) { .last = 6 };
        close_join(t, &j);
        trail_free(t);
        assert_int_equal(verify(), 1);
        assert_int_equal(report.problems[0].kind, TRAIL_REMOVED);
}

/* The machine went down in the middle of a join: what is missing shows when the next boot's early trail begins. Until
 * then it may still be joined. */
static void test_never_closed(void **state _unused_) {
        struct trail_recovery recovery;
        struct early_join j;
        struct trail *t;

        write_early(5);
        t = open_trail(real_dir, &recovery);
        budget = 2;
        join(t, &recovery, -ENOSPC);
        trail_free(t);
        assert_int_equal(verify(), 0);
        assert_int_equal(report.early_open, 2);
        assert_int_equal(early_done(early_dir), 0);

        write_early(3);
        t = open_trail(real_dir, &recovery);
        budget = 100;
        j = join(t, &recovery, 0);
        assert_int_equal(j.records, 3);
        close_join(t, &j);
        trail_free(t);
        assert_int_equal(verify(), 1);
        assert_int_equal(report.problems[0].kind, TRAIL_REMOVED);
        assert_int_equal(report.problems[0].line, 3);
        assert_int_equal(report.early_open, 0);
}

static void test_place(void **state _unused_) {
        char path[128], text[512], proc[] = "proc /proc proc\n# x /var/log ext4\n/dev/x / ext4 defaults 0 1\n";

        snprintf(path, sizeof(path), "%s/fstab", dir);
        assert_true(place_ready("/var/log/cmkd", path));                           /* no fstab */
        assert_int_equal(write_file_atomic(path, proc, strlen(proc), 0600), 0);
        assert_true(place_ready("/var/log/cmkd", path));
        assert_true(place_ready("/proc/x", path));                                 /* mounted */
        snprintf(text, sizeof(text), "/dev/x %s ext4 defaults\n", dir);
        assert_int_equal(write_file_atomic(path, text, strlen(text), 0600), 0);
        snprintf(text, sizeof(text), "%s/log/cmkd", dir);
        assert_false(place_ready(text, path));                                     /* above, and not mounted */
        snprintf(text, sizeof(text), "%s-not/log", dir);
        assert_true(place_ready(text, path));                                      /* a prefix, but not above */
        snprintf(text, sizeof(text), "/dev/x %s ext4 noauto\n", dir);
        assert_int_equal(write_file_atomic(path, text, strlen(text), 0600), 0);
        snprintf(text, sizeof(text), "%s/log/cmkd", dir);
        assert_true(place_ready(text, path));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_join, setup, teardown),
                cmocka_unit_test_setup_teardown(test_ring, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_interrupted, setup, teardown),
                cmocka_unit_test_setup_teardown(test_two_boots, setup, teardown),
                cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_left_out, setup, teardown),
                cmocka_unit_test_setup_teardown(test_never_closed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_place, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
