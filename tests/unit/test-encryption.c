/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/luks-open.c daemon/disk/luks-format.c daemon/disk/luks-encrypt.c daemon/disk/luks-log.c daemon/disk/encryption.c daemon/disk/reencryption.c daemon/disk/header.c daemon/disk/header-successor.c daemon/disk/header-check.c daemon/disk/token.c daemon/disk/manifest.c daemon/disk/strict-json.c daemon/disk/unlock-key.c tests/unit/header-image.c daemon/disk/activation.c
// libs: libcryptsetup json-c

/* The header that libcryptsetup makes of ours when an encryption in place begins, as it is and as a stranger with the disk would
 * have it. */

#include "disk/header-write.h"
#include "disk/luks.h"
#include "disk/manifest.h"
#include "disk/unlock-key.h"
#include "header-image.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SHIFT ((uint64_t) LUKS_FORMAT_DATA_OFFSET)
#define DEVICE_SIZE (96ull << 20)
#define P (DEVICE_SIZE - 2 * SHIFT)

struct begun {
        struct secret *unlock_key, *volume_key;
        int header, device;
        struct json_object *metadata;        /* for a test to change */
};

static int set_up(void **state) {
        struct begun *b = calloc(1, sizeof(*b));
        struct token token;
        char header[32], device[32];
        struct header_why why = {};
        _cleanup_(header_freep) struct header *h = NULL;
        struct luks l = {};
        struct luks_format f = { .uuid = IMAGE_UUID, .label = "data1", .sector_size = 512, .token = &token };

        image_token(&token);
        assert_int_equal(secret_random(UNLOCK_KEY_SIZE, &b->unlock_key), 0);
        assert_int_equal(secret_random(VOLUME_KEY_SIZE, &b->volume_key), 0);
        f.unlock_key = b->unlock_key;
        f.volume_key = b->volume_key;
        assert_int_equal(luks_format_image(&l, &f, &b->header), 0);
        luks_close(&l);
        b->device = memfd_create("device", MFD_CLOEXEC);
        assert_int_equal(ftruncate(b->device, DEVICE_SIZE), 0);
        assert_int_equal(pwrite(b->device, "begin", 5, 0), 5);
        assert_int_equal(pwrite(b->device, "rest", 4, SHIFT), 4);
        snprintf(header, sizeof(header), "/proc/self/fd/%d", b->header);
        snprintf(device, sizeof(device), "/proc/self/fd/%d", b->device);
        if (luks_encrypt_begin(&l, header, device, 0, b->unlock_key, 512) < 0)
                fail_msg("%s", l.said);
        luks_close(&l);
        if (header_read(b->header, DEVICE_SIZE, &h, &why) < 0)
                fail_msg("%s", why.text);
        b->metadata = json_object_get(h->metadata);
        *state = b;
        return 0;
}

static int tear_down(void **state) {
        struct begun *b = *state;

        secret_free(b->unlock_key);
        secret_free(b->volume_key);
        safe_close(b->header);
        safe_close(b->device);
        json_object_put(b->metadata);
        free(b);
        return 0;
}

static struct json_object *segment(struct begun *b, const char *id) {
        return json_object_object_get(json_object_object_get(b->metadata, "segments"), id);
}

static void set_u64(struct json_object *o, const char *member, uint64_t value) {
        char text[32];

        snprintf(text, sizeof(text), "%llu", (unsigned long long) value);
        json_object_object_add(o, member, json_object_new_string(text));
}

/* What header_settle() says of b->metadata; 0: *ret_plain bytes are plain yet. */
static int settle(struct begun *b, uint64_t *ret_plain) {
        struct json_object *settled = NULL;
        struct header_encryption x;
        struct header_why why = {};
        int r = header_settle(b->metadata, DEVICE_SIZE, &settled, &x, &why);

        if (r >= 0) {
                assert_true(x.under_way);
                /* what libcryptsetup maps: all of it, once nothing is left to do but to say so */
                assert_int_equal(x.size, x.plain > 0 ? P : DEVICE_SIZE - SHIFT);
                *ret_plain = x.plain;
                json_object_put(settled);
        } else
                assert_true(*why.text);
        return r;
}

static void refused(struct begun *b) {
        uint64_t plain;

        assert_int_equal(settle(b, &plain), -EPERM);
}

static void test_begun(void **state) {
        struct begun *b = *state;
        _cleanup_(header_freep) struct header *h = NULL;
        struct header_why why = {};
        char text[8] = "";

        assert_int_equal(header_read(b->header, DEVICE_SIZE, &h, &why), 0);
        assert_true(h->encryption.under_way);
        assert_int_equal(h->encryption.plain, P);
        assert_int_equal(h->encryption.size, P);
        assert_int_equal(h->encryption.shift, SHIFT);
        assert_int_equal(h->encryption.moved, DEVICE_SIZE - SHIFT);
        /* sealed when nothing was under way yet: what was enrolled is what it will be */
        assert_int_equal(manifest_verify(h->settled, h->copy.uuid, b->volume_key, h->layout.wraps[0].token.mac), 0);
        assert_int_equal(manifest_verify(h->metadata, h->copy.uuid, b->volume_key, h->layout.wraps[0].token.mac), -EUCLEAN);
        assert_int_equal(pread(b->device, text, 5, DEVICE_SIZE - SHIFT), 5);
        assert_string_equal(text, "begin");
        assert_int_equal(pread(b->device, text, 4, SHIFT), 4);
        assert_memory_equal(text, "rest", 4);
}

/* As libcryptsetup writes it after a step, and in the middle of one. */
static void advance(struct begun *b, uint64_t plain, uint64_t half_way) {
        struct json_object *segments = json_object_object_get(b->metadata, "segments"), *made = json_object_new_object(), *s;
        uint64_t at = 0, end[] = { MIN_OF(plain, SHIFT), plain, plain + half_way, P };
        unsigned n = 0;
        char id[8];

        for (size_t i = 0; i < ELEMENTSOF(end); i++) {
                if (end[i] <= at)
                        continue;
                s = json_object_new_object();
                json_object_object_add(s, "type", json_object_new_string(i < 2 ? "linear" : "crypt"));
                set_u64(s, "offset", i == 0 ? DEVICE_SIZE - SHIFT : i == 1 ? at : SHIFT + at);
                if (i == 3 && at == 0)
                        json_object_object_add(s, "size", json_object_new_string("dynamic"));
                else
                        set_u64(s, "size", end[i] - at);
                if (i >= 2) {
                        set_u64(s, "iv_tweak", at / 512);
                        json_object_object_add(s, "encryption", json_object_new_string("aes-xts-plain64"));
                        json_object_object_add(s, "sector_size", json_object_new_int(512));
                }
                if (i == 2) {
                        struct json_object *flags = json_object_new_array();

                        json_object_array_add(flags, json_object_new_string("in-reencryption"));
                        json_object_object_add(s, "flags", flags);
                }
                snprintf(id, sizeof(id), "%u", n++);
                json_object_object_add(made, id, s);
                at = end[i];
        }
        for (unsigned old = 0; old < 7; old++) {
                snprintf(id, sizeof(id), "%u", old);
                s = json_object_object_get(segments, id);
                if (!s || !json_object_object_get(s, "flags"))
                        continue;
                snprintf(id, sizeof(id), "%u", n++);
                json_object_object_add(made, id, json_object_get(s));
        }
        json_object_object_add(b->metadata, "segments", made);
}

static void test_on_its_way(void **state) {
        struct begun *b = *state;
        uint64_t plain;

        advance(b, 2 * SHIFT, SHIFT);
        assert_int_equal(settle(b, &plain), 0);
        assert_int_equal(plain, 3 * SHIFT);
}

static void test_after_a_step(void **state) {
        struct begun *b = *state;
        uint64_t plain;

        advance(b, 2 * SHIFT, 0);
        assert_int_equal(settle(b, &plain), 0);
        assert_int_equal(plain, 2 * SHIFT);
}

static void test_last_step(void **state) {
        struct begun *b = *state;
        uint64_t plain;

        advance(b, 0, SHIFT);
        assert_int_equal(settle(b, &plain), 0);
        assert_int_equal(plain, SHIFT);
}

static void test_all_done(void **state) {
        struct begun *b = *state;
        uint64_t plain;

        advance(b, 0, 0);
        assert_int_equal(settle(b, &plain), 0);
        assert_int_equal(plain, 0);
}

static void opens(struct begun *b, const struct header *h) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        _cleanup_(luks_close) struct luks l = {};
        char device[32];

        snprintf(device, sizeof(device), "/proc/self/fd/%d", b->device);
        assert_int_equal(luks_open(&l, h, device), 0);
        assert_int_equal(luks_unlock(&l, h->layout.wraps[0].token.keyslot, b->unlock_key, &key), 0);
        assert_true(secret_equal(key, b->volume_key));
}

/* The header is ended by the node, where libcryptsetup came to all but that: what it was enrolled as, with both copies, one newer. */
static void test_settled(void **state) {
        struct begun *b = *state;
        _cleanup_(header_freep) struct header *h = NULL, *ended = NULL;
        _cleanup_(closep) int image = -EBADF;
        struct header_why why = {};

        assert_int_equal(header_read(b->header, DEVICE_SIZE, &h, &why), 0);
        image = header_settled(h);
        assert_true(image >= 0);
        if (header_read(image, DEVICE_SIZE, &ended, &why) < 0)
                fail_msg("%s", why.text);
        assert_false(ended->encryption.under_way);
        assert_false(ended->damaged);
        assert_true(ended->copy.seqid > h->copy.seqid);
        assert_true(json_object_equal(ended->metadata, h->settled));
        assert_int_equal(manifest_verify(ended->metadata, ended->copy.uuid, b->volume_key, ended->layout.wraps[0].token.mac), 0);
        assert_int_equal(ended->layout.data_offset, SHIFT);
        opens(b, ended);
}

/* THE attack: something that is encrypted, or never was to be in it, is said to be plain. */
static void test_plain_behind_encrypted(void **state) {
        struct begun *b = *state;

        advance(b, 2 * SHIFT, 0);
        json_object_object_add(segment(b, "2"), "type", json_object_new_string("linear"));
        set_u64(segment(b, "2"), "offset", 2 * SHIFT);
        json_object_object_del(segment(b, "2"), "iv_tweak");
        /* that alone is a header that says how far it was: measured by who knows better; but not with anything behind it */
        uint64_t plain;

        assert_int_equal(settle(b, &plain), 0);
        assert_int_equal(plain, P);
        advance(b, 2 * SHIFT, SHIFT);
        json_object_object_add(segment(b, "3"), "type", json_object_new_string("linear"));
        set_u64(segment(b, "3"), "offset", 3 * SHIFT);
        refused(b);
}

static void test_plain_elsewhere(void **state) {
        struct begun *b = *state;

        set_u64(segment(b, "1"), "offset", SHIFT + 4096);
        refused(b);
}

static void test_first_part_elsewhere(void **state) {
        struct begun *b = *state;

        set_u64(segment(b, "0"), "offset", 0);
        refused(b);
}

static void test_first_part_moved_elsewhere(void **state) {
        struct begun *b = *state;

        set_u64(segment(b, "0"), "offset", DEVICE_SIZE - 2 * SHIFT);
        set_u64(segment(b, "2"), "offset", DEVICE_SIZE - 2 * SHIFT);
        refused(b);
}

static void test_other_tweak(void **state) {
        struct begun *b = *state;

        advance(b, 2 * SHIFT, 0);
        set_u64(segment(b, "2"), "iv_tweak", 0);
        refused(b);
}

static void test_null_cipher(void **state) {
        struct begun *b = *state;

        advance(b, 2 * SHIFT, 0);
        json_object_object_add(segment(b, "2"), "encryption", json_object_new_string("cipher_null-ecb"));
        refused(b);
}

static void test_hole(void **state) {
        struct begun *b = *state;

        advance(b, 2 * SHIFT, 0);
        set_u64(segment(b, "2"), "size", 4096);
        refused(b);
}

static void test_decryption(void **state) {
        struct begun *b = *state;
        struct json_object *k = json_object_object_get(json_object_object_get(b->metadata, "keyslots"), "1");

        json_object_object_add(k, "mode", json_object_new_string("decrypt"));
        refused(b);
}

static void test_other_resilience(void **state) {
        struct begun *b = *state;
        struct json_object *k = json_object_object_get(json_object_object_get(b->metadata, "keyslots"), "1");

        json_object_object_add(json_object_object_get(k, "area"), "type", json_object_new_string("none"));
        refused(b);
}

static void test_larger_device(void **state) {
        struct begun *b = *state;
        struct json_object *settled;
        struct header_encryption x;
        struct header_why why;

        assert_int_equal(header_settle(b->metadata, DEVICE_SIZE + 4096, &settled, &x, &why), -EPERM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_begun), TEST(test_on_its_way), TEST(test_after_a_step), TEST(test_last_step), TEST(test_all_done), TEST(test_settled),
                TEST(test_plain_behind_encrypted), TEST(test_plain_elsewhere), TEST(test_first_part_elsewhere),
                TEST(test_first_part_moved_elsewhere), TEST(test_other_tweak),
                TEST(test_null_cipher), TEST(test_hole), TEST(test_decryption), TEST(test_other_resilience), TEST(test_larger_device),
        };

        return cmocka_run_group_tests_name("encryption", tests, NULL, NULL);
}
