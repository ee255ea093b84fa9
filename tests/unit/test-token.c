/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/token.c daemon/disk/strict-json.c daemon/disk/unlock-key.c tests/unit/header-image.c
// libs: json-c

#include "common/algorithm.h"
#include "header-image.h"

#include <json-c/json_pointer.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct json_object *good_token(void) {
        _cleanup_(freep) char *text = NULL;
        struct json_object *o = NULL;
        struct token t;

        image_token(&t);
        assert_int_equal(token_format(&t, &text), 0);
        assert_int_equal(strict_json_parse(text, strlen(text), &o, NULL), 0);
        return o;
}

static void test_round_trip(void **state) {
        _cleanup_(freep) char *text = NULL, *again = NULL;
        struct token t, u;

        (void) state;
        image_token(&t);
        t.generation = UINT64_MAX;
        t.keyslot = 31;
        t.role = ROLE_SCRATCH;
        assert_int_equal(token_format(&t, &text), 0);
        assert_int_equal(token_parse(text, strlen(text), &u, NULL), 0);
        assert_int_equal(token_format(&u, &again), 0);
        assert_string_equal(text, again);
        assert_true(u.generation == UINT64_MAX && u.keyslot == 31 && u.role == ROLE_SCRATCH);
        assert_memory_equal(t.wrapped, u.wrapped, 256);
        assert_memory_equal(t.mac, u.mac, sizeof(t.mac));
        assert_int_equal(t.spki_size, u.spki_size);
        assert_string_equal(u.key, t.key);
        assert_string_equal(u.proof_request_id, "6fe2a1");
}

/* Of a token with a symmetric key; NULL: the member is left out */
static const struct { const char *path, *value; const char *words; } symmetric_cases[] = {
        { "/version", "1", "version 1 does not have" },
        { "/public_key", "\"x\"", "version 2 does not have" },
        { "/algorithm", "\"RSA-OAEP-256\"", "algorithm" },
        { "/algorithm", "\"A128GCM\"", "algorithm" },
        { "/canary", NULL, "algorithm" },
        { "/canary", "\"AAAA\"", "canary" },
        { "/canary", "5", "algorithm" },
        { "/wrapped", "\"AAAA\"", "wrapped" },
};

static void symmetric_token(struct token *t, const char *algorithm) {
        image_token(t);
        strcpy(t->algorithm, algorithm);
        t->spki_size = canary_size(algorithm);
        t->spki[0] = CANARY_FORM;
        t->wrapped_size = DISK_W_SIZE + algorithm_overhead(algorithm);
}

static void check_symmetric(const char *algorithm, const char *of_another_length) {
        _cleanup_(freep) char *text = NULL, *no = NULL;
        struct token t, u;
        const char *why;

        symmetric_token(&t, algorithm);
        assert_int_equal(token_format(&t, &text), 0);
        assert_non_null(strstr(text, "\"version\":2,"));
        assert_int_equal(token_parse(text, strlen(text), &u, NULL), 0);
        assert_string_equal(u.algorithm, algorithm);
        assert_memory_equal(t.spki, u.spki, canary_size(algorithm));
        assert_int_equal(u.wrapped_size, t.wrapped_size);
        for (size_t i = 0; i < ELEMENTSOF(symmetric_cases); i++) {
                _cleanup_(json_object_putp) struct json_object *o = json_tokener_parse(text);
                const char *changed;

                if (symmetric_cases[i].value)
                        json_pointer_set(&o, symmetric_cases[i].path, json_tokener_parse(symmetric_cases[i].value));
                else
                        json_object_object_del(o, symmetric_cases[i].path + 1);
                changed = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
                if (token_parse(changed, strlen(changed), &u, &why) != -EBADMSG || !strstr(why, symmetric_cases[i].words))
                        fail_msg("%s=%s: %s", symmetric_cases[i].path, symmetric_cases[i].value ?: "(none)", why);
        }
        t.spki[0] = 0x30;
        assert_int_equal(token_format(&t, &no), -EINVAL);
        symmetric_token(&t, algorithm);
        t.wrapped_size++;
        assert_int_equal(token_format(&t, &no), -EINVAL);
        symmetric_token(&t, algorithm);
        strcpy(t.algorithm, of_another_length);
        assert_int_equal(token_format(&t, &no), -EINVAL);
}

/* Version 1 as well: a cmkd from before it says that it does not know the algorithm. */
static void test_sha1(void **state _unused_) {
        _cleanup_(freep) char *text = NULL;
        struct token t, u;

        image_token(&t);
        strcpy(t.algorithm, ALGORITHM_RSA_SHA1);
        assert_int_equal(token_format(&t, &text), 0);
        assert_non_null(strstr(text, "\"version\":1,"));
        assert_int_equal(token_parse(text, strlen(text), &u, NULL), 0);
        assert_string_equal(u.algorithm, "RSA-OAEP");
}

/* Of a token whose wrapped key the vault keeps */
static const struct { const char *path, *value; const char *words; } stored_cases[] = {
        { "/version", "1", "version 1 does not have" },
        { "/version", "2", "version 2 does not have" },
        { "/wrapped", "\"AAAA\"", "version 3 does not have" },
        { "/canary", "\"AAAA\"", "version 3 does not have" },
        { "/store", "\"token\"", "store" },
        { "/store", NULL, "store" },
        { "/algorithm", "\"A256KW\"", "algorithm" },
        { "/wrapped_sha256", "\"AAAA\"", "wrapped_sha256" },
        { "/wrapped_sha256", NULL, "wrapped_sha256" },
        { "/public_key", "\"AAAA\"", "public key" },
};

static void test_stored(void **state _unused_) {
        _cleanup_(freep) char *text = NULL, *no = NULL;
        struct token t, u;
        const char *why;

        image_token(&t);
        t.stored = true;
        assert_int_equal(token_format(&t, &no), -EINVAL);          /* it has no digest's size */
        t.wrapped_size = DISK_DIGEST_SIZE;
        assert_int_equal(token_format(&t, &text), 0);
        assert_non_null(strstr(text, "\"version\":3,"));
        assert_non_null(strstr(text, "\"store\":\"vault\",\"wrapped_sha256\":\""));
        assert_int_equal(token_parse(text, strlen(text), &u, NULL), 0);
        assert_true(u.stored && u.wrapped_size == DISK_DIGEST_SIZE);
        assert_memory_equal(t.wrapped, u.wrapped, DISK_DIGEST_SIZE);
        for (size_t i = 0; i < ELEMENTSOF(stored_cases); i++) {
                _cleanup_(json_object_putp) struct json_object *o = json_tokener_parse(text);
                const char *changed;

                if (stored_cases[i].value)
                        json_pointer_set(&o, stored_cases[i].path, json_tokener_parse(stored_cases[i].value));
                else
                        json_object_object_del(o, stored_cases[i].path + 1);
                changed = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
                if (token_parse(changed, strlen(changed), &u, &why) != -EBADMSG || !strstr(why, stored_cases[i].words))
                        fail_msg("%s=%s: %s", stored_cases[i].path, stored_cases[i].value ?: "(none)", why);
        }
        symmetric_token(&t, ALGORITHM_KW);
        t.stored = true;
        t.wrapped_size = DISK_DIGEST_SIZE;
        assert_int_equal(token_format(&t, &no), -EINVAL);
        image_token(&t);
        t.wrapped_size = DISK_DIGEST_SIZE;
        assert_int_equal(token_format(&t, &no), -EINVAL);
}

static void test_symmetric(void **state _unused_) {
        check_symmetric(ALGORITHM_AES, ALGORITHM_KW);
        check_symmetric(ALGORITHM_CHACHA, ALGORITHM_KW);
        check_symmetric(ALGORITHM_KW, ALGORITHM_CHACHA);
}

static void test_format_refuses(void **state) {
        char *text = NULL;
        struct token t;

        (void) state;
        image_token(&t);
        strcpy(t.name, "../x");
        assert_int_equal(token_format(&t, &text), -EINVAL);
        image_token(&t);
        strcpy(t.proof_request_id, "a\",\"b\":\"");
        assert_int_equal(token_format(&t, &text), -EINVAL);
        image_token(&t);
        strcpy(t.proof_request_id, "a\nb");
        assert_int_equal(token_format(&t, &text), -EINVAL);
        image_token(&t);
        t.wrapped_size = 255;
        assert_int_equal(token_format(&t, &text), -EINVAL);
        image_token(&t);
        t.generation = 0;
        assert_int_equal(token_format(&t, &text), -EINVAL);
        image_token(&t);
        t.keyslot = 32;
        assert_int_equal(token_format(&t, &text), -EINVAL);
        assert_null(text);
}

/* NULL: the member is left out */
static const struct { const char *path, *value; int error; const char *words; } cases[] = {
        { "/type", "\"clevis\"", -EBADMSG, "not a token of type" },
        { "/type", NULL, -EBADMSG, "not a token of type" },
        { "/version", "2", -EBADMSG, "version 2 does not have" },
        { "/version", "3", -EBADMSG, "version 3 does not have" },
        { "/version", "4", -EPROTONOSUPPORT, "newer" },
        { "/version", "2147483647", -EPROTONOSUPPORT, "newer" },
        { "/version", "4294967297", -EBADMSG, "version" },
        { "/version", "0", -EBADMSG, "version" },
        { "/version", "-1", -EBADMSG, "version" },
        { "/version", "\"1\"", -EBADMSG, "version" },
        { "/keyslots", "[]", -EBADMSG, "keyslot" },
        { "/keyslots", "[\"0\",\"1\"]", -EBADMSG, "keyslot" },
        { "/keyslots", "[0]", -EBADMSG, "keyslot" },
        { "/keyslots", "[\"32\"]", -EBADMSG, "keyslot" },
        { "/keyslots", "[\"00\"]", -EBADMSG, "keyslot" },
        { "/keyslots", "[\"-0\"]", -EBADMSG, "keyslot" },
        { "/uuid", "\"8D2F6E3C-5B1A-4F7E-9C0D-112233445566\"", -EBADMSG, "uuid" },
        { "/uuid", "\"8d2f6e3c\"", -EBADMSG, "uuid" },
        { "/name", "\"../../etc/passwd\"", -EBADMSG, "name" },
        { "/name", "\"a b\"", -EBADMSG, "name" },
        { "/name", "\"\"", -EBADMSG, "name" },
        { "/name", "\"data1\\u0000x\"", -EBADMSG, "name" },
        { "/name", "\"a\\u001b[2J\"", -EBADMSG, "name" },
        { "/name", "[\"data1\"]", -EBADMSG, "name" },
        { "/role", "\"root\"", -EBADMSG, "role" },
        { "/role", NULL, -EBADMSG, "role" },
        { "/generation", "1", -EBADMSG, "generation" },
        { "/generation", "\"0\"", -EBADMSG, "generation" },
        { "/generation", "\"01\"", -EBADMSG, "generation" },
        { "/generation", "\"-1\"", -EBADMSG, "generation" },
        { "/generation", "\"18446744073709551616\"", -EBADMSG, "generation" },
        { "/key", "\"http://v.vault.azure.net/keys/k1/0123456789abcdef0123456789abcdef\"", -EBADMSG, "identifier" },
        { "/key", "\"https://v.vault.azure.net/secrets/k1/0123456789abcdef0123456789abcdef\"", -EBADMSG, "identifier" },
        { "/key", "\"https://u@v.vault.azure.net/keys/k1/0123456789abcdef0123456789abcdef\"", -EBADMSG, "identifier" },
        { "/key", "\"https://v.vault.azure.net/keys/k1\"", -EBADMSG, "names no version" },
        { "/algorithm", "\"RSA1_5\"", -EBADMSG, "algorithm" },
        { "/store", "\"vault\"", -EBADMSG, "store" },
        { "/wrapped", "\"AAAA\"", -EBADMSG, "wrapped" },
        { "/wrapped", "\"####\"", -EBADMSG, "wrapped" },
        { "/salt", "\"AAAA\"", -EBADMSG, "salt" },
        { "/salt", NULL, -EBADMSG, "salt" },
        { "/public_key", "\"AAAA\"", -EBADMSG, "public key" },
        { "/public_key", "\"!\"", -EBADMSG, "public_key" },
        { "/proof", NULL, -EBADMSG, "proof" },
        { "/proof/more", "1", -EBADMSG, "proof" },
        { "/proof/time", "5", -EBADMSG, "proof" },
        { "/proof/request_id", "\"\\u0007\"", -EBADMSG, "proof" },
        { "/manifest", "\"x\"", -EBADMSG, "manifest" },
        { "/manifest/version", "2", -EBADMSG, "manifest" },
        { "/manifest/mac", "\"AAAA\"", -EBADMSG, "manifest" },
        { "/secret", "\"x\"", -EBADMSG, "version 1 does not have" },
        { "/canary", "\"x\"", -EBADMSG, "version 1 does not have" },
        { "/wrapped_sha256", "\"x\"", -EBADMSG, "version 1 does not have" },
};

static void test_malformed(void **state) {
        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(json_object_putp) struct json_object *o = good_token();
                const char *text, *why = "";
                struct token t = { .keyslot = 77 };
                int r;

                if (cases[i].value)
                        json_pointer_set(&o, cases[i].path, json_tokener_parse(cases[i].value));
                else
                        json_object_object_del(o, cases[i].path + 1);
                text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
                r = token_parse(text, strlen(text), &t, &why);
                if (r != cases[i].error || !strstr(why, cases[i].words))
                        fail_msg("%s=%s: %d (%s)", cases[i].path, cases[i].value ?: "(none)", r, why);
                assert_int_equal(t.keyslot, 77);
        }
}

static void test_sizes(void **state) {
        _cleanup_(json_object_putp) struct json_object *o = good_token();
        const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN|JSON_C_TO_STRING_NOSLASHESCAPE);
        char large[TOKEN_JSON_MAX + 1];
        struct token t;

        (void) state;
        for (size_t n = 0; n < strlen(text); n++)
                assert_int_equal(token_parse(text, n, &t, NULL), -EBADMSG);
        memset(large, ' ', sizeof(large));
        memcpy(large, text, strlen(text));
        assert_int_equal(token_parse(large, sizeof(large), &t, NULL), -EFBIG);
        assert_int_equal(token_parse(large, strlen(text), &t, NULL), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip), cmocka_unit_test(test_format_refuses),
                cmocka_unit_test(test_symmetric), cmocka_unit_test(test_stored), cmocka_unit_test(test_sha1), cmocka_unit_test(test_malformed), cmocka_unit_test(test_sizes),
        };

        return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
