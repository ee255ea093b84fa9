/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A PKCS#11 module in the test's own process, with one slot, one token and RSA keys: every call may be told to fail, and answers
 * may be told to lie about lengths. What a real one does is in tests/unit/worker-pkcs11. */

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <p11-kit/pkcs11.h>

#include "common/util.h"

enum fake_call {
        FAKE_INITIALIZE, FAKE_SLOTS, FAKE_TOKEN, FAKE_SLOT, FAKE_OPEN, FAKE_LOGIN, FAKE_FIND_INIT, FAKE_FIND, FAKE_READ, FAKE_DECRYPT_INIT,
        FAKE_DECRYPT, FAKE_UNWRAP, _FAKE_MAX,
        FAKE_SIGN = _FAKE_MAX, _FAKE_ALL,               /* no call of an unwrap's */
};

struct fake_key {
        const char *label;
        uint8_t id;
        bool only_public;
        bool hidden_exponent, decrypt, unwrap, extractable, sensitive, each_time;
        const char *start, *end;                        /* CK_DATE */
        EVP_PKEY *key;
};

static struct {
        CK_RV fail[_FAKE_ALL];                          /* CKR_OK: does what it should */
        unsigned fail_times[_FAKE_ALL];                 /* 0: always */
        unsigned calls[_FAKE_ALL];
        struct fake_key keys[300];
        size_t n_keys;
        const char *label, *serial, *pin;
        CK_FLAGS token_flags, slot_flags;
        unsigned tokens;                                /* slots with that same token */
        bool only_sha1, no_raw, token_gone, logged_in;
        bool goes_in_find;                              /* the token, with what is in it */
        CK_ULONG claim_slots, claim_objects, claim_attribute, claim_plain;      /* (of a signature too) what is said in place of the truth; 0: the truth */
        CK_ATTRIBUTE_TYPE claim_for;
        CK_ULONG hang_usec;                             /* in C_Decrypt */
        CK_ULONG at_a_time;                             /* of what is found; 0: as many as are asked for */
        /* under way */
        size_t found;
        const struct fake_key *key;
        CK_MECHANISM_TYPE mechanism;
        CK_OBJECT_CLASS class;
        char wanted[128];
        int wanted_id;
        uint8_t wanted_modulus[512];
        size_t wanted_modulus_size;                     /* 0: any */
        uint8_t unwrapped[512];
        size_t unwrapped_size;
} fake;

#define PUBLIC_OFFSET 1000u
#define UNWRAPPED 5000u

static bool fake_fails(enum fake_call c, CK_RV *ret) {
        fake.calls[c]++;
        *ret = fake.fail[c];
        if (fake.fail[c] != CKR_OK && fake.fail_times[c] > 0 && --fake.fail_times[c] == 0)
                fake.fail[c] = CKR_OK;
        return *ret != CKR_OK;
}

#define FAKE_FAIL(call) do { CK_RV rv_; if (fake_fails(call, &rv_)) return rv_; } while (false)

static CK_RV fake_initialize(void *args _unused_) {
        FAKE_FAIL(FAKE_INITIALIZE);
        return CKR_OK;
}

static CK_RV fake_slots(CK_BBOOL present _unused_, CK_SLOT_ID *list, CK_ULONG *n) {
        FAKE_FAIL(FAKE_SLOTS);
        for (unsigned i = 0; i < fake.tokens; i++)
                list[i] = 7 + i;
        *n = fake.claim_slots ? fake.claim_slots : fake.tokens;
        return CKR_OK;
}

static void fake_pad(uint8_t *field, size_t size, const char *text) {
        memset(field, ' ', size);
        memcpy(field, text, MIN_OF(strlen(text), size));
}

static CK_RV fake_token(CK_SLOT_ID slot _unused_, CK_TOKEN_INFO *i) {
        FAKE_FAIL(FAKE_TOKEN);
        if (fake.token_gone)
                return CKR_GENERAL_ERROR;
        fake_pad(i->label, sizeof(i->label), fake.label);
        fake_pad(i->serialNumber, sizeof(i->serialNumber), fake.serial);
        i->flags = fake.token_flags;
        return CKR_OK;
}

static CK_RV fake_slot(CK_SLOT_ID slot _unused_, CK_SLOT_INFO *i) {
        FAKE_FAIL(FAKE_SLOT);
        i->flags = fake.slot_flags;
        return CKR_OK;
}

static CK_RV fake_open(CK_SLOT_ID slot _unused_, CK_FLAGS flags _unused_, void *app _unused_, CK_NOTIFY notify _unused_,
                       CK_SESSION_HANDLE *ret) {
        FAKE_FAIL(FAKE_OPEN);
        *ret = 5;
        return CKR_OK;
}

static CK_RV fake_close(CK_SESSION_HANDLE s _unused_) {
        fake.logged_in = false;
        return CKR_OK;
}

static CK_RV fake_login(CK_SESSION_HANDLE s _unused_, CK_USER_TYPE user _unused_, unsigned char *pin, CK_ULONG n) {
        FAKE_FAIL(FAKE_LOGIN);
        if (strlen(fake.pin) != n || memcmp(pin, fake.pin, n) != 0)
                return CKR_PIN_INCORRECT;
        fake.logged_in = true;
        return CKR_OK;
}

static CK_RV fake_session(CK_SESSION_HANDLE s _unused_, CK_SESSION_INFO *i) {
        *i = (CK_SESSION_INFO) { .slotID = 7, .state = fake.logged_in ? CKS_RO_USER_FUNCTIONS : CKS_RO_PUBLIC_SESSION };
        return CKR_OK;
}

static CK_RV fake_find_init(CK_SESSION_HANDLE s _unused_, CK_ATTRIBUTE *a, CK_ULONG n) {
        FAKE_FAIL(FAKE_FIND_INIT);
        fake.wanted_id = -1;
        fake.wanted_modulus_size = 0;
        fake.found = 0;
        for (CK_ULONG i = 0; i < n; i++)
                if (a[i].type == CKA_LABEL)
                        snprintf(fake.wanted, sizeof(fake.wanted), "%.*s", (int) a[i].ulValueLen, (char *) a[i].pValue);
                else if (a[i].type == CKA_ID)
                        fake.wanted_id = *(uint8_t *) a[i].pValue;
                else if (a[i].type == CKA_CLASS)
                        fake.class = *(CK_OBJECT_CLASS *) a[i].pValue;
                else if (a[i].type == CKA_MODULUS) {
                        fake.wanted_modulus_size = MIN_OF(a[i].ulValueLen, sizeof(fake.wanted_modulus));
                        memcpy(fake.wanted_modulus, a[i].pValue, fake.wanted_modulus_size);
                }
        return CKR_OK;
}

static bool fake_has_modulus(const struct fake_key *k) {
        BIGNUM *n = NULL;
        uint8_t buf[1024];
        size_t size;

        if (fake.wanted_modulus_size == 0)
                return true;
        EVP_PKEY_get_bn_param(k->key, OSSL_PKEY_PARAM_RSA_N, &n);
        size = (size_t) BN_bn2bin(n, buf);
        BN_free(n);
        return size == fake.wanted_modulus_size && memcmp(buf, fake.wanted_modulus, size) == 0;
}

static CK_RV fake_find(CK_SESSION_HANDLE s _unused_, CK_OBJECT_HANDLE *list, CK_ULONG max, CK_ULONG *n) {
        bool public = fake.class == CKO_PUBLIC_KEY;

        FAKE_FAIL(FAKE_FIND);
        *n = 0;
        if (fake.goes_in_find) {
                fake.token_gone = true;
                return CKR_OK;
        }
        if (fake.at_a_time > 0)
                max = MIN_OF(max, fake.at_a_time);
        for (size_t i; fake.found < fake.n_keys && *n < max;) {
                i = fake.found++;
                if ((public || fake.logged_in || !(fake.token_flags & CKF_LOGIN_REQUIRED)) && streq(fake.keys[i].label, fake.wanted) &&
                    (fake.wanted_id < 0 || fake.keys[i].id == fake.wanted_id) && (public || !fake.keys[i].only_public) &&
                    fake_has_modulus(fake.keys + i))
                        list[(*n)++] = i + 1 + (public ? PUBLIC_OFFSET : 0);
        }
        if (fake.claim_objects)
                *n = fake.claim_objects;
        return CKR_OK;
}

static CK_RV fake_find_final(CK_SESSION_HANDLE s _unused_) { return CKR_OK; }

static CK_RV fake_give(CK_ATTRIBUTE *a, const void *value, size_t size) {
        if (a->ulValueLen < size) {
                a->ulValueLen = CK_UNAVAILABLE_INFORMATION;
                return CKR_BUFFER_TOO_SMALL;
        }
        memcpy(a->pValue, value, size);
        a->ulValueLen = fake.claim_attribute && fake.claim_for == a->type ? fake.claim_attribute : size;
        return CKR_OK;
}

static CK_RV fake_give_number(CK_ATTRIBUTE *a, const struct fake_key *k, const char *which) {
        BIGNUM *n = NULL;
        uint8_t buf[1024];
        CK_RV rv;

        EVP_PKEY_get_bn_param(k->key, which, &n);
        rv = fake_give(a, buf, (size_t) BN_bn2bin(n, buf));
        BN_free(n);
        return rv;
}

static CK_RV fake_read(CK_SESSION_HANDLE s _unused_, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *a, CK_ULONG n _unused_) {
        bool public = object > PUBLIC_OFFSET;
        const struct fake_key *k = fake.keys + (object - 1) % PUBLIC_OFFSET;

        FAKE_FAIL(FAKE_READ);
        if (object == UNWRAPPED)
                return fake_give(a, fake.unwrapped, fake.unwrapped_size);
        switch (a->type) {
        case CKA_MODULUS:
                return fake_give_number(a, k, OSSL_PKEY_PARAM_RSA_N);
        case CKA_PUBLIC_EXPONENT:
                return k->hidden_exponent && !public ? CKR_ATTRIBUTE_SENSITIVE : fake_give_number(a, k, OSSL_PKEY_PARAM_RSA_E);
        case CKA_DECRYPT:
                return fake_give(a, &k->decrypt, 1);
        case CKA_UNWRAP:
                return fake_give(a, &k->unwrap, 1);
        case CKA_EXTRACTABLE:
                return fake_give(a, &k->extractable, 1);
        case CKA_SENSITIVE:
                return fake_give(a, &k->sensitive, 1);
        case CKA_ALWAYS_AUTHENTICATE:
                return k->each_time ? fake_give(a, &k->each_time, 1) : CKR_ATTRIBUTE_TYPE_INVALID;
        case CKA_START_DATE:
                return fake_give(a, strempty(k->start), strlen(strempty(k->start)));
        case CKA_END_DATE:
                return fake_give(a, strempty(k->end), strlen(strempty(k->end)));
        default:
                return CKR_ATTRIBUTE_TYPE_INVALID;
        }
}

/* CK_RSA_PKCS_OAEP_PARAMS, whose members p11-kit 0.25 calls otherwise than 0.24 */
struct fake_oaep {
        CK_MECHANISM_TYPE hash;
        unsigned long mgf, source;
        void *data;
        unsigned long size;
};

_Static_assert(sizeof(struct fake_oaep) == sizeof(CK_RSA_PKCS_OAEP_PARAMS), "PKCS #11's layout");

static CK_RV fake_check_mechanism(const CK_MECHANISM *m) {
        const struct fake_oaep *p = m->pParameter;

        if (m->mechanism == CKM_RSA_X_509)
                return fake.no_raw ? CKR_MECHANISM_INVALID : CKR_OK;
        if (m->mechanism != CKM_RSA_PKCS_OAEP || m->ulParameterLen != sizeof(*p) || p->size != 0)
                return CKR_MECHANISM_INVALID;
        return p->hash != CKM_SHA256 || p->mgf != CKG_MGF1_SHA256 || fake.only_sha1 ? CKR_ARGUMENTS_BAD : CKR_OK;
}

static CK_RV fake_decrypt_init(CK_SESSION_HANDLE s _unused_, CK_MECHANISM *m, CK_OBJECT_HANDLE key) {
        CK_RV rv;

        FAKE_FAIL(FAKE_DECRYPT_INIT);
        fake.key = fake.keys + key - 1;
        fake.mechanism = m->mechanism;
        rv = fake_check_mechanism(m);
        if (rv != CKR_OK)
                return rv;
        return fake.key->decrypt ? CKR_OK : CKR_KEY_FUNCTION_NOT_PERMITTED;
}

static CK_RV fake_rsa(const struct fake_key *k, bool raw, const uint8_t *in, size_t n, uint8_t *out, CK_ULONG *ret_n) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(k->key, NULL);
        size_t size = *ret_n;
        bool good = EVP_PKEY_decrypt_init(ctx) > 0 &&
                    EVP_PKEY_CTX_set_rsa_padding(ctx, raw ? RSA_NO_PADDING : RSA_PKCS1_OAEP_PADDING) > 0 &&
                    (raw || (EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) > 0 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0)) &&
                    EVP_PKEY_decrypt(ctx, out, &size, in, n) > 0;

        EVP_PKEY_CTX_free(ctx);
        *ret_n = size;
        return good ? CKR_OK : CKR_ENCRYPTED_DATA_INVALID;
}

static CK_RV fake_decrypt(CK_SESSION_HANDLE s _unused_, unsigned char *in, CK_ULONG n, unsigned char *out, CK_ULONG *ret_n) {
        CK_RV rv;

        if (fake.hang_usec)
                usleep((useconds_t) fake.hang_usec);
        FAKE_FAIL(FAKE_DECRYPT);
        rv = fake_rsa(fake.key, fake.mechanism == CKM_RSA_X_509, in, n, out, ret_n);
        if (rv == CKR_OK && fake.claim_plain)
                *ret_n = fake.claim_plain;
        return rv;
}

static CK_RV fake_unwrap(CK_SESSION_HANDLE s _unused_, CK_MECHANISM *m, CK_OBJECT_HANDLE key, unsigned char *in, CK_ULONG n,
                         CK_ATTRIBUTE *template _unused_, CK_ULONG count _unused_, CK_OBJECT_HANDLE *ret) {
        CK_ULONG size = sizeof(fake.unwrapped);
        CK_RV rv;

        FAKE_FAIL(FAKE_UNWRAP);
        rv = fake_check_mechanism(m);
        if (rv != CKR_OK)
                return rv;
        if (!fake.keys[key - 1].unwrap)
                return CKR_KEY_FUNCTION_NOT_PERMITTED;
        rv = fake_rsa(fake.keys + key - 1, false, in, n, fake.unwrapped, &size);
        fake.unwrapped_size = size;
        *ret = UNWRAPPED;
        return rv == CKR_OK ? CKR_OK : CKR_WRAPPED_KEY_INVALID;
}

static CK_RV fake_destroy(CK_SESSION_HANDLE s _unused_, CK_OBJECT_HANDLE object _unused_) {
        explicit_bzero(fake.unwrapped, sizeof(fake.unwrapped));
        return CKR_OK;
}

static CK_RV fake_sign_init(CK_SESSION_HANDLE s _unused_, CK_MECHANISM *m, CK_OBJECT_HANDLE key) {
        const CK_RSA_PKCS_PSS_PARAMS *p = m->pParameter;

        fake.key = fake.keys + key - 1;
        if (m->mechanism != CKM_RSA_PKCS_PSS || m->ulParameterLen != sizeof(*p) || p->hashAlg != CKM_SHA256 ||
            p->mgf != CKG_MGF1_SHA256 || p->sLen != 32)
                return CKR_MECHANISM_PARAM_INVALID;
        return CKR_OK;
}

static CK_RV fake_sign(CK_SESSION_HANDLE s _unused_, unsigned char *in, CK_ULONG n, unsigned char *out, CK_ULONG *ret_n) {
        EVP_PKEY_CTX *ctx;
        size_t size = *ret_n;
        bool good;

        FAKE_FAIL(FAKE_SIGN);
        ctx = EVP_PKEY_CTX_new(fake.key->key, NULL);
        good = EVP_PKEY_sign_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
               EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0 && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 32) > 0 &&
               EVP_PKEY_sign(ctx, out, &size, in, n) > 0;
        EVP_PKEY_CTX_free(ctx);
        *ret_n = fake.claim_plain ? fake.claim_plain : size;
        return good ? CKR_OK : CKR_DATA_LEN_RANGE;
}

static CK_FUNCTION_LIST fake_list = {
        .C_Initialize = fake_initialize, .C_GetSlotList = fake_slots, .C_GetTokenInfo = fake_token, .C_GetSlotInfo = fake_slot,
        .C_OpenSession = fake_open, .C_CloseSession = fake_close, .C_Login = fake_login, .C_GetSessionInfo = fake_session, .C_FindObjectsInit = fake_find_init,
        .C_FindObjects = fake_find, .C_FindObjectsFinal = fake_find_final, .C_GetAttributeValue = fake_read,
        .C_DecryptInit = fake_decrypt_init, .C_Decrypt = fake_decrypt, .C_UnwrapKey = fake_unwrap, .C_DestroyObject = fake_destroy,
        .C_SignInit = fake_sign_init, .C_Sign = fake_sign,
};

/* Token "cmkd", PIN 1234, one key "k1" that may decrypt. */
static void fake_reset(EVP_PKEY *key) {
        memset(&fake, 0, sizeof(fake));
        fake.label = "cmkd";
        fake.serial = "0123456789abcdef";
        fake.pin = "1234";
        fake.token_flags = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED;
        fake.tokens = 1;
        fake.n_keys = 1;
        fake.keys[0] = (struct fake_key) { .label = "k1", .id = 1, .decrypt = true, .sensitive = true, .key = key };
}
