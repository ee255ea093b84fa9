/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/chain.c daemon/audit/seal.c daemon/audit/record.c daemon/audit/reader.c daemon/audit/trail.c daemon/audit/early.c
// sources: daemon/audit/mirror.c daemon/audit/writer.c daemon/audit/privacy.c daemon/audit/privacy-forms.c daemon/audit/join.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/sealer.c daemon/audit/keep.c
// libs: json-c libsystemd
// A join that the trail does not take is tried again, and goes on where it was. Clients and ring are this file's.

#include "audit/join.h"
#include "audit/verify.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define LARGE 60u                          /* early records, 1.9 MB: more than one commit takes */

static char dir[64], early_dir[80], early_path[96], path[96], ring[TRAIL_RING_MAX];
static sd_event *event;
static struct writer *writer;
static struct join the_join;
static struct audit_message_record message;
static struct trail_report report;
static bool sync_fails;

int fdatasync(int fd _unused_) {
        errno = EIO;
        return sync_fails ? -1 : 0;
}

int connect(int fd _unused_, const struct sockaddr *a _unused_, socklen_t size _unused_) { return 0; }
ssize_t send(int fd _unused_, const void *data _unused_, size_t size, int flags _unused_) { return (ssize_t) size; }
void serve_ack(struct client *c _unused_, uint32_t id _unused_, int error _unused_, uint64_t sequence _unused_) {}
void ring_commit(struct ring *r _unused_) {}
void ring_rewind(struct ring *r _unused_) {}

static void write_early(void) {
        struct trail_recovery recovery;
        struct trail *t;
        uint64_t sequence;
        char text[1001];
        bool kept;

        memset(text, 'x', sizeof(text));
        text[1000] = 0;
        assert_int_equal(trail_open(early_dir, &t, &recovery), 0);
        for (unsigned i = 0; i < LARGE; i++) {
                audit_record_start(&message, "release", LOG_NOTICE, true);
                for (unsigned k = 0; k < AUDIT_FIELDS_MAX - 1; k++) {
                        const char name[] = { (char) ('a' + k % 26), (char) ('a' + k / 26), 0 };

                        audit_record_add(&message, name, text);
                }
                assert_int_equal(trail_append(t, &message, RECORD_DAEMON, NULL, &sequence), 0);
                if (i == LARGE / 2 || i == LARGE - 1)
                        assert_int_equal(trail_commit(t, true, &kept), 0);
        }
        trail_free(t);
}

static int set_up(void **state _unused_) {
        struct trail_recovery recovery;
        struct trail *t;

        snprintf(dir, sizeof(dir), "/tmp/test-join.XXXXXX");
        if (!mkdtemp(dir))
                return -1;
        snprintf(early_dir, sizeof(early_dir), "%s/early", dir);
        snprintf(early_path, sizeof(early_path), "%s/trail.jsonl", early_dir);
        snprintf(path, sizeof(path), "%s/trail.jsonl", dir);
        sync_fails = false;
        write_early();
        if (trail_open(dir, &t, &recovery) < 0 || sd_event_default(&event) < 0 ||
            writer_new(event, t, false, &writer) < 0)
                return -1;
        join_start(&the_join, early_dir, &recovery);
        return 0;
}

static int tear_down(void **state _unused_) {
        char command[80];

        writer_free(writer);
        sd_event_unref(event);
        snprintf(command, sizeof(command), "rm -r %s", dir);
        return system(command);
}

/* The file may have so many bytes. */
static void disk_has(rlim_t bytes) {
        struct rlimit limit;

        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
        limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void verify(void) {
        assert_int_equal(trail_verify(path, &report), 0);
        for (size_t i = 0; i < report.n_problems; i++)
                print_error("%s\n", report.problems[i].text);
        assert_int_equal(report.n_problems, 0);
}

static void joined_at_once(void **state _unused_) {
        assert_true(join_is_due(&the_join, 1));
        assert_int_equal(join_run(&the_join, writer, ring), 0);
        assert_false(join_is_due(&the_join, UINT64_MAX));
        verify();
        assert_int_equal(report.early, LARGE);
        assert_int_equal(report.records, LARGE + 1);
        assert_int_equal(report.early_open, 0);
        assert_int_equal(access(early_path, F_OK), -1);
}

/* Full in the middle, still full, then there is room again: said once, and nothing is joined twice. */
static void goes_on_where_it_was(void **state _unused_) {
        uint64_t first;

        disk_has(1500000);
        assert_int_equal(join_run(&the_join, writer, ring), -EFBIG);
        disk_has(RLIM_INFINITY);
        verify();
        first = report.early;
        assert_in_range(first, 1, LARGE - 1);
        assert_int_equal(report.early_open, first);
        assert_int_equal(report.gaps, 1);
        assert_int_equal(access(early_path, F_OK), 0);
        assert_false(join_is_due(&the_join, now_boottime_usec()));
        assert_true(join_is_due(&the_join, now_boottime_usec() + 10 * USEC_PER_SEC));

        disk_has(100);
        assert_int_equal(join_run(&the_join, writer, ring), -EFBIG);
        disk_has(RLIM_INFINITY);
        assert_int_equal(join_run(&the_join, writer, ring), 0);
        verify();
        assert_int_equal(report.early, LARGE);
        assert_int_equal(report.records, LARGE + 2);
        assert_int_equal(report.early_open, 0);
        assert_int_equal(report.gaps, 1);
}

/* Not known to be on the disk: the early trail is the only good copy. */
static void not_durable_is_not_joined(void **state _unused_) {
        sync_fails = true;
        assert_int_equal(join_run(&the_join, writer, ring), -EIO);
        assert_int_equal(access(early_path, F_OK), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(joined_at_once), TEST(goes_on_where_it_was), TEST(not_durable_is_not_joined),
        };

        return cmocka_run_group_tests_name("join", tests, NULL, NULL);
}
