/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/stored.c

/* Wrapped keys that the vault keeps: their names, what is asked for, what the answers are called, and which vaults have none. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/config.h"
#include "manager/stored.h"

#define UUID "8d2f6e3c-5b1a-4f7e-9c0d-112233445566"
#define PURGE UINT64_C(1709164800)      /* 2024-02-29 */

static void test_name(void **state _unused_) {
        uint8_t digest[STORED_DIGEST_SIZE];
        char name[STORED_NAME_SIZE];

        for (unsigned i = 0; i < sizeof(digest); i++)
                digest[i] = (uint8_t) (0xf8 + i);
        stored_key_name(UUID, digest, name);
        assert_string_equal(name, "cmkd-" UUID "-f8f9fafbfcfdfeff0001020304050607");
        assert_int_equal(strlen(name), STORED_NAME_SIZE - 1);
        assert_int_equal(strspn(name, "0123456789abcdefghijklmnopqrstuvwxyz-"), strlen(name));
}

static void test_request(void **state _unused_) {
        struct disk_wrap w = { .algorithm = "RSA-OAEP-256", .wrapped = { 1, 2, 3 }, .wrapped_size = 256 };
        struct vault_request q = {};

        wrap_fill_request(&w, UUID, &q);
        assert_false(q.stored);
        assert_string_equal(q.volume, UUID);
        assert_string_equal(q.algorithm, "RSA-OAEP-256");
        assert_int_equal(q.blob_size, 256);
        assert_memory_equal(q.blob, w.wrapped, 256);
        w.stored = true;
        w.wrapped_size = STORED_DIGEST_SIZE;
        q = (struct vault_request) {};
        wrap_fill_request(&w, UUID, &q);
        assert_true(q.stored);
        assert_string_equal(q.volume, UUID);
        assert_int_equal(q.blob_size, 0);
        assert_memory_equal(q.digest, w.wrapped, STORED_DIGEST_SIZE);
}

/* Never "erased": before the purge date it can be recovered, and afterwards it is the vault's word that it was purged. */
static void test_texts(void **state _unused_) {
        struct vault_reply y = { .verdict = VERDICT_REVOKED, .code = "SecretNotFound", .expires = PURGE };
        char text[200], small[20];

        assert_true(stored_text(&y, PURGE - 1, text, sizeof(text)));
        assert_string_equal(text, "The wrapped key's secret was deleted: the volume is revoked, not erased: the secret can be recovered until "
                            "2024-02-29");
        assert_true(stored_text(&y, PURGE, text, sizeof(text)));
        assert_string_equal(text, "The wrapped key's secret was deleted, and was to be purged on 2024-02-29");
        y.expires = 0;
        assert_true(stored_text(&y, PURGE, text, sizeof(text)));
        assert_non_null(strstr(text, "revoked, not erased: the secret can be recovered until the vault's retention ends"));
        y.expires = UINT64_MAX;                 /* no year that there is */
        assert_true(stored_text(&y, PURGE, text, sizeof(text)));
        assert_true(stored_text(&y, PURGE, small, sizeof(small)));
        strcpy(y.code, "Forbidden/SecretDisabled");
        assert_true(stored_text(&y, PURGE, text, sizeof(text)));
        assert_non_null(strstr(text, "disabled"));
        strcpy(y.code, "secret altered");
        assert_true(stored_text(&y, PURGE, text, sizeof(text)));
        assert_non_null(strstr(text, "another"));
        strcpy(y.code, "KeyNotFound");
        assert_false(stored_text(&y, PURGE, text, sizeof(text)));
        *y.code = 0;
        assert_false(stored_text(&y, PURGE, text, sizeof(text)));
}

static void test_which_vaults(void **state _unused_) {
        struct vault_config v = { .provider = (char *) "azure", .resource = (char *) "https://vault.azure.net" };

        assert_null(stored_key_objection(&v));
        v.resource = (char *) "https://managedhsm.azure.net";
        assert_non_null(strstr(stored_key_objection(&v), "Managed HSM has no secrets"));
        v.provider = (char *) "transit";
        v.resource = NULL;
        assert_non_null(strstr(stored_key_objection(&v), "only an Azure Key Vault"));
        v.provider = (char *) "pkcs11";
        assert_non_null(stored_key_objection(&v));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_name), cmocka_unit_test(test_request), cmocka_unit_test(test_texts), cmocka_unit_test(test_which_vaults),
        };

        return cmocka_run_group_tests_name("stored", tests, NULL, NULL);
}
