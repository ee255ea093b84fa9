/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/chain.c daemon/audit/seal.c daemon/audit/record.c daemon/audit/reader.c daemon/audit/trail.c
// sources: daemon/audit/mirror.c daemon/audit/writer.c daemon/audit/privacy.c daemon/audit/privacy-forms.c tests/unit/sealed-trail.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/sealer.c daemon/audit/keep.c
// libs: json-c libsystemd
// Who is told what, and when: with a disk that is full and one that fails. Clients, ring and journal are this file's.

#include "audit/verify.h"
#include "audit/writer.h"
#include "sealed-trail.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static char dir[64], path[96];
static sd_event *event;
static struct writer *writer;
static struct audit_message_record message;
static bool sync_fails;
static int acks[2 * WRITER_ACKS_MAX];      /* by id; 1: none yet */
static uint64_t ack_sequence;
static struct { unsigned committed, rewound; } ring;
static char journal[4 * 1024 * 1024];          /* all that was sent */
static size_t n_journal;

int fdatasync(int fd _unused_) {
        errno = EIO;
        return sync_fails ? -1 : 0;
}

int connect(int fd _unused_, const struct sockaddr *a _unused_, socklen_t size _unused_) {
        return 0;
}

ssize_t send(int fd _unused_, const void *data, size_t size, int flags _unused_) {
        assert_true(size < sizeof(journal) - n_journal);
        memcpy(journal + n_journal, data, size);
        n_journal += size;
        journal[n_journal] = 0;
        return (ssize_t) size;
}

void serve_ack(struct client *c _unused_, uint32_t id, int error, uint64_t sequence) {
        assert_true(id < ELEMENTSOF(acks));
        assert_int_equal(acks[id], 1);
        acks[id] = error;
        ack_sequence = sequence;
}

void ring_commit(struct ring *r _unused_) { ring.committed++; }
void ring_rewind(struct ring *r _unused_) { ring.rewound++; }

static int set_up(void **state _unused_) {
        struct trail_recovery recovery;
        struct trail *t;

        snprintf(dir, sizeof(dir), "/tmp/test-writer.XXXXXX");
        if (!mkdtemp(dir) || trail_open(dir, &t, &recovery) < 0 || sd_event_default(&event) < 0 ||
            writer_new(event, t, false, &writer) < 0)
                return -1;
        snprintf(path, sizeof(path), "%s/trail.jsonl", dir);
        sync_fails = false;
        ring.committed = ring.rewound = 0;
        n_journal = 0;
        journal[0] = 0;
        for (size_t i = 0; i < ELEMENTSOF(acks); i++)
                acks[i] = 1;
        return 0;
}

static int tear_down(void **state _unused_) {
        char command[80];

        writer_free(writer);
        sd_event_unref(event);
        snprintf(command, sizeof(command), "rm -r %s", dir);
        return system(command);
}

/* So many bytes have room from now on. */
static void disk_has(rlim_t bytes) {
        struct rlimit limit;
        struct stat st;

        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
        limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : (rlim_t) st.st_size + bytes;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void receive(uint32_t id, bool durable) {
        audit_record_start(&message, "release", LOG_INFO, durable);
        audit_record_addf(&message, "number", "%" PRIu32, id);
        writer_receive(writer, (struct client *) &acks, id, &message);
}

static int say(const char *name) {
        audit_record_start(&message, name, LOG_INFO, true);
        return writer_say(writer, &message);
}

static uint64_t records(void) {
        static struct trail_report report;

        assert_int_equal(trail_verify(path, &report), 0);
        return report.records;
}

static void acknowledged_when_durable(void **state _unused_) {
        receive(0, true);
        receive(1, false);
        assert_int_equal(acks[0], 1);
        assert_int_equal(acks[1], 0);
        assert_int_equal(writer_commit(writer, true), 0);
        assert_int_equal(acks[0], 0);
        assert_int_equal(ack_sequence, 1);
        assert_int_equal(records(), 2);
}

/* In the file, but not known to be on the disk: no success for who asked for that. */
static void failed_sync_is_an_error(void **state _unused_) {
        sync_fails = true;
        receive(0, true);
        assert_int_equal(say("early_joined"), 0);
        assert_int_equal(writer_commit(writer, true), -EIO);
        assert_int_equal(acks[0], -EIO);
        assert_int_equal(writer_dropped(writer), 0);
        assert_int_equal(records(), 2);
}

/* The one that finds no room among those who wait is not in the trail: the next sync must not tell it so. */
/* Where the trail must not be kept, nothing counts as durable, and is written all the same. */
static void refused_and_written(void **state _unused_) {
        writer_refuse(writer, -EMEDIUMTYPE);
        receive(1, true);
        receive(2, false);
        assert_int_equal(acks[1], -EMEDIUMTYPE);
        assert_int_equal(acks[2], 0);
        assert_int_equal(writer_commit(writer, true), 0);
        assert_int_equal(trail_sequence(writer_trail(writer)), 2);
        writer_refuse(writer, 0);
        receive(3, true);
        assert_int_equal(acks[3], 1);
        assert_int_equal(writer_commit(writer, true), 0);
        assert_int_equal(acks[3], 0);
}

static void full_house_on_a_full_disk(void **state _unused_) {
        for (uint32_t id = 0; id < WRITER_ACKS_MAX; id++)
                receive(id, true);
        disk_has(100);
        receive(WRITER_ACKS_MAX, true);
        (void) writer_commit(writer, true);
        disk_has(RLIM_INFINITY);
        assert_int_equal(acks[0], -EFBIG);
        assert_int_equal(acks[WRITER_ACKS_MAX], -EFBIG);
        assert_int_equal(records(), 0);
}

/* The journal hears of a record when it has its number for good: not of what a full disk did not take. */
static void mirrored_when_kept(void **state _unused_) {
        disk_has(100);
        assert_int_equal(say("refused_one"), 0);
        assert_int_equal(writer_commit(writer, true), -EFBIG);
        for (unsigned i = 0; i < 5; i++)
                writer_report_dropped(writer, &message);
        assert_int_equal(n_journal, 0);
        assert_int_equal(writer_dropped(writer), 1);
        disk_has(RLIM_INFINITY);
        writer_report_dropped(writer, &message);
        assert_int_equal(writer_dropped(writer), 0);
        assert_non_null(strstr(journal, "CMKD_EVENT=lost\n"));
        assert_non_null(strstr(journal, "CMKD_SEQ=1\n"));
        assert_null(strstr(journal, "refused_one"));
        assert_int_equal(records(), 1);
}

/* What the trail writes about itself is in the journal too: its numbers have no gaps there. */
static void epochs_and_files_are_mirrored(void **state _unused_) {
        static struct trail_report report;
        struct sealed_trail sealed;
        char expected[32];

        sealed_trail_begin(&sealed);
        trail_set_limits(sealed.trail, 1, 0);
        writer_set_trail(writer, TAKE_PTR(sealed.trail), false);
        assert_int_equal(say("first_one"), 0);
        writer_rotate(writer, &message);           /* nothing is in the file yet */
        assert_int_equal(writer_commit(writer, false), 0);
        writer_rotate(writer, &message);
        assert_int_equal(writer_commit(writer, true), 0);
        assert_int_equal(writer_end_epoch(writer, "stopped"), 0);
        assert_int_equal(writer_end_epoch(writer, "again"), 0);
        for (unsigned i = 1; i <= 4; i++) {
                snprintf(expected, sizeof(expected), "CMKD_SEQ=%u\n", i);
                assert_non_null(strstr(journal, expected));
        }
        assert_null(strstr(journal, "CMKD_SEQ=5\n"));
        assert_non_null(strstr(journal, "CMKD_EVENT=epoch\n"));
        assert_non_null(strstr(journal, "CMKD_EVENT=segment\n"));
        assert_non_null(strstr(journal, "CMKD_FILE=trail-00000000000000000001.jsonl\n"));
        assert_non_null(strstr(journal, "CMKD_EVENT=epoch_end\n"));
        sealed_trail_verify(&sealed, true, &report);
        assert_int_equal(report.n_problems, 0);
        assert_int_equal(report.proven, 4);
        assert_int_equal(report.files, 2);
        sealed_trail_end(&sealed);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Trail and mirror, also where a record has to make room first: each name is replaced once. */
static void names_become_pseudonyms(void **state _unused_) {
        uint8_t key[PRIVACY_KEY_MIN] = { 1 };
        char word[PRIVACY_WORD_SIZE], command[256], text[64];
        struct privacy *p;
        struct secret *s;

        assert_int_equal(secret_take(key, sizeof(key), &s), 0);
        assert_int_equal(privacy_new(s, &p), 0);
        assert_int_equal(privacy_word(p, "acmevol", word), 0);
        writer_set_privacy(writer, p, "~0123456789abcdef");
        for (unsigned i = 0; i < 4000; i++) {      /* more than waits for one commit */
                audit_record_start(&message, "release", LOG_INFO, false);
                audit_record_add(&message, "volume", "acmevol");
                audit_record_add(&message, "ids", "00000000-0000-4000-8000-000000000000 00000000-0000-4000-8000-000000000001");
                assert_int_equal(writer_say(writer, &message), 0);
        }
        audit_record_start(&message, "key_set", LOG_NOTICE, false);
        audit_record_add(&message, "volume", "acmevol");
        assert_int_equal(writer_append(writer, &message, RECORD_KERNEL), 0);
        assert_int_equal(writer_commit(writer, true), 0);
        assert_int_equal(records(), 4001);
        snprintf(command, sizeof(command), "! grep -q acme %s && test $(grep -c '\"volume\":\"%s\"' %s) = 4001", path, word, path);
        assert_int_equal(system(command), 0);
        assert_null(strstr(journal, "acme"));
        snprintf(text, sizeof(text), "CMKD_VOLUME=%s\n", word);
        assert_non_null(strstr(journal, text));
        assert_non_null(strstr(journal, "CMKD_NODE=~0123456789abcdef\n"));
        n_journal = 0;
        writer_set_privacy(writer, NULL, NULL);        /* an initramfs: no key, no mirror */
        assert_int_equal(say("started"), 0);
        assert_int_equal(writer_commit(writer, true), 0);
        assert_int_equal(n_journal, 0);
        assert_int_equal(writer_mirror_lost(writer), 0);
        privacy_free(p);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(acknowledged_when_durable), TEST(failed_sync_is_an_error), TEST(refused_and_written),
                TEST(full_house_on_a_full_disk),
                TEST(mirrored_when_kept), TEST(epochs_and_files_are_mirrored), TEST(names_become_pseudonyms),
        };

        return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
