/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/chain.c daemon/audit/seal.c daemon/audit/record.c daemon/audit/reader.c daemon/audit/trail.c daemon/audit/early.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/sealer.c daemon/audit/keep.c
// sources: daemon/audit/privacy.c daemon/audit/privacy-forms.c daemon/audit/privacy-early.c daemon/audit/privacy-setup.c
// libs: json-c libsystemd
// The early trail, which has names, before it is joined to one that has none; and when nothing is recorded at all.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "audit/early.h"
#include "audit/privacy-early.h"
#include "audit/privacy-setup.h"
#include "audit/verify.h"

#define NAME "acmevol"

static char dir[64], early_dir[80], real_dir[80], early_path[128], real_path[128], key_path[128];
static struct audit_message_record message;
static struct trail_report report;
static struct privacy *privacy;

static int setup(void **state _unused_) {
        char command[256];

        strcpy(dir, "/tmp/test-privacy-early.XXXXXX");
        assert_non_null(mkdtemp(dir));
        snprintf(early_dir, sizeof(early_dir), "%s/early", dir);
        snprintf(real_dir, sizeof(real_dir), "%s/real", dir);
        snprintf(early_path, sizeof(early_path), "%s/trail.jsonl", early_dir);
        snprintf(real_path, sizeof(real_path), "%s/trail.jsonl", real_dir);
        snprintf(key_path, sizeof(key_path), "%s/key", dir);
        snprintf(command, sizeof(command), "umask 077; head -c 32 /dev/urandom > %s", key_path);
        assert_int_equal(system(command), 0);
        assert_int_equal(privacy_load(key_path, &privacy), 0);
        return 0;
}

static int teardown(void **state _unused_) {
        char command[128];

        privacy = privacy_free(privacy);
        snprintf(command, sizeof(command), "rm -rf '%s'", dir);
        return system(command);
}

static void write_early(unsigned n) {
        struct trail_recovery recovery;
        struct trail *t;
        uint64_t sequence;
        bool kept;

        assert_int_equal(trail_open(early_dir, &t, &recovery), 0);
        for (unsigned i = 0; i < n; i++) {
                audit_record_start(&message, i % 2 ? "key_set" : "release", LOG_NOTICE, true);
                message.boottime_usec = 1000 + i;
                audit_record_add(&message, "volume", NAME);
                audit_record_addf(&message, "why", "%s is released", NAME);
                if (i % 2)
                        audit_record_addf(&message, "ring", "0a0b0c0d.1.%u", i);
                assert_int_equal(trail_append(t, &message, i % 2 ? RECORD_KERNEL : RECORD_DAEMON, NULL, &sequence), 0);
        }
        assert_int_equal(trail_commit(t, true, &kept), 0);
        trail_free(t);
}

/* As whoever is root can: an event that only a sealed trail has. */
static void write_foreign(void) {
        _cleanup_(freep) struct record_line *line = malloc(sizeof(*line));
        static const uint8_t zero[CHAIN_HASH_SIZE];

        assert_non_null(line);
        write_early(0);
        audit_record_start(&message, "epoch", LOG_NOTICE, true);
        audit_record_add(&message, "why", NAME);
        assert_int_equal(record_encode(&message, RECORD_DAEMON, 1, zero, NULL, line), 0);
        assert_int_equal(write_file_atomic(early_path, line->text, line->size, 0600), 0);
        write_early(2);
}

static bool is_told(const char *where) {
        char command[256];

        snprintf(command, sizeof(command), "grep -rqi acme %s", where);
        return system(command) == 0;
}

static int append(void *user, const struct audit_message_record *m, const struct record *from) {
        uint64_t sequence;

        return trail_append(user, m, from->source, NULL, &sequence);
}

static void verified(const char *path) {
        assert_int_equal(trail_verify(path, &report), 0);
        if (report.n_problems > 0)
                fail_msg("%s: %s", path, report.problems[0].text);
}

static struct record first_of(const char *path) {
        _cleanup_(reader_freep) struct reader *reader = NULL;
        struct record r = {};

        assert_int_equal(reader_open(path, &reader), 0);
        assert_int_equal(reader_next(reader, &r), 1);
        return r;
}

/* The others lose their names all the same, and recording begins. */
static void one_that_no_trail_takes(void **state _unused_) {
        char command[256];

        write_foreign();
        assert_int_equal(privacy_early(privacy, early_dir), 1);
        assert_false(is_told(early_dir));
        verified(early_path);
        assert_int_equal(report.records, 4);
        assert_int_equal(report.gaps, 1);
        snprintf(command, sizeof(command), "grep -q early_left_out %.100s", early_path);
        assert_int_equal(system(command), 0);
}

static void names_go_before_the_join(void **state _unused_) {
        char word[PRIVACY_WORD_SIZE], command[256];
        struct trail_recovery recovery;
        struct early_join j;
        struct record r;
        struct trail *t;
        bool kept;

        write_early(5);
        assert_true(is_told(early_dir));
        assert_int_equal(privacy_early(privacy, early_dir), 1);
        assert_false(is_told(early_dir));
        verified(early_path);
        r = first_of(early_path);
        assert_string_equal(r.event, "privacy");
        assert_string_equal(record_field(&r, "privacy_key"), privacy_id(privacy));
        assert_string_equal(record_field(&r, "verified"), "yes");
        record_done(&r);
        assert_int_equal(privacy_early(privacy, early_dir), 0);        /* it has none any more */
        assert_int_equal(trail_open(early_dir, &t, &recovery), 0);     /* and goes on as it is */
        assert_int_equal(recovery.kind, TRAIL_RECOVERED_NOTHING);
        assert_int_equal(trail_sequence(t), 6);
        trail_free(t);

        assert_int_equal(trail_open(real_dir, &t, &recovery), 0);
        assert_int_equal(early_join(early_dir, &recovery, append, t, &j), 0);
        assert_int_equal(trail_commit(t, true, &kept), 0);
        assert_int_equal(j.records, 6);
        assert_int_equal(j.n_problems, 0);
        assert_string_equal(j.ring, "0a0b0c0d.1.3");
        trail_free(t);
        assert_int_equal(early_done(early_dir), 0);
        verified(real_path);
        assert_int_equal(report.early, 6);
        assert_false(is_told(dir));
        assert_int_equal(privacy_word(privacy, NAME, word), 0);
        snprintf(command, sizeof(command), "grep -q '%s is released' %.100s", word, real_path);
        assert_int_equal(system(command), 0);
}

static void tampered_before_is_said(void **state _unused_) {
        char command[256];
        struct record r;

        write_early(5);
        snprintf(command, sizeof(command), "sed -i 2d %s", early_path);
        assert_int_equal(system(command), 0);
        assert_int_equal(privacy_early(privacy, early_dir), 1);
        verified(early_path);
        r = first_of(early_path);
        assert_string_equal(record_field(&r, "verified"), "no");
        assert_int_equal(r.priority, LOG_ALERT);
        record_done(&r);
}

/* Killed when the trail was renamed and its head was not: the old head is not this trail's. */
static void killed_between_trail_and_head(void **state _unused_) {
        struct trail_recovery recovery;
        char command[512];
        struct trail *t;

        write_early(5);
        snprintf(command, sizeof(command), "cp %1$s/trail.head %2$s/raw.head", early_dir, dir);
        assert_int_equal(system(command), 0);
        assert_int_equal(privacy_early(privacy, early_dir), 1);
        snprintf(command, sizeof(command), "mkdir -m 700 %1$s/strict && mv %1$s/trail.head %1$s/strict/ && mv %2$s/raw.head %1$s/trail.head",
                 early_dir, dir);
        assert_int_equal(system(command), 0);
        assert_int_equal(trail_verify(early_path, &report), 0);
        assert_int_equal(report.n_problems, 1);
        assert_int_equal(report.problems[0].kind, TRAIL_TRUNCATED);

        assert_int_equal(privacy_early(privacy, early_dir), 1);        /* the next start */
        verified(early_path);
        assert_true(report.head_checked);
        assert_int_equal(report.records, 6);
        assert_int_equal(privacy_early(privacy, early_dir), 0);
        snprintf(command, sizeof(command), "test ! -e %s/strict", early_dir);
        assert_int_equal(system(command), 0);
        assert_int_equal(trail_open(early_dir, &t, &recovery), 0);
        assert_int_equal(recovery.kind, TRAIL_RECOVERED_NOTHING);
        trail_free(t);
}

static void nothing_to_do_without_one(void **state _unused_) {
        assert_int_equal(privacy_early(privacy, early_dir), 0);
        assert_int_equal(mkdir(early_dir, 0700), 0);
        assert_int_equal(privacy_early(privacy, early_dir), 0);
}

static struct config *configuration(int mode, const char *key) {
        struct config *c = calloc(1, sizeof(*c));

        assert_non_null(c);
        c->audit.privacy = mode;
        c->audit.privacy_key = key ? strdup(key) : NULL;
        return c;
}

static int decide(struct audit_options *o, struct config *c, const char *why) {
        int r;

        if (!o->trail_dir)
                o->trail_dir = dir;
        r = privacy_setup(o, c, why);
        config_free(c);
        return r;
}

static void no_key_no_audit(void **state _unused_) {
        struct audit_options off = {}, strict = {}, missing = {}, open_to_all = {}, early = { .early = true };

        assert_int_equal(decide(&off, configuration(PRIVACY_OFF, key_path), NULL), 0);
        assert_null(off.privacy);
        assert_int_equal(decide(&strict, configuration(PRIVACY_STRICT, key_path), NULL), 0);
        assert_non_null(strict.privacy);
        assert_string_equal(privacy_id(strict.privacy), privacy_id(privacy));
        privacy_free(strict.privacy);
        assert_int_equal(decide(&missing, configuration(PRIVACY_STRICT, NULL), NULL), -ENOKEY);
        assert_int_equal(decide(&missing, configuration(PRIVACY_STRICT, "/nonexistent"), NULL), -ENOKEY);
        assert_int_equal(chmod(key_path, 0644), 0);
        assert_int_equal(decide(&open_to_all, configuration(PRIVACY_STRICT, key_path), NULL), -ENOKEY);
        assert_int_equal(decide(&early, configuration(PRIVACY_STRICT, key_path), NULL), 0);
        assert_null(early.privacy);
        assert_true(early.unmirrored);
}

static void a_mistake_tells_no_names(void **state _unused_) {
        struct audit_options o = {};

        assert_int_equal(decide(&o, NULL, "cmkd.conf:3: [Node] Trst= is not known"), 0);
        assert_int_equal(decide(&o, NULL, "cmkd.conf:3: Privacy=srict: allowed is off or strict"), -ENOKEY);
        assert_int_equal(privacy_mark(dir, true), 0);
        assert_int_equal(decide(&o, NULL, "cmkd.conf:3: [Node] Trst= is not known"), -ENOKEY);
        assert_int_equal(privacy_mark(dir, false), 0);
        assert_int_equal(privacy_mark(dir, false), 0);
        assert_int_equal(decide(&o, NULL, NULL), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(names_go_before_the_join, setup, teardown),
                cmocka_unit_test_setup_teardown(one_that_no_trail_takes, setup, teardown),
                cmocka_unit_test_setup_teardown(tampered_before_is_said, setup, teardown),
                cmocka_unit_test_setup_teardown(killed_between_trail_and_head, setup, teardown),
                cmocka_unit_test_setup_teardown(nothing_to_do_without_one, setup, teardown),
                cmocka_unit_test_setup_teardown(no_key_no_audit, setup, teardown),
                cmocka_unit_test_setup_teardown(a_mistake_tells_no_names, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
