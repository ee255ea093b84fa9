/* SPDX-License-Identifier: Apache-2.0 */
#include "pkcs11-session.h"

#include <p11-kit/p11-kit.h>

#include "common/base64.h"
#include "common/pkcs11-uri.h"
#include "pin-refused.h"
#include "pkcs11-unwrap.h"
#include "secret-file.h"
#include "vault.h"

#define SLOTS_MAX 256u
#define MATCHES_MAX 256u
#define DIGEST_SIZE 32u

struct pkcs11_session {
        struct pkcs11_place place;
        char token[PKCS11_LABEL_MAX + 1];
        CK_FUNCTION_LIST *f;
        bool initialized, open, logged_in;
        CK_SLOT_ID slot;
        CK_SESSION_HANDLE handle;
        char serial[17];                 /* of the token that is open */
        CK_FLAGS token_flags;
        struct secret *refused_pin;      /* what pin-refused.h could not keep */
};

/* One question under way. */
struct run {
        struct pkcs11_session *s;
        const struct pkcs11_question *q;
        struct vault_reply *y;
        bool again;                      /* a new session may do */
};

int pkcs11_session_new(const struct pkcs11_place *place, CK_FUNCTION_LIST *list, struct pkcs11_session **ret) {
        struct pkcs11_session *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        s->place = *place;
        snprintf(s->token, sizeof(s->token), "%s", place->token);
        s->place.token = s->token;
        s->f = list;
        *ret = s;
        return 0;
}

struct pkcs11_session *pkcs11_session_free(struct pkcs11_session *s) {
        if (!s)
                return NULL;
        secret_free(s->refused_pin);
        free(s);
        return NULL;
}

static bool fact(struct run *r, enum pkcs11_fact f) {
        struct judgement j;

        pkcs11_judge_fact(f, &j);
        vault_reply_judge(r->y, &j);
        return false;
}

static bool token_fits(const struct pkcs11_session *s, const struct pkcs11_question *q, const CK_TOKEN_INFO *i) {
        return i->flags & CKF_TOKEN_INITIALIZED && pkcs11_field_is(i->label, sizeof(i->label), s->place.token) &&
               (!*q->key.serial || pkcs11_field_is(i->serialNumber, sizeof(i->serialNumber), q->key.serial));
}

/* Is the token of this session the one that is meant, and does it answer? */
static bool token_is_there(struct run *r, CK_RV *ret_rv) {
        CK_TOKEN_INFO i = {};

        *ret_rv = r->s->f->C_GetTokenInfo(r->s->slot, &i);
        return *ret_rv == CKR_OK && token_fits(r->s, r->q, &i);
}

static bool failed(struct run *r, enum pkcs11_step step, CK_RV rv) {
        enum pkcs11_next next;
        struct judgement j;
        CK_RV ignored;

        pkcs11_judge(step, rv, &j, &next);
        r->again = next == PKCS11_AGAIN;
        if (next == PKCS11_ASK_TOKEN && r->q->volumes && token_is_there(r, &ignored))
                return fact(r, PKCS11_REFUSES);
        vault_reply_judge(r->y, &j);
        return false;
}

static void drop(struct pkcs11_session *s) {
        if (s->open)
                (void) s->f->C_CloseSession(s->handle);
        s->open = s->logged_in = false;
}

/* ---- module, token, session ---- */

static bool initialize(struct run *r) {
        CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
        struct pkcs11_session *s = r->s;
        CK_RV rv;

        if (s->initialized)
                return true;
        if (!s->f)
                s->f = p11_kit_module_load(s->place.module, P11_KIT_MODULE_UNMANAGED);
        if (!s->f)
                return fact(r, PKCS11_NO_MODULE);
        rv = s->f->C_Initialize(&args);
        if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
                return failed(r, PKCS11_INITIALIZE, rv);
        s->initialized = true;
        return true;
}

static bool take_token(struct run *r, CK_SLOT_ID slot, const CK_TOKEN_INFO *i) {
        struct pkcs11_session *s = r->s;

        s->slot = slot;
        s->token_flags = i->flags;
        return pkcs11_field_text(i->serialNumber, sizeof(i->serialNumber), s->serial, sizeof(s->serial)) ? true :
               fact(r, PKCS11_LENGTHS);
}

static bool find_token(struct run *r) {
        CK_SLOT_ID slots[SLOTS_MAX], found = 0;
        CK_ULONG n = SLOTS_MAX, matches = 0;
        CK_TOKEN_INFO info = {}, i;
        CK_RV rv, bad = CKR_OK;

        rv = r->s->f->C_GetSlotList(CK_TRUE, slots, &n);
        if (rv != CKR_OK)
                return failed(r, PKCS11_FIND_TOKEN, rv);
        if (n > SLOTS_MAX)
                return fact(r, PKCS11_LENGTHS);
        for (CK_ULONG k = 0; k < n; k++) {
                i = (CK_TOKEN_INFO) {};
                rv = r->s->f->C_GetTokenInfo(slots[k], &i);
                if (rv != CKR_OK)
                        bad = rv;
                else if (token_fits(r->s, r->q, &i)) {
                        matches++;
                        found = slots[k];
                        info = i;
                }
        }
        if (matches > 1)
                return fact(r, PKCS11_TOKENS);
        if (matches == 1)
                return take_token(r, found, &info);
        return bad != CKR_OK ? failed(r, PKCS11_FIND_TOKEN, bad) : fact(r, PKCS11_NO_TOKEN);
}

static bool read_pin(struct run *r, struct secret **ret) {
        const char *why = "";
        int k = secret_file_read(r->s->place.pin_file, SECRET_FILE_PRIVATE | SECRET_FILE_PEM, ret, &why);

        if (k >= 0)
                return true;
        vault_reply_set(r->y, k == -ENOMEM || k == -EPERM ? VERDICT_UNREACHABLE : VERDICT_MISCONFIGURED, "PIN file", "PinFile=: %s",
                        why);
        return false;
}

/* A PIN that was refused is never tried twice, and none where one more mistake would lock the token. */
static bool login(struct run *r) {
        _cleanup_(secret_freep) struct secret *pin = NULL;
        struct pkcs11_session *s = r->s;
        struct pin_use use = { .vault = s->place.vault, .token = s->token, .serial = s->serial };
        CK_RV rv;
        int k;

        if (!s->place.pin_file)
                return s->token_flags & CKF_LOGIN_REQUIRED ? fact(r, PKCS11_NO_PIN) : true;
        if (!read_pin(r, &pin))
                return false;
        use.pin = pin;
        k = pin_was_refused(&use);
        if (k < 0)
                return fact(r, PKCS11_NO_MEMORY);
        if (k > 0 || (s->refused_pin && secret_equal(s->refused_pin, pin)))
                return fact(r, PKCS11_PIN_REFUSED_BEFORE);
        if (s->token_flags & CKF_USER_PIN_LOCKED)
                return fact(r, PKCS11_PIN_LOCKED);
        if (s->token_flags & CKF_USER_PIN_FINAL_TRY)
                return fact(r, PKCS11_PIN_LAST_TRY);
        rv = s->f->C_Login(s->handle, CKU_USER, secret_data(pin), (CK_ULONG) secret_size(pin) - 1);
        s->logged_in = rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN;
        if (s->logged_in)
                return true;
        if ((rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE) && pin_keep_refused(&use) < 0) {
                secret_free(s->refused_pin);
                s->refused_pin = TAKE_PTR(pin);
        }
        return failed(r, PKCS11_LOGIN, rv);
}

static bool open_session(struct run *r) {
        struct pkcs11_session *s = r->s;
        CK_RV rv;

        if (!initialize(r))
                return false;
        if (s->open && !token_is_there(r, &rv))
                drop(s);
        if (s->open)
                return true;
        if (!find_token(r))
                return false;
        rv = s->f->C_OpenSession(s->slot, CKF_SERIAL_SESSION, NULL, NULL, &s->handle);
        if (rv != CKR_OK)
                return failed(r, PKCS11_OPEN_SESSION, rv);
        s->open = true;
        if (login(r))
                return true;
        drop(s);
        return false;
}

/* ---- the key ---- */

/* A module gives as many at a time as it likes, and says by none that these were all. */
static CK_RV collect(struct pkcs11_session *s, CK_OBJECT_HANDLE ret[static MATCHES_MAX], CK_ULONG *ret_n) {
        CK_ULONG n = 0, room, got;
        CK_RV rv;

        do {
                room = MATCHES_MAX - n;
                got = 0;
                rv = s->f->C_FindObjects(s->handle, ret + n, room, &got);
                if (rv != CKR_OK)
                        return rv;
                n = got <= room ? n + got : MATCHES_MAX + 1;
        } while (got > 0 && n < MATCHES_MAX);
        *ret_n = n;
        return CKR_OK;
}

/* The objects of that class with the key's label and, if the key has one, id; of: NULL, or the modulus. MATCHES_MAX of them: there may be
 * more. */
static bool find_objects(struct run *r, CK_OBJECT_CLASS class, struct pkcs11_public *of, CK_OBJECT_HANDLE ret[static MATCHES_MAX],
                         CK_ULONG *ret_n) {
        uint8_t id[PKCS11_ID_MAX];
        CK_KEY_TYPE type = CKK_RSA;
        CK_ATTRIBUTE wanted[5] = {
                { CKA_CLASS, &class, sizeof(class) }, { CKA_KEY_TYPE, &type, sizeof(type) },
                { CKA_LABEL, (void *) r->q->key.name, strlen(r->q->key.name) },
        };
        struct pkcs11_session *s = r->s;
        size_t id_size = strlen(r->q->key.id) / 2;
        CK_ULONG n = 0, n_wanted = 3;
        CK_RV rv;

        if (hex_decode(r->q->key.id, id, id_size) < 0)
                return fact(r, PKCS11_LENGTHS);
        if (id_size > 0)
                wanted[n_wanted++] = (CK_ATTRIBUTE) { CKA_ID, id, id_size };
        if (of)
                wanted[n_wanted++] = (CK_ATTRIBUTE) { CKA_MODULUS, of->modulus, of->modulus_size };
        rv = s->f->C_FindObjectsInit(s->handle, wanted, n_wanted);
        if (rv != CKR_OK)
                return failed(r, PKCS11_FIND_KEY, rv);
        rv = collect(s, ret, &n);
        (void) s->f->C_FindObjectsFinal(s->handle);
        if (rv != CKR_OK)
                return failed(r, PKCS11_FIND_KEY, rv);
        *ret_n = n;
        return n <= MATCHES_MAX ? true : fact(r, PKCS11_LENGTHS);
}

/* One attribute; one that the object has not, or does not show, is of size 0, and so is the modulus of a key that is too long. */
static bool read_attribute(struct run *r, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void *buf, size_t size,
                           size_t *ret_size) {
        CK_ATTRIBUTE a = { type, buf, size };
        CK_RV rv = r->s->f->C_GetAttributeValue(r->s->handle, object, &a, 1);

        *ret_size = 0;
        if (rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE || (rv == CKR_BUFFER_TOO_SMALL && type == CKA_MODULUS))
                return true;
        if (rv != CKR_OK)
                return failed(r, PKCS11_READ_KEY, rv);
        if (a.ulValueLen > size)
                return fact(r, PKCS11_LENGTHS);
        *ret_size = a.ulValueLen;
        return true;
}

static bool read_flag(struct run *r, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, bool missing, bool *ret) {
        CK_BBOOL b = CK_FALSE;
        size_t n;

        if (!read_attribute(r, object, type, &b, sizeof(b), &n))
                return false;
        *ret = n == sizeof(b) ? b != CK_FALSE : missing;
        return true;
}

/* An exponent that the private key does not show is that of the public one with the same label and modulus. It is searched by both: whoever
 * has no PIN may make public objects, as many as he likes. */
static bool read_exponent(struct run *r, CK_OBJECT_HANDLE private, struct pkcs11_public *k) {
        CK_OBJECT_HANDLE publics[MATCHES_MAX];
        uint8_t modulus[PKCS11_MODULUS_MAX];
        CK_ULONG n;
        size_t size;

        if (!read_attribute(r, private, CKA_PUBLIC_EXPONENT, k->exponent, sizeof(k->exponent), &k->exponent_size))
                return false;
        if (k->exponent_size > 0)
                return true;
        if (k->modulus_size == 0)
                return true;
        if (!find_objects(r, CKO_PUBLIC_KEY, k, publics, &n))
                return false;
        for (CK_ULONG i = 0; i < n && k->exponent_size == 0; i++) {
                if (!read_attribute(r, publics[i], CKA_MODULUS, modulus, sizeof(modulus), &size))
                        return false;
                if (size == k->modulus_size && memcmp(modulus, k->modulus, size) == 0 &&
                    !read_attribute(r, publics[i], CKA_PUBLIC_EXPONENT, k->exponent, sizeof(k->exponent), &k->exponent_size))
                        return false;
        }
        return k->exponent_size > 0 || n < MATCHES_MAX ? true : fact(r, PKCS11_TOO_MANY);
}

/* Returns 0; -EBADMSG with PKCS11_KEY_UNREADABLE in the reply: no public half, or not one of a key that is used here; -EACCES with another
 * reason in the reply. */
static int read_public(struct run *r, CK_OBJECT_HANDLE object, char version[static 33]) {
        struct pkcs11_public k = {};
        int e;

        if (!read_attribute(r, object, CKA_MODULUS, k.modulus, sizeof(k.modulus), &k.modulus_size) || !read_exponent(r, object, &k))
                return -EACCES;
        e = pkcs11_key_public(&k, r->y, version);
        if (e >= 0)
                return 0;
        fact(r, e == -ENOMEM ? PKCS11_NO_MEMORY : PKCS11_KEY_UNREADABLE);
        return e == -EBADMSG ? e : -EACCES;
}

static bool is_logged_in(const struct pkcs11_session *s) {
        CK_SESSION_INFO i = {};

        return s->logged_in && s->f->C_GetSessionInfo(s->handle, &i) == CKR_OK && i.slotID == s->slot &&
               (i.state == CKS_RO_USER_FUNCTIONS || i.state == CKS_RW_USER_FUNCTIONS);
}

/* Absent is the owner's word only from a token that is there, to somebody who is logged in: looked at after the search. */
static bool absent(struct run *r) {
        bool seen = is_logged_in(r->s);
        CK_RV rv;

        if (!token_is_there(r, &rv))
                return fact(r, PKCS11_KEY_ABSENT_TOKEN_TOO);
        if (!seen)
                drop(r->s);            /* the next question logs in again */
        return fact(r, seen ? PKCS11_KEY_ABSENT : PKCS11_KEY_HIDDEN);
}

/* The one private key that is meant; its public half, kid included, is in the reply then. What else has that label, fit to be used or
 * not, neither stands for it nor hides that it is gone. */
static bool find_key(struct run *r, CK_OBJECT_HANDLE *ret) {
        struct key_uri found = r->q->key;
        CK_OBJECT_HANDLE objects[MATCHES_MAX];
        const char *wanted = r->q->key.version;
        CK_ULONG n;

        if (!find_objects(r, CKO_PRIVATE_KEY, NULL, objects, &n))
                return false;
        if (n == 0)
                return absent(r);
        if (n > 1 && !*wanted)
                return fact(r, PKCS11_KEYS);
        for (CK_ULONG i = 0; i < n; i++) {
                int k = read_public(r, objects[i], found.version);

                if (*wanted && (k == -EBADMSG || (k >= 0 && !streq(wanted, found.version))))
                        continue;
                if (k < 0)
                        return false;
                memcpy(found.serial, r->s->serial, sizeof(found.serial));
                key_uri_format(&found, r->y->kid, sizeof(r->y->kid));
                *ret = objects[i];
                return true;
        }
        return fact(r, n < MATCHES_MAX ? PKCS11_KEY_REPLACED : PKCS11_TOO_MANY);
}

static bool read_dates(struct run *r, CK_OBJECT_HANDLE object) {
        uint8_t date[sizeof(CK_DATE)];
        size_t n;

        if (!read_attribute(r, object, CKA_START_DATE, date, sizeof(date), &n))
                return false;
        if (pkcs11_key_date(date, n, false, &r->y->not_before) < 0)
                return fact(r, PKCS11_LENGTHS);
        if (!read_attribute(r, object, CKA_END_DATE, date, sizeof(date), &n))
                return false;
        return pkcs11_key_date(date, n, true, &r->y->expires) >= 0 ? true : fact(r, PKCS11_LENGTHS);
}

static bool describe(struct run *r, CK_OBJECT_HANDLE object) {
        bool decrypt, unwrap, extractable, sensitive, each_time;
        CK_SLOT_INFO slot = {};
        CK_RV rv;

        if (!read_flag(r, object, CKA_DECRYPT, false, &decrypt) || !read_flag(r, object, CKA_UNWRAP, false, &unwrap) ||
            !read_flag(r, object, CKA_EXTRACTABLE, true, &extractable) || !read_flag(r, object, CKA_SENSITIVE, false, &sensitive) ||
            !read_flag(r, object, CKA_ALWAYS_AUTHENTICATE, false, &each_time) || !read_dates(r, object))
                return false;
        if (each_time)
                return fact(r, PKCS11_KEY_ASKS_EACH_TIME);
        rv = r->s->f->C_GetSlotInfo(r->s->slot, &slot);
        if (rv != CKR_OK)
                return failed(r, PKCS11_FIND_TOKEN, rv);
        /* Wrapping needs the public half only. */
        r->y->key_flags = VAULT_KEY_CAN_WRAP;
        if (decrypt || unwrap)
                r->y->key_flags |= VAULT_KEY_ENABLED | VAULT_KEY_CAN_UNWRAP;
        if (sensitive && !extractable)
                r->y->key_flags |= VAULT_KEY_PURGE_PROTECTED;
        if (slot.flags & CKF_HW_SLOT)
                r->y->key_flags |= VAULT_KEY_HSM;
        snprintf(r->y->key_type, sizeof(r->y->key_type), "%s", slot.flags & CKF_HW_SLOT ? "RSA-HSM" : "RSA");
        return true;
}

static bool wrap(struct run *r, struct secret **ret_value) {
        int k = pkcs11_key_wrap(r->y, r->q->blob, r->q->blob_size, ret_value);

        if (k >= 0)
                return true;
        if (k == -EBADMSG)
                vault_reply_set(r->y, VERDICT_MISCONFIGURED, "request", "what is to be wrapped is too long for the key");
        else
                fact(r, PKCS11_NO_MEMORY);
        return false;
}

static bool unwrap(struct run *r, CK_OBJECT_HANDLE object, struct secret **ret_value) {
        const struct pkcs11_unwrap u = {
                .f = r->s->f, .session = r->s->handle, .key = object, .blob = r->q->blob, .blob_size = r->q->blob_size,
                .modulus_size = (r->y->key_bits + 7u) / 8, .whole_oaep = r->s->place.whole_oaep,
        };
        struct pkcs11_failure e = {};

        if (pkcs11_unwrap(&u, ret_value, &e) >= 0)
                return true;
        return e.rv == CKR_OK ? fact(r, e.fact) : failed(r, e.step, e.rv);
}

/* What the token computes itself; how long the salt is follows from the digest. */
static bool sign(struct run *r, CK_OBJECT_HANDLE object, struct secret **ret_value) {
        CK_RSA_PKCS_PSS_PARAMS p = { .hashAlg = CKM_SHA256, .mgf = CKG_MGF1_SHA256, .sLen = DIGEST_SIZE };
        CK_MECHANISM m = { CKM_RSA_PKCS_PSS, &p, sizeof(p) };
        _cleanup_(secret_freep) struct secret *s = NULL;
        CK_ULONG n = PKCS11_MODULUS_MAX;
        CK_RV rv;

        rv = r->s->f->C_SignInit(r->s->handle, &m, object);
        if (rv != CKR_OK)
                return failed(r, PKCS11_SIGN, rv);
        /* room for what a module that does not look at the length might write */
        if (secret_new(2 * PKCS11_MODULUS_MAX, &s) < 0)
                return fact(r, PKCS11_NO_MEMORY);
        rv = r->s->f->C_Sign(r->s->handle, (uint8_t *) r->q->blob, r->q->blob_size, secret_data(s), &n);
        if (rv != CKR_OK)
                return failed(r, PKCS11_SIGN, rv);
        if (n != (r->y->key_bits + 7u) / 8)
                return fact(r, PKCS11_LENGTHS);
        secret_shrink(s, n);
        *ret_value = TAKE_PTR(s);
        return true;
}

static bool serve(struct run *r, CK_OBJECT_HANDLE object, struct secret **ret_value) {
        if (r->q->sign)
                return sign(r, object, ret_value);
        if (r->q->op == VAULT_OP_GET_KEY)
                return describe(r, object);
        return r->q->op == VAULT_OP_WRAP ? wrap(r, ret_value) : unwrap(r, object, ret_value);
}

static bool ask_once(struct run *r, struct secret **ret_value) {
        CK_OBJECT_HANDLE object;
        bool good;

        *r->y = (struct vault_reply) {};
        r->again = false;
        if (!open_session(r) || !find_key(r, &object))
                return false;
        good = serve(r, object, ret_value);
        if (good)
                vault_reply_granted(r->y);
        return good;
}

void pkcs11_session_ask(struct pkcs11_session *s, const struct pkcs11_question *q, struct vault_reply *y,
                        struct secret **ret_value) {
        struct run r = { .s = s, .q = q, .y = y };

        if (q->fresh)
                drop(s);
        if (!ask_once(&r, ret_value) && r.again) {
                drop(s);
                (void) ask_once(&r, ret_value);
        }
        if ((q->sign || q->op == VAULT_OP_GET_KEY) && y->verdict == VERDICT_GRANTED)
                return;
        y->spki_size = y->key_bits = 0;
}
