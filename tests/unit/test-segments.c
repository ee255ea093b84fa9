/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/chain.c daemon/audit/seal.c daemon/audit/seal-rsa.c daemon/audit/record.c daemon/audit/reader.c
// sources: daemon/audit/segments.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/trail.c daemon/audit/sealer.c
// sources: daemon/audit/keep.c tests/unit/sealed-trail.c
// libs: json-c libsystemd
// A trail in several files: one row of records through all of them, whatever a rotation was interrupted by; a file that is
// missing, renamed, doubled or replaced is found.

#include "sealed-trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

#define FIRST "trail-00000000000000000001.jsonl"
#define SECOND "trail-00000000000000000012.jsonl"
#define THIRD "trail-00000000000000000022.jsonl"

static struct sealed_trail s;
static struct trail_report report;
static char rotated[SEGMENT_NAME_MAX];

/* What happens just before the reader looks whether its file was rotated. */
static void (*before_look)(void);

int fstatat(int fd, const char *restrict name, struct stat *restrict st, int flags) {
        void (*f)(void) = before_look;

        before_look = NULL;
        if (f)
                f();
        return (int) syscall(SYS_newfstatat, fd, name, st, flags);
}

/* How often the trail's directory is read. */
static unsigned directories_read;

DIR *fdopendir(int fd) {
        DIR *(*real)(int) = (DIR *(*)(int)) dlsym(RTLD_NEXT, "fdopendir");

        directories_read++;
        return real(fd);
}

/* Numbers 1 (the epoch) to 11, 12 to 21, 22 to 31, and 32 to 41 in trail.jsonl. */
static int set_up(void **state _unused_) {
        sealed_trail_begin(&s);
        for (unsigned i = 0; i < 3; i++)
                if (sealed_trail_write(&s, 10, "event") < 0 || trail_rotate(s.trail, rotated) < 0)
                        return -1;
        return sealed_trail_write(&s, 10, "event");
}

static int tear_down(void **state _unused_) {
        sealed_trail_end(&s);
        return 0;
}

static const char *in_dir(const char *name) {
        static char paths[4][320];
        static unsigned next;
        char *p = paths[next++ % ELEMENTSOF(paths)];

        snprintf(p, sizeof(paths[0]), "%s/%s", s.dir, name);
        return p;
}

static void expect(uint64_t problems, uint64_t records, unsigned files) {
        sealed_trail_verify(&s, true, &report);
        for (uint64_t i = 0; report.n_problems != problems && i < MIN_OF(report.n_problems, 10u); i++)
                print_error("%s: %s: %s\n", report.problems[i].file, trail_problem_to_string(report.problems[i].kind),
                            report.problems[i].text);
        assert_int_equal(report.n_problems, problems);
        assert_int_equal(report.records, records);
        assert_int_equal(report.files, files);
}

static bool has(enum trail_problem_kind kind, const char *file, uint64_t first, uint64_t last) {
        for (uint64_t i = 0; i < MIN_OF(report.n_problems, (uint64_t) TRAIL_PROBLEMS_MAX); i++)
                if (report.problems[i].kind == kind && streq(report.problems[i].file, file) &&
                    report.problems[i].first == first && report.problems[i].last == last)
                        return true;
        return false;
}

static void copy(const char *from, const char *to) {
        char *text;
        size_t size;

        assert_int_equal(read_small_file(in_dir(from), 1u << 20, &text, &size), 0);
        assert_int_equal(write_file_atomic(in_dir(to), text, size, 0600), 0);
        free(text);
}

static void one_row_through_all_files(void **state _unused_) {
        struct stat st;

        assert_string_equal(rotated, THIRD);
        expect(0, 41, 4);
        assert_int_equal(report.proven, 41);
        assert_int_equal(report.first_sequence, 1);
        assert_int_equal(report.last_sequence, 41);
        assert_true(report.head_checked);
        assert_int_equal(stat(in_dir(SECOND), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(st.st_nlink, 1);
        sealed_trail_close(&s);
        sealed_trail_open(&s, true);
        assert_int_equal(s.recovery.kind, TRAIL_RECOVERED_NOTHING);
        assert_int_equal(sealed_trail_write(&s, 1, "event"), 0);
        expect(0, 42, 4);
}

static void names(void **state _unused_) {
        static const char *const bad[] = {
                "trail.jsonl", "trail-.jsonl", "trail-1.jsonl", "trail-00000000000000000000.jsonl",
                "trail-99999999999999999999.jsonl", "trail-0000000000000000000a.jsonl", "trail-00000000000000000001.json",
                "trail-00000000000000000001.jsonl~", "other-00000000000000000001.jsonl", "",
        };
        uint64_t n;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(segment_parse("trail", bad[i], &n), -EINVAL);
        assert_int_equal(segment_parse("trail", SECOND, &n), 0);
        assert_int_equal(n, 12);
}

static void limits(void **state _unused_) {
        struct stat st;

        assert_false(trail_is_full(s.trail));
        assert_int_equal(stat(s.path, &st), 0);
        trail_set_limits(s.trail, (uint64_t) st.st_size + 1, 0);
        assert_false(trail_is_full(s.trail));
        trail_set_limits(s.trail, (uint64_t) st.st_size, 0);
        assert_true(trail_is_full(s.trail));
        trail_set_limits(s.trail, 0, 3600 * USEC_PER_SEC);
        assert_false(trail_is_full(s.trail));
        trail_set_limits(s.trail, 0, 1);
        assert_true(trail_is_full(s.trail));
        assert_int_equal(trail_rotate(s.trail, rotated), 0);
        trail_set_limits(s.trail, 1, 1);
        assert_false(trail_is_full(s.trail));          /* an empty file is never followed by another */
}

static void what_waits_is_written_first(void **state _unused_) {
        uint64_t sequence;

        audit_record_start(&s.message, "event", LOG_INFO, true);
        assert_int_equal(trail_append(s.trail, &s.message, RECORD_DAEMON, NULL, &sequence), 0);
        assert_int_equal(trail_rotate(s.trail, rotated), -EBUSY);
        assert_int_equal(sealed_trail_write(&s, 1, "event"), 0);
        expect(0, 43, 4);
}

/* Killed between any two steps of a rotation. */
static void killed_in_a_rotation(void **state _unused_) {
        const char *next = "trail-00000000000000000032.jsonl";
        int fd;

        /* the next file is there, under its other name */
        sealed_trail_close(&s);
        fd = open(in_dir("trail.next"), O_WRONLY|O_CREAT, 0600);
        assert_true(fd >= 0);
        close(fd);
        expect(0, 41, 4);
        sealed_trail_open(&s, true);
        assert_int_equal(s.recovery.kind, TRAIL_RECOVERED_NOTHING);
        assert_int_equal(sealed_trail_write(&s, 1, "event"), 0);
        expect(0, 42, 4);

        /* the file has both names: a reader sees it once, and it goes on as trail.jsonl */
        sealed_trail_close(&s);
        assert_int_equal(link(s.path, in_dir(next)), 0);
        expect(0, 42, 4);
        sealed_trail_open(&s, true);
        assert_int_equal(s.recovery.kind, TRAIL_RECOVERED_NOTHING);
        assert_int_equal(access(in_dir(next), F_OK), -1);
        assert_int_equal(sealed_trail_write(&s, 1, "event"), 0);
        assert_int_equal(trail_rotate(s.trail, rotated), 0);
        assert_string_equal(rotated, next);

        /* nothing is written to the next one yet */
        expect(0, 43, 5);
        sealed_trail_close(&s);
        sealed_trail_open(&s, true);
        assert_int_equal(s.recovery.kind, TRAIL_RECOVERED_NOTHING);
        assert_int_equal(trail_sequence(s.trail), 43);

        /* half a line is */
        sealed_trail_close(&s);
        fd = open(s.path, O_WRONLY|O_APPEND);
        assert_int_equal(write_all(fd, "{\"v\":2,", 7), 0);
        close(fd);
        sealed_trail_open(&s, true);
        assert_int_equal(s.recovery.kind, TRAIL_RECOVERED_TORN);
        assert_int_equal(s.recovery.last_lost, 0);
        assert_int_equal(sealed_trail_write(&s, 1, "gap"), 0);
        expect(0, 44, 5);
        assert_int_equal(report.epochs, 1);
}

/* Where the kernel's ring stood is known from the file before, where this one does not say. */
static void ring_is_found_in_the_file_before(void **state _unused_) {
        uint64_t sequence;
        bool kept;

        audit_record_start(&s.message, "key_set", LOG_INFO, true);
        audit_record_add(&s.message, "ring", "7.42");
        assert_int_equal(trail_append(s.trail, &s.message, RECORD_KERNEL, NULL, &sequence), 0);
        assert_int_equal(trail_commit(s.trail, true, &kept), 0);
        assert_int_equal(trail_rotate(s.trail, rotated), 0);
        for (unsigned i = 0; i < 2; i++) {
                sealed_trail_close(&s);
                sealed_trail_open(&s, true);
                assert_string_equal(s.recovery.ring, "7.42");
                assert_int_equal(sealed_trail_write(&s, 2, "event"), 0);
        }
}

/* A name that is taken: no rotation, and nothing is lost. */
static void taken_name_stops_the_rotation(void **state _unused_) {
        const char *next = "trail-00000000000000000032.jsonl";

        assert_int_equal(write_file_atomic(in_dir(next), "x\n", 2, 0600), 0);
        assert_int_equal(trail_rotate(s.trail, rotated), -EEXIST);
        assert_int_equal(sealed_trail_write(&s, 1, "event"), 0);
        assert_int_equal(unlink(in_dir(next)), 0);
        expect(0, 42, 4);
        assert_int_equal(trail_rotate(s.trail, rotated), 0);
        expect(0, 42, 5);
}

static void missing_files_are_found(void **state _unused_) {
        assert_int_equal(rename(in_dir(SECOND), in_dir("kept")), 0);
        expect(1, 31, 3);
        assert_true(has(TRAIL_REMOVED, THIRD, 12, 21));
        assert_int_equal(rename(in_dir("kept"), in_dir(SECOND)), 0);
        expect(0, 41, 4);
        assert_int_equal(unlink(in_dir(FIRST)), 0);
        sealed_trail_verify(&s, false, &report);
        assert_true(has(TRAIL_REMOVED, SECOND, 1, 11));
}

static void missing_last_file_is_found(void **state _unused_) {
        assert_int_equal(unlink(s.path), 0);
        sealed_trail_verify(&s, true, &report);
        assert_int_equal(report.n_problems, 1);
        assert_int_equal(report.problems[0].kind, TRAIL_TRUNCATED);
        assert_int_equal(report.problems[0].first, 32);
        assert_int_equal(report.problems[0].last, 41);
}

static void renamed_files_are_found(void **state _unused_) {
        assert_int_equal(rename(in_dir(SECOND), in_dir("trail-00000000000000000013.jsonl")), 0);
        expect(1, 41, 4);
        assert_true(has(TRAIL_MISPLACED, "trail-00000000000000000013.jsonl", 12, 12));
        assert_int_equal(rename(in_dir("trail-00000000000000000013.jsonl"), in_dir("trail-00000000000000000040.jsonl")), 0);
        sealed_trail_verify(&s, true, &report);
        assert_true(has(TRAIL_REMOVED, THIRD, 12, 21));
        assert_true(has(TRAIL_MISPLACED, "trail-00000000000000000040.jsonl", 12, 12));
}

static void doubled_file_is_found(void **state _unused_) {
        copy(SECOND, "trail-00000000000000000023.jsonl");
        sealed_trail_verify(&s, true, &report);
        assert_int_equal(report.n_problems, 11);
        assert_true(has(TRAIL_MISPLACED, "trail-00000000000000000023.jsonl", 12, 12));
        assert_true(has(TRAIL_INSERTED, "trail-00000000000000000023.jsonl", 12, 12));
}

static void replaced_file_is_found(void **state _unused_) {
        copy(SECOND, THIRD);
        sealed_trail_verify(&s, true, &report);
        assert_true(has(TRAIL_MISPLACED, THIRD, 12, 12));
        assert_true(has(TRAIL_REMOVED, "trail.jsonl", 22, 31));
}

/* The last line of an older file without its end, which in trail.jsonl would be one that is being written. */
static void torn_older_file_is_found(void **state _unused_) {
        struct stat st;

        assert_int_equal(stat(in_dir(SECOND), &st), 0);
        assert_int_equal(truncate(in_dir(SECOND), st.st_size - 1), 0);
        sealed_trail_verify(&s, true, &report);
        assert_true(has(TRAIL_BROKEN, SECOND, 0, 0));
}

/* Reads what there is now. Returns the number of records; all numbers have to follow each other. */
static uint64_t drain(struct reader *r, uint64_t *last) {
        uint64_t n = 0;
        int e;

        for (;;) {
                _cleanup_(record_done) struct record x = {};

                e = reader_next(r, &x);
                assert_true(e >= 0);
                if (e == 0)
                        return n;
                assert_int_equal(x.sequence, *last + 1);
                *last = x.sequence;
                n++;
        }
}

/* A directory that somebody prepared: none of it is read for ever, and none of it is waited for. */
static void neither_links_nor_pipes(void **state _unused_) {
        const char *path = in_dir("trail.jsonl");
        struct reader *r = NULL;

        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink(FIRST, path), 0);
        assert_int_equal(reader_open(path, &r), -ELOOP);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(reader_open(path, &r), -EBADMSG);
}

static void following_goes_on_in_the_next_file(void **state _unused_) {
        struct reader *r;
        uint64_t last = 0;

        assert_int_equal(reader_open(s.path, &r), 0);
        assert_int_equal(drain(r, &last), 41);
        while (reader_wait(r, 0) > 0)
                ;
        assert_int_equal(sealed_trail_write(&s, 2, "event"), 0);
        assert_int_equal(trail_rotate(s.trail, rotated), 0);
        assert_int_equal(reader_wait(r, 10000), 1);
        assert_int_equal(drain(r, &last), 2);
        while (reader_wait(r, 0) > 0)
                assert_int_equal(drain(r, &last), 0);
        assert_int_equal(sealed_trail_write(&s, 3, "event"), 0);
        assert_int_equal(reader_wait(r, 10000), 1);
        assert_int_equal(drain(r, &last), 3);
        assert_int_equal(reader_files(r), 5);

        /* two rotations before anybody looks */
        assert_int_equal(trail_rotate(s.trail, rotated), 0);
        assert_int_equal(sealed_trail_write(&s, 1, "event"), 0);
        assert_int_equal(trail_rotate(s.trail, rotated), 0);
        assert_int_equal(sealed_trail_write(&s, 1, "event"), 0);
        assert_int_equal(drain(r, &last), 2);
        assert_int_equal(reader_files(r), 7);
        reader_free(r);
}

static void write_and_rotate(void) {
        assert_int_equal(sealed_trail_write(&s, 2, "event"), 0);
        assert_int_equal(trail_rotate(s.trail, rotated), 0);
        assert_int_equal(sealed_trail_write(&s, 2, "event"), 0);
}

/* Written and rotated after the reader saw the end of the file: what was written there is not skipped. */
static void rotation_behind_the_readers_back(void **state _unused_) {
        struct reader *r;
        uint64_t last = 0;

        assert_int_equal(reader_open(s.path, &r), 0);
        assert_int_equal(drain(r, &last), 41);
        before_look = write_and_rotate;
        assert_int_equal(drain(r, &last), 4);
        assert_null(before_look);
        assert_int_equal(reader_files(r), 5);
        reader_free(r);
}

#define MANY 20000u

static void make_empty(unsigned n) {
        for (unsigned i = 1; i <= n; i++) {
                char name[SEGMENT_NAME_MAX];
                int fd;

                assert_int_equal(segment_name("many", i, name, sizeof(name)), 0);
                fd = open(in_dir(name), O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600);
                assert_true(fd >= 0);
                close(fd);
        }
}

static void many_files_are_read_in_one_go(void **state _unused_) {
        struct reader *r;
        uint64_t last = 0;

        make_empty(MANY);
        directories_read = 0;
        assert_int_equal(reader_open(in_dir("many.jsonl"), &r), 0);
        assert_int_equal(drain(r, &last), 0);
        assert_int_equal(reader_files(r), MANY);
        assert_int_equal(reader_segment(r), MANY);
        assert_int_equal(directories_read, 2);          /* at the beginning, and whether there are more by now */
        reader_free(r);
}

/* Taken away and made between the reading of the directory and that of the file. */
static void files_that_come_and_go(void **state _unused_) {
        char name[SEGMENT_NAME_MAX];
        struct reader *r;
        uint64_t last = 11;

        make_empty(4);
        assert_int_equal(reader_open(in_dir("many.jsonl"), &r), 0);
        for (unsigned i = 2; i <= 4; i++) {
                assert_int_equal(segment_name("many", i, name, sizeof(name)), 0);
                assert_int_equal(unlink(in_dir(name)), 0);
        }
        assert_int_equal(segment_name("many", 12, name, sizeof(name)), 0);
        copy(SECOND, name);
        assert_int_equal(drain(r, &last), 10);
        assert_int_equal(reader_files(r), 2);
        assert_int_equal(reader_segment(r), 12);
        reader_free(r);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(one_row_through_all_files), TEST(names), TEST(limits), TEST(what_waits_is_written_first),
                TEST(killed_in_a_rotation), TEST(ring_is_found_in_the_file_before), TEST(taken_name_stops_the_rotation),
                TEST(missing_files_are_found), TEST(missing_last_file_is_found), TEST(renamed_files_are_found),
                TEST(doubled_file_is_found), TEST(replaced_file_is_found), TEST(torn_older_file_is_found),
                TEST(neither_links_nor_pipes), TEST(following_goes_on_in_the_next_file), TEST(rotation_behind_the_readers_back),
                TEST(many_files_are_read_in_one_go), TEST(files_that_come_and_go),
        };

        return cmocka_run_group_tests_name("segments", tests, NULL, NULL);
}
