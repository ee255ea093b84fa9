/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/luks-recovery.c daemon/disk/luks-wrap.c daemon/disk/header-write.c daemon/disk/foreign.c daemon/disk/recovery-text.c daemon/disk/luks-open.c daemon/disk/luks-format.c daemon/disk/luks-log.c daemon/disk/encryption.c daemon/disk/reencryption.c daemon/disk/header.c daemon/disk/header-check.c daemon/disk/token.c daemon/disk/manifest.c daemon/disk/strict-json.c daemon/disk/unlock-key.c tests/unit/header-image.c daemon/disk/activation.c
// libs: libcryptsetup json-c

/* A recovery key comes and goes: what the header is then, and what it is when the power fails at any byte on the way.
 * The disk is a memfd (failing-disk.h). */

#include "disk/activation.h"
#include "disk/foreign.h"
#include "disk/header-write.h"
#include "disk/luks.h"
#include "disk/luks-log.h"
#include "disk/manifest.h"
#include "disk/ops.h"
#include "disk/recovery-text.h"
#include "disk/unlock-key.h"
#include "header-image.h"

#include <libcryptsetup.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "failing-disk.h"

#define DEVICE_SIZE (LUKS_FORMAT_DATA_OFFSET + (1u << 20))
#define COPIES (2 * HEADER_SIZE_MIN / SECTOR)

struct made {
        struct secret *unlock_key, *volume_key, *text;
        struct device disk;
};

static int set_up(void **state) {
        struct made *m = calloc(1, sizeof(*m));
        struct token token;
        struct luks l = {};
        struct luks_format f = { .uuid = IMAGE_UUID, .label = "data1", .sector_size = 4096, .token = &token };

        image_token(&token);
        assert_int_equal(secret_random(UNLOCK_KEY_SIZE, &m->unlock_key), 0);
        assert_int_equal(secret_random(VOLUME_KEY_SIZE, &m->volume_key), 0);
        assert_int_equal(recovery_text_make(&m->text), 0);
        f.unlock_key = m->unlock_key;
        f.volume_key = m->volume_key;
        assert_int_equal(luks_format_image(&l, &f, &m->disk.fd), 0);
        luks_close(&l);
        m->disk.size = DEVICE_SIZE;
        snprintf(m->disk.path, sizeof(m->disk.path), "/proc/self/fd/%d", m->disk.fd);
        power = SIZE_MAX;
        *state = m;
        return 0;
}

static int tear_down(void **state) {
        struct made *m = *state;

        secret_free(m->unlock_key);
        secret_free(m->volume_key);
        secret_free(m->text);
        safe_close(m->disk.fd);
        free(m);
        return 0;
}

static struct header *read_header(const struct made *m) {
        struct header_why why = {};
        struct header *h = NULL;
        int r = header_read(m->disk.fd, DEVICE_SIZE, &h, &why);

        if (r < 0)
                fail_msg("%d: %s", r, why.text);
        return h;
}

/* The vault's way opens it, and what is enrolled is what is there. Returns whether the recovery key opens it too. */
static bool opens(const struct made *m) {
        _cleanup_(header_freep) struct header *h = read_header(m);
        _cleanup_(secret_freep) struct secret *key = NULL, *recovered = NULL;
        _cleanup_(luks_close) struct luks l = {};
        int r;

        assert_int_equal(luks_open(&l, h, m->disk.path), 0);
        assert_int_equal(luks_unlock(&l, h->layout.wraps[0].token.keyslot, m->unlock_key, &key), 0);
        assert_true(secret_equal(key, m->volume_key));
        assert_int_equal(manifest_verify(h->metadata, h->copy.uuid, key, h->layout.wraps[0].token.mac), 0);
        r = luks_recovery_unlock(&l, h, m->text, &recovered);
        if (r == 0)
                assert_true(secret_equal(recovered, m->volume_key));
        else
                assert_true(r == (h->layout.recovery_keyslot < 0 ? -ENOENT : -ENOKEY));
        return r == 0;
}

/* The new header for adding (or removing) the key, not on the disk yet. */
static struct header *make(const struct made *m, const struct header *old, bool add) {
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        struct header_why why = {};
        struct header *h;
        int r;

        r = add ? luks_recovery_add(&l, old, m->disk.path, m->volume_key, m->text, NULL, &image)
                : luks_recovery_remove(&l, old, m->disk.path, m->volume_key, &image);
        if (r < 0)
                fail_msg("%d: %s", r, l.said);
        r = header_read(image, DEVICE_SIZE, &h, &why);
        if (r < 0)
                fail_msg("%d: %s", r, why.text);
        return h;
}

static void change(const struct made *m, bool add) {
        _cleanup_(header_freep) struct header *old = read_header(m), *new = make(m, old, add);
        struct header_change c = { .old = old, .new = new, .device = &m->disk };

        assert_int_equal(header_change_begin(&c), 0);
        assert_int_equal(header_change_finish(&c), 0);
}

static void test_add_and_remove(void **state) {
        const struct made *m = *state;
        struct disk_reply y = {};

        assert_false(opens(m));
        change(m, true);
        assert_true(opens(m));
        {
                _cleanup_(header_freep) struct header *h = read_header(m);
                _cleanup_(freep) char *id = NULL;
                const struct json_object *slot, *kdf, *token;
                int64_t n;

                assert_false(h->damaged);
                header_describe(h, &y);
                assert_true(y.flags & DISK_FLAG_RECOVERY_KEY);
                assert_true(asprintf(&id, "%d", h->layout.recovery_keyslot) > 0);
                slot = strict_json_get(strict_json_get(h->metadata, "keyslots", json_type_object), id, json_type_object);
                kdf = strict_json_get(slot, "kdf", json_type_object);
                assert_string_equal(strict_json_string(kdf, "type"), "pbkdf2");
                assert_int_equal(strict_json_int(kdf, "iterations", 1000, &n), 0);
                assert_int_equal(n, 1000);
                token = strict_json_get(strict_json_get(h->metadata, "tokens", json_type_object), "1", json_type_object);
                assert_string_equal(json_object_to_json_string_ext((struct json_object *) token, JSON_C_TO_STRING_PLAIN),
                                    "{\"type\":\"systemd-recovery\",\"keyslots\":[\"1\"]}");
        }
        change(m, false);
        assert_false(opens(m));
        change(m, true);
        assert_true(opens(m));
}

static void test_twice(void **state) {
        const struct made *m = *state;
        _cleanup_(header_freep) struct header *none = read_header(m), *one = NULL;
        _cleanup_(luks_close) struct luks l = {};
        int image = -EBADF;

        assert_int_equal(luks_recovery_remove(&l, none, m->disk.path, m->volume_key, &image), -ENOENT);
        change(m, true);
        one = read_header(m);
        assert_int_equal(luks_recovery_add(&l, one, m->disk.path, m->volume_key, m->text, NULL, &image), -EEXIST);
}

/* Cuts the power after some sectors, every step-th of the copies, up to where the change is complete. Each time it
 * opens from what is on the disk then, and the change can be made again. */
static void cut_everywhere(struct made *m, bool add, size_t step) {
        _cleanup_(freep) uint8_t *image = malloc(DEVICE_SIZE);
        size_t total, done = 0;

        assert_int_equal(pread(m->disk.fd, image, DEVICE_SIZE, 0), DEVICE_SIZE);
        written = 0;
        change(m, add);
        total = written;
        assert_true(total >= COPIES);
        for (size_t sectors = 0; sectors < total; sectors += sectors + COPIES < total ? 63 : step) {
                _cleanup_(header_freep) struct header *old = NULL, *new = NULL;
                struct header_change c = { .device = &m->disk };
                bool was;

                assert_int_equal(pwrite(m->disk.fd, image, DEVICE_SIZE, 0), DEVICE_SIZE);
                c.old = old = read_header(m);
                was = old->layout.recovery_keyslot >= 0;
                c.new = new = make(m, old, add);
                power = sectors;
                assert_int_equal(header_change_begin(&c) < 0 ? -EIO : header_change_finish(&c), -EIO);
                power = SIZE_MAX;
                if (opens(m) != was) {
                        done++;
                        continue;
                }
                change(m, add);
                assert_true(opens(m) == add);
        }
        /* While the second of them is written the new header counts; both end with zeros, as before. */
        assert_true(done >= COPIES / 2 / step && done < COPIES / step);
}

static void test_power_fails(void **state) {
        cut_everywhere(*state, true, 1);
        cut_everywhere(*state, false, 3);
}

static struct header *make_rotated(const struct made *m, const struct header *old, const struct secret *text) {
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        struct header_why why = {};
        struct header *h;

        assert_int_equal(luks_recovery_rotate(&l, old, m->disk.path, m->volume_key, text, &image), 0);
        assert_int_equal(header_read(image, DEVICE_SIZE, &h, &why), 0);
        return h;
}

/* With the other text in the place of the volume's own. */
static bool opens_with(const struct made *m, struct secret *text) {
        struct made other = *m;

        other.text = text;
        return opens(&other);
}

/* One of the two keys opens it whenever the power fails, never both and never none. */
static void test_rotate(void **state) {
        struct made *m = *state;
        _cleanup_(freep) uint8_t *image = malloc(DEVICE_SIZE);
        _cleanup_(secret_freep) struct secret *text = NULL;
        size_t rotated = 0, n = 0;
        int r = -EIO;

        assert_int_equal(recovery_text_make(&text), 0);
        change(m, true);
        assert_int_equal(pread(m->disk.fd, image, DEVICE_SIZE, 0), DEVICE_SIZE);
        for (size_t sectors = 0; r < 0; sectors += sectors > 500 && sectors < 509 ? 1 : 3, n++) {
                _cleanup_(header_freep) struct header *old = NULL, *new = NULL;
                struct header_change c = { .device = &m->disk };

                assert_int_equal(pwrite(m->disk.fd, image, DEVICE_SIZE, 0), DEVICE_SIZE);
                c.old = old = read_header(m);
                c.new = new = make_rotated(m, old, text);
                assert_true(new->layout.recovery_keyslot != old->layout.recovery_keyslot);
                assert_int_equal(new->layout.recovery_token_id, old->layout.recovery_token_id);
                power = sectors;
                r = header_change_begin(&c);
                if (r >= 0)
                        r = header_change_finish(&c);
                power = SIZE_MAX;
                assert_true(opens(m) != opens_with(m, text));
                rotated += opens_with(m, text);
        }
        assert_true(rotated > 1 && rotated < n);
        assert_true(opens_with(m, text));
}

static void test_rotate_nothing(void **state) {
        const struct made *m = *state;
        _cleanup_(header_freep) struct header *old = read_header(m);
        _cleanup_(luks_close) struct luks l = {};
        int image = -EBADF;

        assert_int_equal(luks_recovery_rotate(&l, old, m->disk.path, m->volume_key, m->text, &image), -ENOENT);
}

static void spoil(const struct made *m, off_t at) {
        assert_int_equal(pwrite(m->disk.fd, "x", 1, at), 1);
}

/* One copy was bad before: the good one is the last to be written. */
static void test_damaged_first(void **state) {
        struct made *m = *state;

        spoil(m, 5000);
        cut_everywhere(m, true, 5);
        assert_true(opens(m));
        spoil(m, 5000);
        cut_everywhere(m, false, 5);
}

static void test_damaged_second(void **state) {
        struct made *m = *state;

        spoil(m, HEADER_SIZE_MIN + 5000);
        cut_everywhere(m, true, 5);
        spoil(m, HEADER_SIZE_MIN + 5000);
        cut_everywhere(m, false, 5);
}

static void undo(const struct made *m, bool damaged) {
        _cleanup_(header_freep) struct header *old = read_header(m), *new = make(m, old, true), *after = NULL;
        struct header_change c = { .old = old, .new = new, .device = &m->disk };

        assert_int_equal(header_change_begin(&c), 0);
        assert_true(opens(m));
        assert_int_equal(header_change_undo(&c), 0);
        assert_false(opens(m));
        after = read_header(m);
        assert_int_equal(after->copy.seqid, old->copy.seqid);
        assert_int_equal(after->damaged, damaged);
}

static void test_undo(void **state) {
        undo(*state, false);
}

static void test_undo_damaged(void **state) {
        spoil(*state, 5000);
        undo(*state, true);
}

/* Nothing is written where the new header would take something from the old one. */
static void test_no_successor(void **state) {
        const struct made *m = *state;
        _cleanup_(header_freep) struct header *old = read_header(m), *new = make(m, old, true);
        struct header_change c = { .old = new, .new = old, .device = &m->disk };
        const size_t slot = (size_t) new->layout.recovery_keyslot;

        power = 0;
        assert_int_equal(header_change_begin(&c), -EUCLEAN);
        c = (struct header_change) { .old = old, .new = new, .device = &m->disk };
        new->layout.areas[slot].offset = old->layout.areas[0].offset + old->layout.areas[0].size - 4096;
        assert_int_equal(header_change_begin(&c), -EUCLEAN);
        new->layout.areas[slot].offset = old->layout.areas[0].offset + old->layout.areas[0].size;
        new->layout.data_offset += 4096;
        assert_int_equal(header_change_begin(&c), -EUCLEAN);
        new->layout.data_offset -= 4096;
        assert_int_equal(header_change_begin(&c), -EIO);       /* now it would */
}

static void test_wiped(void **state) {
        const struct made *m = *state;
        _cleanup_(header_freep) struct header *with = NULL, *without = NULL;
        _cleanup_(freep) uint8_t *before = malloc(DEVICE_SIZE), *after = malloc(DEVICE_SIZE);
        uint64_t at, size;

        change(m, true);
        with = read_header(m);
        at = with->layout.areas[with->layout.recovery_keyslot].offset;
        size = with->layout.areas[with->layout.recovery_keyslot].size;
        change(m, false);
        without = read_header(m);
        assert_int_equal(pread(m->disk.fd, before, DEVICE_SIZE, 0), DEVICE_SIZE);
        assert_int_equal(header_wipe_free(&m->disk, without), 0);
        assert_int_equal(pread(m->disk.fd, after, DEVICE_SIZE, 0), DEVICE_SIZE);
        for (uint64_t i = at; i < at + size; i += 32)
                assert_memory_not_equal(before + i, after + i, 32);
        assert_memory_equal(before, after, 2 * HEADER_SIZE_MIN);
        assert_memory_equal(before + with->layout.data_offset, after + with->layout.data_offset,
                            DEVICE_SIZE - with->layout.data_offset);
        assert_false(opens(m));
}

/* ---- what others add ---- */

static struct crypt_device *as_stranger(const struct made *m) {
        struct crypt_device *cd;

        assert_int_equal(crypt_metadata_locking(NULL, 0), 0);
        crypt_set_log_callback(NULL, NULL, NULL);
        assert_int_equal(crypt_init(&cd, m->disk.path), 0);
        assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
        return cd;
}

static void add_keyslot(const struct made *m, int slot, const char *token) {
        static const struct crypt_pbkdf_type cheap = {
                .type = CRYPT_KDF_PBKDF2, .hash = "sha256", .iterations = 1000, .flags = CRYPT_PBKDF_NO_BENCHMARK,
        };
        struct crypt_device *cd = as_stranger(m);

        assert_int_equal(crypt_set_pbkdf_type(cd, &cheap), 0);
        assert_int_equal(crypt_keyslot_add_by_volume_key(cd, slot, (const char *) secret_cdata(m->volume_key),
                                                         VOLUME_KEY_SIZE, "stranger", 8), slot);
        if (token)
                assert_int_equal(crypt_token_json_set(cd, slot, token), slot);
        crypt_free(cd);
}

static void expect_foreign(const struct made *m, int result, const char *text) {
        _cleanup_(header_freep) struct header *h = read_header(m);
        struct foreign f = {};

        assert_int_equal(manifest_verify(h->metadata, h->copy.uuid, m->volume_key, h->layout.wraps[0].token.mac), -EUCLEAN);
        assert_int_equal(foreign_find(h->metadata, h->copy.uuid, m->volume_key, &h->layout, h->layout.wraps, &f), result);
        assert_string_equal(f.what.text, text);
        assert_int_equal(f.activation, 0);
}

static void set_flags(const struct made *m, uint32_t flags) {
        struct crypt_device *cd = as_stranger(m);

        assert_int_equal(crypt_persistent_flags_set(cd, CRYPT_FLAGS_ACTIVATION, flags), 0);
        crypt_free(cd);
}

static unsigned find_only_flags(const struct made *m, const char *text) {
        _cleanup_(header_freep) struct header *h = read_header(m);
        struct foreign f = {};

        assert_int_equal(foreign_find(h->metadata, h->copy.uuid, m->volume_key, &h->layout, h->layout.wraps, &f), 0);
        assert_true(f.only_flags);
        assert_string_equal(f.what.text, text);
        return f.activation;
}

static void seal_as_it_is(const struct made *m) {
        _cleanup_(header_freep) struct header *h = read_header(m);
        _cleanup_(luks_close) struct luks l = {};

        assert_int_equal(luks_reseal(&l, m->disk.fd, h, m->disk.path, m->volume_key), 0);
}

/* What "cryptsetup refresh --persistent" leaves: named, with what was enrolled; and once it was, the other way round. */
static void test_foreign_flags(void **state) {
        const struct made *m = *state;

        set_flags(m, CRYPT_ACTIVATE_ALLOW_DISCARDS|CRYPT_ACTIVATE_NO_READ_WORKQUEUE);
        assert_int_equal(find_only_flags(m, "the flags allow-discards no-read-workqueue instead of none"), 0);
        set_flags(m, 0);                       /* an empty list where there was none */
        assert_int_equal(find_only_flags(m, ""), 0);
        set_flags(m, CRYPT_ACTIVATE_SAME_CPU_CRYPT);
        add_keyslot(m, 5, NULL);
        expect_foreign(m, 0, "keyslot 5, the flags same-cpu-crypt instead of none");
        seal_as_it_is(m);
        set_flags(m, CRYPT_ACTIVATE_ALLOW_DISCARDS);
        assert_int_equal(find_only_flags(m, "the flags allow-discards instead of the flags same-cpu-crypt"), ACTIVATION_SAME_CPU);
        set_flags(m, 0);
        assert_int_equal(find_only_flags(m, "no flags instead of the flags same-cpu-crypt"), ACTIVATION_SAME_CPU);
}

static void test_foreign(void **state) {
        const struct made *m = *state;

        add_keyslot(m, 5, NULL);
        expect_foreign(m, 0, "keyslot 5");
        add_keyslot(m, 3, "{\"type\":\"systemd-tpm2\",\"keyslots\":[\"3\"]}");
        expect_foreign(m, 0, "keyslot 5, keyslot 3, token 3 (systemd-tpm2)");
}

/* A second key that calls itself a recovery key is as foreign as any. */
static void test_foreign_beside_recovery(void **state) {
        const struct made *m = *state;

        change(m, true);
        add_keyslot(m, 7, "{\"type\":\"systemd-recovery\",\"keyslots\":[\"7\"]}");
        expect_foreign(m, 0, "keyslot 7, token 7 (systemd-recovery)");
}

static void test_foreign_recovery(void **state) {
        const struct made *m = *state;

        add_keyslot(m, 7, "{\"type\":\"systemd-recovery\",\"keyslots\":[\"7\"]}");
        expect_foreign(m, 0, "keyslot 7, token 7 (systemd-recovery)");
}

/* How many tokens there are, and of them in escrow. */
static unsigned count_tokens(const struct header *h, unsigned *ret_escrowed) {
        struct json_object *tokens;
        unsigned n = 0;

        *ret_escrowed = 0;
        assert_true(json_object_object_get_ex(h->metadata, "tokens", &tokens));
        json_object_object_foreach(tokens, id, token) {
                struct json_object *type;

                (void) id;
                n++;
                assert_true(json_object_object_get_ex(token, "type", &type));
                *ret_escrowed += streq(json_object_get_string(type), LUKS_ESCROW_TYPE);
        }
        return n;
}

/* It opens as any recovery key, and its token goes with it, whatever takes it away. */
static void test_escrow(void **state) {
        const struct made *m = *state;
        static const uint8_t wrapped[512] = { 1, 2, 3 };
        const struct luks_escrow escrow = {
                .key = "https://other.vault.azure.net/keys/escrow/0123456789abcdef0123456789abcdef", .algorithm = "RSA-OAEP-256",
                .wrapped = wrapped, .wrapped_size = sizeof(wrapped),
        };
        _cleanup_(header_freep) struct header *old = read_header(m), *new = NULL, *rotated = NULL, *removed = NULL;
        struct header_change c = { .old = old, .device = &m->disk };
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        struct header_why why;
        unsigned escrowed;

        assert_int_equal(luks_recovery_add(&l, old, m->disk.path, m->volume_key, m->text, &escrow, &image), 0);
        assert_int_equal(header_read(image, DEVICE_SIZE, &new, &why), 0);
        assert_int_equal(count_tokens(new, &escrowed), 3);
        assert_int_equal(escrowed, 1);
        c.new = new;
        assert_int_equal(header_change_begin(&c), 0);
        assert_int_equal(header_change_finish(&c), 0);
        assert_true(opens(m));
        /* a stranger's is known beside it */
        add_keyslot(m, 7, "{\"type\":\"systemd-tpm2\",\"keyslots\":[\"7\"]}");
        expect_foreign(m, 0, "keyslot 7, token 7 (systemd-tpm2)");
        rotated = make_rotated(m, new, m->text);
        assert_int_equal(count_tokens(rotated, &escrowed), 2);
        assert_int_equal(escrowed, 0);
        removed = make(m, new, false);
        assert_int_equal(count_tokens(removed, &escrowed), 1);
        assert_int_equal(escrowed, 0);
}

/* What opened it before it was taken over: a keyslot without a token, and one of another program, that the manifest knows. */
static void test_foreign_beside_old(void **state) {
        const struct made *m = *state;
        _cleanup_(header_freep) struct header *old = NULL, *new = NULL;
        struct header_change c = { .device = &m->disk };
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        struct header_why why;

        add_keyslot(m, 5, NULL);
        add_keyslot(m, 3, "{\"type\":\"systemd-tpm2\",\"keyslots\":[\"3\"]}");
        c.old = old = read_header(m);
        assert_int_equal(luks_open_image(&l, old, m->disk.path, &image), 0);
        assert_int_equal(luks_seal(&l, old->layout.wraps, old->layout.n_wraps, m->volume_key), 0);
        assert_int_equal(header_read(image, DEVICE_SIZE, &new, &why), 0);
        c.new = new;
        assert_int_equal(header_change_begin(&c), 0);
        assert_int_equal(header_change_finish(&c), 0);
        change(m, true);
        assert_true(opens(m));
        add_keyslot(m, 7, NULL);
        expect_foreign(m, 0, "keyslot 7");
}

/* What was enrolled has changed, whatever was added besides. */
static void test_foreign_and_changed(void **state) {
        const struct made *m = *state;
        struct crypt_device *cd;

        change(m, true);
        add_keyslot(m, 5, NULL);
        cd = as_stranger(m);
        assert_int_equal(crypt_keyslot_set_priority(cd, 0, CRYPT_SLOT_PRIORITY_IGNORE), 0);
        crypt_free(cd);
        expect_foreign(m, -EUCLEAN, "");
}

static void test_recovery_taken_away(void **state) {
        const struct made *m = *state;
        struct crypt_device *cd;

        change(m, true);
        cd = as_stranger(m);
        assert_int_equal(crypt_keyslot_destroy(cd, 1), 0);
        crypt_free(cd);
        expect_foreign(m, -EUCLEAN, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_add_and_remove), TEST(test_twice), TEST(test_power_fails), TEST(test_damaged_first),
                TEST(test_damaged_second), TEST(test_undo), TEST(test_undo_damaged), TEST(test_no_successor),
                TEST(test_wiped), TEST(test_rotate), TEST(test_rotate_nothing), TEST(test_escrow), TEST(test_foreign_beside_old),
                TEST(test_foreign), TEST(test_foreign_flags), TEST(test_foreign_beside_recovery), TEST(test_foreign_recovery),
                TEST(test_foreign_and_changed), TEST(test_recovery_taken_away),
        };

        return cmocka_run_group_tests_name("luks-recovery", tests, NULL, NULL);
}
