/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/luks-wrap.c daemon/disk/luks-recovery.c daemon/disk/volume.c daemon/disk/header-write.c daemon/disk/header-successor.c daemon/disk/foreign.c daemon/disk/recovery-text.c daemon/disk/luks-open.c daemon/disk/luks-format.c daemon/disk/luks-log.c daemon/disk/header.c daemon/disk/header-check.c daemon/disk/token.c daemon/disk/manifest.c daemon/disk/strict-json.c daemon/disk/unlock-key.c tests/unit/header-image.c daemon/disk/encryption.c daemon/disk/reencryption.c daemon/disk/activation.c
// libs: libcryptsetup json-c

/* A header becomes one of another UUID that nothing of before opens, and the power fails at any sector on the way. The disk is a memfd
 * (failing-disk.h). */

#include "disk/header-write.h"
#include "disk/ops.h"
#include "disk/unlock-key.h"
#include "disk/volume.h"
#include "header-image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "failing-disk.h"

#define DEVICE_SIZE (LUKS_FORMAT_DATA_OFFSET + (1u << 20))
#define COPIES (2 * HEADER_SIZE_MIN / SECTOR)
#define COPY_UUID "9e2f6e3c-5b1a-4f7e-9c0d-665544332211"

/* what volume.c has beside the manifest is not for here */
int op_read_secret(struct secret **ret _unused_, struct disk_reply *y _unused_) {
        return -EBADF;
}

int device_open(const char *path _unused_, struct device *ret _unused_, struct disk_reply *y _unused_) {
        return -ENODEV;
}

void device_close(struct device *d _unused_) {
}

struct made {
        struct secret *image_key, *copy_key, *recovery_key, *volume_key;     /* the first three open keyslots */
        struct device disk;
};

static struct header *read_header(const struct made *m) {
        struct header_why why = {};
        struct header *h = NULL;
        int r = header_read(m->disk.fd, DEVICE_SIZE, &h, &why);

        if (r < 0)
                fail_msg("%d: %s", r, why.text);
        return h;
}

static void write_image(const struct made *m, const struct header *old, int image) {
        struct header_change c = { .old = old, .device = &m->disk };
        _cleanup_(header_freep) struct header *new = NULL;
        struct header_why why = {};

        assert_int_equal(header_read(image, DEVICE_SIZE, &new, &why), 0);
        c.new = new;
        assert_int_equal(header_change_begin(&c), 0);
        assert_int_equal(header_change_finish(&c), 0);
}

/* As an image has it: a key of its own and a recovery key. */
static int set_up(void **state) {
        struct made *m = calloc(1, sizeof(*m));
        _cleanup_(header_freep) struct header *h = NULL;
        _cleanup_(closep) int image = -EBADF;
        struct luks l = {}, recovery = {};
        struct token token;
        struct luks_format f = { .uuid = IMAGE_UUID, .label = "data1", .sector_size = 4096, .token = &token };

        image_token(&token);
        assert_int_equal(secret_random(UNLOCK_KEY_SIZE, &m->image_key), 0);
        assert_int_equal(secret_random(UNLOCK_KEY_SIZE, &m->copy_key), 0);
        assert_int_equal(secret_random(64, &m->recovery_key), 0);
        assert_int_equal(secret_random(VOLUME_KEY_SIZE, &m->volume_key), 0);
        f.unlock_key = m->image_key;
        f.volume_key = m->volume_key;
        assert_int_equal(luks_format_image(&l, &f, &m->disk.fd), 0);
        luks_close(&l);
        m->disk.size = DEVICE_SIZE;
        snprintf(m->disk.path, sizeof(m->disk.path), "/proc/self/fd/%d", m->disk.fd);
        power = SIZE_MAX;
        h = read_header(m);
        assert_int_equal(luks_recovery_add(&recovery, h, m->disk.path, m->volume_key, m->recovery_key, NULL, &image), 0);
        luks_close(&recovery);
        write_image(m, h, image);
        *state = m;
        return 0;
}

static int tear_down(void **state) {
        struct made *m = *state;

        secret_free(m->image_key);
        secret_free(m->copy_key);
        secret_free(m->recovery_key);
        secret_free(m->volume_key);
        safe_close(m->disk.fd);
        free(m);
        return 0;
}

static int try_slot(const struct made *m, const struct header *h, int keyslot, const struct secret *passphrase) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        _cleanup_(luks_close) struct luks l = {};
        int r;

        assert_int_equal(luks_open(&l, h, m->disk.path), 0);
        r = luks_unlock(&l, keyslot, passphrase, &key);
        if (r >= 0)
                assert_true(secret_equal(key, m->volume_key));
        return r;
}

/* Wholly one or wholly the other: of that UUID in header, token and manifest, and opened by its own key alone. Returns whether it is the
 * copy's. */
static bool is_copy(const struct made *m) {
        _cleanup_(header_freep) struct header *h = read_header(m);
        bool copy = streq(h->copy.uuid, COPY_UUID);
        const struct token *t = &h->layout.wraps[0].token;
        unsigned used = 0;

        assert_true(copy || streq(h->copy.uuid, IMAGE_UUID));
        assert_int_equal(h->layout.n_wraps, 1);
        assert_string_equal(t->uuid, h->copy.uuid);
        assert_int_equal(volume_manifest_verify(h, m->volume_key), 0);
        assert_int_equal(try_slot(m, h, t->keyslot, copy ? m->copy_key : m->image_key), 0);
        assert_int_equal(try_slot(m, h, t->keyslot, copy ? m->image_key : m->copy_key), -ENOKEY);
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++)
                used += h->layout.areas[i].used;
        assert_int_equal(used, copy ? 1 : 2);
        assert_int_equal(h->layout.recovery_keyslot >= 0, !copy);
        if (!copy) {
                _cleanup_(secret_freep) struct secret *key = NULL;
                _cleanup_(luks_close) struct luks l = {};

                assert_int_equal(luks_open(&l, h, m->disk.path), 0);
                assert_int_equal(luks_recovery_unlock(&l, h, m->recovery_key, &key), 0);
        }
        return copy;
}

/* The header to be, as PERSONALIZE_STAGE makes it and HEADER_RESTORE places it. */
static struct header *make(const struct made *m, const struct header *old) {
        _cleanup_(header_freep) struct header *staged = NULL;
        _cleanup_(closep) int image = -EBADF, placed = -EBADF;
        struct luks l = {}, again = {};
        struct header_why why = {};
        struct header *h = NULL;
        struct token t;
        int r;

        image_token(&t);
        strcpy(t.uuid, COPY_UUID);
        t.generation = 2;
        r = luks_wrap_only(&l, old, m->disk.path, m->volume_key, m->copy_key, COPY_UUID, &t, &image);
        if (r < 0)
                fail_msg("%d: %s", r, l.said);
        luks_close(&l);
        assert_int_equal(header_read(image, DEVICE_SIZE, &staged, &why), 0);
        placed = header_successor(staged, old, old->copy.seqid);
        assert_return_code(placed, 0);
        assert_int_equal(luks_reseal(&again, placed, staged, m->disk.path, m->volume_key), 0);
        luks_close(&again);
        assert_int_equal(header_read(placed, DEVICE_SIZE, &h, &why), 0);
        assert_string_equal(h->copy.uuid, COPY_UUID);
        return h;
}

static int change(const struct made *m, bool renames) {
        _cleanup_(header_freep) struct header *old = read_header(m), *new = make(m, old);
        struct header_change c = { .old = old, .new = new, .device = &m->disk, .renames = renames };
        int r;

        r = header_change_begin(&c);
        return r < 0 ? r : header_change_finish(&c);
}

static void test_becomes_its_own(void **state) {
        const struct made *m = *state;
        _cleanup_(freep) uint8_t *before = malloc(DEVICE_SIZE), *after = malloc(DEVICE_SIZE);
        _cleanup_(header_freep) struct header *old = read_header(m), *new = NULL;
        static const uint8_t nothing[4096];
        unsigned wiped = 0;

        assert_int_equal(pread(m->disk.fd, before, DEVICE_SIZE, 0), DEVICE_SIZE);
        assert_false(is_copy(m));
        assert_int_equal(change(m, true), 0);
        assert_true(is_copy(m));
        new = read_header(m);
        assert_int_equal(header_wipe_free(&m->disk, new), 0);
        assert_true(is_copy(m));
        assert_int_equal(pread(m->disk.fd, after, DEVICE_SIZE, 0), DEVICE_SIZE);
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++)
                for (uint64_t at = 0; old->layout.areas[i].used && at + 4096 <= old->layout.areas[i].size; at += 4096) {
                        const uint8_t *was = before + old->layout.areas[i].offset + at;

                        if (memcmp(was, nothing, sizeof(nothing)) == 0)
                                continue;
                        assert_memory_not_equal(was, after + old->layout.areas[i].offset + at, 4096);
                        wiped++;
                }
        assert_true(wiped > 100);
        assert_memory_equal(before + LUKS_FORMAT_DATA_OFFSET, after + LUKS_FORMAT_DATA_OFFSET, 1 << 20);
}

/* Whoever does not ask for another UUID does not get one. */
static void test_no_other_uuid_unasked(void **state) {
        const struct made *m = *state;

        written = 0;
        assert_int_equal(change(m, false), -EUCLEAN);
        assert_int_equal(written, 0);
        assert_false(is_copy(m));
}

/* Every third sector of the copies, and now and then in the keyslot. */
static void test_power_fails(void **state) {
        const struct made *m = *state;
        _cleanup_(freep) uint8_t *image = malloc(DEVICE_SIZE);
        unsigned seen[2] = {};
        size_t total;

        assert_int_equal(pread(m->disk.fd, image, DEVICE_SIZE, 0), DEVICE_SIZE);
        written = 0;
        assert_int_equal(change(m, true), 0);
        total = written;
        for (size_t sectors = 0; sectors < total; sectors += sectors + COPIES < total ? 63 : 3) {
                bool copy;

                assert_int_equal(pwrite(m->disk.fd, image, DEVICE_SIZE, 0), DEVICE_SIZE);
                power = sectors;
                assert_int_equal(change(m, true), -EIO);
                power = SIZE_MAX;
                copy = is_copy(m);
                seen[copy]++;
                if (!copy)
                        assert_int_equal(change(m, true), 0);
                assert_true(is_copy(m));
        }
        assert_true(seen[false] > 10 && seen[true] > 5);
}

/* Where there was none: there is none until all of it is on the disk, and what stood in the first sector stays there until then. */
static void test_first_header(void **state) {
        const struct made *m = *state;
        _cleanup_(header_freep) struct header *whole = read_header(m);
        struct device disk = { .fd = memfd_create("disk", MFD_CLOEXEC), .size = DEVICE_SIZE };
        const uint64_t end = MAX_OF(whole->layout.areas[0].offset + whole->layout.areas[0].size,
                                    whole->layout.areas[1].offset + whole->layout.areas[1].size);
        uint8_t old[SECTOR], first[SECTOR];

        memset(old, 'x', sizeof(old));
        assert_int_equal(ftruncate(disk.fd, DEVICE_SIZE), 0);
        for (size_t sectors = 0; sectors <= end / SECTOR; sectors += sectors + COPIES < end / SECTOR ? 63 : 1) {
                _cleanup_(header_freep) struct header *h = NULL;
                bool complete = sectors == end / SECTOR;
                struct header_why why = {};

                assert_int_equal(ftruncate(disk.fd, 0), 0);
                assert_int_equal(ftruncate(disk.fd, DEVICE_SIZE), 0);
                assert_int_equal(pwrite(disk.fd, old, sizeof(old), 0), sizeof(old));
                power = sectors;
                assert_int_equal(header_write_image(&disk, m->disk.fd, HEADER_SIZE_MIN, end), complete ? 0 : -EIO);
                assert_int_equal(pread(disk.fd, first, sizeof(first), 0), sizeof(first));
                assert_int_equal(memcmp(first, old, sizeof(old)) == 0, !complete);
                assert_int_equal(header_read(disk.fd, DEVICE_SIZE, &h, &why), complete ? 0 : -ENODATA);
                if (complete)
                        assert_true(!h->damaged && memcmp(h->digest, whole->digest, sizeof(h->digest)) == 0);
        }
        power = SIZE_MAX;
        safe_close(disk.fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_becomes_its_own, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_other_uuid_unasked, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_power_fails, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_first_header, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("personalize", tests, NULL, NULL);
}
