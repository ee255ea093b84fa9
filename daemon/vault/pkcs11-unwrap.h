/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* RSA-OAEP with SHA-256, by the ways that modules have:
 *
 *   C_Decrypt, CKM_RSA_PKCS_OAEP ─ module does not do SHA-256 there (SoftHSM) ─► C_Decrypt, CKM_RSA_X_509, padding taken off here
 *              │ the key may not decrypt (CKA_DECRYPT)
 *              ▼
 *   C_UnwrapKey, to a secret of this session that is read and destroyed, if the key may (CKA_UNWRAP) */

#include "pkcs11-key.h"
#include "pkcs11-verdict.h"

struct pkcs11_unwrap {
        CK_FUNCTION_LIST *f;
        CK_SESSION_HANDLE session;
        CK_OBJECT_HANDLE key;
        const uint8_t *blob;
        size_t blob_size, modulus_size;
        bool whole_oaep;                 /* never CKM_RSA_X_509: the padding would be taken off by no module of anybody's (Fips=yes) */
};

struct pkcs11_failure {
        enum pkcs11_step step;
        CK_RV rv;                        /* CKR_OK: fact says it */
        enum pkcs11_fact fact;
};

/* Returns 0, or -EIO with ret_failure filled. */
int pkcs11_unwrap(const struct pkcs11_unwrap *u, struct secret **ret, struct pkcs11_failure *ret_failure);
