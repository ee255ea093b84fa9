/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/review/reconcile.c daemon/ctl/review/match.c daemon/ctl/review/issued.c daemon/ctl/review/vault-log.c
// sources: daemon/ctl/review/anchors.c
// sources: daemon/ctl/review/vault-entry.c daemon/ctl/review/cgroup.c daemon/ctl/review/filter.c daemon/ctl/review/veil.c daemon/audit/privacy.c daemon/audit/privacy-forms.c daemon/ctl/review/ledger.c daemon/ctl/review/workload.c
// sources: daemon/ctl/review/review.c daemon/ctl/review/rules.c daemon/ctl/review/source.c daemon/ctl/review/source-journal.c daemon/ctl/review/journal-files.c
// sources: daemon/ctl/when.c daemon/ctl/options.c daemon/ctl/print.c
// sources: daemon/audit/record.c daemon/audit/chain.c daemon/audit/seal.c daemon/audit/reader.c daemon/audit/trail.c daemon/common/verdict.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/sealer.c daemon/audit/keep.c
// libs: json-c libsystemd
#include "ctl-capture.h"
#include "ctl/print.h"
#include "ctl/review/match.h"
#include "ctl/review/review.h"
#include "ctl/review/vault-log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* last: it has a macro fail() */

#include "review-trail.h"
#include "anchor-log.h"

/* Logs as the vendors document them; the fuzzer begins with the same ones. */
#define LOGS "tests/fuzz/corpus/vault-log/"
#define POLL "11111111-2222-4333-8444-555555555555"

static struct captured *reconcile(const char *log) {
        return RUN(verb_audit_reconcile, "--file", trail_file, log);
}

/* The finding of that kind, or NULL. */
static struct json_object *finding(struct json_object *o, const char *kind) {
        struct json_object *list;

        assert_true(json_object_object_get_ex(o, "findings", &list));
        for (size_t i = 0; i < json_object_array_length(list); i++)
                if (streq(json_text(json_object_array_get_idx(list, i), "finding"), kind))
                        return json_object_array_get_idx(list, i);
        return NULL;
}

static struct json_object *reconcile_json(const char *log, int code) {
        struct captured *c = RUN(verb_audit_reconcile, "--file", trail_file, "--json", log);
        struct json_object *o = json_tokener_parse(c->out);

        if (c->code != code)
                fail_msg("%s: exit code %d, not %d: %s%s", log, c->code, code, c->out, c->err);
        assert_non_null(o);
        return o;
}

/* A day of the trail: a use, its polls, and nothing after that for a long while. */
static void write_day(void) {
        DAEMON("started", "volumes_listed=1");
        DAEMON("request", "volume=data1", "uuid=" UUID, "use=" USE, "key=" KEY, "verb=attach");
        DAEMON("release", "volume=data1", "uuid=" UUID, "use=" USE, "key=" KEY, "verb=attach", "verdict=GRANTED",
               "request_id=640f1da6-2a85-4624-b8f8-b7655dd38b72");
        DAEMON("polls", "key=" KEY, "count=1", "ids=" POLL);
        DAEMON("verdict", "key=https://vault.test/keys/k3/1", "verdict=GRANTED", "counted_as=GRANTED");
}

/* The record's time is the trail's number in seconds: a gap of more than the time that polls may wait for their record. */
static void write_later(void) {
        static struct audit_message_record m;
        uint64_t sequence;
        bool kept;

        audit_record_start(&m, "audit_stop", LOG_INFO, true);
        m.realtime_usec = UINT64_C(1700010000) * USEC_PER_SEC;
        assert_int_equal(trail_append(trail, &m, RECORD_DAEMON, NULL, &sequence), 0);
        assert_int_equal(trail_commit(trail, true, &kept), 0);
}

static void what_was_asked_and_answered_agrees(void **state _unused_) {
        static const char *const logs[] = { "azure-records", "azure-lines", "azure-array", "azure-row", "azure-id-in-properties",
                                            "openbao-lines", "openbao-header" };
        char path[128];

        write_day();
        write_later();
        for (size_t i = 0; i < ELEMENTSOF(logs); i++) {
                struct captured *c;

                snprintf(path, sizeof(path), LOGS "%s", logs[i]);
                c = reconcile(path);
                if (c->code != EXIT_CODE_DONE)
                        fail_msg("%s: %s%s", logs[i], c->out, c->err);
        }
        assert_non_null(strstr(reconcile(LOGS "azure-lines")->out, "6 entries of Azure Key Vault from 2023-11-14 22:13:20.000 to "));
        assert_non_null(strstr(reconcile(LOGS "azure-lines")->out, "3 uses of keys that are in the trail: 2 for its requests, 1 refused; "
                                                                   "1 of other keys"));
        assert_non_null(strstr(reconcile(LOGS "azure-lines")->out, "note: Somebody else asked for a key and was refused"));
        assert_non_null(strstr(reconcile(LOGS "openbao-lines")->out, "4 entries of OpenBao or Vault"));
}

static void what_nobody_here_asked_for_is_found(void **state _unused_) {
        struct json_object *o, *f;
        struct captured *c;

        write_day();
        write_later();
        o = reconcile_json(LOGS "azure-thief", EXIT_CODE_TRAIL);
        f = finding(o, "not-ours");
        assert_non_null(f);
        assert_int_equal(json_number(f, "count"), 2);
        assert_int_equal(json_number(f, "line"), 3);
        assert_string_equal(json_text(f, "address"), "203.0.113.9");
        assert_non_null(strstr(json_text(f, "identity"), "application evil"));
        assert_string_equal(json_text(f, "client"), "python-requests/2.31");
        assert_string_equal(json_text(f, "request"), "99999999-2222-4333-8444-000000000001");
        assert_string_equal(json_text(f, "first"), "2023-11-14 22:13:27.500");
        assert_string_equal(json_text(f, "last"), "2023-11-14 22:13:29.000");
        json_object_put(o);
        o = reconcile_json(LOGS "openbao-thief", EXIT_CODE_TRAIL);
        f = finding(o, "not-ours");
        assert_non_null(f);
        assert_int_equal(json_number(f, "count"), 1);        /* a request and its response are one */
        assert_non_null(strstr(json_text(f, "identity"), "token token, entity e1"));
        assert_non_null(finding(o, "refused"));
        json_object_put(o);
        c = reconcile(LOGS "azure-thief");
        assert_non_null(strstr(c->out, "alert: The vault used a key for a request that is not in the trail, 2 times"));
        assert_non_null(strstr(c->err, "do not agree"));
}

/* The rest of the trail is gone, or is still to come: neither is passed over. */
static void what_is_newer_than_the_trail_is_told_apart(void **state _unused_) {
        struct json_object *o;

        write_day();
        o = reconcile_json(LOGS "azure-thief", EXIT_CODE_TRAIL);
        assert_non_null(finding(o, "after-end"));
        assert_null(finding(o, "not-ours"));
        json_object_put(o);
}

static void what_is_older_is_not_judged(void **state _unused_) {
        struct issued_key key = { .text = KEY, .host = "vault.test", .name = "k1" };
        struct issued issued = { .keys = &key, .n_keys = 1, .first_usec = UINT64_C(1700000000) * USEC_PER_SEC,
                                 .last_usec = UINT64_C(1700100000) * USEC_PER_SEC };
        struct match m = { .issued = &issued };
        struct vault_entry e = { .realtime_usec = UINT64_C(1699999000) * USEC_PER_SEC, .uses_key = true, .answered = true,
                                 .host = "vault.test", .key = "k1" };

        assert_int_equal(match_entry(&m, &e, 1), 0);
        assert_int_equal(m.before, 1);
        assert_int_equal(m.n_findings, 0);
        e.realtime_usec += 2000 * USEC_PER_SEC;
        assert_int_equal(match_entry(&m, &e, 2), 0);
        assert_int_equal(m.findings[0].kind, MISMATCH_NOT_OURS);
        match_done(&m);
        write_day();
        assert_int_equal(RUN(verb_audit_reconcile, "--file", trail_file, "--until", "2023-11-14 22:12Z", LOGS "azure-thief")->code,
                         EXIT_CODE_FAILED);          /* and what is asked for is what is judged */
}

static void an_id_is_good_once(void **state _unused_) {
        static const struct match_finding *f;
        struct issued issued = {};
        struct match m = { .issued = &issued };
        struct vault_entry e = { .kind = VAULT_LOG_AZURE, .realtime_usec = UINT64_C(1700000002) * USEC_PER_SEC, .uses_key = true,
                                 .answered = true, .operation = "KeyUnwrap", .host = "vault.test", .key = "k1", .n_ids = 1 };
        _cleanup_(source_freep) struct source *s = NULL;
        struct invocation in = { .values = { [OPTION_FILE] = trail_file } };
        struct record r;

        write_day();
        write_later();
        assert_int_equal(source_new(&in, &s), EXIT_CODE_DONE);
        while (source_next(s, &r) > 0) {
                assert_int_equal(issued_add(&issued, &r), 0);
                record_done(&r);
        }
        assert_int_equal(uuid_bytes(POLL, e.ids[0]), 0);
        assert_int_equal(match_entry(&m, &e, 1), 0);
        e.realtime_usec += 5 * USEC_PER_SEC;        /* asked again on another connection */
        assert_int_equal(match_entry(&m, &e, 2), 0);
        assert_int_equal(m.n_findings, 0);
        e.realtime_usec += 3600 * USEC_PER_SEC;
        assert_int_equal(match_entry(&m, &e, 3), 0);
        assert_int_equal(m.n_findings, 1);
        f = m.findings;
        assert_int_equal(f->kind, MISMATCH_REPEATED);
        assert_int_equal(uuid_bytes(USE, e.ids[0]), 0);
        assert_int_equal(match_entry(&m, &e, 4), 0);
        assert_int_equal(m.n_findings, 1);
        e.realtime_usec -= 3000 * USEC_PER_SEC;
        assert_int_equal(match_entry(&m, &e, 5), 0);
        assert_int_equal(m.findings[0].count, 2);
        match_done(&m);
        issued_done(&issued);
}

static void a_request_without_a_release_is_found(void **state _unused_) {
        struct json_object *o;

        DAEMON("started", "volumes_listed=1");
        DAEMON("request", "volume=data1", "uuid=" UUID, "use=" USE, "key=" KEY, "verb=attach");
        DAEMON("polls", "key=" KEY, "count=1", "ids_other=" POLL);
        write_later();
        o = reconcile_json(LOGS "azure-lines", EXIT_CODE_TRAIL);
        assert_non_null(finding(o, "not-released"));
        assert_int_equal(json_number(finding(o, "not-released"), "line"), 4);
        json_object_put(o);
}

/* More is in the trail than in the log of its time. */
static void what_the_log_lacks_is_found(void **state _unused_) {
        _cleanup_(freep) char *text = NULL, *log = NULL;
        static struct audit_message_record m;
        struct json_object *o;
        char path[160], *at;
        uint64_t sequence;
        size_t size;
        bool kept;

        write_day();
        audit_record_start(&m, "polls", LOG_INFO, true);
        audit_record_add(&m, "key", KEY);
        audit_record_add(&m, "ids", "22222222-2222-4333-8444-555555555555");
        m.realtime_usec = UINT64_C(1700002000) * USEC_PER_SEC;
        assert_int_equal(trail_append(trail, &m, RECORD_DAEMON, NULL, &sequence), 0);
        assert_int_equal(trail_commit(trail, true, &kept), 0);
        write_later();
        assert_int_equal(read_small_file(LOGS "azure-lines", 65536, &text, &size), 0);
        assert_true(asprintf(&log, "%s%s", text, text) > 0);
        for (at = log + size; (at = strstr(at, "22:13:")); at++)
                memcpy(at, "23:13:", 6);             /* the vault answered for an hour; of one poll it knows nothing */
        snprintf(path, sizeof(path), "%s/log", dir);
        assert_int_equal(write_file_atomic(path, log, strlen(log), 0600), 0);
        o = reconcile_json(path, EXIT_CODE_TRAIL);
        assert_non_null(finding(o, "missing"));
        assert_int_equal(json_number(finding(o, "missing"), "record"), 6);
        assert_string_equal(json_text(finding(o, "missing"), "request"), "22222222-2222-4333-8444-555555555555");
        assert_non_null(finding(o, "repeated"));     /* and what it answered again it should not have */
        json_object_put(o);
}

/* What a log hides behind a torn line is read all the same, and that something could not be read is never a good end. */
static void a_torn_line_hides_nothing(void **state _unused_) {
        static const char *const logs[] = { LOGS "torn", LOGS "unbalanced" };
        struct json_object *o;

        write_day();
        write_later();
        for (size_t i = 0; i < ELEMENTSOF(logs); i++) {
                o = reconcile_json(logs[i], EXIT_CODE_TRAIL);
                assert_non_null(finding(o, "not-ours"));
                assert_true(json_number(o, "unreadable") > 0);
                json_object_put(o);
        }
        o = reconcile_json(LOGS "deep", EXIT_CODE_FAILED);
        assert_int_equal(json_number(o, "ours"), 1);
        json_object_put(o);
        assert_int_equal(reconcile(LOGS "empty")->code, EXIT_CODE_FAILED);
        assert_int_equal(reconcile(LOGS "not-json")->code, EXIT_CODE_FAILED);
        assert_int_equal(reconcile("/nonexistent")->code, EXIT_CODE_FAILED);
        assert_int_equal(reconcile(trail_file)->code, EXIT_CODE_FAILED);
}

/* Of several nodes with one key each trail explains its part. */
static void trails_of_several_nodes(void **state _unused_) {
        char copy[160];

        write_day();
        write_later();
        snprintf(copy, sizeof(copy), "%s/other.jsonl", dir);
        assert_int_equal(link(trail_file, copy), 0);
        assert_int_equal(RUN(verb_audit_reconcile, LOGS "azure-lines", copy, trail_file)->code, EXIT_CODE_DONE);
        assert_int_equal(RUN(verb_audit_reconcile, "--file", trail_file, LOGS "azure-lines", copy)->code, EXIT_CODE_USAGE);
        assert_int_equal(RUN(verb_audit_reconcile, "--file", trail_file, "--key", "k1", LOGS "azure-lines")->code, EXIT_CODE_DONE);
        assert_int_equal(RUN(verb_audit_reconcile, "--file", trail_file, "--key", "k", LOGS "azure-lines")->code, EXIT_CODE_FAILED);
}

static void write_at(uint64_t sec, const char *event, const char *ids) {
        static struct audit_message_record m;
        uint64_t sequence;
        bool kept;

        audit_record_start(&m, event, LOG_INFO, true);
        audit_record_add(&m, "key", KEY);
        audit_record_add(&m, "ids", ids);
        m.realtime_usec = sec * USEC_PER_SEC;
        assert_int_equal(trail_append(trail, &m, RECORD_DAEMON, NULL, &sequence), 0);
        assert_int_equal(trail_commit(trail, true, &kept), 0);
}

static void poll_at(uint64_t sec) {
        char id[37];

        anchor_id(MACHINE_ID, trail_hash(trail), id);
        log_use(sec, id, "node", true);
}

/* A trail that ends before the polls of its last minutes are recorded: their ids say whose they are, but for so many only. */
static void polls_that_are_not_recorded_yet(void **state _unused_) {
        struct json_object *o, *f;

        log_start();
        write_day();
        log_use(FIRST_SEC + 3, POLL, "node", true);
        log_use(FIRST_SEC + 3, USE, "node", true);
        for (unsigned i = 0; i < 27; i++)
                poll_at(FIRST_SEC + 70 + 30 * i);
        log_write();
        o = reconcile_json(log_path, EXIT_CODE_DONE);
        assert_int_equal(json_number(o, "ours"), 29);
        assert_int_equal(json_number(o, "ours_by_anchor"), 27);
        json_object_put(o);
        assert_non_null(strstr(reconcile(log_path)->out, "27 of them carry a head of the trail for their id and nothing else"));
        poll_at(FIRST_SEC + 71);                   /* cmkd would have recorded the others before */
        log_write();
        o = reconcile_json(log_path, EXIT_CODE_TRAIL);
        f = finding(o, "anchored");
        assert_non_null(f);
        assert_int_equal(json_number(f, "count"), 1);
        json_object_put(o);
}

/* A quarter of an hour later cmkd has recorded its polls: what is not among them was not its own. */
static void polls_that_should_have_been_recorded(void **state _unused_) {
        struct json_object *o;

        log_start();
        write_day();
        poll_at(FIRST_SEC + 100);
        log_write();
        write_at(FIRST_SEC + 900, "polls", "22222222-2222-4333-8444-555555555555");
        o = reconcile_json(log_path, EXIT_CODE_TRAIL);
        assert_non_null(finding(o, "anchored"));
        json_object_put(o);
}

static void polls_of_a_cmkd_that_was_killed(void **state _unused_) {
        struct json_object *o;

        log_start();
        write_day();
        poll_at(FIRST_SEC + 100);
        write_at(FIRST_SEC + 200, "started", NULL);
        poll_at(FIRST_SEC + 300);                  /* the next one's, which it records */
        log_write();
        write_at(FIRST_SEC + 2000, "audit_stop", NULL);
        o = reconcile_json(log_path, EXIT_CODE_TRAIL);
        assert_int_equal(json_number(o, "ours_by_anchor"), 1);
        assert_int_equal(json_number(finding(o, "anchored"), "line"), 2);
        json_object_put(o);
}

/* Who knows an old head only, from a copy of the trail, is not taken for cmkd. */
static void an_old_head_explains_nothing(void **state _unused_) {
        struct json_object *o;

        log_start();
        write_day();
        poll_at(FIRST_SEC + 2000);
        log_write();
        write_at(FIRST_SEC + 2100, "audit_stop", NULL);
        o = reconcile_json(log_path, EXIT_CODE_TRAIL);
        assert_int_equal(json_number(o, "ours_by_anchor"), 0);
        assert_non_null(finding(o, "after-end"));
        json_object_put(o);
}

static void keys_are_compared_part_by_part(void **state _unused_) {
        char host[254], mount[128], key[128];

        assert_int_equal(vault_key_split("https://V.Test:8443/keys/K1/abc/unwrapkey?api-version=7.4", host, mount, key), 0);
        assert_string_equal(host, "v.test");
        assert_string_equal(mount, "");
        assert_string_equal(key, "k1");
        assert_int_equal(vault_key_split("https://v/v1/kms/transit/keys/k", host, mount, key), 0);
        assert_string_equal(mount, "kms/transit");
        assert_int_equal(vault_key_split("https://v/keys/", host, mount, key), -EINVAL);
        assert_int_equal(vault_key_split("https:///keys/k", host, mount, key), -EINVAL);
        assert_int_equal(vault_key_split("v/keys/k", host, mount, key), -EINVAL);
        assert_int_equal(vault_key_split("https://v/secrets/k", host, mount, key), -EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(what_was_asked_and_answered_agrees), TEST(what_nobody_here_asked_for_is_found),
                TEST(what_is_newer_than_the_trail_is_told_apart), TEST(what_is_older_is_not_judged), TEST(an_id_is_good_once),
                TEST(a_request_without_a_release_is_found), TEST(what_the_log_lacks_is_found), TEST(a_torn_line_hides_nothing),
                TEST(trails_of_several_nodes), TEST(keys_are_compared_part_by_part),
                TEST(polls_that_are_not_recorded_yet), TEST(polls_that_should_have_been_recorded),
                TEST(polls_of_a_cmkd_that_was_killed), TEST(an_old_head_explains_nothing),
        };

        return cmocka_run_group_tests_name("ctl-reconcile", tests, NULL, NULL);
}
