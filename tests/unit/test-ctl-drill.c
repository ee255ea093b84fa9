/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/drill-report.c daemon/ctl/drill-trail.c daemon/ctl/drill-disk.c
// sources: daemon/ctl/options.c daemon/ctl/print.c
// sources: daemon/audit/record.c daemon/audit/chain.c daemon/audit/seal.c daemon/audit/reader.c
// sources: daemon/audit/segments.c
// libs: libsystemd json-c
#include "audit/reader.h"
#include "ctl-capture.h"
#include "ctl/drill.h"
#include "ctl/print.h"

#include <signal.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* last: it has a macro fail() */

#define ID "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define UUID "11111111-2222-4333-8444-555555555555"
#define MS USEC_PER_MSEC

/* ---- what the trail says ---- */

static void note(struct drill_times *t, enum record_source source, const char *event, uint64_t boottime,
                 const char *uuid, const char *const *fields) {
        static uint64_t sequence;
        struct record r = { .sequence = ++sequence, .boottime_usec = boottime, .source = source };

        snprintf(r.event, sizeof(r.event), "%s", event);
        r.fields[r.n_fields].name = "uuid";
        r.fields[r.n_fields++].value = uuid;
        for (; fields && *fields; fields += 2) {
                r.fields[r.n_fields].name = fields[0];
                r.fields[r.n_fields++].value = fields[1];
        }
        drill_times_note(t, ID, UUID, &r);
}

#define FIELDS(...) (const char *const[]) { __VA_ARGS__, NULL }
#define STEP(name, said, usec) FIELDS("step", name, "result", said, "elapsed_usec", usec)

static void note_cut(struct drill_times *t) {
        note(t, RECORD_DAEMON, "release", 1000 * MS, UUID, FIELDS("round_trip_usec", "40000"));
        note(t, RECORD_KERNEL, "key_freed", 1500 * MS, UUID, NULL);       /* of an earlier mapping */
        note(t, RECORD_DAEMON, "intent", 2001 * MS, UUID, FIELDS("round_trip_usec", "30000", "action", "cut"));
        note(t, RECORD_DAEMON, "step", 2050 * MS, UUID, STEP("shut", "done", "50000"));
        note(t, RECORD_DAEMON, "cut", 2200 * MS, UUID, STEP("cut", "done", "200000"));
        note(t, RECORD_KERNEL, "key_freed", 2150 * MS, UUID, NULL);
        note(t, RECORD_KERNEL, "key_freed", 2160 * MS, "99999999-2222-4333-8444-555555555555", NULL);
        note(t, RECORD_DAEMON, "step", 2300 * MS, UUID, STEP("kill", "done", "300000"));
        note(t, RECORD_DAEMON, "removed", 2400 * MS, UUID, FIELDS("elapsed_usec", "400000"));
}

static void times_of_a_cut(void **state _unused_) {
        struct drill_times t = {};

        note_cut(&t);
        assert_int_equal(t.unwrap_usec, 40 * MS);
        assert_int_equal(t.challenge_usec, 30 * MS);
        assert_int_equal(t.decided_usec, 2000 * MS);
        assert_int_equal(t.cut_usec, 200 * MS);
        assert_true(t.key_by_kernel);
        assert_int_equal(t.key_usec, 150 * MS);
        assert_true(t.removed && !t.lingering);
        assert_int_equal(t.removed_usec, 400 * MS);
        assert_int_equal(t.n_steps, 3);
        assert_string_equal(t.steps[1].name, "cut");
}

/* Privacy=strict: the trail has another UUID, which stands in the drill's own records. */
static void times_of_a_cut_without_names(void **state _unused_) {
        static const char other[] = "99999999-2222-8333-8444-555555555555";
        struct drill_times t = {};

        note(&t, RECORD_KERNEL, "key_freed", 1500 * MS, other, NULL);
        assert_int_equal(t.last, 0);
        note(&t, RECORD_DAEMON, "release", 1000 * MS, other, FIELDS("round_trip_usec", "40000", "drill", ID));
        note(&t, RECORD_DAEMON, "intent", 2001 * MS, other, FIELDS("drill", ID));
        note(&t, RECORD_KERNEL, "key_freed", 2150 * MS, other, NULL);
        assert_true(t.key_by_kernel);
}

/* What the manager does afterwards, in its retries, is not the cut that was measured. */
static void lingering_stays(void **state _unused_) {
        struct drill_times t = {};

        note(&t, RECORD_DAEMON, "intent", 100 * MS, UUID, NULL);
        note(&t, RECORD_DAEMON, "step", 200 * MS, UUID, STEP("cut", "Input/output error", "9"));
        note(&t, RECORD_DAEMON, "lingering", 300 * MS, UUID, FIELDS("elapsed_usec", "200000"));
        note(&t, RECORD_DAEMON, "cut", 400 * MS, UUID, STEP("cut", "done", "300000"));
        note(&t, RECORD_DAEMON, "removed", 500 * MS, UUID, FIELDS("elapsed_usec", "400000"));
        assert_true(t.lingering && !t.removed);
        assert_int_equal(t.cut_usec, 0);
        assert_int_equal(t.n_steps, 1);
}

/* ---- judging ---- */

static void good_report(struct drill_report *r) {
        *r = (struct drill_report) {
                .id = ID, .uuid = UUID, .key = "https://v/keys/k", .role = "data", .size_mib = 64,
        };
        r->policy = (struct drill_policy) {
                .poll_usec = 30 * USEC_PER_SEC, .confirm_usec = 2 * USEC_PER_SEC, .notice_usec = 10 * USEC_PER_SEC,
                .lease_usec = 90 * USEC_PER_SEC, .grace_usec = 3600 * USEC_PER_SEC, .hold_usec = 600 * USEC_PER_SEC,
                .on_revoked = "cut", .on_unreachable = "hold",
        };
        note_cut(&r->times);
        for (unsigned h = 0; h < _DRILL_HOLDER_MAX; h++)
                r->uses[h] = (struct drill_use) {
                        .pid = 100, .n = 5, .last_usec = 2100 * MS, .gone_usec = 2290 * MS, .status = SIGKILL,
                };
        r->uses[HOLDER_MAPPED].last_usec = 2285 * MS;          /* its page stays until it is killed */
        drill_claim(r, CLAIM_UNMOUNTED, true, "%u", 0u);
        drill_claim(r, CLAIM_REMOVED, true, "%u", 0u);
        drill_claim(r, CLAIM_KEYRING, true, "%u", 0u);
        drill_claim(r, CLAIM_CIPHERTEXT, true, "%u", 0u);
        drill_claim(r, CLAIM_CLEAN, true, "%u", 0u);
}

static void assert_fails(struct drill_report *r, const char *claims) {
        char text[128];

        drill_judge(r);
        drill_failed_claims(r, text, sizeof(text));
        assert_string_equal(text, claims);
        assert_int_equal(drill_holds(r, _DRILL_CLAIM_MAX), !*claims);
}

static void every_claim_can_fail(void **state _unused_) {
        struct drill_report r;

        good_report(&r);
        assert_fails(&r, "");
        r.uses[HOLDER_RAW].last_usec = 2201 * MS;
        assert_fails(&r, "readers");
        good_report(&r);
        r.uses[HOLDER_CWD].last_usec = 2210 * MS;
        assert_fails(&r, "readers");
        snprintf(r.times.steps[0].result, sizeof(r.times.steps[0].result), "Connection timed out");
        /* not shut down: its cache is read until its users are gone */
        assert_fails(&r, "");
        r.uses[HOLDER_CWD].last_usec = 2291 * MS;
        assert_fails(&r, "readers");
        good_report(&r);
        r.uses[HOLDER_WRITER].gone_usec = 0;
        assert_fails(&r, "killed");
        r.uses[HOLDER_WRITER].gone_usec = 2290 * MS;
        r.uses[HOLDER_WRITER].status = 1 << 8;                 /* exit(1) */
        assert_fails(&r, "killed");
        good_report(&r);
        r.uses[HOLDER_MAPPED].n = 0;
        assert_fails(&r, "control");
        good_report(&r);
        r.times.cut_usec = 2000 * MS + 1;
        assert_fails(&r, "cut");
        good_report(&r);
        r.times.key_by_kernel = false;
        assert_fails(&r, "key");
        r.times.key_by_kernel = true;
        r.times.key_usec = 2001 * MS;
        assert_fails(&r, "key");
        good_report(&r);
        snprintf(r.policy.on_revoked, sizeof(r.policy.on_revoked), "report");
        assert_fails(&r, "policy");
        good_report(&r);
        drill_claim(&r, CLAIM_KEYRING, false, "%u", 1u);
        assert_fails(&r, "keyring");
}

/* What was not tested does not hold. */
static void untested_is_no_success(void **state _unused_) {
        struct drill_report r;
        char text[64];

        good_report(&r);
        drill_judge(&r);
        r.claims[CLAIM_CIPHERTEXT].verdict = DRILL_UNTESTED;
        assert_false(drill_holds(&r, _DRILL_CLAIM_MAX));
        drill_failed_claims(&r, text, sizeof(text));
        assert_string_equal(text, "");
        r = (struct drill_report) { .role = "data" };
        drill_judge(&r);
        assert_false(drill_holds(&r, _DRILL_CLAIM_MAX));
}

/* ---- policy and bounds ---- */

static const char policy_text[] =
        "{\"PollSec\":\"30 (default)\",\"ConfirmSec\":\"2 (default)\",\"NoticeSec\":\"500ms ([Policy])\","
        "\"LeaseSec\":\"90 (owner)\",\"GraceSec\":\"3600 (default)\",\"HoldSec\":\"600 (default)\","
        "\"OnRevoked\":\"cut (default)\",\"OnUnreachable\":\"hold (default)\"}";

static void policy_is_read(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = json_tokener_parse(policy_text);
        struct drill_policy p;

        assert_int_equal(drill_policy_parse(o, &p), 0);
        assert_int_equal(p.notice_usec, 500 * MS);
        assert_int_equal(p.lease_usec, 90 * USEC_PER_SEC);
        assert_string_equal(p.on_unreachable, "hold");
        json_object_object_add(o, "OnRevoked", json_object_new_string("perhaps (default)"));
        assert_int_equal(drill_policy_parse(o, &p), -EBADMSG);
        json_object_object_del(o, "OnRevoked");
        assert_int_equal(drill_policy_parse(o, &p), -EBADMSG);
}

static void bounds(void **state _unused_) {
        struct drill_report r;

        good_report(&r);
        assert_int_equal(drill_bound_cooperative(&r.policy, &r.times), 44 * USEC_PER_SEC + 80 * MS);
        assert_int_equal(drill_bound_blocked(&r.policy), 3690 * USEC_PER_SEC);
        snprintf(r.policy.on_revoked, sizeof(r.policy.on_revoked), "hold");
        assert_int_equal(drill_bound_cooperative(&r.policy, &r.times), 34 * USEC_PER_SEC + 80 * MS);
        snprintf(r.policy.on_revoked, sizeof(r.policy.on_revoked), "report");
        snprintf(r.policy.on_unreachable, sizeof(r.policy.on_unreachable), "report");
        assert_true(drill_bound_cooperative(&r.policy, &r.times) == USEC_INFINITY);
        assert_true(drill_bound_blocked(&r.policy) == USEC_INFINITY);
}

/* ---- output ---- */

static int print_good(const struct invocation *in) {
        struct drill_report r;

        good_report(&r);
        drill_judge(&r);
        if (has_option(in, OPTION_YES))
                drill_claim(&r, CLAIM_CUT, false, "%s", "bad\033[2J");
        return has_option(in, OPTION_JSON) ? drill_print_json(&r) : drill_print(&r);
}

static void for_people(void **state _unused_) {
        struct captured *c = RUN_BARE(print_good);

        assert_non_null(strstr(c->out, "Passed"));
        assert_non_null(strstr(c->out, "44.080 s"));
        assert_non_null(strstr(c->out, "3690.000 s"));
        assert_non_null(strstr(c->out, "200 ms"));
        c = RUN(print_good, "--yes");
        assert_non_null(strstr(c->out, "FAILED"));
        assert_non_null(strstr(c->out, "NO "));
        assert_null(strchr(c->out, '\033'));
}

static void for_machines(void **state _unused_) {
        struct captured *c = RUN(print_good, "--json");
        _cleanup_(json_object_putp) struct json_object *o = json_tokener_parse(c->out);
        struct json_object *v;

        assert_non_null(o);
        assert_true(json_object_object_get_ex(o, "passed", &v) && json_object_get_boolean(v));
        assert_true(json_object_object_get_ex(o, "measured", &v));
        assert_int_equal(json_number(v, "cut_usec"), 200 * MS);
        assert_int_equal(json_number(v, "key_freed_usec"), 150 * MS);
        assert_true(json_object_object_get_ex(o, "claims", &v));
        assert_int_equal(json_object_array_length(v), _DRILL_CLAIM_MAX);
}

/* ---- the search in the file below ---- */

static void marker_is_found_anywhere(void **state _unused_) {
        static const off_t places[] = { 0, 7, (1 << 20) - 1, (1 << 20) - 63, (1 << 20), (5 << 20) + 4095 };
        uint8_t marker[DRILL_MARKER_SIZE], half[DRILL_MARKER_SIZE / 2];
        uint64_t size = 0;

        memset(marker, 'm', sizeof(marker));
        memset(half, 'm', sizeof(half));
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                struct drill_disk d = { .file = memfd_create("disk", MFD_CLOEXEC), .loop = -EBADF };

                assert_true(d.file >= 0);
                assert_int_equal(ftruncate(d.file, 8 << 20), 0);
                assert_int_equal(pwrite(d.file, half, sizeof(half), 3 << 20), sizeof(half));
                assert_int_equal(drill_disk_search(&d, marker, &size), 0);
                assert_true(size > 0);
                assert_int_equal(pwrite(d.file, marker, sizeof(marker), places[i]), sizeof(marker));
                assert_int_equal(drill_disk_search(&d, marker, &size), 1);
                drill_disk_done(&d);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(times_of_a_cut_without_names), cmocka_unit_test(times_of_a_cut),
                cmocka_unit_test(lingering_stays),
                cmocka_unit_test(every_claim_can_fail),
                cmocka_unit_test(untested_is_no_success),
                cmocka_unit_test(policy_is_read),
                cmocka_unit_test(bounds),
                cmocka_unit_test(for_people),
                cmocka_unit_test(for_machines),
                cmocka_unit_test(marker_is_found_anywhere),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
