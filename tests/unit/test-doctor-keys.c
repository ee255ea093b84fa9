/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/doctor/keys.c daemon/ctl/doctor/secrets.c daemon/ctl/doctor/findings.c daemon/ctl/worker.c daemon/ctl/options.c daemon/ctl/doctor/versions.c daemon/ctl/print.c
// libs: json-c

/* A key without fault, and one change of it for each finding. The way to the vault is worker-faults' part. */
#include "ctl/doctor/keys.h"
#include "ctl/doctor/secrets.h"
#include "ctl/doctor/versions.h"
#include "ctl/key-usage.h"
#include "ctl/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW UINT64_C(1700000000)
#define DAY UINT64_C(86400)

static struct vault_config vault = { .name = (char[]) { "main" } };
static struct vault_reply good_key, good_wrap;

static int set_up(void **state _unused_) {
        vault.accept_unsafe = false;
        good_wrap = (struct vault_reply) { .verdict = VERDICT_GRANTED };
        good_key = (struct vault_reply) {
                .verdict = VERDICT_GRANTED, .key_type = "RSA", .key_bits = 3072, .spki_size = 400, .recovery_level = "Recoverable",
                .key_flags = VAULT_KEY_ENABLED | VAULT_KEY_CAN_WRAP | VAULT_KEY_CAN_UNWRAP | VAULT_KEY_PURGE_PROTECTED,
        };
        return 0;
}

/* "id,id" of what is found in that order of the kinds; words: in one of the texts. */
static void expect(const struct vault_reply *y, const struct vault_reply *wrapped, const char *ids, const char *words) {
        struct findings l = {};
        char got[256] = "";
        bool said = !*words;

        judge_key(&vault, "k1", y, wrapped, NOW, &l);
        findings_sort(&l);
        for (size_t i = 0; i < l.n; i++) {
                strcat(strcat(got, i > 0 ? "," : ""), finding_id(l.list[i].kind));
                said |= strstr(l.list[i].what, words) != NULL;
                assert_non_null(strstr(l.list[i].what, "k1 of the vault main"));
        }
        if (!streq(got, ids) || !said)
                fail_msg("found \"%s\" (%s), not \"%s\" with \"%s\"", got, l.n > 0 ? l.list[0].what : "", ids, words);
        findings_release(&l);
}

static void test_good(void **state _unused_) {
        static const uint16_t bits[] = { 2048, 3072, 4096 };

        for (size_t i = 0; i < ELEMENTSOF(bits); i++) {
                good_key.key_bits = bits[i];
                expect(&good_key, &good_wrap, "", "");
        }
        good_key.not_before = NOW;
        good_key.expires = NOW + 31 * DAY;
        expect(&good_key, &good_wrap, "", "");
        expect(&good_key, NULL, "", "");
}

static void test_each_fault(void **state _unused_) {
        struct vault_reply y, small;

        y = good_key; y.key_flags &= (uint8_t) ~VAULT_KEY_ENABLED; expect(&y, &good_wrap, "key-unfit", "is disabled");
        y = good_key; y.key_flags &= (uint8_t) ~VAULT_KEY_CAN_WRAP; expect(&y, NULL, "key-unfit", "wrapKey");
        y = good_key; y.key_flags &= (uint8_t) ~VAULT_KEY_CAN_UNWRAP; expect(&y, &good_wrap, "key-unfit", "unwrapKey");
        y = good_key; y.key_bits = 2056; expect(&y, &good_wrap, "key-unfit", "(RSA, 2056 bits)");
        y = good_key; y.spki_size = 0; y.key_bits = 0; strcpy(y.key_type, "EC-HSM"); expect(&y, NULL, "key-unfit", "(EC-HSM, 0 bits)");
        y = good_key; y.spki_size = 0; y.key_bits = 256; strcpy(y.key_type, "A256KW"); expect(&y, &good_wrap, "", "");
        small = (struct vault_reply) { .verdict = VERDICT_MISCONFIGURED, .http_status = 400, .code = "BadParameter" };
        expect(&y, &small, "key-unfit", "not one of 256 bits");
        small.http_status = 0; expect(&y, &small, "key-refused", "asked to wrap");
        y.key_flags &= (uint8_t) ~VAULT_KEY_ENABLED; expect(&y, NULL, "key-unfit", "is disabled");
        y = good_key; y.not_before = NOW + 1; expect(&y, &good_wrap, "key-unfit", "another 1 days");
        y = good_key; y.expires = NOW; expect(&y, &good_wrap, "key-unfit", "expired 0 days ago");
        y = good_key; y.expires = NOW + 30 * DAY; expect(&y, &good_wrap, "key-expires", "in 30 days");
        y = good_key; y.expires = 1; expect(&y, &good_wrap, "key-unfit", "expired");
        y = good_key; y.key_flags &= (uint8_t) ~VAULT_KEY_PURGE_PROTECTED; strcpy(y.recovery_level, "Recoverable+Purgeable");
        expect(&y, &good_wrap, "vault-unsafe", "(Recoverable+Purgeable)");
        y.key_flags = 0;
        expect(&y, NULL, "vault-unsafe,key-unfit,key-unfit", "");
        y.key_flags = good_key.key_flags & (uint8_t) ~VAULT_KEY_PURGE_PROTECTED;
        vault.accept_unsafe = true;
        expect(&y, &good_wrap, "vault-accepted", "AcceptUnsafeVault=yes");
        assert_int_equal(finding_severity(FINDING_VAULT_ACCEPTED), SEVERITY_NOTE);
        assert_int_equal(finding_severity(FINDING_KEY_EXPIRES), SEVERITY_NOTE);
}

static void test_each_verdict(void **state _unused_) {
        for (enum verdict v = VERDICT_GRANTED + 1; v < _VERDICT_MAX; v++) {
                bool silent = v == VERDICT_UNREACHABLE || v == VERDICT_THROTTLED || v == VERDICT_BROKEN;
                struct vault_reply y = { .verdict = v, .code = "Forbidden/ForbiddenByRbac", .text = "no" };

                expect(&y, NULL, silent ? "vault-silent" : "key-refused", "asked for itself");
                expect(&good_key, &y, silent ? "vault-silent" : "key-refused", "asked to wrap");
                y.http_status = 403;
                expect(&y, NULL, silent ? "vault-silent" : v == VERDICT_DENIED_WEAK ? "vault-network" : "key-refused", "asked for itself");
        }
}

/* There is no cmkd to ask. */
int key_usage(const char *key _unused_, struct json_object **ret _unused_) {
        return EXIT_CODE_FAILED;
}

static void expect_version(const char *use, uint64_t expires, const char *newest, const char *words) {
        _cleanup_(json_object_putp) struct json_object *list = json_object_new_array();
        struct json_object *o = json_object_new_object();
        struct findings l = {};

        json_object_array_add(list, o);
        json_put_text(o, "volume", "data1");
        json_put_text(o, "use", use);
        json_put_text(o, "key", "https://v/keys/k1/old");
        json_put_number(o, "expires", expires);
        json_put_text(o, "newest", newest);
        judge_versions(list, NOW, &l);
        assert_int_equal(l.n, *words ? 1 : 0);
        if (*words && (!strstr(l.list[0].what, words) || !strstr(l.list[0].what, "data1")))
                fail_msg("%s", l.list[0].what);
        for (size_t i = 0; i < l.n; i++)
                assert_string_equal(finding_id(l.list[i].kind), streq(use, "needed") ? "key-version" : "left-over");
        findings_release(&l);
}

static void test_versions(void **state _unused_) {
        expect_version("needed", 0, "", "");
        expect_version("needed", NOW + 30 * DAY, "", "expires in 30 days");
        expect_version("needed", NOW + 31 * DAY, "", "");
        expect_version("needed", NOW, "", "");
        expect_version("needed", 0, "https://v/keys/k1/new", "newer version, https://v/keys/k1/new");
        expect_version("left over", NOW + DAY, "https://v/keys/k1/new", "not on this node's list");
        expect_version("not here", NOW + DAY, "https://v/keys/k1/new", "");
}

static void test_excess(void **state _unused_) {
        for (enum verdict v = 0; v < _VERDICT_MAX; v++) {
                struct vault_reply y = { .verdict = v, .text = "encrypt" };
                struct findings l = {};

                judge_excess(&vault, "k1", &y, &l);
                assert_int_equal(l.n, v == VERDICT_GRANTED ? 1 : 0);
                if (l.n > 0) {
                        assert_string_equal(finding_id(l.list[0].kind), "key-excess");
                        assert_non_null(strstr(l.list[0].what, "k1 of the vault main this node may more than it needs: encrypt"));
                }
                findings_release(&l);
        }
}

static void expect_secret(const struct vault_reply *y, const struct vault_reply *deleted, const char *id, const char *words) {
        struct findings l = {};

        judge_secret(&vault, "data1", "cmkd-s", y, deleted, &l);
        assert_int_equal(l.n, *id ? 1 : 0);
        if (*id && (!streq(finding_id(l.list[0].kind), id) || !strstr(l.list[0].what, words) || !strstr(l.list[0].what, "data1") ||
                    !strstr(l.list[0].what, "cmkd-s of the vault main")))
                fail_msg("%s: %s", finding_id(l.list[0].kind), l.list[0].what);
        findings_release(&l);
}

static void test_secrets(void **state _unused_) {
        struct vault_reply good = { .verdict = VERDICT_GRANTED, .key_flags = VAULT_KEY_PURGE_PROTECTED, .recovery_level = "Recoverable" };
        struct vault_reply y = good, listed = { .verdict = VERDICT_GRANTED, .expires = NOW }, unlisted = { .verdict = VERDICT_DENIED };

        expect_secret(&good, NULL, "", "");
        y.key_flags = 0; strcpy(y.recovery_level, "Purgeable"); expect_secret(&y, NULL, "vault-unsafe", "(Purgeable)");
        vault.accept_unsafe = true; expect_secret(&y, NULL, "vault-accepted", "AcceptUnsafeVault=yes");
        y = (struct vault_reply) { .verdict = VERDICT_REVOKED, .http_status = 403, .code = "Forbidden/SecretDisabled" };
        expect_secret(&y, NULL, "secret-revoked", "is disabled");
        y = (struct vault_reply) { .verdict = VERDICT_REVOKED, .http_status = 404, .code = "SecretNotFound" };
        expect_secret(&y, &listed, "secret-revoked", "recovered until 2023-11-14");
        expect_secret(&y, &unlisted, "secret-revoked", "is not there");
        expect_secret(&y, NULL, "secret-revoked", "is not there");
        y = (struct vault_reply) { .verdict = VERDICT_BROKEN, .code = "secret altered", .text = "a new version" };
        expect_secret(&y, NULL, "secret-altered", "a new version");
        for (enum verdict v = VERDICT_GRANTED + 1; v < _VERDICT_MAX; v++) {
                bool silent = v == VERDICT_UNREACHABLE || v == VERDICT_THROTTLED || v == VERDICT_BROKEN;

                if (v == VERDICT_REVOKED)
                        continue;
                y = (struct vault_reply) { .verdict = v, .code = "Forbidden/ForbiddenByRbac", .text = "no" };
                expect_secret(&y, NULL, silent ? "vault-silent" : "secret-refused", "(Forbidden/ForbiddenByRbac): no");
                y.http_status = 403;
                if (v == VERDICT_DENIED_WEAK)
                        expect_secret(&y, NULL, "vault-network", "DENIED_WEAK");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_secrets, set_up), cmocka_unit_test_setup(test_excess, set_up),
                cmocka_unit_test_setup(test_good, set_up), cmocka_unit_test_setup(test_each_fault, set_up),
                cmocka_unit_test_setup(test_each_verdict, set_up), cmocka_unit_test(test_versions),
        };

        return cmocka_run_group_tests_name("doctor-keys", tests, NULL, NULL);
}
