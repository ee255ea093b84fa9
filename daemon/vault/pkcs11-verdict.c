/* SPDX-License-Identifier: Apache-2.0 */
#include "pkcs11-verdict.h"

#define BIT(n) (1u << (n))
#define ON_BLOB (BIT(PKCS11_DECRYPT) | BIT(PKCS11_UNWRAP))
#define ON_KEY (ON_BLOB | BIT(PKCS11_SIGN) | BIT(PKCS11_FIND_KEY) | BIT(PKCS11_READ_KEY) | BIT(PKCS11_READ_SECRET))
#define ON_ANY (BIT(_PKCS11_STEP_MAX) - 1)

struct row {
        CK_RV rv;
        const char *name;
        unsigned steps;
        enum verdict verdict;
        enum pkcs11_next next;
        const char *text;
};

#define TOKEN_FAILS "the token does not work, or is not to be reached"
#define HANDLE "what was found is not valid any more"
#define NOT_THIS_KEYS "the wrapped key does not fit the key: another one has its name"
#define OURS "the module does not take what it is asked for"
#define PIN_REFUSED "the token does not take the PIN; it is not tried again until PinFile= has another one, or after `systemctl stop cmkd-vault.service`"

/* The first row that has the value and the step counts. What is not here is UNREACHABLE. */
static const struct row rows[] = {
        { CKR_KEY_FUNCTION_NOT_PERMITTED, "CKR_KEY_FUNCTION_NOT_PERMITTED", ON_BLOB, VERDICT_REVOKED, 0,
          "the key may not be used for this any more (CKA_DECRYPT, CKA_UNWRAP)" },
        { CKR_KEY_FUNCTION_NOT_PERMITTED, "CKR_KEY_FUNCTION_NOT_PERMITTED", BIT(PKCS11_SIGN), VERDICT_DENIED, 0,
          "the key may not sign (CKA_SIGN)" },
        { CKR_MECHANISM_INVALID, "CKR_MECHANISM_INVALID", BIT(PKCS11_SIGN), VERDICT_MISCONFIGURED, 0, "the module does no RSA-PSS" },
        { CKR_MECHANISM_PARAM_INVALID, "CKR_MECHANISM_PARAM_INVALID", BIT(PKCS11_SIGN), VERDICT_MISCONFIGURED, 0,
          "the module does no RSA-PSS with SHA-256" },
        /* another key, or another's ciphertext */
        { CKR_ENCRYPTED_DATA_INVALID, "CKR_ENCRYPTED_DATA_INVALID", ON_BLOB, VERDICT_DENIED, 0, NOT_THIS_KEYS },
        { CKR_ENCRYPTED_DATA_LEN_RANGE, "CKR_ENCRYPTED_DATA_LEN_RANGE", ON_BLOB, VERDICT_DENIED, 0, NOT_THIS_KEYS },
        { CKR_WRAPPED_KEY_INVALID, "CKR_WRAPPED_KEY_INVALID", ON_BLOB, VERDICT_DENIED, 0, NOT_THIS_KEYS },
        { CKR_WRAPPED_KEY_LEN_RANGE, "CKR_WRAPPED_KEY_LEN_RANGE", ON_BLOB, VERDICT_DENIED, 0, NOT_THIS_KEYS },
        /* SoftHSM 2.6 says so of a ciphertext too. No other code is taken for that: a module whose service is down has one as well */
        { CKR_GENERAL_ERROR, "CKR_GENERAL_ERROR", ON_BLOB, VERDICT_UNREACHABLE, PKCS11_ASK_TOKEN, TOKEN_FAILS },
        /* permission */
        { CKR_PIN_INCORRECT, "CKR_PIN_INCORRECT", ON_ANY, VERDICT_DENIED, 0, PIN_REFUSED },
        { CKR_PIN_INVALID, "CKR_PIN_INVALID", ON_ANY, VERDICT_DENIED, 0, PIN_REFUSED },
        { CKR_PIN_LEN_RANGE, "CKR_PIN_LEN_RANGE", ON_ANY, VERDICT_DENIED, 0, PIN_REFUSED },
        { CKR_PIN_EXPIRED, "CKR_PIN_EXPIRED", ON_ANY, VERDICT_DENIED, 0, "the PIN has expired" },
        { CKR_PIN_LOCKED, "CKR_PIN_LOCKED", ON_ANY, VERDICT_DENIED, 0, "the PIN is locked" },
        { CKR_USER_PIN_NOT_INITIALIZED, "CKR_USER_PIN_NOT_INITIALIZED", ON_ANY, VERDICT_DENIED, 0,
          "the token has no user PIN: initialized again?" },
        { CKR_FUNCTION_REJECTED, "CKR_FUNCTION_REJECTED", ON_ANY, VERDICT_DENIED, 0, "the token's user refused" },
        { CKR_USER_NOT_LOGGED_IN, "CKR_USER_NOT_LOGGED_IN", ON_ANY, VERDICT_DENIED, PKCS11_AGAIN, "the login is over" },
        /* ours */
        { CKR_ARGUMENTS_BAD, "CKR_ARGUMENTS_BAD", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_NEED_TO_CREATE_THREADS, "CKR_NEED_TO_CREATE_THREADS", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_CANT_LOCK, "CKR_CANT_LOCK", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_ATTRIBUTE_SENSITIVE, "CKR_ATTRIBUTE_SENSITIVE", ON_ANY, VERDICT_MISCONFIGURED, 0,
          "the token does not give out what it unwrapped" },
        { CKR_ATTRIBUTE_TYPE_INVALID, "CKR_ATTRIBUTE_TYPE_INVALID", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_ATTRIBUTE_VALUE_INVALID, "CKR_ATTRIBUTE_VALUE_INVALID", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_FUNCTION_NOT_SUPPORTED, "CKR_FUNCTION_NOT_SUPPORTED", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_KEY_SIZE_RANGE, "CKR_KEY_SIZE_RANGE", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_KEY_TYPE_INCONSISTENT, "CKR_KEY_TYPE_INCONSISTENT", ON_ANY, VERDICT_MISCONFIGURED, 0, "the key is no RSA key" },
        { CKR_MECHANISM_INVALID, "CKR_MECHANISM_INVALID", ON_ANY, VERDICT_MISCONFIGURED, 0,
          "the module does neither RSA-OAEP with SHA-256 nor plain RSA" },
        { CKR_MECHANISM_PARAM_INVALID, "CKR_MECHANISM_PARAM_INVALID", ON_ANY, VERDICT_MISCONFIGURED, 0,
          "the module does neither RSA-OAEP with SHA-256 nor plain RSA" },
        { CKR_TEMPLATE_INCOMPLETE, "CKR_TEMPLATE_INCOMPLETE", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_TEMPLATE_INCONSISTENT, "CKR_TEMPLATE_INCONSISTENT", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_UNWRAPPING_KEY_SIZE_RANGE, "CKR_UNWRAPPING_KEY_SIZE_RANGE", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, "CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT", ON_ANY, VERDICT_MISCONFIGURED, 0,
          "the key is no RSA key" },
        { CKR_USER_TYPE_INVALID, "CKR_USER_TYPE_INVALID", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_USER_ANOTHER_ALREADY_LOGGED_IN, "CKR_USER_ANOTHER_ALREADY_LOGGED_IN", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_USER_TOO_MANY_TYPES, "CKR_USER_TOO_MANY_TYPES", ON_ANY, VERDICT_MISCONFIGURED, 0, OURS },
        { CKR_SESSION_COUNT, "CKR_SESSION_COUNT", ON_ANY, VERDICT_THROTTLED, 0, "the token has no session left" },
        { CKR_BUFFER_TOO_SMALL, "CKR_BUFFER_TOO_SMALL", ON_ANY, VERDICT_BROKEN, 0, "the module has more than there can be" },
        /* what was cached is over */
        { CKR_KEY_HANDLE_INVALID, "CKR_KEY_HANDLE_INVALID", ON_KEY, VERDICT_UNREACHABLE, PKCS11_AGAIN, HANDLE },
        { CKR_OBJECT_HANDLE_INVALID, "CKR_OBJECT_HANDLE_INVALID", ON_KEY, VERDICT_UNREACHABLE, PKCS11_AGAIN, HANDLE },
        { CKR_UNWRAPPING_KEY_HANDLE_INVALID, "CKR_UNWRAPPING_KEY_HANDLE_INVALID", ON_KEY, VERDICT_UNREACHABLE, PKCS11_AGAIN,
          HANDLE },
        { CKR_SLOT_ID_INVALID, "CKR_SLOT_ID_INVALID", ON_ANY, VERDICT_UNREACHABLE, PKCS11_AGAIN, HANDLE },
        { CKR_SESSION_CLOSED, "CKR_SESSION_CLOSED", ON_ANY, VERDICT_UNREACHABLE, PKCS11_AGAIN, HANDLE },
        { CKR_SESSION_HANDLE_INVALID, "CKR_SESSION_HANDLE_INVALID", ON_ANY, VERDICT_UNREACHABLE, PKCS11_AGAIN, HANDLE },
        { CKR_OPERATION_ACTIVE, "CKR_OPERATION_ACTIVE", ON_ANY, VERDICT_UNREACHABLE, PKCS11_AGAIN, HANDLE },
        { CKR_OPERATION_NOT_INITIALIZED, "CKR_OPERATION_NOT_INITIALIZED", ON_ANY, VERDICT_UNREACHABLE, PKCS11_AGAIN, HANDLE },
        { CKR_DEVICE_REMOVED, "CKR_DEVICE_REMOVED", ON_ANY, VERDICT_UNREACHABLE, PKCS11_AGAIN, TOKEN_FAILS },
        /* the token, or the way there */
        { CKR_HOST_MEMORY, "CKR_HOST_MEMORY", ON_ANY, VERDICT_UNREACHABLE, 0, "the module has no memory" },
        { CKR_GENERAL_ERROR, "CKR_GENERAL_ERROR", ON_ANY, VERDICT_UNREACHABLE, 0, TOKEN_FAILS },
        { CKR_FUNCTION_FAILED, "CKR_FUNCTION_FAILED", ON_ANY, VERDICT_UNREACHABLE, 0, TOKEN_FAILS },
        { CKR_DEVICE_ERROR, "CKR_DEVICE_ERROR", ON_ANY, VERDICT_UNREACHABLE, 0, TOKEN_FAILS },
        { CKR_DEVICE_MEMORY, "CKR_DEVICE_MEMORY", ON_ANY, VERDICT_UNREACHABLE, 0, TOKEN_FAILS },
        { CKR_TOKEN_NOT_PRESENT, "CKR_TOKEN_NOT_PRESENT", ON_ANY, VERDICT_UNREACHABLE, 0, "the token is not there" },
        { CKR_TOKEN_NOT_RECOGNIZED, "CKR_TOKEN_NOT_RECOGNIZED", ON_ANY, VERDICT_UNREACHABLE, 0, "the token is not there" },
        { CKR_CRYPTOKI_NOT_INITIALIZED, "CKR_CRYPTOKI_NOT_INITIALIZED", ON_ANY, VERDICT_UNREACHABLE, 0,
          "the module is to be loaded again" },
};

void pkcs11_judge(enum pkcs11_step step, CK_RV rv, struct judgement *ret, enum pkcs11_next *ret_next) {
        char code[40];

        *ret_next = PKCS11_NOTHING;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (rows[i].rv == rv && rows[i].steps & BIT(step)) {
                        *ret_next = rows[i].next;
                        return judgement_set(ret, rows[i].verdict, rows[i].name, "%s", rows[i].text);
                }
        snprintf(code, sizeof(code), "CKR 0x%lx", (unsigned long) rv);
        judgement_set(ret, VERDICT_UNREACHABLE, code, "%s", rv >= CKR_VENDOR_DEFINED ? "an error of the module's own" :
                      "an error that is not known here");
}

void pkcs11_judge_fact(enum pkcs11_fact fact, struct judgement *ret) {
        static const struct { enum verdict verdict; const char *code, *text; } facts[_PKCS11_FACT_MAX] = {
                [PKCS11_NO_MODULE] = { VERDICT_UNREACHABLE, "no module", "Module= cannot be loaded" },
                [PKCS11_NO_TOKEN] = { VERDICT_UNREACHABLE, "no token", "the module has no token of that label and serial" },
                [PKCS11_TOKENS] = { VERDICT_MISCONFIGURED, "several tokens", "more than one token has that label: add serial=" },
                [PKCS11_NO_PIN] = { VERDICT_MISCONFIGURED, "no PIN", "the token wants a PIN: PinFile= of [Vault NAME]" },
                [PKCS11_PIN_REFUSED_BEFORE] = { VERDICT_DENIED, "PIN refused before", PIN_REFUSED },
                [PKCS11_PIN_LAST_TRY] = { VERDICT_DENIED, "PIN: last try",
                        "a wrong PIN now would lock the token: it is not tried. Log in by other means once" },
                [PKCS11_PIN_LOCKED] = { VERDICT_DENIED, "PIN locked", "the token says that its PIN is locked" },
                [PKCS11_KEY_ABSENT] = { VERDICT_REVOKED, "key not found", "the token is there, and has no such private key" },
                [PKCS11_KEY_HIDDEN] = { VERDICT_DENIED, "key not seen", "the token shows no such private key without a login" },
                [PKCS11_KEY_ABSENT_TOKEN_TOO] = { VERDICT_UNREACHABLE, "no token", "the token went while its key was looked for" },
                [PKCS11_KEYS] = { VERDICT_MISCONFIGURED, "several keys", "more than one key has that label: add id=" },
                [PKCS11_TOO_MANY] = { VERDICT_MISCONFIGURED, "too many keys",
                        "the key is not among the first 256 of that label, and no more are looked at: add id=" },
                [PKCS11_KEY_REPLACED] = { VERDICT_DENIED, "other key", "the label is that of another key now" },
                [PKCS11_KEY_UNREADABLE] = { VERDICT_MISCONFIGURED, "no public key",
                        "the token shows no public half of an RSA key of 2048 to 4096 bits" },
                [PKCS11_KEY_ASKS_EACH_TIME] = { VERDICT_MISCONFIGURED, "CKA_ALWAYS_AUTHENTICATE",
                        "keys that want a PIN for each use are not supported" },
                [PKCS11_NOT_FOR_THIS] = { VERDICT_REVOKED, "CKR_KEY_FUNCTION_NOT_PERMITTED",
                        "the key may not decrypt (CKA_DECRYPT), and C_UnwrapKey does not do RSA-OAEP with SHA-256 here" },
                [PKCS11_REFUSES] = { VERDICT_DENIED, "other key", NOT_THIS_KEYS },
                [PKCS11_LENGTHS] = { VERDICT_BROKEN, "length", "the module claims more than there can be" },
                [PKCS11_HANGS] = { VERDICT_UNREACHABLE, "hangs", "the module did not come back in time" },
                [PKCS11_NO_MEMORY] = { VERDICT_UNREACHABLE, "memory", "no memory for what stays secret" },
        };

        judgement_set(ret, facts[fact].verdict, facts[fact].code, "%s", facts[fact].text);
}
