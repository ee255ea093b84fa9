/* SPDX-License-Identifier: Apache-2.0 */
#include "pkcs11-unwrap.h"

static int fact(struct pkcs11_failure *e, enum pkcs11_fact f) {
        *e = (struct pkcs11_failure) { .rv = CKR_OK, .fact = f };
        return -EIO;
}

static int failed(struct pkcs11_failure *e, enum pkcs11_step step, CK_RV rv) {
        *e = (struct pkcs11_failure) { .step = step, .rv = rv };
        return -EIO;
}

static CK_MECHANISM oaep(CK_RSA_PKCS_OAEP_PARAMS *p) {
        /* by place: p11-kit has two sets of names for them, by its version */
        *p = (CK_RSA_PKCS_OAEP_PARAMS) { CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0 };
        return (CK_MECHANISM) { CKM_RSA_PKCS_OAEP, p, sizeof(*p) };
}

/* Which codes say that the module cannot do it so, whatever the key and the ciphertext. */
static bool is_unable(CK_RV rv) {
        return rv == CKR_ARGUMENTS_BAD || rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID ||
               rv == CKR_FUNCTION_NOT_SUPPORTED;
}

static int decrypt(const struct pkcs11_unwrap *u, CK_MECHANISM *m, struct secret **ret, struct pkcs11_failure *e) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        CK_ULONG n = PKCS11_MODULUS_MAX;
        CK_RV rv;

        rv = u->f->C_DecryptInit(u->session, m, u->key);
        if (rv != CKR_OK)
                return failed(e, PKCS11_DECRYPT, rv);
        /* room for what a module that does not look at the length might write */
        if (secret_new(2 * PKCS11_MODULUS_MAX, &s) < 0)
                return fact(e, PKCS11_NO_MEMORY);
        rv = u->f->C_Decrypt(u->session, (uint8_t *) u->blob, u->blob_size, secret_data(s), &n);
        if (rv != CKR_OK)
                return failed(e, PKCS11_DECRYPT, rv);
        if (n == 0 || n > u->modulus_size)
                return fact(e, PKCS11_LENGTHS);
        secret_shrink(s, n);
        *ret = TAKE_PTR(s);
        return 0;
}

static int decrypt_raw(const struct pkcs11_unwrap *u, struct secret **ret, struct pkcs11_failure *e) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        CK_MECHANISM m = { .mechanism = CKM_RSA_X_509 };
        int r;

        if (decrypt(u, &m, &s, e) < 0)
                return -EIO;
        r = pkcs11_key_unpad(&s, u->modulus_size);
        if (r < 0)
                return fact(e, r == -EBADMSG ? PKCS11_REFUSES : PKCS11_NO_MEMORY);
        *ret = TAKE_PTR(s);
        return 0;
}

static int read_secret(const struct pkcs11_unwrap *u, CK_OBJECT_HANDLE object, struct secret **ret, struct pkcs11_failure *e) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        CK_ATTRIBUTE a = { CKA_VALUE, NULL, PKCS11_MODULUS_MAX };
        CK_RV rv;

        if (secret_new(2 * PKCS11_MODULUS_MAX, &s) < 0)
                return fact(e, PKCS11_NO_MEMORY);
        a.pValue = secret_data(s);
        rv = u->f->C_GetAttributeValue(u->session, object, &a, 1);
        if (rv != CKR_OK)
                return failed(e, PKCS11_READ_SECRET, rv);
        if (a.ulValueLen == 0 || a.ulValueLen > u->modulus_size)
                return fact(e, PKCS11_LENGTHS);
        secret_shrink(s, a.ulValueLen);
        *ret = TAKE_PTR(s);
        return 0;
}

static int unwrap_key(const struct pkcs11_unwrap *u, struct secret **ret, struct pkcs11_failure *e) {
        CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
        CK_OBJECT_CLASS class = CKO_SECRET_KEY;
        CK_KEY_TYPE type = CKK_GENERIC_SECRET;
        CK_ATTRIBUTE template[] = {
                { CKA_CLASS, &class, sizeof(class) }, { CKA_KEY_TYPE, &type, sizeof(type) }, { CKA_TOKEN, &no, sizeof(no) },
                { CKA_SENSITIVE, &no, sizeof(no) }, { CKA_EXTRACTABLE, &yes, sizeof(yes) },
        };
        CK_RSA_PKCS_OAEP_PARAMS p;
        CK_MECHANISM m = oaep(&p);
        CK_OBJECT_HANDLE object;
        CK_RV rv;
        int r;

        rv = u->f->C_UnwrapKey(u->session, &m, u->key, (uint8_t *) u->blob, u->blob_size, template, ELEMENTSOF(template), &object);
        if (rv != CKR_OK)
                return failed(e, PKCS11_UNWRAP, rv);
        r = read_secret(u, object, ret, e);
        (void) u->f->C_DestroyObject(u->session, object);
        return r;
}

static bool may_unwrap(const struct pkcs11_unwrap *u) {
        CK_BBOOL b = CK_FALSE;
        CK_ATTRIBUTE a = { CKA_UNWRAP, &b, sizeof(b) };

        return u->f->C_GetAttributeValue(u->session, u->key, &a, 1) == CKR_OK && a.ulValueLen == sizeof(b) && b != CK_FALSE;
}

int pkcs11_unwrap(const struct pkcs11_unwrap *u, struct secret **ret, struct pkcs11_failure *ret_failure) {
        CK_RSA_PKCS_OAEP_PARAMS p;
        CK_MECHANISM m = oaep(&p);
        struct pkcs11_failure first, second;

        if (u->blob_size != u->modulus_size)
                return fact(ret_failure, PKCS11_REFUSES);
        if (decrypt(u, &m, ret, &first) >= 0)
                return 0;
        if (is_unable(first.rv) && !u->whole_oaep && decrypt_raw(u, ret, &first) >= 0)
                return 0;
        if (first.rv == CKR_KEY_FUNCTION_NOT_PERMITTED && may_unwrap(u)) {
                if (unwrap_key(u, ret, &second) >= 0)
                        return 0;
                /* The key's no to C_Decrypt is what there is, if C_UnwrapKey is none of the module's. */
                if (is_unable(second.rv))
                        return fact(ret_failure, PKCS11_NOT_FOR_THIS);
                first = second;
        }
        *ret_failure = first;
        return -EIO;
}
