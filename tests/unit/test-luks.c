/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/luks-open.c daemon/disk/luks-format.c daemon/disk/luks-log.c daemon/disk/encryption.c daemon/disk/reencryption.c daemon/disk/header.c daemon/disk/header-check.c daemon/disk/header-key.c daemon/disk/token.c daemon/disk/manifest.c daemon/disk/strict-json.c daemon/disk/unlock-key.c tests/unit/header-image.c daemon/disk/activation.c
// libs: libcryptsetup json-c

/* Headers made by luks_format_image() and changed by libcryptsetup itself, as a stranger with the disk would. */

#include "disk/header-key.h"
#include "disk/luks.h"
#include "disk/manifest.h"
#include "disk/unlock-key.h"
#include "header-image.h"

#include <libcryptsetup.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define DEVICE_SIZE (LUKS_FORMAT_DATA_OFFSET + (1u << 20))

struct made {
        struct secret *unlock_key, *volume_key;
        int fd;
        char path[32];
};

static int set_up(void **state) {
        struct made *m = calloc(1, sizeof(*m));
        struct token token;
        struct luks l = {};
        struct luks_format f = { .uuid = IMAGE_UUID, .label = "data1", .sector_size = 4096, .token = &token };

        image_token(&token);
        assert_int_equal(secret_random(UNLOCK_KEY_SIZE, &m->unlock_key), 0);
        assert_int_equal(secret_random(VOLUME_KEY_SIZE, &m->volume_key), 0);
        f.unlock_key = m->unlock_key;
        f.volume_key = m->volume_key;
        assert_int_equal(luks_format_image(&l, &f, &m->fd), 0);
        luks_close(&l);
        snprintf(m->path, sizeof(m->path), "/proc/self/fd/%d", m->fd);
        *state = m;
        return 0;
}

static int tear_down(void **state) {
        struct made *m = *state;

        secret_free(m->unlock_key);
        secret_free(m->volume_key);
        safe_close(m->fd);
        free(m);
        return 0;
}

/* Reads, opens, unlocks, verifies; the first error. */
static int unlock(const struct made *m, const struct secret *unlock_key, struct header_why *why) {
        _cleanup_(header_freep) struct header *h = NULL;
        _cleanup_(secret_freep) struct secret *key = NULL;
        _cleanup_(luks_close) struct luks l = {};
        int r;

        r = header_read(m->fd, DEVICE_SIZE, &h, why);
        if (r >= 0)
                r = luks_open(&l, h, m->path);
        if (r >= 0)
                r = luks_unlock(&l, h->layout.wraps[0].token.keyslot, unlock_key, &key);
        if (r >= 0 && !secret_equal(key, m->volume_key))
                r = -EXDEV;
        return r < 0 ? r : manifest_verify(h->metadata, h->copy.uuid, key, h->layout.wraps[0].token.mac);
}

static void expect(const struct made *m, int result) {
        struct header_why why = {};
        int r = unlock(m, m->unlock_key, &why);

        if (r != result)
                fail_msg("%d, expected %d; %s", r, result, why.text);
}

static void test_good(void **state) {
        const struct made *m = *state;
        _cleanup_(secret_freep) struct secret *wrong = NULL;
        struct header_why why;

        expect(m, 0);
        assert_int_equal(secret_random(UNLOCK_KEY_SIZE, &wrong), 0);
        assert_int_equal(unlock(m, wrong, &why), -ENOKEY);
}

static struct crypt_device *as_stranger(const struct made *m) {
        struct crypt_device *cd;

        assert_int_equal(crypt_metadata_locking(NULL, 0), 0);
        crypt_set_log_callback(NULL, NULL, NULL);
        assert_int_equal(crypt_init(&cd, m->path), 0);
        assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
        return cd;
}

static void test_foreign_keyslot(void **state) {
        static const struct crypt_pbkdf_type cheap = {
                .type = CRYPT_KDF_PBKDF2, .hash = "sha256", .iterations = 1000, .flags = CRYPT_PBKDF_NO_BENCHMARK,
        };
        const struct made *m = *state;
        struct crypt_device *cd = as_stranger(m);

        assert_int_equal(crypt_set_pbkdf_type(cd, &cheap), 0);
        assert_int_equal(crypt_keyslot_add_by_volume_key(cd, 5, (const char *) secret_cdata(m->volume_key),
                                                         VOLUME_KEY_SIZE, "stranger", 8), 5);
        crypt_free(cd);
        expect(m, -EUCLEAN);
}

static void test_foreign_token(void **state) {
        const struct made *m = *state;
        struct crypt_device *cd = as_stranger(m);

        assert_int_equal(crypt_token_json_set(cd, 3, "{\"type\":\"tang\",\"keyslots\":[\"0\"]}"), 3);
        crypt_free(cd);
        expect(m, -EUCLEAN);
}

static void test_renamed(void **state) {
        const struct made *m = *state;
        struct crypt_device *cd = as_stranger(m);
        _cleanup_(freep) char *text = NULL;
        const char *json;
        struct token t;

        assert_int_equal(crypt_token_json_get(cd, 0, &json), 0);
        assert_int_equal(token_parse(json, strlen(json), &t, NULL), 0);
        strcpy(t.name, "data2");
        assert_int_equal(token_format(&t, &text), 0);
        assert_int_equal(crypt_token_json_set(cd, 0, text), 0);
        crypt_free(cd);
        expect(m, -EUCLEAN);
}

static void test_priority(void **state) {
        const struct made *m = *state;
        struct crypt_device *cd = as_stranger(m);

        assert_int_equal(crypt_keyslot_set_priority(cd, 0, CRYPT_SLOT_PRIORITY_IGNORE), 0);
        crypt_free(cd);
        expect(m, -EUCLEAN);
}

/* Writing the same again changes sequence number and digest, not the meaning. */
static void test_rewritten(void **state) {
        const struct made *m = *state;
        struct crypt_device *cd = as_stranger(m);

        assert_int_equal(crypt_set_label(cd, "elsewhere", NULL), 0);
        crypt_free(cd);
        expect(m, 0);
}

static void test_no_keyslot(void **state) {
        const struct made *m = *state;
        struct crypt_device *cd = as_stranger(m);

        assert_int_equal(crypt_keyslot_destroy(cd, 0), 0);
        crypt_free(cd);
        expect(m, -EBADMSG);
}

/* One good copy is enough, and the sealed memfd keeps libcryptsetup from repairing anything. */
static void test_damaged_copies(void **state) {
        const struct made *m = *state;
        char byte;

        assert_int_equal(pread(m->fd, &byte, 1, HEADER_SIZE_MIN + 4200), 1);
        byte ^= 1;
        assert_int_equal(pwrite(m->fd, &byte, 1, HEADER_SIZE_MIN + 4200), 1);
        expect(m, 0);
        byte ^= 1;
        assert_int_equal(pwrite(m->fd, &byte, 1, HEADER_SIZE_MIN + 4200), 1);
        expect(m, 0);
        assert_int_equal(pwrite(m->fd, "x", 1, 5000), 1);
        expect(m, 0);
        assert_int_equal(pwrite(m->fd, "x", 1, HEADER_SIZE_MIN + 5000), 1);
        expect(m, -EBADMSG);
}

static void test_damaged_keyslot(void **state) {
        const struct made *m = *state;

        assert_int_equal(pwrite(m->fd, "garbage", 7, 2 * HEADER_SIZE_MIN + 1000), 7);
        expect(m, -ENOKEY);
}

/* What a header that is put back would overwrite: is its volume key another one? */
static int check_key(const struct made *m, const struct secret *key, const char *config) {
        struct json_object *metadata = NULL, *requirements = config ? json_tokener_parse(config) : NULL, *c;
        struct header_copy copy;
        int r;

        assert_int_equal(header_peek(m->fd, DEVICE_SIZE, &copy, &metadata), 0);
        assert_true(json_object_object_get_ex(metadata, "config", &c));
        if (requirements)
                assert_int_equal(json_object_object_add(c, "requirements", requirements), 0);
        r = header_key_check(metadata, key);
        json_object_put(metadata);
        return r;
}

/* As `cryptsetup reencrypt` leaves it: the segment is of a key that no token knows. */
static void give_another_key(const struct made *m, const struct secret *key) {
        static const struct crypt_pbkdf_type cheap = {
                .type = CRYPT_KDF_PBKDF2, .hash = "sha256", .iterations = 1000, .flags = CRYPT_PBKDF_NO_BENCHMARK,
        };
        struct crypt_device *cd = as_stranger(m);
        int slot;

        assert_int_equal(crypt_set_pbkdf_type(cd, &cheap), 0);
        slot = crypt_keyslot_add_by_key(cd, CRYPT_ANY_SLOT, (const char *) secret_cdata(key), VOLUME_KEY_SIZE, "stranger", 8,
                                        CRYPT_VOLUME_KEY_NO_SEGMENT);
        assert_true(slot > 0);
        crypt_free(cd);
        assert_int_equal(check_key(m, m->volume_key, NULL), 0);       /* it opens nothing yet */
        assert_int_equal(check_key(m, key, NULL), -EKEYREJECTED);
        cd = as_stranger(m);
        assert_int_equal(crypt_keyslot_add_by_key(cd, slot, (const char *) secret_cdata(key), VOLUME_KEY_SIZE, "stranger", 8,
                                                  CRYPT_VOLUME_KEY_SET), slot);
        crypt_free(cd);
}

static void test_key_of_header(void **state) {
        const struct made *m = *state;
        _cleanup_(secret_freep) struct secret *other = NULL;

        assert_int_equal(secret_random(VOLUME_KEY_SIZE, &other), 0);
        assert_int_equal(check_key(m, m->volume_key, NULL), 0);
        assert_int_equal(check_key(m, m->volume_key, "{}"), 0);
        assert_int_equal(check_key(m, m->volume_key, "{\"mandatory\":[\"online-reencrypt-v2\"]}"), -EPERM);
        assert_int_equal(check_key(m, m->volume_key, "[]"), -EPERM);
        give_another_key(m, other);
        assert_int_equal(check_key(m, m->volume_key, NULL), -EKEYREJECTED);
        assert_int_equal(check_key(m, other, NULL), 0);
}

static void no_key_of(const char *digests) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        struct json_object *metadata = json_tokener_parse(digests);

        assert_non_null(metadata);
        assert_int_equal(secret_random(VOLUME_KEY_SIZE, &key), 0);
        assert_int_equal(header_key_check(metadata, key), -EKEYREJECTED);
        json_object_put(metadata);
}

static void test_key_of_nonsense(void **state _unused_) {
        no_key_of("{}");
        no_key_of("{\"digests\":{}}");
        no_key_of("{\"digests\":{\"0\":7}}");
        no_key_of("{\"digests\":{\"0\":{\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1000,\"salt\":\"AAAA\",\"digest\":\"\"}}}");
        no_key_of("{\"digests\":{\"0\":{\"type\":\"pbkdf2\",\"hash\":\"rot13\",\"iterations\":1000,\"salt\":\"AAAA\",\"digest\":\"AAAA\"}}}");
        no_key_of("{\"digests\":{\"0\":{\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":2000000000,\"salt\":\"AAAA\","
                  "\"digest\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}}");
        no_key_of("{\"digests\":{\"0\":{\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1000,\"salt\":\"AAAA\","
                  "\"digest\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"segments\":[]}}}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_good), TEST(test_foreign_keyslot), TEST(test_foreign_token), TEST(test_renamed),
                TEST(test_priority), TEST(test_rewritten), TEST(test_no_keyslot), TEST(test_damaged_copies),
                TEST(test_damaged_keyslot), TEST(test_key_of_header), cmocka_unit_test(test_key_of_nonsense),
        };

        return cmocka_run_group_tests_name("luks", tests, NULL, NULL);
}
