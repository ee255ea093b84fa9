/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/luks-open.c daemon/disk/luks-format.c daemon/disk/luks-wrap.c daemon/disk/luks-encrypt.c daemon/disk/luks-reencrypt.c daemon/disk/luks-log.c daemon/disk/luks-recovery.c daemon/disk/recovery-text.c daemon/disk/activation.c daemon/disk/encryption.c daemon/disk/reencryption.c daemon/disk/header.c daemon/disk/header-successor.c daemon/disk/header-write.c daemon/disk/device.c daemon/disk/header-check.c daemon/disk/token.c daemon/disk/manifest.c daemon/disk/strict-json.c daemon/disk/unlock-key.c tests/unit/header-image.c
// libs: libcryptsetup json-c blkid

/* Another volume key: the header that is made for it, as it is, on its way, at its end, and as a stranger with the disk would have it;
 * and the data, which is done here with nobody using it. */

#include "common/disk-serve.h"
#include "disk/header-write.h"
#include "disk/luks.h"
#include "disk/manifest.h"
#include "disk/recovery-text.h"
#include "disk/unlock-key.h"
#include "header-image.h"

#include <endian.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define OFFSET ((uint64_t) LUKS_FORMAT_DATA_OFFSET)
#define DATA (40u << 20)              /* three parts, the last one smaller */
#define DEVICE_SIZE (OFFSET + DATA)
#define PROBE 65536u                  /* of the data, at the beginning of each MiB */

struct rekeyed {
        struct secret *unlock_key, *old_key, *new_key;
        int device, image;
        char path[32];
        uint8_t *plain;               /* PROBE bytes of each MiB */
        struct json_object *metadata; /* for a test to change */
};

int op_fail(struct disk_reply *y _unused_, int error, enum exit_code code _unused_, const char *format _unused_, ...) {
        return error;
}

static void decrypt(const struct rekeyed *b, const struct secret *key, uint8_t *ret) {
        EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
        int n;

        for (uint64_t at = 0; at < DATA; at += 1 << 20, ret += PROBE) {
                assert_int_equal(pread(b->device, ret, PROBE, (off_t) (OFFSET + at)), PROBE);
                for (size_t i = 0; i < PROBE; i += 512) {
                        const uint64_t tweak[2] = { htole64((at + i) / 512) };

                        assert_true(EVP_DecryptInit_ex(c, EVP_aes_256_xts(), NULL, secret_cdata(key), (const uint8_t *) tweak));
                        assert_true(EVP_DecryptUpdate(c, ret + i, &n, ret + i, 512));
                }
        }
        EVP_CIPHER_CTX_free(c);
}

static size_t probes(void) {
        return (size_t) (DATA >> 20) * PROBE;
}

/* What that key makes of the data: how many of the places are what they were. */
static unsigned readable(const struct rekeyed *b, const struct secret *key) {
        _cleanup_(freep) uint8_t *now = malloc(probes());
        unsigned n = 0;

        decrypt(b, key, now);
        for (size_t i = 0; i < probes(); i += PROBE)
                n += memcmp(now + i, b->plain + i, PROBE) == 0;
        return n;
}

static struct header *read_from(int fd) {
        struct header *h = NULL;
        struct header_why why = {};

        if (header_read(fd, DEVICE_SIZE, &h, &why) < 0)
                fail_msg("%s", why.text);
        return h;
}

static void copy(int from, int to, uint64_t size) {
        _cleanup_(freep) uint8_t *b = malloc(size);
        ssize_t n = pread(from, b, size, 0);

        assert_true(n > 0);
        assert_int_equal(pwrite(to, b, (size_t) n, 0), n);
}

/* A volume with the header that begins, in b->image. */
static void prepare(struct rekeyed *b) {
        struct luks_rekey k = {};
        _cleanup_(header_freep) struct header *h = read_from(b->device);
        struct luks l = {};

        k.keyslot = h->layout.wraps[0].token.keyslot;
        k.unlock_key = b->unlock_key;
        k.new_key = b->new_key;
        if (luks_rekey_stage(&l, h, b->path, &k, &b->image) < 0)
                fail_msg("%s", l.said);
        luks_close(&l);
        if (luks_rekey_begin(&l, b->image, b->path, 0, b->unlock_key, NULL, 512) < 0)
                fail_msg("%s", l.said);
        luks_close(&l);
}

static void read_metadata(struct rekeyed *b) {
        _cleanup_(header_freep) struct header *h = read_from(b->image);

        b->metadata = json_object_get(h->metadata);
}

static int set_up(void **state) {
        struct rekeyed *b = calloc(1, sizeof(*b));
        _cleanup_(closep) int header = -EBADF;
        _cleanup_(freep) uint8_t *random = malloc(PROBE);
        struct token token;
        struct luks l = {};
        struct luks_format f = { .uuid = IMAGE_UUID, .label = "data1", .sector_size = 512, .token = &token };

        image_token(&token);
        b->image = -EBADF;
        assert_int_equal(secret_random(UNLOCK_KEY_SIZE, &b->unlock_key), 0);
        assert_int_equal(secret_random(VOLUME_KEY_SIZE, &b->old_key), 0);
        assert_int_equal(secret_random(VOLUME_KEY_SIZE, &b->new_key), 0);
        f.unlock_key = b->unlock_key;
        f.volume_key = b->old_key;
        assert_int_equal(luks_format_image(&l, &f, &header), 0);
        luks_close(&l);
        b->device = memfd_create("device", MFD_CLOEXEC);
        assert_int_equal(ftruncate(b->device, DEVICE_SIZE), 0);
        copy(header, b->device, OFFSET);
        snprintf(b->path, sizeof(b->path), "/proc/self/fd/%d", b->device);
        random_bytes(random, PROBE);
        for (uint64_t at = OFFSET; at < DEVICE_SIZE; at += 1 << 20)
                assert_int_equal(pwrite(b->device, random, PROBE, (off_t) at), PROBE);
        b->plain = malloc(probes());
        decrypt(b, b->old_key, b->plain);
        prepare(b);
        read_metadata(b);
        *state = b;
        return 0;
}

static int tear_down(void **state) {
        struct rekeyed *b = *state;

        secret_free(b->unlock_key);
        secret_free(b->old_key);
        secret_free(b->new_key);
        safe_close(b->device);
        safe_close(b->image);
        json_object_put(b->metadata);
        free(b->plain);
        free(b);
        return 0;
}

static void opens(struct rekeyed *b, const struct header *h, const struct secret *expected) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        _cleanup_(luks_close) struct luks l = {};

        assert_int_equal(luks_open(&l, h, b->path), 0);
        assert_int_equal(luks_unlock(&l, h->layout.wraps[0].token.keyslot, b->unlock_key, &key), 0);
        assert_true(secret_equal(key, expected));
}

static void test_begun(void **state) {
        struct rekeyed *b = *state;
        _cleanup_(header_freep) struct header *h = read_from(b->image), *plain = NULL;
        struct header_why why = {};

        assert_true(h->encryption.under_way && h->encryption.rekeys);
        assert_int_equal(h->encryption.plain, DATA);
        assert_int_equal(h->encryption.size, DATA);
        assert_int_equal(h->encryption.shift, OFFSET);
        assert_int_equal(h->encryption.old_digest, 0);
        assert_int_equal(h->layout.digest, 1);
        assert_int_not_equal(h->layout.wraps[0].token.keyslot, 0);
        opens(b, h, b->new_key);
        /* nobody takes it over like this */
        assert_int_equal(header_read_plain(b->image, DEVICE_SIZE, &plain, &why), -EPERM);
}

struct stop {
        unsigned after;               /* calls; 0: never */
        struct rekeyed *at_end;       /* what is there when all parts are done goes into its image, as a kill would leave it */
};

static int on_progress(uint64_t size, uint64_t done, void *user) {
        struct stop *s = user;

        if (s->at_end && done == size)
                copy(s->at_end->device, s->at_end->image, OFFSET);
        return s->after > 0 && --s->after == 0;
}

static int run(struct rekeyed *b, struct stop *s) {
        _cleanup_(header_freep) struct header *h = read_from(b->device);
        struct luks l = {};
        int r = luks_encrypt_run(&l, h, b->path, NULL, h->layout.wraps[0].token.keyslot, b->unlock_key, on_progress, s);

        if (r < 0)
                print_message("%s\n", l.said);
        luks_close(&l);
        return r;
}

/* What libcryptsetup leaves is what header_settle() said from the beginning: the manifest is over that. */
static void test_done(void **state) {
        struct rekeyed *b = *state;
        _cleanup_(header_freep) struct header *begun = read_from(b->image), *h = NULL;
        struct stop never = {};

        assert_int_equal(readable(b, b->old_key), DATA >> 20);
        copy(b->image, b->device, OFFSET);
        assert_int_equal(run(b, &never), 0);
        h = read_from(b->device);
        assert_false(h->encryption.under_way);
        assert_true(json_object_equal(h->metadata, begun->settled));
        assert_int_equal(h->layout.digest, 1);
        opens(b, h, b->new_key);
        assert_int_equal(readable(b, b->new_key), DATA >> 20);
        assert_int_equal(readable(b, b->old_key), 0);
}

static void test_interrupted(void **state) {
        struct rekeyed *b = *state;
        _cleanup_(header_freep) struct header *begun = read_from(b->image), *h = NULL, *end = NULL;
        struct stop stop = { .after = 2 }, never = {};

        copy(b->image, b->device, OFFSET);
        assert_int_equal(run(b, &stop), 0);
        h = read_from(b->device);
        assert_true(h->encryption.under_way && h->encryption.rekeys);
        assert_true(h->encryption.plain > 0 && h->encryption.plain < DATA);
        assert_true(json_object_equal(h->settled, begun->settled));
        assert_int_equal(readable(b, b->new_key), (DATA - h->encryption.plain) >> 20);
        assert_int_equal(readable(b, b->old_key), h->encryption.plain >> 20);
        assert_int_equal(run(b, &never), 0);
        end = read_from(b->device);
        assert_true(json_object_equal(end->metadata, begun->settled));
        assert_int_equal(readable(b, b->new_key), DATA >> 20);
}

/* All is done but that the header says so: it is ended by the node, since libcryptsetup would do all of it a second time. */
static void test_ended(void **state) {
        struct rekeyed *b = *state;
        _cleanup_(header_freep) struct header *begun = read_from(b->image), *h = NULL, *end = NULL;
        struct stop at_end = { .at_end = b };
        _cleanup_(closep) int image = -EBADF;

        copy(b->image, b->device, OFFSET);
        assert_int_equal(run(b, &at_end), 0);
        h = read_from(b->image);
        assert_true(h->encryption.under_way && h->encryption.rekeys);
        assert_int_equal(h->encryption.plain, 0);
        assert_int_equal(readable(b, b->new_key), DATA >> 20);
        image = header_settled(h);
        assert_true(image >= 0);
        end = read_from(image);
        assert_true(json_object_equal(end->metadata, begun->settled));
        assert_true(end->copy.seqid > h->copy.seqid);
        opens(b, end, b->new_key);
}

/* And once more: the numbers of keys and keyslots that are free again are used again. */
static void test_again(void **state) {
        struct rekeyed *b = *state;
        _cleanup_(header_freep) struct header *begun = NULL, *h = NULL;
        struct stop never = {};

        copy(b->image, b->device, OFFSET);
        assert_int_equal(run(b, &never), 0);
        b->image = safe_close(b->image);
        secret_free(b->old_key);
        b->old_key = b->new_key;
        assert_int_equal(secret_random(VOLUME_KEY_SIZE, &b->new_key), 0);
        prepare(b);
        begun = read_from(b->image);
        assert_int_equal(begun->encryption.old_digest, 1);
        assert_int_equal(begun->layout.digest, 0);
        copy(b->image, b->device, OFFSET);
        assert_int_equal(run(b, &never), 0);
        h = read_from(b->device);
        assert_true(json_object_equal(h->metadata, begun->settled));
        opens(b, h, b->new_key);
        assert_int_equal(readable(b, b->new_key), DATA >> 20);
        assert_int_equal(readable(b, b->old_key), 0);
}

/* ---- other keyslots ---- */

static void add_keyslot(struct rekeyed *b, const struct secret *unlock_key, const char *key) {
        _cleanup_(header_freep) struct header *h = read_from(b->device);
        _cleanup_(closep) int image = -EBADF;
        struct token t = h->layout.wraps[0].token;
        struct luks l = {};

        snprintf(t.key, sizeof(t.key), "%s", key);
        if (luks_wrap_add(&l, h, b->path, b->old_key, unlock_key, &t, &image) < 0)
                fail_msg("%s", l.said);
        luks_close(&l);
        copy(image, b->device, OFFSET);
}

static void test_two_keys(void **state) {
        struct rekeyed *b = *state;
        _cleanup_(secret_freep) struct secret *second = NULL, *bridge = NULL, *key = NULL;
        _cleanup_(header_freep) struct header *h = NULL, *new = NULL;
        struct luks_rekey k = { .keyslot = 0 };
        struct luks l = {};

        assert_int_equal(secret_random(UNLOCK_KEY_SIZE, &second), 0);
        add_keyslot(b, second, "https://b.vault.azure.net/keys/k2/0123456789abcdef0123456789abcdef");
        h = read_from(b->device);
        assert_int_equal(h->layout.n_wraps, 2);
        assert_int_equal(bridge_key_derive(b->old_key, &bridge), 0);
        k.unlock_key = b->unlock_key;
        k.new_key = b->new_key;
        k.bridge = bridge;
        b->image = safe_close(b->image);
        assert_int_equal(luks_rekey_stage(&l, h, b->path, &k, &b->image), 0);
        luks_close(&l);
        assert_int_equal(luks_rekey_wrap(&l, b->image, b->path, h->layout.wraps[1].token.keyslot, second, bridge), 0);
        luks_close(&l);
        if (luks_rekey_begin(&l, b->image, b->path, 0, b->unlock_key, bridge, 512) < 0)
                fail_msg("%s", l.said);
        luks_close(&l);
        new = read_from(b->image);
        assert_int_equal(new->layout.n_wraps, 2);
        assert_int_equal(luks_open(&l, new, b->path), 0);
        assert_int_equal(luks_unlock(&l, new->layout.wraps[1].token.keyslot, second, &key), 0);
        assert_true(secret_equal(key, b->new_key));
        for (unsigned i = 0; i < HEADER_KEYSLOTS_MAX; i++) {
                _cleanup_(secret_freep) struct secret *unused = NULL;

                if (new->layout.areas[i].used)
                        assert_int_equal(luks_unlock(&l, (int) i, bridge, &unused), -ENOKEY);
        }
        luks_close(&l);
        opens(b, new, b->new_key);
}

/* A recovery key, with its token: it goes over, or it and its token go. */
static struct header *rekey_with_recovery(struct rekeyed *b, const struct secret *text, bool drop) {
        _cleanup_(header_freep) struct header *h = read_from(b->device);
        _cleanup_(closep) int with = -EBADF;
        struct luks_rekey k = { .keyslot = 0 };
        struct header *old;
        struct luks l = {};

        assert_int_equal(luks_recovery_add(&l, h, b->path, b->old_key, text, NULL, &with), 0);
        luks_close(&l);
        copy(with, b->device, OFFSET);
        old = read_from(b->device);
        assert_true(old->layout.recovery_keyslot > 0);
        k.unlock_key = b->unlock_key;
        k.new_key = b->new_key;
        k.drop[old->layout.recovery_keyslot] = drop;
        k.passphrases[old->layout.recovery_keyslot] = drop ? NULL : text;
        b->image = safe_close(b->image);
        assert_int_equal(luks_rekey_stage(&l, old, b->path, &k, &b->image), 0);
        luks_close(&l);
        header_free(old);
        if (luks_rekey_begin(&l, b->image, b->path, 0, b->unlock_key, NULL, 512) < 0)
                fail_msg("%s", l.said);
        luks_close(&l);
        return read_from(b->image);
}

static void test_recovery_key(void **state) {
        struct rekeyed *b = *state;
        _cleanup_(secret_freep) struct secret *text = NULL, *key = NULL;
        _cleanup_(header_freep) struct header *begun = NULL, *h = NULL;
        struct stop never = {};
        struct luks l = {};

        assert_int_equal(recovery_text_make(&text), 0);
        begun = rekey_with_recovery(b, text, false);
        copy(b->image, b->device, OFFSET);
        assert_int_equal(run(b, &never), 0);
        h = read_from(b->device);
        assert_true(json_object_equal(h->metadata, begun->settled));
        assert_true(h->layout.recovery_keyslot > 0);
        assert_int_equal(luks_open(&l, h, b->path), 0);
        assert_int_equal(luks_recovery_unlock(&l, h, text, &key), 0);
        luks_close(&l);
        assert_true(secret_equal(key, b->new_key));
}

static void test_dropped(void **state) {
        struct rekeyed *b = *state;
        _cleanup_(secret_freep) struct secret *text = NULL;
        _cleanup_(header_freep) struct header *begun = NULL, *h = NULL;
        struct stop never = {};

        assert_int_equal(recovery_text_make(&text), 0);
        begun = rekey_with_recovery(b, text, true);
        copy(b->image, b->device, OFFSET);
        assert_int_equal(run(b, &never), 0);
        h = read_from(b->device);
        assert_true(json_object_equal(h->metadata, begun->settled));
        assert_int_equal(h->layout.recovery_keyslot, -1);
        assert_int_equal(json_object_object_length(json_object_object_get(h->metadata, "tokens")), 1);
        assert_int_equal(json_object_object_length(json_object_object_get(h->metadata, "keyslots")), 1);
}

/* ---- as a stranger would have it ---- */

static struct json_object *segment(struct rekeyed *b, const char *id) {
        return json_object_object_get(json_object_object_get(b->metadata, "segments"), id);
}

static void refused(struct rekeyed *b) {
        struct json_object *settled = NULL;
        struct header_encryption x;
        struct header_why why = {};

        assert_int_equal(header_settle(b->metadata, DEVICE_SIZE, &settled, &x, &why), -EPERM);
        assert_true(*why.text);
}

static void test_null_cipher(void **state) {
        json_object_object_add(segment(*state, "0"), "encryption", json_object_new_string("cipher_null-ecb"));
        refused(*state);
}

static void test_null_cipher_before(void **state) {
        json_object_object_add(segment(*state, "1"), "encryption", json_object_new_string("cipher_null-ecb"));
        refused(*state);
}

static void test_plain_part(void **state) {
        json_object_object_add(segment(*state, "0"), "type", json_object_new_string("linear"));
        refused(*state);
}

static void test_elsewhere(void **state) {
        json_object_object_add(segment(*state, "0"), "offset", json_object_new_string("16781312"));
        refused(*state);
}

static void test_other_tweak(void **state) {
        json_object_object_add(segment(*state, "0"), "iv_tweak", json_object_new_string("8"));
        refused(*state);
}

static void test_hole(void **state) {
        json_object_object_add(segment(*state, "0"), "size", json_object_new_string("4096"));
        refused(*state);
}

static struct json_object *copy_of(struct json_object *o) {
        struct json_object *new = NULL;

        assert_int_equal(json_object_deep_copy(o, &new, NULL), 0);
        return new;
}

static void set_segments(struct rekeyed *b, const char *digest, const char *first, const char *second) {
        struct json_object *list = json_object_new_array();

        json_object_array_add(list, json_object_new_string(first));
        json_object_array_add(list, json_object_new_string(second));
        json_object_object_add(json_object_object_get(json_object_object_get(b->metadata, "digests"), digest), "segments", list);
}

/* The first MiB and the rest. What was and what will be are segments 2 and 3 then. */
static void test_order(void **state) {
        struct rekeyed *b = *state;
        struct json_object *segments = json_object_object_get(b->metadata, "segments"), *new = json_object_new_object(), *settled;
        struct header_encryption x;
        struct header_why why = {};

        for (unsigned i = 0; i < 4; i++) {
                char to[2] = { (char) ('0' + i) }, from[2] = { (char) (i == 0 ? '0' : '0' + i - 1) };

                json_object_object_add(new, to, copy_of(json_object_object_get(segments, from)));
        }
        json_object_object_add(b->metadata, "segments", new);
        json_object_object_add(segment(b, "0"), "size", json_object_new_string("1048576"));
        json_object_object_add(segment(b, "1"), "offset", json_object_new_string("17825792"));
        json_object_object_add(segment(b, "1"), "iv_tweak", json_object_new_string("2048"));
        set_segments(b, "0", "1", "2");
        set_segments(b, "1", "0", "3");
        if (header_settle(b->metadata, DEVICE_SIZE, &settled, &x, &why) < 0)
                fail_msg("%s", why.text);
        assert_int_equal(x.plain, DATA - (1 << 20));
        json_object_put(settled);
        set_segments(b, "0", "0", "2");
        set_segments(b, "1", "1", "3");
        refused(b);
}

static void test_nobodys_part(void **state) {
        struct rekeyed *b = *state;
        struct json_object *digest = json_object_object_get(json_object_object_get(b->metadata, "digests"), "0");

        /* it names segments 0 and 1, what counts and what was before */
        json_object_array_del_idx(json_object_object_get(digest, "segments"), 0, 1);
        refused(b);
}

/* libcryptsetup would not write it; what is taken out goes by its name. */
static void test_nameless_keyslot(void **state) {
        struct rekeyed *b = *state;
        struct json_object *digest = json_object_object_get(json_object_object_get(b->metadata, "digests"), "0");

        json_object_array_add(json_object_object_get(digest, "keyslots"), NULL);
        refused(b);
}

static struct json_object *reencrypt(struct rekeyed *b) {
        json_object_object_foreach(json_object_object_get(b->metadata, "keyslots"), id, slot) {
                (void) id;
                if (streq(json_object_get_string(json_object_object_get(slot, "type")), "reencrypt"))
                        return slot;
        }
        fail();
        return NULL;
}

static void test_decryption(void **state) {
        json_object_object_add(reencrypt(*state), "mode", json_object_new_string("decrypt"));
        refused(*state);
}

static void test_backward(void **state) {
        json_object_object_add(reencrypt(*state), "direction", json_object_new_string("backward"));
        refused(*state);
}

static void test_no_resilience(void **state) {
        json_object_object_add(json_object_object_get(reencrypt(*state), "area"), "type", json_object_new_string("none"));
        refused(*state);
}

static void test_smaller_device(void **state) {
        struct rekeyed *b = *state;
        struct json_object *settled;
        struct header_encryption x;
        struct header_why why;

        assert_int_equal(header_settle(b->metadata, OFFSET, &settled, &x, &why), -EPERM);
}

/* A header that was made once is enough for those that only look at it. */
static int look(void **state) {
        struct rekeyed *b = *state;

        json_object_put(b->metadata);
        read_metadata(b);
        return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define LOOK(name) cmocka_unit_test_setup_teardown(name, look, NULL)

int main(void) {
        const struct CMUnitTest tests[] = {
                LOOK(test_begun), TEST(test_done), TEST(test_interrupted), TEST(test_ended), TEST(test_again), TEST(test_two_keys), TEST(test_recovery_key), TEST(test_dropped), LOOK(test_null_cipher),
                LOOK(test_null_cipher_before), LOOK(test_plain_part), LOOK(test_elsewhere), LOOK(test_other_tweak), LOOK(test_hole), LOOK(test_order),
                LOOK(test_nobodys_part), LOOK(test_nameless_keyslot), LOOK(test_decryption), LOOK(test_backward), LOOK(test_no_resilience), LOOK(test_smaller_device),
        };

        return cmocka_run_group_tests_name("reencryption", tests, set_up, tear_down);
}
