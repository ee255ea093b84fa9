/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a PKCS#11 module says, as a verdict. Pure: a return value and the step it came from go in, a verdict comes out.
 *
 *   (step, CKR_...) in the table? ──no──► UNREACHABLE: a vendor's own, or not known
 *            │ yes
 *            ▼
 *   verdict, and what may be worth asking first:
 *     PKCS11_AGAIN      the same on a new session, once: what was cached is over
 *     PKCS11_ASK_TOKEN  is the token there? If it is, a volume's ciphertext is not this key's: pkcs11_judge_fact(PKCS11_REFUSES). A
 *                       challenge was made with the public half of the key that was found: it is the token that fails
 *
 * There is no code for "switched off by the key's owner". What an owner can do is destroy or rename the object, clear what it may
 * be used for, change the PIN, or take the token away: REVOKED is said where the token is there, by label and serial, the login
 * was taken, and the object is not there or may not be used. That it is said twice is the manager's business. */

#include <p11-kit/pkcs11.h>

#include "judgement.h"

enum pkcs11_step {
        PKCS11_INITIALIZE,               /* C_GetFunctionList, C_Initialize */
        PKCS11_FIND_TOKEN,               /* C_GetSlotList, C_GetTokenInfo, C_GetSlotInfo */
        PKCS11_OPEN_SESSION,
        PKCS11_LOGIN,
        PKCS11_FIND_KEY,
        PKCS11_READ_KEY,                 /* its attributes */
        PKCS11_DECRYPT,
        PKCS11_UNWRAP,
        PKCS11_READ_SECRET,              /* what C_UnwrapKey made */
        PKCS11_SIGN,                     /* of a client's key: no verdict on a vault's */
        _PKCS11_STEP_MAX,
};

enum pkcs11_next { PKCS11_NOTHING, PKCS11_AGAIN, PKCS11_ASK_TOKEN };

/* What is no return value. */
enum pkcs11_fact {
        PKCS11_NO_MODULE,                /* it cannot be loaded */
        PKCS11_NO_TOKEN,                 /* the module works, no token has that label and serial */
        PKCS11_TOKENS,                   /* more than one has */
        PKCS11_NO_PIN,                   /* the token wants one, none is configured */
        PKCS11_PIN_REFUSED_BEFORE,
        PKCS11_PIN_LAST_TRY,
        PKCS11_PIN_LOCKED,
        PKCS11_KEY_ABSENT,               /* token there, logged in */
        PKCS11_KEY_HIDDEN,               /* the same without a login: it may only not be seen */
        PKCS11_KEY_ABSENT_TOKEN_TOO,     /* the token went meanwhile */
        PKCS11_KEYS,                     /* more than one fits */
        PKCS11_TOO_MANY,                 /* more have the label than are looked at, and none of these is the one */
        PKCS11_KEY_REPLACED,             /* the label is another key's */
        PKCS11_KEY_UNREADABLE,           /* no modulus or exponent */
        PKCS11_KEY_ASKS_EACH_TIME,       /* CKA_ALWAYS_AUTHENTICATE */
        PKCS11_NOT_FOR_THIS,             /* neither CKA_DECRYPT nor a C_UnwrapKey that works */
        PKCS11_REFUSES,                  /* a failure of any kind with this ciphertext, the token is there */
        PKCS11_LENGTHS,                  /* more than there was room for, or an impossible number */
        PKCS11_HANGS,                    /* past the deadline, this call or one before */
        PKCS11_NO_MEMORY,
        _PKCS11_FACT_MAX,
};

/* rv: not CKR_OK. Never GRANTED. */
void pkcs11_judge(enum pkcs11_step step, CK_RV rv, struct judgement *ret, enum pkcs11_next *ret_next);

void pkcs11_judge_fact(enum pkcs11_fact fact, struct judgement *ret);
