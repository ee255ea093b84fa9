/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/verify.c daemon/ctl/review/verify-log.c daemon/ctl/review/anchor-log.c daemon/ctl/review/anchors.c
// sources: daemon/ctl/review/vault-log.c daemon/ctl/review/vault-entry.c daemon/ctl/review/cgroup.c daemon/ctl/review/filter.c
// sources: daemon/ctl/review/ledger.c daemon/ctl/review/workload.c daemon/ctl/review/review.c daemon/ctl/review/rules.c
// sources: daemon/ctl/review/veil.c daemon/audit/privacy.c daemon/audit/privacy-forms.c
// sources: daemon/ctl/review/source.c daemon/ctl/review/source-journal.c daemon/ctl/review/journal-files.c daemon/ctl/when.c daemon/ctl/options.c daemon/ctl/print.c
// sources: daemon/audit/record.c daemon/audit/chain.c daemon/audit/seal.c daemon/audit/reader.c daemon/audit/trail.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/sealer.c daemon/audit/keep.c
// libs: json-c libsystemd
// The vault's own log as a witness of what the trail was: what root does to a trail whose chain he computes anew.

#include "ctl-capture.h"
#include "ctl/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* last: it has a macro fail() */

#include "review-trail.h"
#include "anchor-log.h"

#define VERIFY(...) RUN(verb_audit_verify, "--file", trail_file, __VA_ARGS__)

/* The trail with a poll after each record; the log is written. */
static void write_polled(const char *machine_id, unsigned records) {
        log_start();
        DAEMON("started", "volumes_listed=1", tag_field(machine_id));
        log_poll(machine_id);
        while (trail_sequence(trail) < records) {
                DAEMON("verdict", "key=" KEY, "verdict=GRANTED");
                log_poll(machine_id);
        }
        log_write();
}

static struct json_object *verify_json(int code, const char *option, const char *value) {
        struct captured *c = option ? VERIFY("--json", "--vault-log", log_path, option, value) : VERIFY("--json", "--vault-log", log_path);
        struct json_object *o = json_tokener_parse(c->out), *anchors;

        if (c->code != code)
                fail_msg("exit code %d, not %d: %s%s", c->code, code, c->out, c->err);
        assert_non_null(o);
        assert_int_equal(json_object_get_boolean(json_object_object_get(o, "verified")), code == EXIT_CODE_DONE);
        assert_true(json_object_object_get_ex(o, "anchors", &anchors));
        json_object_get(anchors);
        json_object_put(o);
        return anchors;
}

static struct json_object *problem(struct json_object *anchors, const char *kind) {
        struct json_object *list = json_object_object_get(anchors, "problems");

        for (size_t i = 0; i < json_object_array_length(list); i++)
                if (streq(json_text(json_object_array_get_idx(list, i), "kind"), kind))
                        return json_object_array_get_idx(list, i);
        return NULL;
}

/* What root does: all records after that number are gone, the head fits, and cmkd-audit goes on from there. */
static void cut_off_after(unsigned number) {
        _cleanup_(freep) char *text = NULL;
        struct trail_recovery recovery;
        char head[96], path[96], *end, hash[CHAIN_HEX_SIZE + 1];

        trail = trail_free(trail);
        assert_int_equal(read_small_file(trail_file, 1 << 20, &text, NULL), 0);
        end = text;
        for (unsigned i = 0; i < number; i++)
                end = strchr(end, '\n') + 1;
        *end = 0;
        assert_int_equal(write_file_atomic(trail_file, text, (size_t) (end - text), 0600), 0);
        snprintf(hash, sizeof(hash), "%s", end - 3 - CHAIN_HEX_SIZE);
        snprintf(head, sizeof(head), "v1 %020u %s\n", number, hash);
        snprintf(path, sizeof(path), "%s/trail.head", dir);
        assert_int_equal(write_file_atomic(path, head, strlen(head), 0600), 0);
        assert_int_equal(trail_open(dir, &trail, &recovery), 0);
        assert_int_equal(recovery.kind, TRAIL_RECOVERED_NOTHING);
        assert_int_equal(trail_sequence(trail), number);
}

/* Nothing of it is left, and there is another one from the first record on. */
static void write_anew(void) {
        struct trail_recovery recovery;
        char command[128];

        trail = trail_free(trail);
        snprintf(command, sizeof(command), "rm %s/trail.*", dir);
        assert_int_equal(system(command), 0);
        assert_int_equal(trail_open(dir, &trail, &recovery), 0);
}

static void what_was_not_touched_verifies(void **state _unused_) {
        struct json_object *a;
        struct captured *c;

        write_polled(MACHINE_ID, 20);
        log_use(FIRST_SEC + 5, USE, "node", true);                                     /* a release */
        log_write();
        DAEMON("audit_stop", "pid=1");
        a = verify_json(EXIT_CODE_DONE, NULL, NULL);
        assert_int_equal(json_number(a, "found"), 20);
        assert_int_equal(json_number(a, "record"), 20);
        assert_string_equal(json_text(a, "record_at"), "2023-11-14 22:13:40.000");
        assert_int_equal(json_number(a, "newer_records"), 1);
        assert_int_equal(json_number(a, "without"), 1);
        assert_int_equal(json_number(a, "slowest_seconds"), 1);        /* records are stamped a second before */
        json_object_put(a);
        c = VERIFY("--vault-log", log_path);
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "20 uses of keys carry a head of this trail: up to record 20 it is what it was at "
                                       "2023-11-14 22:13:40.000 by the vault's clock; 1 records are newer"));
        assert_non_null(strstr(c->out, "verified: nothing was changed, removed or inserted, up to the head that the vault's log has last"));
}

static void an_end_that_was_cut_off_is_found(void **state _unused_) {
        struct json_object *a, *p;
        struct captured *c;

        write_polled(MACHINE_ID, 20);
        cut_off_after(12);
        for (unsigned i = 0; i < 20; i++) {        /* and life goes on, polls included */
                DAEMON("verdict", "key=" KEY, "verdict=GRANTED", "code=other");
                log_poll(MACHINE_ID);
        }
        log_write();
        assert_int_equal(RUN(verb_audit_verify, "--file", trail_file)->code, EXIT_CODE_DONE);      /* alone it is good */
        a = verify_json(EXIT_CODE_TRAIL, NULL, NULL);
        assert_int_equal(json_number(a, "lost"), 8);
        assert_int_equal(json_number(a, "found"), 12 + 20);
        p = problem(a, "lost");
        assert_non_null(p);
        assert_string_equal(json_text(p, "first"), "2023-11-14 22:13:33.000");
        assert_string_equal(json_text(p, "last"), "2023-11-14 22:13:40.000");
        assert_int_equal(json_number(p, "line"), 13);
        assert_int_equal(json_number(p, "kept_record"), 13);      /* the new 13th was polled in the same second */
        assert_string_equal(json_text(p, "address"), "10.0.0.4");
        json_object_put(a);
        c = VERIFY("--vault-log", log_path);
        assert_int_equal(c->code, EXIT_CODE_TRAIL);
        assert_non_null(strstr(c->out, "lost: 8 ids carry a head of this node's trail that is no record of it"));
        assert_non_null(strstr(c->err, "is not what"));
        assert_null(strstr(c->out, "verified: "));
}

/* One record less, and nothing after it: the least that there is to find. */
static void also_one_record(void **state _unused_) {
        struct json_object *a;

        write_polled(MACHINE_ID, 20);
        cut_off_after(19);
        a = verify_json(EXIT_CODE_TRAIL, NULL, NULL);
        assert_int_equal(json_number(a, "lost"), 1);
        assert_int_equal(json_number(problem(a, "lost"), "kept_record"), 19);
        assert_non_null(strstr(json_text(problem(a, "lost"), "text"), "this copy is older than the log"));
        json_object_put(a);
        a = verify_json(EXIT_CODE_DONE, "--until", "2023-11-14 22:13:39Z");
        json_object_put(a);
}

/* Who writes the whole trail anew may write another tag into it. */
static void a_trail_written_anew_is_found(void **state _unused_) {
        struct json_object *a;

        write_polled(MACHINE_ID, 20);
        write_anew();
        DAEMON("started", "volumes_listed=2", tag_field(MACHINE_ID));
        a = verify_json(EXIT_CODE_TRAIL, NULL, NULL);
        assert_int_equal(json_number(a, "lost"), 20);
        json_object_put(a);
        write_anew();
        DAEMON("started", "volumes_listed=2", tag_field(OTHER_ID));
        a = verify_json(EXIT_CODE_FAILED, NULL, NULL);                 /* nothing speaks for it */
        assert_int_equal(json_number(a, "of_others"), 20);
        json_object_put(a);
        log_poll(OTHER_ID);
        log_write();
        a = verify_json(EXIT_CODE_DONE, NULL, NULL);                   /* now something does, and this is said */
        assert_int_equal(json_number(a, "of_others_by_our_identity"), 20);
        json_object_put(a);
        assert_non_null(strstr(VERIFY("--vault-log", log_path)->out, "20 of them by an identity that is this node's too"));
        a = verify_json(EXIT_CODE_TRAIL, "--machine-id", MACHINE_ID);
        assert_int_equal(json_number(a, "lost"), 20);
        json_object_put(a);
}

/* The name of the node cannot be taken out of a trail of which something is left. */
static void what_is_left_says_whose_it_is(void **state _unused_) {
        struct json_object *a;

        log_start();
        for (unsigned i = 0; i < 20; i++) {
                DAEMON("verdict", "key=" KEY, "verdict=GRANTED");
                log_poll(MACHINE_ID);
        }
        log_write();
        cut_off_after(3);
        DAEMON("started", "volumes_listed=2", tag_field(OTHER_ID));
        a = verify_json(EXIT_CODE_TRAIL, NULL, NULL);
        assert_int_equal(json_number(a, "lost"), 17);
        assert_int_equal(json_number(a, "of_others"), 0);
        json_object_put(a);
}

static void ids_of_others_are_no_business_of_this_trail(void **state _unused_) {
        uint8_t hash[ANCHOR_HASH_SIZE] = { 1 };
        struct json_object *a;
        char id[37];

        write_polled(MACHINE_ID, 20);
        for (unsigned i = 0; i < 10; i++) {
                anchor_id(OTHER_ID, hash, id);
                log_use(FIRST_SEC + i, id, "other", true);
        }
        log_use(FIRST_SEC, "11111111-2222-4333-8444-555555555555", "node", true);      /* of before the upgrade */
        log_use(FIRST_SEC, "11111111-2222-7333-8444-555555555555", "x", true);
        log_write();
        a = verify_json(EXIT_CODE_DONE, NULL, NULL);
        assert_int_equal(json_number(a, "of_others"), 10);
        assert_int_equal(json_number(a, "other_nodes"), 1);
        assert_int_equal(json_number(a, "of_others_by_our_identity"), 0);
        assert_int_equal(json_number(a, "without"), 2);
        json_object_put(a);
}

/* A request without an identity that is known costs nobody anything; one with it stands behind its words. */
static void strangers_prove_nothing(void **state _unused_) {
        uint8_t hash[ANCHOR_HASH_SIZE] = { 1 };
        struct json_object *a;
        char id[37];

        write_polled(MACHINE_ID, 20);
        anchor_id(MACHINE_ID, hash, id);
        log_use(FIRST_SEC + 9, id, NULL, false);
        log_write();
        a = verify_json(EXIT_CODE_DONE, NULL, NULL);
        assert_int_equal(json_number(a, "refused_strangers"), 1);
        json_object_put(a);
        log_use(FIRST_SEC + 9, id, "node", false);                     /* the key is disabled, the node polls on */
        log_write();
        a = verify_json(EXIT_CODE_TRAIL, NULL, NULL);
        assert_int_equal(json_number(a, "lost"), 1);
        json_object_put(a);
}

static void an_older_trail_is_missed(void **state _unused_) {
        uint8_t hash[ANCHOR_HASH_SIZE] = { 1 };
        struct json_object *a;
        char id[37];

        write_polled(MACHINE_ID, 20);
        anchor_id(MACHINE_ID, hash, id);
        log_use(FIRST_SEC - 3600, id, "node", true);
        log_write();
        a = verify_json(EXIT_CODE_TRAIL, NULL, NULL);
        assert_non_null(strstr(json_text(problem(a, "lost"), "text"), "the trail begins later"));
        json_object_put(a);
        a = verify_json(EXIT_CODE_DONE, "--since", "2023-11-14 22:13:00Z");
        json_object_put(a);
}

static void heads_only_move_on(void **state _unused_) {
        uint8_t hash[ANCHOR_HASH_SIZE];
        struct json_object *a;
        char id[37];

        log_start();
        DAEMON("started", tag_field(MACHINE_ID));
        memcpy(hash, trail_hash(trail), sizeof(hash));
        log_poll(MACHINE_ID);
        DAEMON("verdict", "key=" KEY);
        log_poll(MACHINE_ID);
        anchor_id(MACHINE_ID, hash, id);
        log_use(FIRST_SEC + 100, id, "node", true);                    /* late, as a request that was sent again */
        log_write();
        a = verify_json(EXIT_CODE_DONE, NULL, NULL);
        json_object_put(a);
        anchor_id(MACHINE_ID, hash, id);
        log_use(FIRST_SEC + 3600, id, "node", true);
        log_write();
        a = verify_json(EXIT_CODE_TRAIL, NULL, NULL);
        assert_int_equal(json_number(a, "backwards"), 1);
        assert_int_equal(json_number(problem(a, "backwards"), "record"), 1);
        assert_int_equal(json_number(problem(a, "backwards"), "after_record"), 2);
        json_object_put(a);
        assert_non_null(strstr(VERIFY("--vault-log", log_path)->out, "backwards: 1 ids carry an older head than ids before them"));
}

/* A head that is held back while the trail grows: what it says then was out of the node late. */
static void what_was_late_is_said(void **state _unused_) {
        static struct audit_message_record m;
        struct json_object *a;
        uint64_t sequence;
        char id[37];
        bool kept;

        write_polled(MACHINE_ID, 5);
        for (unsigned i = 0; i < 10; i++) {        /* the head of record 5, for half an hour */
                anchor_id(MACHINE_ID, trail_hash(trail), id);
                log_use(FIRST_SEC + 5 + 180 * i, id, "node", true);
        }
        for (unsigned i = 0; i < 2; i++) {
                audit_record_start(&m, "x", LOG_INFO, true);
                m.realtime_usec = (FIRST_SEC + 60 + 1000 * i) * USEC_PER_SEC;
                assert_int_equal(trail_append(trail, &m, RECORD_DAEMON, NULL, &sequence), 0);
        }
        assert_int_equal(trail_commit(trail, true, &kept), 0);
        anchor_id(MACHINE_ID, trail_hash(trail), id);
        log_use(FIRST_SEC + 1860, id, "node", true);
        log_write();
        a = verify_json(EXIT_CODE_DONE, NULL, NULL);
        assert_int_equal(json_number(a, "slowest_record"), 6);
        assert_int_equal(json_number(a, "slowest_seconds"), 1800);
        json_object_put(a);
        assert_non_null(strstr(VERIFY("--vault-log", log_path)->out, "record 6 had to wait longest for it, 30min"));
}

/* What the bytes are is what counts, not what they say. */
static void a_hash_that_is_only_stated_is_none(void **state _unused_) {
        _cleanup_(freep) char *text = NULL;
        struct json_object *a;
        size_t size;

        write_polled(MACHINE_ID, 20);
        assert_int_equal(read_small_file(trail_file, 1 << 20, &text, &size), 0);
        *strstr(text, "GRANTED") = 'g';
        assert_int_equal(write_file_atomic(trail_file, text, size, 0600), 0);
        a = verify_json(EXIT_CODE_TRAIL, NULL, NULL);
        assert_int_equal(json_number(a, "lost"), 1);
        assert_int_equal(json_number(a, "found"), 19);
        json_object_put(a);
        assert_null(strstr(VERIFY("--vault-log", log_path)->out, "up to record 20 it is"));
}

static void what_cannot_be_used_is_said(void **state _unused_) {
        struct captured *c;

        write_polled(MACHINE_ID, 3);
        assert_int_equal(VERIFY("--machine-id", MACHINE_ID)->code, EXIT_CODE_USAGE);
        assert_int_equal(VERIFY("--since", "today")->code, EXIT_CODE_USAGE);
        assert_int_equal(VERIFY("--vault-log", log_path, "--machine-id", "x")->code, EXIT_CODE_USAGE);
        assert_int_equal(VERIFY("--vault-log", log_path, "--since", "x")->code, EXIT_CODE_USAGE);
        assert_int_equal(VERIFY("--vault-log", "/nonexistent")->code, EXIT_CODE_FAILED);
        c = VERIFY("--vault-log", log_path, "--since", "2023-11-15");
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "says nothing of this trail"));
        log_text[log_size++] = '{';
        log_write();
        c = VERIFY("--vault-log", log_path);
        assert_int_equal(c->code, EXIT_CODE_FAILED);
        assert_non_null(strstr(c->err, "what cannot be read there may be anything"));
        assert_null(strstr(c->out, "verified: "));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(what_was_not_touched_verifies), TEST(an_end_that_was_cut_off_is_found), TEST(also_one_record),
                TEST(a_trail_written_anew_is_found), TEST(what_is_left_says_whose_it_is),
                TEST(ids_of_others_are_no_business_of_this_trail), TEST(strangers_prove_nothing), TEST(an_older_trail_is_missed),
                TEST(heads_only_move_on), TEST(what_was_late_is_said), TEST(a_hash_that_is_only_stated_is_none),
                TEST(what_cannot_be_used_is_said),
        };

        return cmocka_run_group_tests_name("ctl-anchors", tests, NULL, NULL);
}
