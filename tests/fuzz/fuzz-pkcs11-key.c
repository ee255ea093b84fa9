/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/pkcs11-key.c daemon/vault/rsa-public.c daemon/vault/pkcs11-verdict.c daemon/vault/judgement.c
// libs: p11-kit-1 json-c

/* What a PKCS#11 module returns: the first byte says as what (a modulus, fields of a token's information, a date, a padded block,
 * a return value), the rest is it. */

#include "vault/pkcs11-key.h"
#include "vault/pkcs11-verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok) {
        if (!ok)
                abort();
}

static void try_public(const uint8_t *data, size_t size) {
        struct pkcs11_public k = {};
        struct vault_reply y = {};
        struct secret *wrapped = NULL;
        char version[33];

        if (size < 2 || size - 2 > sizeof(k.modulus))
                return;
        k.exponent_size = data[0] % (sizeof(k.exponent) + 1);
        memset(k.exponent, data[1], k.exponent_size);
        memcpy(k.modulus, data + 2, size - 2);
        k.modulus_size = size - 2;
        if (pkcs11_key_public(&k, &y, version) < 0)
                return;
        check(y.spki_size > 0 && y.key_bits >= 2048 && y.key_bits <= 4096 && strspn(version, "0123456789abcdef") == 32 && !version[32]);
        if (pkcs11_key_wrap(&y, data, 2, &wrapped) >= 0)
                check(secret_size(wrapped) == (y.key_bits + 7u) / 8);
        secret_free(wrapped);
}

static void try_fields(const uint8_t *data, size_t size) {
        char buf[33], small[5];

        if (size > 32)
                return;
        if (pkcs11_field_text(data, size, buf, sizeof(buf)))
                check(*buf && pkcs11_field_is(data, size, buf));
        if (pkcs11_field_text(data, size, small, sizeof(small)))
                check(strlen(small) < sizeof(small));
}

static void try_date(const uint8_t *data, size_t size) {
        uint64_t begins = 0, ends = 0;

        check(pkcs11_key_date(data, size, false, &begins) == pkcs11_key_date(data, size, true, &ends));
        check(begins == 0 ? ends == 0 : ends == begins + 86400);
}

static void try_unpad(const uint8_t *data, size_t size) {
        struct secret *block = NULL;

        if (size < 2 || secret_new(size - 1, &block) < 0)
                return;
        memcpy(secret_data(block), data + 1, size - 1);
        if (pkcs11_key_unpad(&block, 128u + 2u * data[0]) >= 0)
                check(secret_size(block) > 0 && secret_size(block) < size);
        secret_free(block);
}

static void try_value(const uint8_t *data, size_t size) {
        enum pkcs11_next next;
        struct judgement j;
        CK_RV rv = 0;

        if (size < 2)
                return;
        memcpy(&rv, data + 1, MIN_OF(size - 1, sizeof(rv)));
        pkcs11_judge(data[0] % _PKCS11_STEP_MAX, rv, &j, &next);
        check(j.verdict != VERDICT_GRANTED && *j.code && *j.text);
        check(j.verdict != VERDICT_REVOKED || rv == CKR_KEY_FUNCTION_NOT_PERMITTED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static void (*const tries[])(const uint8_t *, size_t) = { try_public, try_fields, try_date, try_unpad, try_value };

        if (size > 0)
                tries[data[0] % ELEMENTSOF(tries)](data + 1, size - 1);
        return 0;
}
