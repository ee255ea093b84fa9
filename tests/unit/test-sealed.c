/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/chain.c daemon/audit/seal.c daemon/audit/seal-rsa.c daemon/audit/record.c daemon/audit/reader.c
// sources: daemon/audit/segments.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/trail.c daemon/audit/sealer.c
// sources: daemon/audit/keep.c tests/unit/sealed-trail.c
// libs: json-c libsystemd
// A sealed trail: what root rewrites is found by who has the auditor's key; crashes, full disks, lost and new keys.

#include "sealed-trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "common/base64.h"

#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define RECORDS 10u

static struct sealed_trail s;
static struct trail_report report;

static int set_up(void **state _unused_) {
        sealed_trail_begin(&s);
        return sealed_trail_write(&s, RECORDS, "event");
}

static int tear_down(void **state _unused_) {
        sealed_trail_end(&s);
        return 0;
}

static void expect(bool with_key, uint64_t problems) {
        sealed_trail_verify(&s, with_key, &report);
        for (uint64_t i = 0; report.n_problems != problems && i < MIN_OF(report.n_problems, 10u); i++)
                print_error("%s: %s\n", trail_problem_to_string(report.problems[i].kind), report.problems[i].text);
        assert_int_equal(report.n_problems, problems);
}

static void expect_one(bool with_key, enum trail_problem_kind kind, uint64_t record) {
        expect(with_key, 1);
        assert_int_equal(report.problems[0].kind, kind);
        assert_int_equal(report.problems[0].first, record);
}

static void reopen(void) {
        sealed_trail_close(&s);
        sealed_trail_open(&s, true);
}

/* The first place of a text in the file is replaced by another of the same length. */
static void edit(const char *from, const char *to) {
        char *text, *p;
        size_t size;

        assert_int_equal(strlen(from), strlen(to));
        assert_int_equal(read_small_file(s.path, 1u << 20, &text, &size), 0);
        assert_non_null(p = strstr(text, from));
        memcpy(p, to, strlen(to));
        assert_int_equal(write_file_atomic(s.path, text, size, 0600), 0);
        free(text);
}

static void cut_lines(unsigned n) {
        char *text, *p;
        size_t size;

        assert_int_equal(read_small_file(s.path, 1u << 20, &text, &size), 0);
        for (p = text + size; n > 0; n--)
                for (p--; p > text && p[-1] != '\n'; p--)
                        ;
        assert_int_equal(truncate(s.path, p - text), 0);
        free(text);
}

static void every_record_is_sealed(void **state _unused_) {
        expect(true, 0);
        assert_int_equal(report.records, RECORDS + 1);         /* the first is the epoch's */
        assert_int_equal(report.sealed, RECORDS + 1);
        assert_int_equal(report.proven, RECORDS + 1);
        assert_int_equal(report.epochs, 1);
        assert_int_equal(report.lost_epochs, 0);
        expect(false, 0);
        assert_int_equal(report.sealed, RECORDS + 1);
        assert_int_equal(report.proven, 0);
}

/* What the chain alone cannot see: a record changed, and all behind it, with the head, computed anew. */
static void recomputed_chain_is_found_with_the_key(void **state _unused_) {
        sealed_trail_close(&s);
        edit("\"number\":\"4\"", "\"number\":\"5\"");
        expect_one(false, TRAIL_CHANGED, 6);
        forge_chain(s.path, 5, s.head);
        expect(false, 0);
        sealed_trail_verify(&s, true, &report);
        assert_int_equal(report.n_problems, 6);                /* and each that follows: its prev is another one */
        assert_int_equal(report.problems[0].kind, TRAIL_FORGED);
        assert_int_equal(report.problems[0].first, 6);
        assert_int_equal(report.proven, 5);
}

/* Root's attack: the records from line on (0 is the first) without their seals, with a chain and a head that fit;
 * epochs_too: and as if no epoch had been there. */
static void strip(unsigned line, bool epochs_too) {
        static struct record_line anew;
        uint8_t prev[CHAIN_HASH_SIZE] = {};
        char *text, *rest, *out;
        uint64_t sequence = 0;
        size_t size = 0;
        unsigned n = 0;

        sealed_trail_close(&s);
        assert_int_equal(read_small_file(s.path, 1u << 20, &text, NULL), 0);
        assert_non_null(out = malloc(1u << 20));
        rest = text;
        for (char *p; (p = strsep(&rest, "\n")) && *p; n++) {
                struct record r;

                assert_int_equal(record_decode(p, strlen(p), &r), 0);
                record_to_message(&r, &s.message);
                if (n < line) {
                        size += (size_t) sprintf(out + size, "%s\n", p);
                        memcpy(prev, r.hash, sizeof(prev));
                        sequence = r.sequence;
                } else if (!epochs_too || !startswith(r.event, EPOCH_EVENT)) {
                        assert_int_equal(record_encode(&s.message, r.source, ++sequence, prev, NULL, &anew), 0);
                        memcpy(out + size, anew.text, anew.size);
                        size += anew.size;
                        memcpy(prev, anew.hash, sizeof(prev));
                }
                record_done(&r);
        }
        assert_int_equal(write_file_atomic(s.path, out, size, 0600), 0);
        forge_chain(s.path, UINT_MAX, s.head);                 /* the head alone */
        free(text);
        free(out);
}

/* The seals taken off as well: a trail without any, in an epoch that did not end. */
static void stripped_seals_are_found(void **state _unused_) {
        strip(1, false);
        expect(false, RECORDS);                                /* no key is needed for this */
        assert_int_equal(report.problems[0].kind, TRAIL_UNSEALED);
        assert_int_equal(report.problems[0].first, 2);
}

/* And the epoch with them: nothing says that there ever was a seal, but that the auditor came with his key. */
static void stripped_epoch_is_found_with_the_key(void **state _unused_) {
        strip(0, true);
        expect(false, 0);
        expect_one(true, TRAIL_UNPROVEN, 0);
        assert_int_equal(report.records, RECORDS);
        assert_int_equal(report.sealed + report.proven, 0);
}

static void end_epoch(const char *reason) {
        uint64_t sequence;
        bool kept;

        assert_int_equal(trail_end_epoch(s.trail, reason, &s.message, NULL, &sequence), 0);
        assert_int_equal(trail_commit(s.trail, true, &kept), 0);
}

/* An epoch that is gone as a whole, after one that was stopped and not switched off; the next one says "first". */
static void stripped_second_epoch_is_found(void **state _unused_) {
        end_epoch(EPOCH_END_STOPPED);
        reopen();
        assert_int_equal(sealed_trail_write(&s, 3, "event"), 0);
        sealed_trail_lose_key(&s);                             /* a crash */
        strip(RECORDS + 2, true);
        expect_one(false, TRAIL_UNSEALED, RECORDS + 3);
        assert_int_equal(report.problems[0].last, RECORDS + 5);
        sealed_trail_open(&s, true);
        assert_false(s.recovery.seal_lost);
        assert_int_equal(sealed_trail_write(&s, 2, "event"), 0);
        expect_one(true, TRAIL_UNSEALED, RECORDS + 3);         /* all of them are one problem */
        assert_int_equal(report.problems[0].last, RECORDS + 5);
        assert_int_equal(report.unsealed, 3);
        /* And a second time: another one */
        end_epoch(EPOCH_END_STOPPED);
        reopen();
        assert_int_equal(sealed_trail_write(&s, 2, "event"), 0);
        strip(RECORDS + 9, true);
        expect(true, 2);
        assert_int_equal(report.problems[1].kind, TRAIL_UNSEALED);
        assert_int_equal(report.problems[1].first, RECORDS + 10);
        assert_int_equal(report.problems[1].last, RECORDS + 11);
}

/* What the configuration says: no seal, later one, none again, in several files. */
static void switched_off_and_on_is_no_problem(void **state _unused_) {
        char name[SEGMENT_NAME_MAX];

        for (unsigned i = 0; i < 3; i++) {
                sealed_trail_close(&s);
                sealed_trail_open(&s, false);                  /* restarted without PublicKey= */
                end_epoch(EPOCH_END_UNCONFIGURED);
                assert_int_equal(sealed_trail_write(&s, 2, "plain"), 0);
                assert_int_equal(trail_rotate(s.trail, name), 0);
                assert_int_equal(sealed_trail_write(&s, 1, "plain"), 0);
                reopen();
                assert_int_equal(sealed_trail_write(&s, 2, "event"), 0);
                end_epoch(EPOCH_END_STOPPED);
                assert_int_equal(trail_rotate(s.trail, name), 0);
                reopen();
                assert_int_equal(sealed_trail_write(&s, 1, "event"), 0);
        }
        expect(true, 0);
        expect(false, 0);
        assert_int_equal(report.unsealed, 9);
        assert_int_equal(report.files, 7);
}

/* Sealed only later: what is older is not proven, and not a problem. */
static void trail_that_began_unsealed_is_no_problem(void **state _unused_) {
        strip(0, true);
        sealed_trail_lose_key(&s);
        sealed_trail_open(&s, true);
        assert_int_equal(sealed_trail_write(&s, 2, "event"), 0);
        expect(true, 0);
        assert_int_equal(report.unsealed, RECORDS);
        assert_int_equal(report.proven, 3);
}

/* Keys, with every bit turned so that this list is not what is found. */
static uint8_t old_keys[32][SEAL_KEY_SIZE];
static unsigned n_old_keys;

static uint8_t turned(uint8_t b) { return (uint8_t) ~b; }

/* Notes the key that is kept now and those that follow, n in all. */
static void note_keys(unsigned n) {
        _cleanup_(seal_key_freep) struct seal_key *k = NULL;
        _cleanup_(keep_freep) struct keep *keep = NULL;
        struct keep_state state;

        assert_int_equal(seal_key_new(&k), 0);
        assert_int_equal(keep_new(dup(s.keep_fd), &keep), 0);
        assert_true(keep_load(keep, &state, k));
        for (n_old_keys = 0; n_old_keys < n; n_old_keys++) {
                assert_true(n_old_keys < ELEMENTSOF(old_keys));
                for (size_t i = 0; i < SEAL_KEY_SIZE; i++)
                        old_keys[n_old_keys][i] = turned(seal_key_data(k)[i]);
                assert_int_equal(seal_next(k, 1), 0);
        }
}

/* What it reads a sanitizer knows nothing of. */
__attribute__((no_sanitize("address"))) static bool is_old_key(const uint8_t *p) {
        for (unsigned k = 0; k < n_old_keys; k++) {
                size_t i = 0;

                while (i < SEAL_KEY_SIZE && p[i] == turned(old_keys[k][i]))
                        i++;
                if (i == SEAL_KEY_SIZE)
                        return true;
        }
        return false;
}

/* In all that this process can write: heap, stack, data, the kept file, what no swap has. */
__attribute__((no_sanitize("address"))) static unsigned find_old_keys(void) {
        _cleanup_(fclosep) FILE *f = fopen("/proc/self/maps", "re");
        unsigned found = 0;
        char line[512];

        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                unsigned long from, to;

                /* a sanitizer's shadow is larger than anything of ours */
                if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 || !strstr(line, " rw") || to - from > (256ul << 20))
                        continue;
                for (const uint8_t *p = (const uint8_t *) from; p + SEAL_KEY_SIZE <= (const uint8_t *) to; p++)
                        found += is_old_key(p);
        }
        return found;
}

static void restart_goes_on(void **state _unused_) {
        for (unsigned i = 0; i < 3; i++) {
                note_keys(2);
                assert_true(find_old_keys() > 0);              /* kept, and here: the search is one */
                reopen();
                assert_int_equal(s.recovery.kind, TRAIL_RECOVERED_NOTHING);
                assert_false(s.recovery.seal_lost);
                assert_int_equal(sealed_trail_write(&s, 2, "event"), 0);
                assert_int_equal(find_old_keys(), 0);
        }
        expect(true, 0);
        assert_int_equal(report.epochs, 1);
        assert_int_equal(report.proven, RECORDS + 1 + 6);
}

/* Killed when the records were written, and the key was not yet moved on. */
static void key_that_is_behind_is_brought_up(void **state _unused_) {
        char kept[4096];

        assert_int_equal(pread(s.keep_fd, kept, sizeof(kept), 0), (ssize_t) sizeof(kept));
        note_keys(6);
        assert_int_equal(sealed_trail_write(&s, 5, "written"), 0);
        sealed_trail_close(&s);
        assert_int_equal(pwrite(s.keep_fd, kept, sizeof(kept), 0), (ssize_t) sizeof(kept));
        explicit_bzero(kept, sizeof(kept));
        sealed_trail_open(&s, true);
        n_old_keys = 5;                                        /* the sixth is that of the next record */
        assert_int_equal(find_old_keys(), 0);
        assert_int_equal(s.recovery.kind, TRAIL_RECOVERED_NOTHING);
        assert_int_equal(sealed_trail_write(&s, 1, "event"), 0);
        n_old_keys = 6;
        assert_int_equal(find_old_keys(), 0);
        expect(true, 0);
        assert_int_equal(report.proven, RECORDS + 7);
}

/* Killed when the epoch's end was written, and its key was still kept. */
static void key_of_an_epoch_that_ended_is_forgotten(void **state _unused_) {
        uint64_t sequence;
        char kept[4096];

        assert_int_equal(pread(s.keep_fd, kept, sizeof(kept), 0), (ssize_t) sizeof(kept));
        note_keys(3);
        assert_int_equal(sealed_trail_write(&s, 2, "written"), 0);
        end_epoch(EPOCH_END_UNCONFIGURED);
        assert_int_equal(find_old_keys(), 1);                  /* the copy above */
        sealed_trail_close(&s);
        assert_int_equal(pwrite(s.keep_fd, kept, sizeof(kept), 0), (ssize_t) sizeof(kept));
        explicit_bzero(kept, sizeof(kept));
        sealed_trail_open(&s, false);
        assert_false(s.recovery.seal_lost);
        assert_int_equal(find_old_keys(), 0);
        assert_int_equal(trail_end_epoch(s.trail, "again", &s.message, NULL, &sequence), -ENOKEY);
        expect(true, 0);
}

/* The same moment, and somebody with root wrote what follows. */
static void records_that_were_not_ours_are_found(void **state _unused_) {
        char kept[4096];

        assert_int_equal(pread(s.keep_fd, kept, sizeof(kept), 0), (ssize_t) sizeof(kept));
        assert_int_equal(sealed_trail_write(&s, 5, "written"), 0);
        sealed_trail_close(&s);
        assert_int_equal(pwrite(s.keep_fd, kept, sizeof(kept), 0), (ssize_t) sizeof(kept));
        edit("\"event\":\"written\"", "\"event\":\"another\"");
        forge_chain(s.path, RECORDS + 1, s.head);
        sealed_trail_open(&s, true);
        assert_int_equal(s.recovery.kind, TRAIL_RECOVERED_FORGED);
        assert_int_equal(s.recovery.first_lost, RECORDS + 2);
        assert_int_equal(s.recovery.last_lost, RECORDS + 6);
        assert_int_equal(sealed_trail_write(&s, 1, "gap"), 0);
        sealed_trail_verify(&s, true, &report);
        assert_true(report.n_problems > 0);
        assert_int_equal(report.problems[0].kind, TRAIL_FORGED);
        sealed_trail_verify(&s, false, &report);
        assert_true(report.n_problems > 0);                    /* the chain is hung on what was kept */
}

/* Cut off while we were down, the head made to fit: known at once from the key's number. */
static void cut_end_is_found_at_once(void **state _unused_) {
        sealed_trail_close(&s);
        cut_lines(3);
        forge_chain(s.path, RECORDS, s.head);
        expect(true, 0);                                       /* nobody could tell it from the files alone */
        sealed_trail_open(&s, true);
        assert_int_equal(s.recovery.kind, TRAIL_RECOVERED_TRUNCATED);
        assert_int_equal(s.recovery.first_lost, RECORDS - 1);
        assert_int_equal(s.recovery.last_lost, RECORDS + 1);
        assert_int_equal(sealed_trail_write(&s, 1, "gap"), 0);
        expect_one(true, TRAIL_REMOVED, RECORDS - 1);
        assert_int_equal(report.proven, RECORDS - 1);          /* the last one's seal holds, over the gap */
        assert_int_equal(report.epochs, 1);
}

static void rewritten_end_is_found_at_once(void **state _unused_) {
        sealed_trail_close(&s);
        edit("\"number\":\"9\"", "\"number\":\"8\"");
        forge_chain(s.path, RECORDS, s.head);
        sealed_trail_open(&s, true);
        assert_int_equal(s.recovery.kind, TRAIL_RECOVERED_REWRITTEN);
        assert_int_equal(sealed_trail_write(&s, 1, "gap"), 0);
        sealed_trail_verify(&s, false, &report);
        assert_true(report.n_problems > 0);
        assert_int_equal(report.problems[0].kind, TRAIL_CHANGED);
}

/* The disk is full: the numbers are given out again, and so are the keys. */
static void full_disk_takes_the_keys_back(void **state _unused_) {
        struct rlimit old, small;
        struct stat st;

        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(stat(s.path, &st), 0);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        small = (struct rlimit) { .rlim_cur = (rlim_t) st.st_size + 100, .rlim_max = old.rlim_max };
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
                assert_int_equal(sealed_trail_write(&s, 4, "refused"), -EFBIG);
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
                expect(true, 0);
                if (i == 1)
                        reopen();
        }
        assert_int_equal(sealed_trail_write(&s, 2, "event"), 0);
        expect(true, 0);
        assert_int_equal(report.proven, RECORDS + 3);
}

/* And an epoch that did not get into the file has not begun. */
static void full_disk_takes_the_epoch_back(void **state _unused_) {
        struct rlimit old, small;
        struct stat st;

        sealed_trail_close(&s);
        sealed_trail_lose_key(&s);
        sealed_trail_open(&s, true);
        assert_true(s.recovery.seal_lost);
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(stat(s.path, &st), 0);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        small = (struct rlimit) { .rlim_cur = (rlim_t) st.st_size + 100, .rlim_max = old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        assert_int_equal(sealed_trail_write(&s, 1, "refused"), -EFBIG);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_true(trail_needs_epoch(s.trail));
        assert_int_equal(sealed_trail_write(&s, 1, "gap"), 0);
        expect(true, 0);
        assert_int_equal(report.epochs, 2);
        assert_int_equal(report.lost_epochs, 1);
}

static void lost_key_begins_an_epoch_that_says_so(void **state _unused_) {
        _cleanup_(epochs_freep) struct epochs *e = NULL;
        const char *why;

        sealed_trail_close(&s);
        sealed_trail_lose_key(&s);
        sealed_trail_open(&s, true);
        assert_int_equal(s.recovery.kind, TRAIL_RECOVERED_NOTHING);
        assert_true(s.recovery.seal_lost);
        assert_int_equal(sealed_trail_write(&s, 1, "gap"), 0);
        assert_int_equal(epochs_new(&e), 0);
        assert_int_equal(epochs_add_private(e, s.private, &why), 0);
        assert_int_equal(trail_verify_seals(s.path, e, &report), 0);
        assert_int_equal(report.n_problems, 0);
        assert_int_equal(report.lost_epochs, 1);
        assert_int_equal(report.gaps, 1);
        assert_string_equal(epochs_get(e, 1)->reason, "lost");
        assert_int_equal(epochs_get(e, 1)->handover, EPOCH_LOST);
        assert_int_equal(epochs_get(e, 0)->last, RECORDS + 1);
        assert_null(epochs_get(e, 2));
}

/* Another public key is configured: the old key seals the record that begins the new epoch. */
static void new_public_key_takes_over(void **state _unused_) {
        char old_private[128], command[256];

        snprintf(old_private, sizeof(old_private), "%s/old.pem", s.dir);
        snprintf(command, sizeof(command), "cp '%s' '%s'", s.private, old_private);
        assert_int_equal(system(command), 0);
        sealed_trail_new_keys(&s);
        reopen();
        assert_int_equal(sealed_trail_write(&s, 3, "event"), 0);
        reopen();
        assert_int_equal(sealed_trail_write(&s, 3, "event"), 0);
        expect(false, 0);
        assert_int_equal(report.epochs, 2);
        assert_int_equal(report.lost_epochs + report.ended_epochs, 0);
        /* The new key alone proves the new epoch, and says that the old one is not proven */
        expect_one(true, TRAIL_UNPROVEN, 1);
        assert_int_equal(report.proven, 6);
        snprintf(s.private, sizeof(s.private), "%s", old_private);
        expect_one(true, TRAIL_UNPROVEN, RECORDS + 3);
        assert_int_equal(report.proven, RECORDS + 2);          /* the handover is by the old key */
}

static void end_is_recorded_and_nothing_sealed_after(void **state _unused_) {
        uint64_t sequence;

        sealed_trail_close(&s);
        sealed_trail_open(&s, false);
        end_epoch(EPOCH_END_UNCONFIGURED);
        assert_int_equal(trail_end_epoch(s.trail, "again", &s.message, NULL, &sequence), -ENOKEY);
        assert_int_equal(sealed_trail_write(&s, 2, "plain"), 0);
        expect(true, 0);
        assert_int_equal(report.unsealed, 2);
        reopen();                                              /* and on again */
        assert_false(s.recovery.seal_lost);
        assert_int_equal(sealed_trail_write(&s, 2, "event"), 0);
        expect(true, 0);
        assert_int_equal(report.epochs, 2);
        assert_int_equal(report.lost_epochs, 0);
        assert_int_equal(report.ended_epochs, 1);
}

static void others_write_no_epochs(void **state _unused_) {
        uint64_t sequence;

        audit_record_start(&s.message, "epoch", LOG_INFO, true);
        assert_int_equal(trail_append(s.trail, &s.message, RECORD_DAEMON, NULL, &sequence), -EINVAL);
        audit_record_start(&s.message, "epoch_end", LOG_INFO, true);
        assert_int_equal(trail_append(s.trail, &s.message, RECORD_DAEMON, NULL, &sequence), -EINVAL);
}

/* The auditor's key is in a vault: he has the epochs' keys alone. */
static void list_of_keys_is_enough(void **state _unused_) {
        _cleanup_(epochs_freep) struct epochs *e = NULL, *with = NULL;
        _cleanup_(seal_private_freep) struct seal_private *p = NULL;
        _cleanup_(seal_key_freep) struct seal_key *k = NULL;
        char base64[BASE64_SIZE(SEAL_KEY_SIZE) + 1], other[BASE64_SIZE(SEAL_KEY_SIZE) + 1], text[1024], list[128];
        const char *why;
        unsigned line = 0;

        assert_int_equal(epochs_new(&e), 0);
        assert_int_equal(trail_verify_seals(s.path, e, &report), 0);
        assert_int_equal(seal_private_load(s.private, &p, &why), 0);
        assert_int_equal(seal_key_new(&k), 0);
        assert_int_equal(seal_private_unwrap(p, epochs_get(e, 0)->wrapped, k), 0);
        base64_encode(seal_key_data(k), SEAL_KEY_SIZE, base64);
        snprintf(list, sizeof(list), "%s/keys", s.dir);
        seal_key_random(k);
        base64_encode(seal_key_data(k), SEAL_KEY_SIZE, other);
        /* Of two for the same epoch the later one holds */
        snprintf(text, sizeof(text), "# unwrapped today\n\n%1$s %3$s\n%1$s %2$s\n%1$s %2$s\n", epochs_get(e, 0)->id, base64, other);
        assert_int_equal(write_file_atomic(list, text, strlen(text), 0600), 0);
        assert_int_equal(epochs_new(&with), 0);
        assert_int_equal(epochs_add_list(with, list, &line), 0);
        assert_int_equal(trail_verify_seals(s.path, with, &report), 0);
        assert_int_equal(report.n_problems, 0);
        assert_int_equal(report.proven, RECORDS + 1);

        /* An epoch that he knows and that is gone: a trail that was begun anew */
        with = epochs_free(with);
        snprintf(text, sizeof(text), "%032x %s\n%032x %s\n%032x %s\n", 7, base64, 3, base64, 7, base64);
        assert_int_equal(write_file_atomic(list, text, strlen(text), 0600), 0);
        assert_int_equal(epochs_new(&with), 0);
        assert_int_equal(epochs_add_list(with, list, &line), 0);
        assert_int_equal(trail_verify_seals(s.path, with, &report), 0);
        assert_int_equal(report.n_problems, 3);                /* this one has no key; and each that is not there, once */
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(report.problems[i].kind, TRAIL_UNPROVEN);
        assert_non_null(strstr(report.problems[1].text, "00003,"));
        assert_non_null(strstr(report.problems[2].text, "00007,"));

        with = epochs_free(with);
        snprintf(text, sizeof(text), "# one\n%032x %s=\n", 7, base64);
        assert_int_equal(write_file_atomic(list, text, strlen(text), 0600), 0);
        assert_int_equal(epochs_new(&with), 0);
        assert_int_equal(epochs_add_list(with, list, &line), -EINVAL);
        assert_int_equal(line, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(every_record_is_sealed), TEST(recomputed_chain_is_found_with_the_key), TEST(stripped_seals_are_found),
                TEST(stripped_epoch_is_found_with_the_key), TEST(stripped_second_epoch_is_found),
                TEST(switched_off_and_on_is_no_problem), TEST(trail_that_began_unsealed_is_no_problem),
                TEST(restart_goes_on), TEST(key_that_is_behind_is_brought_up), TEST(key_of_an_epoch_that_ended_is_forgotten), TEST(records_that_were_not_ours_are_found),
                TEST(cut_end_is_found_at_once), TEST(rewritten_end_is_found_at_once), TEST(full_disk_takes_the_keys_back),
                TEST(full_disk_takes_the_epoch_back), TEST(lost_key_begins_an_epoch_that_says_so),
                TEST(new_public_key_takes_over), TEST(end_is_recorded_and_nothing_sealed_after),
                TEST(others_write_no_epochs), TEST(list_of_keys_is_enough),
        };

        return cmocka_run_group_tests_name("sealed", tests, NULL, NULL);
}
