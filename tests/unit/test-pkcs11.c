/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/pkcs11-verdict.c daemon/vault/pkcs11-key.c daemon/vault/rsa-public.c daemon/vault/pkcs11-unwrap.c daemon/vault/pkcs11-session.c daemon/vault/pkcs11-thread.c daemon/vault/secret-file.c daemon/vault/pin-refused.c daemon/vault/kept.c daemon/vault/judgement.c daemon/vault/reply.c
// libs: p11-kit-1 json-c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake-token.h"
#include "vault/kept.h"
#include "vault/pkcs11-thread.h"

#define ALL (BIT_OF(_PKCS11_STEP_MAX) - 1)
#define BIT_OF(n) (1u << (n))
#define BLOB (BIT_OF(PKCS11_DECRYPT) | BIT_OF(PKCS11_UNWRAP))
#define KEY (BLOB | BIT_OF(PKCS11_FIND_KEY) | BIT_OF(PKCS11_READ_KEY) | BIT_OF(PKCS11_READ_SECRET) | \
             BIT_OF(PKCS11_SIGN))

static EVP_PKEY *first_key, *second_key, *short_key;
static char pin_file[] = "/tmp/test-pkcs11.XXXXXX";

/* ---- verdicts: the project's notes, sections 4.3 and 7, by number and not by name ---- */

static const struct expected { CK_RV rv; unsigned steps; enum verdict verdict; enum pkcs11_next next; } notes[] = {
        { 0x68, BLOB, VERDICT_REVOKED, 0 }, { 0x68, BIT_OF(PKCS11_SIGN), VERDICT_DENIED, 0 },
        { 0x05, BLOB, VERDICT_UNREACHABLE, PKCS11_ASK_TOKEN }, { 0x06, BLOB, VERDICT_UNREACHABLE, 0 },
        { 0x40, BLOB, VERDICT_DENIED, 0 }, { 0x41, BLOB, VERDICT_DENIED, 0 }, { 0x110, BLOB, VERDICT_DENIED, 0 },
        { 0x112, BLOB, VERDICT_DENIED, 0 },
        { 0xa0, ALL, VERDICT_DENIED, 0 }, { 0xa1, ALL, VERDICT_DENIED, 0 }, { 0xa2, ALL, VERDICT_DENIED, 0 },
        { 0xa3, ALL, VERDICT_DENIED, 0 }, { 0xa4, ALL, VERDICT_DENIED, 0 }, { 0x102, ALL, VERDICT_DENIED, 0 },
        { 0x200, ALL, VERDICT_DENIED, 0 }, { 0x101, ALL, VERDICT_DENIED, PKCS11_AGAIN },
        { 0x07, ALL, VERDICT_MISCONFIGURED, 0 }, { 0x09, ALL, VERDICT_MISCONFIGURED, 0 }, { 0x0a, ALL, VERDICT_MISCONFIGURED, 0 },
        { 0x11, ALL, VERDICT_MISCONFIGURED, 0 }, { 0x12, ALL, VERDICT_MISCONFIGURED, 0 }, { 0x13, ALL, VERDICT_MISCONFIGURED, 0 },
        { 0x54, ALL, VERDICT_MISCONFIGURED, 0 }, { 0x62, ALL, VERDICT_MISCONFIGURED, 0 }, { 0x63, ALL, VERDICT_MISCONFIGURED, 0 },
        { 0x70, ALL, VERDICT_MISCONFIGURED, 0 }, { 0x71, ALL, VERDICT_MISCONFIGURED, 0 }, { 0xd0, ALL, VERDICT_MISCONFIGURED, 0 },
        { 0xd1, ALL, VERDICT_MISCONFIGURED, 0 }, { 0xf1, ALL, VERDICT_MISCONFIGURED, 0 }, { 0xf2, ALL, VERDICT_MISCONFIGURED, 0 },
        { 0x103, ALL, VERDICT_MISCONFIGURED, 0 }, { 0x104, ALL, VERDICT_MISCONFIGURED, 0 }, { 0x105, ALL, VERDICT_MISCONFIGURED, 0 },
        { 0xb1, ALL, VERDICT_THROTTLED, 0 }, { 0x150, ALL, VERDICT_BROKEN, 0 },
        { 0x60, KEY, VERDICT_UNREACHABLE, PKCS11_AGAIN }, { 0x82, KEY, VERDICT_UNREACHABLE, PKCS11_AGAIN },
        { 0xf0, KEY, VERDICT_UNREACHABLE, PKCS11_AGAIN }, { 0x03, ALL, VERDICT_UNREACHABLE, PKCS11_AGAIN },
        { 0xb0, ALL, VERDICT_UNREACHABLE, PKCS11_AGAIN }, { 0xb3, ALL, VERDICT_UNREACHABLE, PKCS11_AGAIN },
        { 0x90, ALL, VERDICT_UNREACHABLE, PKCS11_AGAIN }, { 0x91, ALL, VERDICT_UNREACHABLE, PKCS11_AGAIN },
        { 0x32, ALL, VERDICT_UNREACHABLE, PKCS11_AGAIN },
};

static struct expected expect(enum pkcs11_step step, CK_RV rv) {
        for (size_t i = 0; i < ELEMENTSOF(notes); i++)
                if (notes[i].rv == rv && notes[i].steps & BIT_OF(step))
                        return notes[i];
        return (struct expected) { rv, ALL, VERDICT_UNREACHABLE, 0 };
}

static void expect_judged(enum pkcs11_step step, CK_RV rv) {
        struct expected e = expect(step, rv);
        enum pkcs11_next next;
        struct judgement j;

        pkcs11_judge(step, rv, &j, &next);
        if (j.verdict != e.verdict || next != e.next || !*j.code || !*j.text || strncmp(j.code, "CKR", 3) != 0)
                fail_msg("step %u, 0x%lx: %s %s, next %u", step, (unsigned long) rv, verdict_to_string(j.verdict), j.code, next);
}

/* Every value that the standard could have, and vendors', at every step. */
static void test_every_value(void **state _unused_) {
        for (unsigned step = 0; step < _PKCS11_STEP_MAX; step++) {
                for (CK_RV rv = 1; rv < 0x400; rv++)
                        expect_judged(step, rv);
                for (unsigned bit = 10; bit < sizeof(CK_RV) * 8; bit++)
                        for (CK_RV low = 0; low < 0x400; low++)
                                expect_judged(step, ((CK_RV) 1 << bit) + low);
        }
}

static void test_facts(void **state _unused_) {
        static const enum verdict verdicts[_PKCS11_FACT_MAX] = {
                [PKCS11_NO_MODULE] = VERDICT_UNREACHABLE, [PKCS11_NO_TOKEN] = VERDICT_UNREACHABLE, [PKCS11_TOKENS] = VERDICT_MISCONFIGURED,
                [PKCS11_NO_PIN] = VERDICT_MISCONFIGURED, [PKCS11_PIN_REFUSED_BEFORE] = VERDICT_DENIED,
                [PKCS11_PIN_LAST_TRY] = VERDICT_DENIED, [PKCS11_PIN_LOCKED] = VERDICT_DENIED, [PKCS11_KEY_ABSENT] = VERDICT_REVOKED,
                [PKCS11_KEY_HIDDEN] = VERDICT_DENIED, [PKCS11_KEY_ABSENT_TOKEN_TOO] = VERDICT_UNREACHABLE,
                [PKCS11_KEYS] = VERDICT_MISCONFIGURED, [PKCS11_TOO_MANY] = VERDICT_MISCONFIGURED, [PKCS11_KEY_REPLACED] = VERDICT_DENIED,
                [PKCS11_KEY_UNREADABLE] = VERDICT_MISCONFIGURED, [PKCS11_KEY_ASKS_EACH_TIME] = VERDICT_MISCONFIGURED,
                [PKCS11_NOT_FOR_THIS] = VERDICT_REVOKED, [PKCS11_REFUSES] = VERDICT_DENIED, [PKCS11_LENGTHS] = VERDICT_BROKEN,
                [PKCS11_HANGS] = VERDICT_UNREACHABLE, [PKCS11_NO_MEMORY] = VERDICT_UNREACHABLE,
        };
        struct judgement j;

        for (unsigned f = 0; f < _PKCS11_FACT_MAX; f++) {
                pkcs11_judge_fact(f, &j);
                assert_int_equal(j.verdict, verdicts[f]);
                assert_true(*j.code && *j.text && strlen(j.text) < sizeof(j.text) - 1);
        }
}

/* ---- what a module says of a key ---- */

static void test_dates(void **state _unused_) {
        static const struct { const char *text; int r; uint64_t begins, ends; } table[] = {
                { "", 0, 0, 0 }, { "19700102", 0, 86400, 172800 }, { "20261127", 0, 1795737600, 1795824000 },
                { "20240229", 0, 1709164800, 1709251200 }, { "20230229", -EBADMSG, 0, 0 }, { "20231301", -EBADMSG, 0, 0 },
                { "20230100", -EBADMSG, 0, 0 }, { "19691231", -EBADMSG, 0, 0 }, { "2023010", -EBADMSG, 0, 0 },
                { "202301011", -EBADMSG, 0, 0 }, { "2023-1-1", -EBADMSG, 0, 0 }, { "        ", -EBADMSG, 0, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const uint8_t *s = (const uint8_t *) table[i].text;
                uint64_t begins = 0, ends = 0;

                assert_int_equal(pkcs11_key_date(s, strlen(table[i].text), false, &begins), table[i].r);
                assert_int_equal(pkcs11_key_date(s, strlen(table[i].text), true, &ends), table[i].r);
                assert_true(begins == table[i].begins && ends == table[i].ends);
        }
}

static void test_fields(void **state _unused_) {
        const uint8_t *padded = (const uint8_t *) "a b     ", *full = (const uint8_t *) "12345678", *nuls = (const uint8_t *) "ab\0\0\0\0\0\0",
                      *odd = (const uint8_t *) "a\nb     ", *empty = (const uint8_t *) "        ";
        char buf[9];

        assert_true(pkcs11_field_is(padded, 8, "a b") && !pkcs11_field_is(padded, 8, "a") && !pkcs11_field_is(padded, 8, "a b "));
        assert_true(pkcs11_field_is(full, 8, "12345678") && !pkcs11_field_is(full, 8, "123456789"));
        assert_true(pkcs11_field_is(nuls, 8, "ab") && pkcs11_field_is(empty, 8, ""));
        assert_true(pkcs11_field_text(padded, 8, buf, sizeof(buf)) && streq(buf, "a b"));
        assert_true(pkcs11_field_text(full, 8, buf, sizeof(buf)) && streq(buf, "12345678"));
        assert_false(pkcs11_field_text(full, 8, buf, 8));
        assert_false(pkcs11_field_text(odd, 8, buf, sizeof(buf)) || pkcs11_field_text(empty, 8, buf, sizeof(buf)));
}

static void test_public(void **state _unused_) {
        struct pkcs11_public k = { .exponent = { 1, 0, 1 }, .exponent_size = 3 };
        struct vault_reply y = {};
        char version[33], again[33];

        assert_int_equal(pkcs11_key_public(&k, &y, version), -EBADMSG);
        memset(k.modulus, 0xc3, sizeof(k.modulus));
        k.modulus_size = 255;
        assert_int_equal(pkcs11_key_public(&k, &y, version), -EBADMSG);
        k.modulus_size = 256;
        assert_int_equal(pkcs11_key_public(&k, &y, version), 0);
        assert_int_equal(y.key_bits, 2048);
        assert_int_equal(strlen(version), 32);
        k.modulus[0] = 0xc1;
        assert_int_equal(pkcs11_key_public(&k, &y, again), 0);
        assert_string_not_equal(version, again);
        k.modulus[255] = 0xc2;
        assert_int_equal(pkcs11_key_public(&k, &y, again), -EBADMSG);
        k.modulus[255] = 0xc3;
        k.exponent[2] = 0;
        assert_int_equal(pkcs11_key_public(&k, &y, again), -EBADMSG);
        k.exponent_size = 0;
        assert_int_equal(pkcs11_key_public(&k, &y, again), -EBADMSG);
}

/* ---- a session with a token ---- */

static struct vault_reply reply;
static struct secret *value;
static bool whole_oaep, volumes;

static struct pkcs11_session *new_session(bool pin) {
        const struct pkcs11_place place = { .vault = "v", .module = "/nonexistent.so", .token = "cmkd", .pin_file = pin ? pin_file : NULL,
                                           .whole_oaep = whole_oaep };
        struct pkcs11_session *s;

        assert_int_equal(pkcs11_session_new(&place, &fake_list, &s), 0);
        return s;
}

static const char *ask_key(struct pkcs11_session *s, enum vault_op op, const struct key_uri *key, const void *blob, size_t size) {
        struct pkcs11_question q = { .op = op, .key = *key, .volumes = volumes, .blob_size = size };
        static char text[300];

        memcpy(q.blob, blob, size);
        value = secret_free(value);
        pkcs11_session_ask(s, &q, &reply, &value);
        assert_true(!value == (reply.verdict != VERDICT_GRANTED || op == VAULT_OP_GET_KEY));
        snprintf(text, sizeof(text), "%s %s", verdict_to_string(reply.verdict), reply.code);
        return text;
}

static struct key_uri key_of(const char *text) {
        struct key_uri u;
        const char *why = "";

        if (key_uri_parse(text, &u, &why) < 0)
                fail_msg("%s: %s", text, why);
        return u;
}

#define K1 "pkcs11:token=cmkd;object=k1"

/* Enrols: the key as the token names it, and the challenge that its public half made. */
static struct key_uri enrol(struct pkcs11_session *s, const char *key, uint8_t blob[static 512], size_t *ret_size) {
        struct key_uri u = key_of(key);

        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "GRANTED ");
        u = key_of(reply.kid);
        assert_string_equal(ask_key(s, VAULT_OP_WRAP, &u, "thirty-two bytes of a challenge.", 32), "GRANTED ");
        *ret_size = secret_size(value);
        memcpy(blob, secret_cdata(value), *ret_size);
        return u;
}

static void assert_unwraps(struct pkcs11_session *s, const struct key_uri *u, const uint8_t *blob, size_t size) {
        assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, u, blob, size), "GRANTED ");
        assert_int_equal(secret_size(value), 32);
        assert_memory_equal(secret_cdata(value), "thirty-two bytes of a challenge.", 32);
}

static void test_session(void **state _unused_) {
        struct pkcs11_session *s = new_session(true);
        uint8_t blob[512];
        size_t size;
        struct key_uri u;

        fake_reset(first_key);
        u = enrol(s, K1, blob, &size);
        assert_string_equal(u.serial, "0123456789abcdef");
        assert_int_equal(strlen(u.version), 32);
        assert_unwraps(s, &u, blob, size);
        assert_unwraps(s, &u, blob, size);
        assert_int_equal(fake.calls[FAKE_LOGIN], 1);
        assert_int_equal(fake.calls[FAKE_OPEN], 1);
        /* described */
        fake.keys[0].start = "20260101";
        fake.keys[0].end = "20261231";
        fake.slot_flags = CKF_HW_SLOT;
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "GRANTED ");
        assert_int_equal(reply.key_flags, VAULT_KEY_ENABLED|VAULT_KEY_CAN_WRAP|VAULT_KEY_CAN_UNWRAP|VAULT_KEY_PURGE_PROTECTED|VAULT_KEY_HSM);
        assert_true(reply.not_before == 1767225600 && reply.expires == 1798761600);
        assert_string_equal(reply.key_type, "RSA-HSM");
        fake.keys[0].extractable = true;
        fake.keys[0].decrypt = false;
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "GRANTED ");
        assert_int_equal(reply.key_flags, VAULT_KEY_CAN_WRAP|VAULT_KEY_HSM);
        fake.keys[0].end = "tomorrow";
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "BROKEN length");
        fake.keys[0].end = NULL;
        fake.keys[0].each_time = true;
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "MISCONFIGURED CKA_ALWAYS_AUTHENTICATE");
        pkcs11_session_free(s);
}

static void test_ways_to_unwrap(void **state _unused_) {
        static const struct { bool only_sha1, no_raw, decrypt, unwrap; const char *says; enum fake_call by; } table[] = {
                { false, false, true, false, "GRANTED ", FAKE_DECRYPT }, { true, false, true, false, "GRANTED ", FAKE_DECRYPT },
                { true, true, true, false, "MISCONFIGURED CKR_MECHANISM_INVALID", FAKE_DECRYPT_INIT },
                { false, false, false, true, "GRANTED ", FAKE_UNWRAP },
                { false, false, false, false, "REVOKED CKR_KEY_FUNCTION_NOT_PERMITTED", FAKE_DECRYPT_INIT },
                { true, false, false, false, "REVOKED CKR_KEY_FUNCTION_NOT_PERMITTED", FAKE_DECRYPT_INIT },
                { true, false, false, true, "REVOKED CKR_KEY_FUNCTION_NOT_PERMITTED", FAKE_UNWRAP },
        };
        uint8_t blob[512];
        size_t size;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct pkcs11_session *s = new_session(true);
                struct key_uri u;

                fake_reset(first_key);
                u = enrol(s, K1, blob, &size);
                fake.only_sha1 = table[i].only_sha1;
                fake.no_raw = table[i].no_raw;
                fake.keys[0].decrypt = table[i].decrypt;
                fake.keys[0].unwrap = table[i].unwrap;
                if (!streq(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), table[i].says))
                        fail_msg("%zu: %s, %s", i, verdict_to_string(reply.verdict), reply.code);
                assert_true(fake.calls[table[i].by] > 0);
                if (reply.verdict == VERDICT_GRANTED)
                        assert_unwraps(s, &u, blob, size);
                /* what does not fit is the same, whichever way */
                blob[size - 1] ^= 1;
                if (reply.verdict == VERDICT_GRANTED)
                        assert_int_equal(strncmp(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "DENIED ", 7), 0);
                pkcs11_session_free(s);
        }
}

/* Fips=yes: what the module cannot do as a whole is not done. */
static void test_whole_oaep(void **state _unused_) {
        struct pkcs11_session *s;
        uint8_t blob[512];
        struct key_uri u;
        size_t size;

        whole_oaep = true;
        s = new_session(true);
        whole_oaep = false;
        fake_reset(first_key);
        u = enrol(s, K1, blob, &size);
        assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "GRANTED ");
        fake.only_sha1 = true;
        assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "MISCONFIGURED CKR_ARGUMENTS_BAD");
        pkcs11_session_free(s);
}

static void test_key_gone(void **state _unused_) {
        struct pkcs11_session *s = new_session(true), *other;
        uint8_t blob[512];
        size_t size;
        struct key_uri u;

        fake_reset(first_key);
        u = enrol(s, K1, blob, &size);
        fake.n_keys = 0;
        assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "REVOKED key not found");
        /* another key under the label, alone or beside the right one */
        fake.n_keys = 1;
        fake.keys[0].key = second_key;
        assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "DENIED other key");
        fake.keys[1] = fake.keys[0];
        fake.keys[1].key = first_key;
        fake.keys[1].id = 2;
        fake.n_keys = 2;
        assert_unwraps(s, &u, blob, size);
        /* one that is not fit to be used, before the right one or without it */
        fake.keys[0].key = short_key;
        assert_unwraps(s, &u, blob, size);
        fake.n_keys = 1;
        assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "DENIED other key");
        fake.n_keys = 2;
        fake.keys[0].key = second_key;
        u = key_of(K1);
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "MISCONFIGURED several keys");
        u = key_of(K1 ";id=%02");
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "GRANTED ");
        u = key_of(K1 ";id=%03");
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "REVOKED key not found");
        /* to somebody who is not logged in it is only not to be seen */
        fake.token_flags &= ~CKF_LOGIN_REQUIRED;
        other = new_session(false);
        fake.n_keys = 0;
        assert_string_equal(ask_key(other, VAULT_OP_GET_KEY, &u, "", 0), "DENIED key not seen");
        pkcs11_session_free(other);
        pkcs11_session_free(s);
}

/* The token's storage is gone: objects are not found either, and that is no revocation. */
static void test_token_gone(void **state _unused_) {
        struct pkcs11_session *s = new_session(true);
        uint8_t blob[512];
        size_t size;
        struct key_uri u;

        fake_reset(first_key);
        u = enrol(s, K1, blob, &size);
        fake.token_gone = true;
        fake.n_keys = 0;
        assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "UNREACHABLE CKR_GENERAL_ERROR");
        fake.token_gone = false;
        fake.n_keys = 1;
        assert_unwraps(s, &u, blob, size);
        /* between the look at the token and the search */
        fake.goes_in_find = true;
        assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "UNREACHABLE no token");
        fake.goes_in_find = fake.token_gone = false;
        assert_unwraps(s, &u, blob, size);
        /* another one of that label */
        fake.n_keys = 0;
        fake.serial = "another";
        assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "UNREACHABLE no token");
        fake.tokens = 0;
        assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "UNREACHABLE no token");
        fake.tokens = 2;
        u = key_of(K1);
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "MISCONFIGURED several tokens");
        fake.tokens = 1;
        fake.token_flags &= ~CKF_TOKEN_INITIALIZED;
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "UNREACHABLE no token");
        pkcs11_session_free(s);
}

static void write_pin(const char *pin, mode_t mode) {
        _cleanup_(closep) int fd = open(pin_file, O_WRONLY|O_TRUNC|O_CREAT, 0600);

        assert_true(fd >= 0 && write(fd, pin, strlen(pin)) == (ssize_t) strlen(pin) && fchmod(fd, mode) == 0);
}

static void test_pin(void **state _unused_) {
        struct pkcs11_session *s = new_session(true), *none = new_session(false), *next = new_session(true);
        struct key_uri u = key_of(K1);

        fake_reset(first_key);
        assert_string_equal(ask_key(none, VAULT_OP_GET_KEY, &u, "", 0), "MISCONFIGURED no PIN");
        write_pin("wrong\n", 0600);
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "DENIED CKR_PIN_INCORRECT");
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "DENIED PIN refused before");
        assert_string_equal(ask_key(next, VAULT_OP_GET_KEY, &u, "", 0), "DENIED PIN refused before");
        assert_int_equal(fake.calls[FAKE_LOGIN], 1);
        write_pin("1234\n", 0600);
        fake.token_flags |= CKF_USER_PIN_FINAL_TRY;
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "DENIED PIN: last try");
        fake.token_flags |= CKF_USER_PIN_LOCKED;
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "DENIED PIN locked");
        assert_int_equal(fake.calls[FAKE_LOGIN], 1);
        fake.token_flags &= ~(CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
        write_pin("1234\n", 0604);
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "MISCONFIGURED PIN file");
        write_pin("1234\n", 0600);
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "GRANTED ");
        pkcs11_session_free(none);
        pkcs11_session_free(next);
        pkcs11_session_free(s);
        /* logged in is who the session says is: a module that only claims it shows no keys, and revokes none */
        s = new_session(true);
        fake.logged_in = false;
        fake.fail[FAKE_LOGIN] = CKR_USER_ALREADY_LOGGED_IN;
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "DENIED key not seen");
        fake.logged_in = true;
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "GRANTED ");
        pkcs11_session_free(s);
}

static void forget_refused(void) {
        _cleanup_(secret_freep) struct secret *s = NULL;

        assert_int_equal(secret_new(1, &s), 0);
        assert_int_equal(kept_put("pin-v", s), -ENOTCONN);
}

/* Each value, from each call that there is: never GRANTED, and asked again on a new session where that may help. */
static void test_every_call_fails(void **state _unused_) {
        static const enum pkcs11_step steps[_FAKE_MAX] = {
                [FAKE_INITIALIZE] = PKCS11_INITIALIZE, [FAKE_SLOTS] = PKCS11_FIND_TOKEN, [FAKE_TOKEN] = PKCS11_FIND_TOKEN,
                [FAKE_SLOT] = PKCS11_FIND_TOKEN, [FAKE_OPEN] = PKCS11_OPEN_SESSION, [FAKE_LOGIN] = PKCS11_LOGIN,
                [FAKE_FIND_INIT] = PKCS11_FIND_KEY, [FAKE_FIND] = PKCS11_FIND_KEY, [FAKE_READ] = PKCS11_READ_KEY,
                [FAKE_DECRYPT_INIT] = PKCS11_DECRYPT, [FAKE_DECRYPT] = PKCS11_DECRYPT, [FAKE_UNWRAP] = PKCS11_UNWRAP,
        };
        uint8_t blob[512];
        size_t size;
        struct pkcs11_session *s = new_session(true);
        struct key_uri u;

        fake_reset(first_key);
        u = enrol(s, K1, blob, &size);
        pkcs11_session_free(s);
        for (unsigned call = 0; call < _FAKE_MAX; call++)
                for (size_t i = 0; i < ELEMENTSOF(notes); i++) {
                        enum vault_op op = call == FAKE_SLOT ? VAULT_OP_GET_KEY : VAULT_OP_UNWRAP;
                        struct expected e = expect(steps[call], notes[i].rv);

                        s = new_session(true);
                        fake_reset(first_key);
                        fake.keys[0].decrypt = call != FAKE_UNWRAP;
                        fake.keys[0].unwrap = call == FAKE_UNWRAP;
                        fake.fail[call] = notes[i].rv;
                        ask_key(s, op, &u, blob, size);
                        if (reply.verdict == VERDICT_GRANTED)
                                fail_msg("call %u, 0x%lx", call, (unsigned long) notes[i].rv);
                        /* some are answered by other means, or a fact of their own */
                        if (call != FAKE_READ && call != FAKE_UNWRAP && call != FAKE_DECRYPT_INIT)
                                assert_int_equal(reply.verdict, e.verdict);
                        /* a challenge is the key's for sure, a volume's blob need not be */
                        if (e.next == PKCS11_ASK_TOKEN && steps[call] == PKCS11_DECRYPT) {
                                assert_int_equal(reply.verdict, VERDICT_UNREACHABLE);
                                volumes = true;
                                assert_string_equal(ask_key(s, op, &u, blob, size), "DENIED other key");
                                volumes = false;
                        }
                        assert_true(fake.calls[FAKE_OPEN] <= 2);
                        if (e.next == PKCS11_AGAIN && call != FAKE_INITIALIZE && call != FAKE_SLOTS && call != FAKE_TOKEN) {
                                fake.fail[call] = notes[i].rv;
                                fake.fail_times[call] = 1;
                                if (!streq(ask_key(s, op, &u, blob, size), "GRANTED "))
                                        fail_msg("call %u, 0x%lx: not asked again", call, (unsigned long) notes[i].rv);
                        }
                        pkcs11_session_free(s);
                        forget_refused();
                }
}

static void test_lies(void **state _unused_) {
        struct pkcs11_session *s = new_session(true);
        static const CK_ULONG lies[] = { 513, 4096, 1u << 20, UINT32_MAX, CK_UNAVAILABLE_INFORMATION };
        uint8_t blob[512];
        size_t size;
        struct key_uri u;

        fake_reset(first_key);
        u = enrol(s, K1, blob, &size);
        for (size_t i = 0; i < ELEMENTSOF(lies); i++) {
                fake.claim_objects = lies[i];
                assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "BROKEN length");
                fake.claim_objects = 0;
                fake.claim_plain = lies[i];
                assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "BROKEN length");
                fake.claim_plain = 0;
                fake.claim_attribute = lies[i];
                fake.claim_for = CKA_MODULUS;
                assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "BROKEN length");
                fake.claim_for = CKA_END_DATE;
                assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "BROKEN length");
                fake.keys[0].decrypt = false;
                fake.keys[0].unwrap = true;
                fake.claim_for = CKA_VALUE;
                assert_string_equal(ask_key(s, VAULT_OP_UNWRAP, &u, blob, size), "BROKEN length");
                fake.keys[0].decrypt = true;
                fake.keys[0].unwrap = false;
                fake.claim_attribute = 0;
        }
        pkcs11_session_free(s);
        s = new_session(true);
        fake.claim_slots = 1u << 20;
        assert_string_equal(ask_key(s, VAULT_OP_GET_KEY, &u, "", 0), "BROKEN length");
        pkcs11_session_free(s);
}

static void test_hidden_exponent(void **state _unused_) {
        struct pkcs11_session *s = new_session(true);
        uint8_t blob[512];
        size_t size;
        struct key_uri u;

        fake_reset(first_key);
        fake.keys[0].hidden_exponent = true;
        u = enrol(s, K1, blob, &size);
        assert_unwraps(s, &u, blob, size);
        pkcs11_session_free(s);
}

/* ---- the thread ---- */

static void test_hang(void **state _unused_) {
        struct pkcs11_session *s = new_session(true);
        struct pkcs11_question q = { .op = VAULT_OP_UNWRAP };
        struct pkcs11_thread *t;
        uint64_t began;

        fake_reset(first_key);
        q.key = enrol(s, K1, q.blob, &q.blob_size);
        assert_int_equal(pkcs11_thread_new(s, &t), 0);
        value = secret_free(value);
        pkcs11_thread_ask(t, &q, now_boottime_usec() + 10 * USEC_PER_SEC, &reply, &value);
        assert_int_equal(reply.verdict, VERDICT_GRANTED);
        value = secret_free(value);
        fake.hang_usec = 600 * USEC_PER_MSEC;
        began = now_boottime_usec();
        pkcs11_thread_ask(t, &q, began + 100 * USEC_PER_MSEC, &reply, &value);
        assert_true(now_boottime_usec() - began >= 100 * USEC_PER_MSEC);
        assert_true(now_boottime_usec() - began < 500 * USEC_PER_MSEC);
        assert_int_equal(reply.verdict, VERDICT_UNREACHABLE);
        assert_string_equal(reply.code, "hangs");
        assert_null(value);
        /* at once, as long as it does */
        pkcs11_thread_ask(t, &q, now_boottime_usec() + 10 * USEC_PER_SEC, &reply, &value);
        assert_string_equal(reply.code, "hangs");
        assert_true(now_boottime_usec() - began < 550 * USEC_PER_MSEC);
        fake.hang_usec = 0;
        do
                pkcs11_thread_ask(t, &q, now_boottime_usec() + 10 * USEC_PER_SEC, &reply, &value);
        while (reply.verdict != VERDICT_GRANTED && now_boottime_usec() - began < 10 * USEC_PER_SEC);
        assert_int_equal(reply.verdict, VERDICT_GRANTED);
        value = secret_free(value);
        pkcs11_thread_free(t);
}

static int set_up(void **state _unused_) {
        int fd = mkstemp(pin_file);

        first_key = EVP_RSA_gen(2048);
        second_key = EVP_RSA_gen(2048);
        short_key = EVP_RSA_gen(1024);
        if (fd < 0 || !first_key || !second_key || !short_key)
                return -1;
        safe_close(fd);
        write_pin("1234\n", 0600);
        return 0;
}

static int tear_down(void **state _unused_) {
        secret_free(value);
        EVP_PKEY_free(first_key);
        EVP_PKEY_free(second_key);
        EVP_PKEY_free(short_key);
        return unlink(pin_file);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_value), cmocka_unit_test(test_facts), cmocka_unit_test(test_dates),
                cmocka_unit_test(test_fields), cmocka_unit_test(test_public), cmocka_unit_test(test_session), cmocka_unit_test(test_ways_to_unwrap),
                cmocka_unit_test(test_whole_oaep), cmocka_unit_test(test_key_gone), cmocka_unit_test(test_token_gone),
                cmocka_unit_test(test_pin), cmocka_unit_test(test_every_call_fails), cmocka_unit_test(test_lies),
                cmocka_unit_test(test_hidden_exponent), cmocka_unit_test(test_hang),
        };
        return cmocka_run_group_tests_name("pkcs11", tests, set_up, tear_down);
}
