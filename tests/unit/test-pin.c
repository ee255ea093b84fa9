/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/pin.c daemon/manager/outcome.c daemon/manager/stored.c
// libs: libcrypto

/* What is held against a public key before it is pinned. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/algorithm.h"
#include "manager/pin.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"    /* FIPS 180-2 of "abc" */
#define OTHER "0000000000000000000000000000000000000000000000000000000000000000"

static const uint8_t abc[] = { 'a', 'b', 'c' };

static void test_digest(void **state _unused_) {
        const uint8_t canary[CANARY_SIZE_MAX] = { CANARY_FORM };
        struct audit_message_record r = {};
        char digest[KEY_DIGEST_SIZE];

        pin_digest(abc, sizeof(abc), digest);
        assert_string_equal(digest, ABC);
        pin_digest(canary, sizeof(canary), digest);
        assert_string_equal(digest, "");
        pin_digest(abc, 0, digest);
        assert_string_equal(digest, "");
        pin_record(&r, canary, sizeof(canary));
        assert_int_equal(r.n_fields, 0);
        pin_record(&r, abc, sizeof(abc));
        assert_int_equal(r.n_fields, 1);
        assert_string_equal(r.fields[0].name, "spki_sha256");
        assert_string_equal(r.fields[0].value, ABC);
}

static void test_parse(void **state _unused_) {
        static const char *const bad[] = {
                "", "sha256:", ABC, "sha256:" ABC "0", "sha256//" ABC, "SHA256:" ABC, "sha256:" ABC " ", " sha256:" ABC,
                "sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        };
        char digest[KEY_DIGEST_SIZE];

        assert_int_equal(key_digest_parse("sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015AD", digest), 0);
        assert_string_equal(digest, ABC);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(key_digest_parse(bad[i], digest), -EINVAL);
}

static int check(const char *expected, char *const list[], const uint8_t *pin, size_t size, struct outcome *o) {
        struct vault_config v = { .name = (char *) "main", .public_keys = (char **) list };
        struct config c = { .vaults = &v };
        struct proven_key k = { .vault = "main" };

        *o = (struct outcome) {};
        snprintf(k.expected, sizeof(k.expected), "%s", expected);
        assert_int_equal(key_uri_parse("https://v.test/keys/k/1", &k.uri, NULL), 0);
        assert_int_equal(pin_check(NULL, &k, pin, size, "data1", o), *expected && (size == 0 || !streq(expected, ABC)) ? -EPERM : 0);
        return pin_check(&c, &k, pin, size, "data1", o);
}

static void test_check(void **state _unused_) {
        char *const has[] = { (char *) "sha256:" OTHER, (char *) "sha256:" ABC, NULL };
        char *const has_not[] = { (char *) "sha256:" OTHER, NULL };
        struct outcome o;

        assert_int_equal(check("", NULL, abc, sizeof(abc), &o), 0);
        assert_int_equal(check("", NULL, NULL, 0, &o), 0);
        assert_int_equal(check(ABC, NULL, abc, sizeof(abc), &o), 0);
        assert_int_equal(check("", has, abc, sizeof(abc), &o), 0);
        assert_int_equal(check(ABC, has, abc, sizeof(abc), &o), 0);
        assert_int_equal(o.code, EXIT_CODE_DONE);

        assert_int_equal(check(OTHER, NULL, abc, sizeof(abc), &o), -EPERM);
        assert_int_equal(o.code, EXIT_CODE_POLICY);
        assert_non_null(strstr(o.message, "https://v.test/keys/k/1"));
        assert_non_null(strstr(o.message, "sha256:" ABC));
        assert_non_null(strstr(o.message, "--expect-public-key says sha256:" OTHER));
        assert_int_equal(check("", has_not, abc, sizeof(abc), &o), -EPERM);
        assert_int_equal(o.code, EXIT_CODE_POLICY);
        assert_non_null(strstr(o.message, "ExpectPublicKeys= of [Vault main]"));
        assert_int_equal(check(ABC, has_not, abc, sizeof(abc), &o), -EPERM);
        assert_int_equal(check(OTHER, has, abc, sizeof(abc), &o), -EPERM);

        /* a worker that calls the key symmetric gets round nothing */
        assert_int_equal(check(ABC, NULL, NULL, 0, &o), -EPERM);
        assert_int_equal(check("", has, NULL, 0, &o), -EPERM);
        assert_non_null(strstr(o.message, "symmetric"));
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_digest), cmocka_unit_test(test_parse), cmocka_unit_test(test_check) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
