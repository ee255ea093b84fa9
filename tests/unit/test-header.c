/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/encryption.c daemon/disk/reencryption.c daemon/disk/header.c daemon/disk/header-check.c daemon/disk/token.c daemon/disk/strict-json.c daemon/disk/unlock-key.c tests/unit/header-image.c daemon/disk/activation.c
// libs: json-c

/* Every way in which a header is refused, each with its own error and words; and what is accepted. */

#include "header-image.h"

#include "disk/activation.h"

#include <fcntl.h>
#include <json-c/json_pointer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

/* One change of good metadata: value replaces what is at path, NULL removes it. */
struct malformation {
        const char *name, *path, *value;
        int error;
        const char *words;
};

#define SECOND_SEGMENT "{\"type\":\"crypt\",\"offset\":\"20971520\",\"size\":\"dynamic\",\"iv_tweak\":\"0\"," \
                       "\"encryption\":\"aes-xts-plain64\",\"sector_size\":512}"

#define TAGS(type, encryption, integrity) \
        "{\"type\":\"" type "\",\"journal_encryption\":\"" encryption "\",\"journal_integrity\":\"" integrity "\"}"

static const struct malformation malformations[] = {
        { "no token", "/tokens/0", NULL, -ENOENT, "no token of type cmkd" },
        { "token of a stranger", "/tokens/0/type", "\"clevis\"", -ENOENT, "no token of type cmkd" },
        { "second token that is none", "/tokens/1", "{\"type\":\"cmkd\",\"keyslots\":[]}", -EBADMSG, "not usable" },
        { "future token", "/tokens/0/version", "4", -EPROTONOSUPPORT, "made by a newer cmkd" },
        { "token without salt", "/tokens/0/salt", NULL, -EBADMSG, "salt is not base64" },
        { "token without version", "/tokens/0/version", NULL, -EBADMSG, "version is not a number" },
        { "wrapped key said to be in the vault", "/tokens/0/store", "\"vault\"", -EBADMSG, "store is not that of its version" },
        { "wrapped key of a stored one", "/tokens/0/version", "3", -EBADMSG, "member that version 3 does not have" },
        { "token with more", "/tokens/0/more", "1", -EBADMSG, "member that version 1 does not have" },
        { "huge wrapped key", "/tokens/0/wrapped", NULL /* long_string() */, -EFBIG, "larger than a token may be" },
        { "token of another volume", "/tokens/0/uuid", "\"11111111-2222-3333-4444-555555555555\"", -EPERM,
          "of another volume" },
        { "token for a missing keyslot", "/tokens/0/keyslots", "[\"7\"]", -EBADMSG, "keyslot that its token names" },

        { "null cipher segment", "/segments/0/encryption", "\"cipher_null-ecb\"", -EPERM, "segment is encrypted with" },
        { "cbc segment", "/segments/0/encryption", "\"aes-cbc-essiv:sha256\"", -EPERM, "segment is encrypted with" },
        { "linear segment", "/segments/0/type", "\"linear\"", -EPERM, "not of type crypt" },
        { "two segments", "/segments/1", SECOND_SEGMENT, -EPERM, "not exactly one segment" },
        { "no segments", "/segments", NULL, -EBADMSG, "not exactly one segment" },
        { "integrity tags that nobody describes", "/segments/0/integrity", "{\"type\":\"hmac(sha256)\"}", -EBADMSG, "not described" },
        { "integrity tags of another kind", "/segments/0/integrity", TAGS("aead", "none", "none"), -EPERM, "of type aead" },
        { "integrity tags without a key", "/segments/0/integrity", TAGS("none", "none", "none"), -EPERM, "of type none" },
        { "integrity tags with an encrypted journal", "/segments/0/integrity", TAGS("hmac(sha256)", "ctr(aes)", "none"), -EPERM, "a key of its own" },
        { "integrity tags and a MAC of the journal", "/segments/0/integrity", TAGS("hmac(sha256)", "none", "hmac(sha256)"), -EPERM, "a key of its own" },
        { "integrity tags whose key is in no keyslot", "/segments/0/integrity", TAGS("hmac(sha256)", "none", "none"), -EPERM, "and that of the tags" },
        { "integrity that is a word", "/segments/0/integrity", "\"hmac(sha256)\"", -EBADMSG, "not described" },
        { "segment with flags", "/segments/0/flags", "[\"backup-final\"]", -EPERM, "members that are not known" },
        { "segment of a fixed size", "/segments/0/size", "\"4096\"", -EPERM, "does not cover the device" },
        { "segment with a tweak", "/segments/0/iv_tweak", "\"8\"", -EPERM, "start of its tweak" },
        { "segment of odd sectors", "/segments/0/sector_size", "1024", -EPERM, "neither 512 nor 4096" },
        { "segment over the header", "/segments/0/offset", "\"32768\"", -EBADMSG, "inside of the header" },
        { "segment behind the end", "/segments/0/offset", "\"1099511627776\"", -EBADMSG, "behind the end" },
        { "segment at a negative offset", "/segments/0/offset", "\"-4096\"", -EBADMSG, "inside of the header" },
        { "segment at a number", "/segments/0/offset", "16777216", -EBADMSG, "inside of the header" },

        { "null cipher keyslot", "/keyslots/0/area/encryption", "\"cipher_null-ecb\"", -EPERM, "keyslot 0 is encrypted" },
        { "null cipher in another keyslot", "/keyslots/1/area/encryption", "\"cipher_null-ecb\"", -EPERM,
          "keyslot 1 is encrypted" },
        { "reencryption keyslot", "/keyslots/1/type", "\"reencrypt\"", -EPERM, "reencryption" },
        { "keyslot of a short key", "/keyslots/0/key_size", "32", -EPERM, "512-bit" },
        { "keyslot with a key for tags that are not there", "/keyslots/0/key_size", "96", -EPERM, "512-bit key" },
        { "keyslot of few stripes", "/keyslots/0/af/stripes", "1", -EPERM, "split" },
        { "keyslot outside", "/keyslots/0/area/offset", "\"16777216\"", -EBADMSG, "outside of the keyslot areas" },
        { "keyslot over the metadata", "/keyslots/0/area/offset", "\"4096\"", -EBADMSG, "outside of the keyslot areas" },
        { "keyslot that wraps around", "/keyslots/0/area/size", "\"9223372036854771712\"", -EBADMSG, "outside" },
        { "keyslots on top of each other", "/keyslots/1/area/offset", "\"36864\"", -EBADMSG, "on top of another" },
        { "keyslot with a high number", "/keyslots/32", "{}", -EBADMSG, "number is not one" },
        { "costly keyslot", "/keyslots/0/kdf/iterations", "4294967295", -EBADMSG, "number of iterations" },
        { "unknown derivation", "/keyslots/1/kdf/type", "\"none\"", -EPERM, "derivation that is not known" },
        { "argon2 in our keyslot", "/keyslots/0/kdf/type", "\"argon2id\"", -EPERM, "is not one of cmkd" },

        { "second digest", "/digests/1", "{\"type\":\"pbkdf2\"}", -EPERM, "exactly one digest" },
        { "digest of a costly kind", "/digests/0/iterations", "4294967295", -EPERM, "bounded cost" },
        { "digest without a segment", "/digests/0/segments", "[]", -EBADMSG, "not of the segment" },
        { "unbound keyslot", "/digests/0/keyslots", "[\"0\"]", -EPERM, "not of all keyslots" },
        { "digest of a missing keyslot", "/digests/0/keyslots", "[\"0\",\"9\"]", -EPERM, "not of keyslot 1" },

        { "reencryption", "/config/requirements", "{\"mandatory\":[\"online-reencrypt-v2\"]}", -EPERM, "encryption" },
        { "other requirement", "/config/requirements", "{\"mandatory\":[\"online-reencrypt\"]}", -EPERM, "reencryption" },
        { "requirements of the future", "/config/requirements", "{\"optional\":[]}", -EPROTONOSUPPORT, "requirements" },
        { "flag of integrity tags", "/config/flags", "[\"no-journal\"]", -EPERM, "no-journal, with which a crash leaves" },
        { "flag of the future", "/config/flags", "[\"allow-discards\",\"high_priority\"]", -EPROTONOSUPPORT, "high_priority, which is not" },
        { "flag twice", "/config/flags", "[\"allow-discards\",\"allow-discards\"]", -EBADMSG, "list of different names" },
        { "flag that is no name", "/config/flags", "[1]", -EBADMSG, "list of different names" },
        { "flags that are no list", "/config/flags", "\"allow-discards\"", -EBADMSG, "list of different names" },
        { "metadata of another size", "/config/json_size", "\"4096\"", -EBADMSG, "metadata's size" },
        { "huge keyslot areas", "/config/keyslots_size", "\"134217728\"", -EFBIG, "larger than 16 MiB" },
        { "unknown section", "/extra", "{}", -EPERM, "metadata has members" },
};

static struct json_object *apply(const struct malformation *m) {
        struct json_object *o = image_metadata(), *parent, *value;
        char long_string[9000] = "", path[128];

        if (m->value || streq(m->name, "huge wrapped key")) {
                memset(long_string, 'A', sizeof(long_string) - 1);
                value = m->value ? json_tokener_parse(m->value) : json_object_new_string(long_string);
                assert_non_null(value);
                assert_int_equal(json_pointer_set(&o, m->path, value), 0);
        } else {
                char *slash;

                strcpy(path, m->path);
                slash = strrchr(path, '/');
                *slash = 0;
                assert_int_equal(json_pointer_get(o, path, &parent), 0);
                assert_true(json_object_object_get_ex(parent, slash + 1, NULL));
                json_object_object_del(parent, slash + 1);
        }
        return o;
}

static void expect_refused(int fd, const char *name, int error, const char *words) {
        struct header *h = NULL;
        struct header_why why = {};
        int r = header_read(fd, IMAGE_DEVICE_SIZE, &h, &why);

        if (r != error || !strstr(why.text, words))
                fail_msg("%s: %d (%s), expected %d (... %s ...)", name, r, why.text, error, words);
        assert_null(h);
        close(fd);
}

static void write_seed(const char *name, const struct json_object *o) {
        const char *directory = getenv("CMKD_WRITE_SEEDS");
        _cleanup_(fclosep) FILE *f = NULL;
        char path[512];

        if (!directory)
                return;
        snprintf(path, sizeof(path), "%s/%s", directory, name);
        for (char *p = path + strlen(directory); *p; p++)
                if (*p == ' ')
                        *p = '-';
        f = fopen(path, "we");
        assert_non_null(f);
        fputs(json_object_to_json_string_ext((struct json_object *) o, JSON_C_TO_STRING_PLAIN), f);
}

static void test_malformations(void **state) {
        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(malformations); i++) {
                _cleanup_(json_object_putp) struct json_object *o = apply(malformations + i);

                write_seed(malformations[i].name, o);
                expect_refused(image_new_from(o), malformations[i].name, malformations[i].error, malformations[i].words);
        }
}

static void test_good(void **state) {
        _cleanup_(json_object_putp) struct json_object *o = image_metadata();
        _cleanup_(closep) int fd = image_new_from(o);
        _cleanup_(header_freep) struct header *h = NULL, *again = NULL;
        struct header_why why;
        uint8_t byte = 1;

        (void) state;
        write_seed("good", o);
        assert_int_equal(header_read(fd, IMAGE_DEVICE_SIZE, &h, &why), 0);
        assert_string_equal(h->copy.uuid, IMAGE_UUID);
        assert_string_equal(h->layout.wraps[0].token.name, "data1");
        assert_int_equal(h->layout.data_offset, 16 << 20);
        assert_false(h->damaged);
        /* in memory, and nobody can change it there */
        assert_int_equal(pwrite(h->fd, &byte, 1, 0), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(h->fd, 0), -1);
        /* a changed keyslot is another digest; a byte where nothing is, is not */
        assert_int_equal(pwrite(fd, &byte, 1, 8 << 20), 1);
        assert_int_equal(header_read(fd, IMAGE_DEVICE_SIZE, &again, &why), 0);
        assert_memory_equal(h->digest, again->digest, sizeof(h->digest));
        assert_true(header_is_same(h, fd, IMAGE_DEVICE_SIZE));
        assert_false(header_is_same(h, fd, IMAGE_DEVICE_SIZE - 512));
        again = header_free(again);
        assert_int_equal(pwrite(fd, &byte, 1, 290816), 1);
        assert_false(header_is_same(h, fd, IMAGE_DEVICE_SIZE));
        assert_int_equal(header_read(fd, IMAGE_DEVICE_SIZE, &again, &why), 0);
        assert_memory_not_equal(h->digest, again->digest, sizeof(h->digest));
        /* one bit of either copy of the metadata, what is behind its end included */
        for (uint64_t at = 0; at < 2 * again->copy.header_size; at += 4095) {
                uint8_t was, changed;

                assert_int_equal(pread(fd, &was, 1, (off_t) at), 1);
                changed = was ^ 1;
                assert_true(header_is_same(again, fd, IMAGE_DEVICE_SIZE));
                assert_int_equal(pwrite(fd, &changed, 1, (off_t) at), 1);
                assert_false(header_is_same(again, fd, IMAGE_DEVICE_SIZE));
                assert_int_equal(pwrite(fd, &was, 1, (off_t) at), 1);
        }
}

/* The tags' key stands behind the cipher's. */
static void test_integrity_tags(void **state) {
        static const struct { const char *tags; int key_size; unsigned integrity; } rows[] = {
                { TAGS("hmac(sha256)", "none", "none"), 96, ACTIVATION_HMAC_SHA256 },
                { TAGS("hmac(sha512)", "none", "none"), 128, ACTIVATION_HMAC_SHA512 },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(json_object_putp) struct json_object *o = image_metadata();
                _cleanup_(header_freep) struct header *h = NULL;
                _cleanup_(closep) int fd = -EBADF;
                struct disk_reply y = {};
                struct header_why why;

                assert_int_equal(json_pointer_set(&o, "/segments/0/integrity", json_tokener_parse(rows[i].tags)), 0);
                for (int k = 0; k < 2; k++)
                        assert_int_equal(json_pointer_set(&o, k == 0 ? "/keyslots/0/key_size" : "/keyslots/1/key_size",
                                                          json_object_new_int(rows[i].key_size)), 0);
                write_seed(i == 0 ? "tags of sha256" : "tags of sha512", o);
                fd = image_new_from(o);
                if (header_read(fd, IMAGE_DEVICE_SIZE, &h, &why) < 0)
                        fail_msg("%s", why.text);
                assert_int_equal(h->layout.integrity, rows[i].integrity);
                header_describe(h, &y);
                assert_string_equal(y.activation, i == 0 ? "integrity:hmac-sha256" : "integrity:hmac-sha512");
                /* discards would leave tags of what is not there any more */
                assert_int_equal(json_pointer_set(&o, "/config/flags", json_tokener_parse("[\"allow-discards\"]")), 0);
                expect_refused(image_new_from(o), "tags and discards", -EPERM, "asks for discards, and has integrity tags");
        }
}

/* Somebody who reads it with libcryptsetup puts the bad copy in order: it is not another header for that. */
static void test_one_copy(void **state) {
        _cleanup_(json_object_putp) struct json_object *o = image_metadata();
        _cleanup_(closep) int fd = image_new_from(o);
        _cleanup_(header_freep) struct header *whole = NULL;
        struct header_why why;
        uint8_t was, changed;

        (void) state;
        assert_int_equal(header_read(fd, IMAGE_DEVICE_SIZE, &whole, &why), 0);
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(header_freep) struct header *h = NULL;
                off_t at = (off_t) (i * whole->copy.header_size + 4096);

                assert_int_equal(pread(fd, &was, 1, at), 1);
                changed = was ^ 1;
                assert_int_equal(pwrite(fd, &changed, 1, at), 1);
                assert_int_equal(header_read(fd, IMAGE_DEVICE_SIZE, &h, &why), 0);
                assert_true(h->damaged);
                assert_memory_equal(h->digest, whole->digest, sizeof(h->digest));
                assert_int_equal(pwrite(fd, &was, 1, at), 1);
        }
}

/* Texts that no JSON library writes. */
static void test_texts(void **state) {
        _cleanup_(json_object_putp) struct json_object *o = image_metadata();
        const char *good = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN|JSON_C_TO_STRING_NOSLASHESCAPE);
        static const struct { const char *from, *to, *words; } cases[] = {
                { "{\"keyslots\"", "{\"config\":{},\"keyslots\"", "a name appears twice" },
                { "\"encryption\":", "\"encryption\":\"cipher_null-ecb\",\"encryption\":", "a name appears twice" },
                { "{\"keyslots\"", "[\"keyslots\"", "cannot be read" },
                { "\"key_size\":64", "\"key_size\":64.0", "no integer" },
                { "\"key_size\":64", "\"key_size\":99999999999999999999", "too large" },
                { "\"key_size\":64", "\"key_size\":64,\"x\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]", "nested" },
                { "\"key_size\":64", "'key_size':64", "not JSON" },
                { "\"AAAA\"", "\"\xff\xfe\"", "not JSON" },
        };
        char text[16384];

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *at = strstr(good, cases[i].from);

                assert_non_null(at);
                snprintf(text, sizeof(text), "%.*s%s%s", (int) (at - good), good, cases[i].to, at + strlen(cases[i].from));
                expect_refused(image_new(text, strlen(text)), cases[i].to, -EBADMSG, cases[i].words);
        }
        snprintf(text, sizeof(text), "%s  {}", good);
        expect_refused(image_new(text, strlen(text)), "two texts", -EBADMSG, "cannot be read");
        memset(text, ' ', 12288);
        memcpy(text, good, strlen(good));
        expect_refused(image_new(text, 12288), "no end", -EBADMSG, "has no end");
        text[strlen(good)] = 0;
        expect_refused(image_new(text, 12288), "bytes behind the end", -EBADMSG, "something follows");
}

static int good_image(void) {
        _cleanup_(json_object_putp) struct json_object *o = image_metadata();

        return image_new_from(o);
}

static void poke(int fd, uint64_t at, const char *bytes, size_t size) {
        assert_int_equal(pwrite(fd, bytes, size, (off_t) at), size);
}

/* Bytes of the binary header; at is in the first copy, the second is spoiled alike. */
static void test_binary(void **state) {
        static const struct { const char *name; unsigned at; const char *bytes; size_t size; int error; } cases[] = {
                { "no magic", 0, "\0\0\0\0\0\0", 6, -ENODATA },
                { "version 1", 6, "\0\1", 2, -ENODATA },
                { "version 3", 6, "\0\3", 2, -ENODATA },
                { "tiny", 8, "\0\0\0\0\0\0\x10\0", 8, -EBADMSG },
                { "huge", 8, "\0\0\0\0\0\x80\0\0", 8, -EBADMSG },
                { "no power of two", 8, "\0\0\0\0\0\0\x50\0", 8, -EBADMSG },
                { "sha1", 72, "sha1\0\0", 6, -EBADMSG },
                { "checksum", 448, "\1\2\3\4", 4, -EBADMSG },
                { "metadata bit", 4196, "~", 1, -EBADMSG },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int fd = good_image();

                poke(fd, cases[i].at, cases[i].bytes, cases[i].size);
                poke(fd, HEADER_SIZE_MIN + cases[i].at, cases[i].bytes, cases[i].size);
                expect_refused(fd, cases[i].name, cases[i].error, "");
        }
}

static void second_copy(int fd, uint64_t seqid, const char *name) {
        _cleanup_(json_object_putp) struct json_object *o = image_metadata();
        uint8_t copy[HEADER_SIZE_MIN];
        const char *text;

        json_pointer_set(&o, "/tokens/0/name", json_object_new_string(name));
        text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
        image_copy(copy, true, seqid, IMAGE_UUID, text, strlen(text));
        poke(fd, HEADER_SIZE_MIN, (const char *) copy, sizeof(copy));
}

static void expect_copy(int fd, const char *name, bool damaged) {
        _cleanup_(header_freep) struct header *h = NULL;
        struct header_why why = {};
        int r = header_read(fd, IMAGE_DEVICE_SIZE, &h, &why);

        if (r < 0)
                fail_msg("%d %s", r, why.text);
        assert_string_equal(h->layout.wraps[0].token.name, name);
        assert_int_equal(h->damaged, damaged);
        close(fd);
}

static void test_copies(void **state) {
        int fd;

        (void) state;
        fd = good_image();
        second_copy(fd, 3, "other");
        expect_refused(fd, "copies that differ", -EBADMSG, "two copies differ");
        fd = good_image();
        second_copy(fd, 4, "newer");
        expect_copy(fd, "newer", true);
        fd = good_image();
        second_copy(fd, 2, "older");
        expect_copy(fd, "data1", true);
        fd = good_image();
        poke(fd, 5000, "xx", 2);
        expect_copy(fd, "data1", true);
        fd = good_image();
        poke(fd, HEADER_SIZE_MIN + 5000, "xx", 2);
        expect_copy(fd, "data1", true);
        fd = good_image();
        poke(fd, HEADER_SIZE_MIN, "\0\0\0\0\0\0", 6);
        expect_copy(fd, "data1", true);
        fd = good_image();
        poke(fd, 0, "\0\0\0\0\0\0", 6);
        expect_refused(fd, "overwritten start", -ENODATA, "only a second copy");
}

static void test_short_device(void **state) {
        _cleanup_(closep) int fd = good_image();
        struct header *h = NULL;
        struct header_why why;

        (void) state;
        assert_int_equal(header_read(fd, 512, &h, &why), -ENODATA);
        assert_int_equal(header_read(fd, 8192, &h, &why), -EBADMSG);
        assert_int_equal(header_read(fd, 16 << 20, &h, &why), -EBADMSG);
}

static void second_token(struct json_object *o, void (*change)(struct token *t)) {
        _cleanup_(freep) char *text = NULL;
        struct token t;

        image_token(&t);
        strcpy(t.key, "https://w.vault.azure.net/keys/k1/0123456789abcdef0123456789abcdef");
        t.keyslot = 1;
        if (change)
                change(&t);
        assert_int_equal(token_format(&t, &text), 0);
        assert_int_equal(json_pointer_set(&o, "/tokens/17", json_tokener_parse(text)), 0);
}

static void rename_it(struct token *t) { strcpy(t->name, "other"); }
static void give_it_a_role(struct token *t) { t->role = ROLE_OS; }
static void share_keyslot(struct token *t) { t->keyslot = 0; }
static void name_free_keyslot(struct token *t) { t->keyslot = 9; }
static void move_it(struct token *t) { memset(t->uuid, '1', 8); }
static void share_key(struct token *t) {
        strcpy(t->key, "https://v.vault.azure.net/keys/k1/fedcba9876543210fedcba9876543210");
}

static void be_rotated(struct token *t) {
        share_key(t);
        t->generation++;
}

/* A second key: what can be meant together is let through, and whether it was the manifest says. */
static void test_two_tokens(void **state _unused_) {
        static const struct { const char *name; void (*change)(struct token *t); int error; const char *words; } cases[] = {
                { "two tokens of two names", rename_it, -EPERM, "different names or roles" },
                { "two tokens of two roles", give_it_a_role, -EPERM, "different names or roles" },
                { "two tokens of a keyslot", share_keyslot, -EPERM, "name keyslot 0" },
                { "two tokens of a key", share_key, -EPERM, "name one key" },
                { "two tokens of two volumes", move_it, -EPERM, "of another volume" },
                { "two tokens of a missing keyslot", name_free_keyslot, -EBADMSG, "keyslot that its token names" },
        };
        _cleanup_(json_object_putp) struct json_object *good = image_metadata();
        _cleanup_(header_freep) struct header *h = NULL;
        _cleanup_(closep) int fd = -EBADF;
        struct header_why why;

        second_token(good, NULL);
        write_seed("two tokens", good);
        fd = image_new_from(good);
        assert_int_equal(header_read(fd, IMAGE_DEVICE_SIZE, &h, &why), 0);
        assert_int_equal(h->layout.n_wraps, 2);
        assert_int_equal(h->layout.wraps[0].token_id, 0);
        assert_int_equal(h->layout.wraps[1].token_id, 17);
        assert_ptr_equal(header_find_wrap(&h->layout, ""), h->layout.wraps);
        assert_ptr_equal(header_find_wrap(&h->layout, h->layout.wraps[1].token.key), h->layout.wraps + 1);
        assert_null(header_find_wrap(&h->layout, "https://w.vault.azure.net/keys/k1"));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(json_object_putp) struct json_object *o = image_metadata();

                second_token(o, cases[i].change);
                write_seed(cases[i].name, o);
                expect_refused(image_new_from(o), cases[i].name, cases[i].error, cases[i].words);
        }
}

/* Two versions of one key, while it is rotated: of different generations, or one of them is nobody's. */
static void test_two_versions(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = image_metadata();
        _cleanup_(header_freep) struct header *h = NULL;
        _cleanup_(closep) int fd = -EBADF;
        struct header_why why;

        second_token(o, be_rotated);
        write_seed("two versions of a key", o);
        fd = image_new_from(o);
        assert_int_equal(header_read(fd, IMAGE_DEVICE_SIZE, &h, &why), 0);
        assert_int_equal(h->layout.n_wraps, 2);
        assert_int_equal(h->layout.wraps[1].token.generation, h->layout.wraps[0].token.generation + 1);
}

static void test_too_many_tokens(void **state _unused_) {
        _cleanup_(json_object_putp) struct json_object *o = image_metadata();

        for (int i = 1; i <= (int) DISK_WRAPS_MAX; i++) {
                _cleanup_(freep) char *text = NULL;
                struct token t;
                char at[24];

                image_token(&t);
                snprintf(t.key, sizeof(t.key), "https://w%d.vault.azure.net/keys/k1/0123456789abcdef0123456789abcdef", i);
                t.keyslot = i;
                snprintf(at, sizeof(at), "/tokens/%d", i);
                assert_int_equal(token_format(&t, &text), 0);
                assert_int_equal(json_pointer_set(&o, at, json_tokener_parse(text)), 0);
        }
        write_seed("too many tokens", o);
        expect_refused(image_new_from(o), "too many tokens", -EFBIG, "more than 5 tokens");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good), cmocka_unit_test(test_integrity_tags),
                cmocka_unit_test(test_one_copy), cmocka_unit_test(test_malformations), cmocka_unit_test(test_texts),
                cmocka_unit_test(test_binary), cmocka_unit_test(test_copies), cmocka_unit_test(test_short_device),
                cmocka_unit_test(test_two_tokens), cmocka_unit_test(test_two_versions), cmocka_unit_test(test_too_many_tokens),
        };

        return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
