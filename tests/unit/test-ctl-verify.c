/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/verify.c daemon/ctl/review/verify-log.c daemon/ctl/review/anchor-log.c daemon/ctl/review/anchors.c
// sources: daemon/ctl/review/vault-log.c daemon/ctl/review/vault-entry.c daemon/ctl/review/cgroup.c daemon/ctl/review/filter.c
// sources: daemon/ctl/review/ledger.c daemon/ctl/review/workload.c daemon/ctl/review/review.c daemon/ctl/review/rules.c
// sources: daemon/ctl/review/veil.c daemon/audit/privacy.c daemon/audit/privacy-forms.c
// sources: daemon/ctl/review/source.c daemon/ctl/review/source-journal.c daemon/ctl/review/journal-files.c daemon/ctl/when.c daemon/ctl/options.c daemon/ctl/print.c
// sources: daemon/audit/record.c daemon/audit/chain.c daemon/audit/seal.c daemon/audit/reader.c daemon/audit/trail.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/sealer.c daemon/audit/keep.c
// sources: tests/unit/sealed-trail.c
// libs: json-c libsystemd
// What cmkctl audit verify says of seals: that they hold only where there are any, and of how many records they say nothing.

#include "ctl-capture.h"
#include "ctl/print.h"
#include "sealed-trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* last: it has a macro fail() */

#define VERIFY(...) RUN(verb_audit_verify, "--file", s.path, __VA_ARGS__)

static struct sealed_trail s;

static int set_up(void **state _unused_) {
        sealed_trail_begin(&s);
        return 0;
}

static int tear_down(void **state _unused_) {
        sealed_trail_end(&s);
        return 0;
}

static void expect_json(const char *option, const char *value, bool verified, const char *checked, uint64_t proven) {
        struct json_object *o = json_tokener_parse(VERIFY("--json", option, value)->out);

        assert_non_null(o);
        assert_int_equal(json_object_get_boolean(json_object_object_get(o, "verified")), verified);
        assert_string_equal(json_object_get_string(json_object_object_get(o, "checked")), checked);
        assert_int_equal(json_object_get_uint64(json_object_object_get(o, "proven")), proven);
        json_object_put(o);
}

static void all_sealed(void **state _unused_) {
        struct captured *c;

        assert_int_equal(sealed_trail_write(&s, 3, "event"), 0);
        c = VERIFY("--private-key", s.private);
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "inserted, and the seals hold\n"));
        expect_json("--private-key", s.private, true, "seals", 4);
        c = VERIFY("--json");
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_non_null(strstr(c->out, "seals-unchecked"));
}

static void nothing_sealed_with_a_key_is_not_verified(void **state _unused_) {
        struct captured *c;

        sealed_trail_close(&s);
        sealed_trail_open(&s, false);
        assert_int_equal(sealed_trail_write(&s, 3, "event"), 0);
        c = VERIFY("--json");
        assert_int_equal(c->code, EXIT_CODE_DONE);             /* without a key nobody asked for seals */
        c = VERIFY("--private-key", s.private);
        assert_int_equal(c->code, EXIT_CODE_TRAIL);
        assert_null(strstr(c->out, "seals hold"));
        assert_null(strstr(c->out, "verified: nothing"));
        assert_non_null(strstr(c->out, "keys were given and nothing is sealed"));
        expect_json("--private-key", s.private, false, "chain", 0);
}

static void unsealed_records_are_counted(void **state _unused_) {
        struct captured *c;

        sealed_trail_close(&s);
        sealed_trail_open(&s, false);
        assert_int_equal(sealed_trail_write(&s, 3, "event"), 0);
        sealed_trail_close(&s);
        sealed_trail_open(&s, true);
        assert_int_equal(sealed_trail_write(&s, 1, "event"), 0);
        c = VERIFY("--private-key", s.private);
        assert_int_equal(c->code, EXIT_CODE_DONE);
        assert_null(strstr(c->out, "and the seals hold\n"));
        assert_non_null(strstr(c->out, "among the 2 records whose seals hold; the other 3 have none and prove nothing"));
        expect_json("--private-key", s.private, true, "seals", 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(all_sealed), TEST(nothing_sealed_with_a_key_is_not_verified), TEST(unsealed_records_are_counted),
        };

        return cmocka_run_group_tests_name("ctl-verify", tests, NULL, NULL);
}
