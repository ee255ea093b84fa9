/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/chain.c daemon/audit/seal.c daemon/audit/record.c daemon/audit/reader.c daemon/audit/trail.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/sealer.c daemon/audit/keep.c
// libs: json-c libsystemd
// The trail on disk: each kind of tampering is found where it was done; torn ends are repaired and said; following.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <signal.h>
#include <syslog.h>
#include <unistd.h>

#include "audit/verify.h"
#include "audit/trail.h"

#define RECORDS 10u

static char dir[64], path[128], head_path[128];
static struct trail_report report;
static struct trail_recovery recovery;
static struct audit_message_record message;

static const char *rest[4];                /* of a line: written one after the other while somebody waits for it */
static unsigned n_rest, waits;
static bool is_silent;                     /* nothing comes, and nobody has to wait for that */
static unsigned endless;                   /* so often a broken line comes and the beginning of the next, to whoever waits */

int poll(struct pollfd *p, nfds_t n, int timeout) {
        int fd = open(path, O_WRONLY|O_APPEND);

        assert_in_range(timeout, 0, 10000);
        waits++;
        if (n_rest < ELEMENTSOF(rest) && rest[n_rest]) {
                assert_int_equal(write_all(fd, rest[n_rest], strlen(rest[n_rest])), 0);
                n_rest++;
        }
        if (waits <= endless)
                assert_int_equal(write_all(fd, "\n{", 2), 0);
        close(fd);
        return is_silent ? 0 : (int) syscall(SYS_poll, p, n, timeout);
}

static unsigned synced;                    /* the head with what is in it, and then its name: 2 */
static bool sync_fails;

int fsync(int fd) {
        struct stat st, head = {}, in = {};

        if (fstat(fd, &st) < 0)
                return -1;
        (void) stat(head_path, &head);
        (void) stat(dir, &in);
        if (st.st_ino == head.st_ino && head.st_size > 0)
                synced = 1;
        else if (st.st_ino == in.st_ino && synced == 1)
                synced = 2;
        errno = EIO;
        return sync_fails && synced > 0 ? -1 : (int) syscall(SYS_fsync, fd);
}

static void *allocated[64];
static size_t n_allocated;

/* Freed when the test is over: lines are moved about and written over. */
static void *kept(void *p) {
        assert_non_null(p);
        assert_true(n_allocated < ELEMENTSOF(allocated));
        allocated[n_allocated++] = p;
        return p;
}

static int remove_one(const char *name, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_) {
        return remove(name);
}

static int write_records(struct trail *t, unsigned n, const char *event) {
        uint64_t sequence;
        bool kept;

        for (unsigned i = 0; i < n; i++) {
                audit_record_start(&message, event, LOG_INFO, true);
                audit_record_addf(&message, "number", "%u", i);
                assert_int_equal(trail_append(t, &message, RECORD_DAEMON, NULL, &sequence), 0);
        }
        return trail_commit(t, true, &kept);
}

static int setup(void **state _unused_) {
        struct trail *t;

        rest[0] = NULL;
        strcpy(dir, "/tmp/cmkd-test-trail-XXXXXX");
        if (!mkdtemp(dir))
                return -1;
        snprintf(path, sizeof(path), "%s/trail.jsonl", dir);
        snprintf(head_path, sizeof(head_path), "%s/trail.head", dir);
        if (trail_open(dir, &t, &recovery) < 0 || write_records(t, RECORDS, "event") < 0)
                return -1;
        trail_free(t);
        return recovery.kind == TRAIL_RECOVERED_NOTHING ? 0 : -1;
}

static int teardown(void **state _unused_) {
        while (n_allocated > 0)
                free(allocated[--n_allocated]);
        return nftw(dir, remove_one, 8, FTW_DEPTH|FTW_PHYS);
}

static void read_lines(char *lines[RECORDS + 1]) {
        char *text, *p;
        size_t n = 0;

        assert_int_equal(read_small_file(path, 1024 * 1024, &text, NULL), 0);
        kept(text);
        p = text;
        for (n = 0; n < RECORDS; n++) {
                char *end = strchr(p, '\n');

                assert_non_null(end);
                lines[n] = kept(strndup(p, (size_t) (end + 1 - p)));
                p = end + 1;
        }
        lines[RECORDS] = NULL;
}

static void write_lines(char *const *lines, size_t n) {
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        for (size_t i = 0; i < n; i++)
                if (lines[i])
                        fputs(lines[i], f);
        fclose(f);
}

static void verify(void) {
        assert_int_equal(trail_verify(path, &report), 0);
}

static void expect_one(enum trail_problem_kind kind, uint64_t line, uint64_t first, uint64_t last) {
        verify();
        if (report.n_problems != 1)
                for (unsigned i = 0; i < report.n_problems; i++)
                        print_error("%s\n", report.problems[i].text);
        assert_int_equal(report.n_problems, 1);
        assert_int_equal(report.problems[0].kind, kind);
        assert_int_equal(report.problems[0].line, line);
        assert_int_equal(report.problems[0].first, first);
        assert_int_equal(report.problems[0].last, last);
        assert_true(strlen(report.problems[0].text) > 10);
}

static void untouched_trail_holds(void **state _unused_) {
        struct stat st;

        verify();
        assert_int_equal(report.n_problems, 0);
        assert_int_equal(report.records, RECORDS);
        assert_int_equal(report.first_sequence, 1);
        assert_int_equal(report.last_sequence, RECORDS);
        assert_true(report.head_checked);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(trail_verify("/nonexistent/trail.jsonl", &report), -ENOENT);
}

static void change_is_found(void **state _unused_) {
        char *lines[RECORDS + 1], *p;

        read_lines(lines);
        p = strstr(lines[4], "\"number\":\"4\"");
        p[10] = '5';
        write_lines(lines, RECORDS);
        expect_one(TRAIL_CHANGED, 5, 5, 5);
}

/* Changed and hashed anew, the head too clever to be left: seen at the next record. */
static void rehashed_change_is_found(void **state _unused_) {
        char *lines[RECORDS + 1];
        struct record_line *forged = kept(malloc(sizeof(*forged)));
        struct record r = {};

        read_lines(lines);
        assert_int_equal(record_decode(lines[4], strlen(lines[4]) - 1, &r), 0);
        audit_record_start(&message, "forged", LOG_INFO, true);
        assert_int_equal(record_encode(&message, RECORD_DAEMON, 5, r.prev, NULL, forged), 0);
        lines[4] = kept(strndup(forged->text, forged->size));
        write_lines(lines, RECORDS);
        expect_one(TRAIL_CHANGED, 6, 5, 5);
        record_done(&r);
}

static void removal_is_found(void **state _unused_) {
        char *lines[RECORDS + 1];

        read_lines(lines);
        lines[3] = lines[4] = NULL;
        write_lines(lines, RECORDS);
        expect_one(TRAIL_REMOVED, 4, 4, 5);
}

static void removal_at_the_beginning_is_found(void **state _unused_) {
        char *lines[RECORDS + 1];

        read_lines(lines);
        write_lines(lines + 2, RECORDS - 2);
        expect_one(TRAIL_REMOVED, 1, 1, 2);
}

static void truncation_is_found(void **state _unused_) {
        char *lines[RECORDS + 1];

        read_lines(lines);
        write_lines(lines, RECORDS - 3);
        expect_one(TRAIL_TRUNCATED, 8, 8, 10);
        write_lines(lines, 0);
        expect_one(TRAIL_TRUNCATED, 1, 1, 10);
}

static void rewritten_end_is_found(void **state _unused_) {
        char *lines[RECORDS + 1];
        struct record_line *forged = kept(malloc(sizeof(*forged)));
        struct record r = {};

        read_lines(lines);
        assert_int_equal(record_decode(lines[9], strlen(lines[9]) - 1, &r), 0);
        audit_record_start(&message, "forged", LOG_INFO, true);
        assert_int_equal(record_encode(&message, RECORD_DAEMON, 10, r.prev, NULL, forged), 0);
        lines[9] = kept(strndup(forged->text, forged->size));
        write_lines(lines, RECORDS);
        expect_one(TRAIL_TRUNCATED, 11, 10, 10);
        record_done(&r);
}

static void insertions_are_found(void **state _unused_) {
        char *lines[RECORDS + 2];
        struct record_line *forged = kept(malloc(sizeof(*forged)));
        struct record r = {};

        read_lines(lines);
        memmove(lines + 5, lines + 4, (RECORDS - 4) * sizeof(*lines));
        lines[4] = lines[1];               /* an old record once more */
        write_lines(lines, RECORDS + 1);
        expect_one(TRAIL_INSERTED, 5, 2, 2);

        assert_int_equal(record_decode(lines[3], strlen(lines[3]) - 1, &r), 0);
        audit_record_start(&message, "forged", LOG_INFO, true);
        assert_int_equal(record_encode(&message, RECORD_DAEMON, 5, r.hash, NULL, forged), 0);
        lines[4] = kept(strndup(forged->text, forged->size));    /* a good link, but the number comes twice */
        write_lines(lines, RECORDS + 1);
        expect_one(TRAIL_INSERTED, 6, 5, 5);
        record_done(&r);
}

static void swap_is_found(void **state _unused_) {
        char *lines[RECORDS + 1], *p;

        read_lines(lines);
        p = lines[4];
        lines[4] = lines[5];
        lines[5] = p;
        write_lines(lines, RECORDS);
        verify();
        assert_true(report.n_problems >= 1);
        assert_int_equal(report.problems[0].line, 5);
}

static void broken_lines_are_found(void **state _unused_) {
        char *lines[RECORDS + 1];

        read_lines(lines);
        lines[6] = kept(strdup("{\"v\":1}\n"));
        write_lines(lines, RECORDS);
        expect_one(TRAIL_BROKEN, 7, 0, 0);
        lines[6] = kept(malloc(RECORD_LINE_MAX * 2 + 2));
        memset(lines[6], 'x', RECORD_LINE_MAX * 2);
        strcpy(lines[6] + RECORD_LINE_MAX * 2, "\n");
        write_lines(lines, RECORDS);
        expect_one(TRAIL_BROKEN, 7, 0, 0);
}

static void torn_end_is_found_and_repaired(void **state _unused_) {
        char torn_path[128], *torn;
        int fd = open(path, O_WRONLY|O_APPEND);
        struct trail *t;

        assert_int_equal(write_all(fd, "{\"v\":1,\"seq\":11,", 16), 0);
        close(fd);
        expect_one(TRAIL_TORN, 11, 0, 0);

        assert_int_equal(trail_open(dir, &t, &recovery), 0);
        assert_int_equal(recovery.kind, TRAIL_RECOVERED_TORN);
        assert_int_equal(recovery.bytes, 16);
        assert_int_equal(trail_sequence(t), RECORDS);
        assert_int_equal(write_records(t, 1, "gap"), 0);
        trail_free(t);
        verify();
        assert_int_equal(report.n_problems, 0);
        assert_int_equal(report.records, RECORDS + 1);
        assert_int_equal(report.gaps, 1);
        snprintf(torn_path, sizeof(torn_path), "%s/trail.torn", dir);
        assert_int_equal(read_small_file(torn_path, 100, &torn, NULL), 0);
        kept(torn);
        assert_string_equal(torn, "{\"v\":1,\"seq\":11,\n");
}

/* cmkd-audit is in the middle of a write(2): that is no torn line, however often it happens. One that nobody goes on with is. */
static void line_that_is_being_written_is_waited_for(void **state _unused_) {
        char *lines[RECORDS + 1], *part;

        for (size_t cut = 1; cut < 200; cut += 99) {
                read_lines(lines);
                part = kept(strdup(lines[RECORDS - 1] + cut));
                lines[RECORDS - 1][cut] = 0;
                write_lines(lines, RECORDS);
                rest[0] = kept(strndup(part, 10));
                rest[1] = part + 10;
                rest[2] = NULL;
                n_rest = 0;
                verify();
                assert_int_equal(n_rest, 2);
                assert_int_equal(report.n_problems, 0);
                assert_int_equal(report.records, RECORDS);
        }

        read_lines(lines);
        part = strchr(lines[RECORDS - 1], ',');
        *part = 0;
        write_lines(lines, RECORDS);
        n_rest = ELEMENTSOF(rest);
        waits = 0;
        is_silent = true;
        verify();
        is_silent = false;
        assert_int_equal(waits, 1);
        assert_int_equal(report.problems[0].kind, TRAIL_TORN);
        assert_int_equal(report.records, RECORDS - 1);
}

/* Whoever can write there writes more as often as somebody waits: that ends, and of a trail that nobody writes it does not begin. */
static void nobody_is_kept_waiting(void **state _unused_) {
        char *lines[RECORDS + 1];

        read_lines(lines);
        lines[RECORDS - 1][20] = 0;
        write_lines(lines, RECORDS);
        waits = 0;
        endless = 1000;
        verify();
        assert_in_range(waits, 1, 64);
        assert_true(report.n_problems > 1);
        assert_int_equal(report.records, RECORDS - 1);
        waits = 0;
        assert_int_equal(trail_verify_still(path, &report), 0);
        endless = 0;
        assert_int_equal(waits, 0);
        assert_true(report.n_problems > 1);
}

/* What was written and not synced when the power went may be zeros, as much as one commit and more. */
static void long_torn_end_is_set_aside_alone(void **state _unused_) {
        static const off_t zeros[] = { 600 << 10, (1 << 20) + RECORD_LINE_MAX, 5 << 20 };
        struct trail *t;
        struct stat st;

        for (size_t i = 0; i < ELEMENTSOF(zeros); i++) {
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(truncate(path, st.st_size + zeros[i]), 0);
                assert_int_equal(trail_open(dir, &t, &recovery), 0);
                assert_int_equal(recovery.kind, TRAIL_RECOVERED_TORN);
                assert_int_equal(recovery.bytes, zeros[i]);
                assert_int_equal(trail_sequence(t), RECORDS + i);
                assert_int_equal(write_records(t, 1, "gap"), 0);
                trail_free(t);
        }
        verify();
        assert_int_equal(report.n_problems, 0);
        assert_int_equal(report.records, RECORDS + 3);
}

/* A daemon that starts on a cut or rewritten trail must not paper it over. */
static void truncation_outlives_a_start(void **state _unused_) {
        char *lines[RECORDS + 1];
        struct trail *t;

        read_lines(lines);
        write_lines(lines, RECORDS - 3);
        assert_int_equal(trail_open(dir, &t, &recovery), 0);
        assert_int_equal(recovery.kind, TRAIL_RECOVERED_TRUNCATED);
        assert_int_equal(recovery.first_lost, 8);
        assert_int_equal(recovery.last_lost, 10);
        assert_int_equal(write_records(t, 2, "event"), 0);
        trail_free(t);
        expect_one(TRAIL_REMOVED, 8, 8, 10);
}

static void second_writer_is_refused(void **state _unused_) {
        struct trail *t, *u;

        assert_int_equal(trail_open(dir, &t, &recovery), 0);
        assert_int_equal(trail_open(dir, &u, &recovery), -EBUSY);
        trail_free(t);
}

/* A disk that is full in the middle of a write: nothing of the batch stays, its numbers are used again. */
static void full_disk_takes_back(void **state _unused_) {
        struct rlimit old, small;
        struct stat st;
        struct trail *t;
        bool kept;
        uint64_t sequence;

        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(trail_open(dir, &t, &recovery), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        small = (struct rlimit) { .rlim_cur = (rlim_t) st.st_size + 100, .rlim_max = old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        audit_record_start(&message, "event", LOG_INFO, true);
        assert_int_equal(trail_append(t, &message, RECORD_DAEMON, NULL, &sequence), 0);
        assert_int_equal(sequence, RECORDS + 1);
        assert_int_equal(trail_commit(t, true, &kept), -EFBIG);
        assert_false(kept);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        verify();
        assert_int_equal(report.n_problems, 0);
        assert_int_equal(report.records, RECORDS);
        assert_int_equal(write_records(t, 1, "event"), 0);
        assert_int_equal(trail_sequence(t), RECORDS + 1);
        trail_free(t);
        verify();
        assert_int_equal(report.n_problems, 0);
}

/* A head that was taken away hides what was cut off the end: the daemon says that there is none. */
static void missing_head_is_said(void **state _unused_) {
        static const char *const heads[] = { NULL, "", "v1 rubbish\n" };
        struct trail *t;

        for (size_t i = 0; i < ELEMENTSOF(heads); i++) {
                if (heads[i])
                        assert_int_equal(write_file_atomic(head_path, heads[i], strlen(heads[i]), 0600), 0);
                else
                        assert_int_equal(unlink(head_path), 0);
                assert_int_equal(trail_open(dir, &t, &recovery), 0);
                assert_int_equal(recovery.kind, TRAIL_RECOVERED_HEADLESS);
                assert_string_equal(trail_recovery_to_string(recovery.kind), "headless");
                assert_int_equal(write_records(t, 1, "gap"), 0);
                trail_free(t);
                verify();
                assert_int_equal(report.n_problems, 0);
                assert_int_equal(trail_open(dir, &t, &recovery), 0);
                assert_int_equal(recovery.kind, TRAIL_RECOVERED_NOTHING);
                trail_free(t);
        }
}

/* Or a loss of power soon after the first start looks as if somebody had taken it away. */
static void first_head_is_durable(void **state _unused_) {
        struct trail *t;

        assert_int_equal(unlink(path) + unlink(head_path), 0);
        synced = 0;
        sync_fails = true;
        assert_int_equal(trail_open(dir, &t, &recovery), -EIO);
        sync_fails = false;
        assert_int_equal(unlink(path) + unlink(head_path), 0);
        synced = 0;
        assert_int_equal(trail_open(dir, &t, &recovery), 0);
        assert_int_equal(synced, 2);
        trail_free(t);
}

/* Begun, and nothing written yet; or killed before the first sync. */
static void fresh_trail_is_no_alarm(void **state _unused_) {
        uint64_t sequence;
        struct trail *t;
        bool kept;

        assert_int_equal(unlink(path) + unlink(head_path), 0);
        assert_int_equal(trail_open(dir, &t, &recovery), 0);
        assert_int_equal(recovery.kind, TRAIL_RECOVERED_NOTHING);
        verify();
        assert_int_equal(report.n_problems, 0);
        audit_record_start(&message, "event", LOG_INFO, false);
        assert_int_equal(trail_append(t, &message, RECORD_DAEMON, NULL, &sequence), 0);
        assert_int_equal(trail_commit(t, false, &kept), 0);
        trail_free(t);
        verify();
        assert_int_equal(report.n_problems, 0);
        assert_int_equal(trail_open(dir, &t, &recovery), 0);
        assert_int_equal(recovery.kind, TRAIL_RECOVERED_NOTHING);
        trail_free(t);
        assert_int_equal(write_file_atomic(path, "", 0, 0600), 0);
        assert_int_equal(write_file_atomic(head_path, "", 0, 0600), 0);
        verify();
        assert_int_equal(report.n_problems, 0);        /* as an earlier version leaves it */
}

static void following_sees_new_records(void **state _unused_) {
        struct record r = {};
        struct reader *reader;
        struct trail *t;
        unsigned n = 0;

        assert_int_equal(reader_open(path, &reader), 0);
        while (reader_next(reader, &r) > 0) {
                n++;
                record_done(&r);
        }
        assert_int_equal(n, RECORDS);
        while (reader_wait(reader, 0) > 0)
                ;
        assert_int_equal(reader_next(reader, &r), 0);
        assert_int_equal(trail_open(dir, &t, &recovery), 0);
        assert_int_equal(write_records(t, 1, "fresh"), 0);
        assert_int_equal(reader_wait(reader, 10000), 1);
        assert_int_equal(reader_next(reader, &r), 1);
        assert_string_equal(r.event, "fresh");
        assert_int_equal(reader_line(reader), RECORDS + 1);
        record_done(&r);
        trail_free(t);
        reader_free(reader);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(untouched_trail_holds), TEST(change_is_found), TEST(rehashed_change_is_found),
                TEST(removal_is_found),
                TEST(removal_at_the_beginning_is_found), TEST(truncation_is_found), TEST(rewritten_end_is_found),
                TEST(insertions_are_found), TEST(swap_is_found), TEST(broken_lines_are_found),
                TEST(torn_end_is_found_and_repaired), TEST(line_that_is_being_written_is_waited_for), TEST(nobody_is_kept_waiting),
                TEST(long_torn_end_is_set_aside_alone), TEST(truncation_outlives_a_start), TEST(second_writer_is_refused),
                TEST(full_disk_takes_back), TEST(missing_head_is_said), TEST(first_head_is_durable), TEST(fresh_trail_is_no_alarm),
                TEST(following_sees_new_records),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
