/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/scratch-mark.c daemon/disk/luks-scratch.c daemon/disk/luks-open.c daemon/disk/luks-format.c daemon/disk/luks-log.c daemon/disk/encryption.c daemon/disk/reencryption.c daemon/disk/header.c daemon/disk/header-check.c daemon/disk/token.c daemon/disk/manifest.c daemon/disk/strict-json.c daemon/disk/unlock-key.c tests/unit/header-image.c daemon/disk/activation.c
// libs: libcryptsetup json-c

/* Which disks are taken for scratch disks: headers made by luks_scratch_image(), torn and overwritten as disks are. */

#include "disk/luks.h"
#include "disk/scratch-mark.h"
#include "disk/unlock-key.h"
#include "header-image.h"

#include <fcntl.h>
#include <libcryptsetup.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define COPY HEADER_SIZE_MIN

static struct secret *volume_key;

/* A header for a disk that is a file: the caller's. */
static int make(const char *name) {
        char path[] = "/tmp/test-scratch-mark.XXXXXX";
        struct luks_format f = { .uuid = IMAGE_UUID, .label = name, .sector_size = 512, .volume_key = volume_key };
        struct luks l = {};
        int disk = mkostemp(path, O_CLOEXEC), image = -EBADF;

        assert_true(disk >= 0);
        assert_int_equal(ftruncate(disk, IMAGE_DEVICE_SIZE), 0);
        assert_int_equal(luks_scratch_image(&l, &f, path, &image), 0);
        luks_close(&l);
        close(disk);
        unlink(path);
        return image;
}

static struct scratch_found read_mark(int fd) {
        struct scratch_found f = {};

        assert_int_equal(scratch_mark_read(fd, &f), 0);
        return f;
}

static void spoil(int fd, off_t at, size_t n, int byte) {
        uint8_t buffer[COPY];

        memset(buffer, byte, sizeof(buffer));
        assert_int_equal(pwrite(fd, buffer, n, at), n);
}

static void what_was_made_is_known(void **state _unused_) {
        _cleanup_(closep) int fd = make("tmp-1");
        struct scratch_found f = read_mark(fd);

        assert_true(f.marked);
        assert_string_equal(f.name, "tmp-1");
}

/* Nothing in it opens it, and it is no volume of cmkd's to anybody else. */
static void it_has_no_way_in(void **state _unused_) {
        _cleanup_(closep) int fd = make("tmp-1");
        struct crypt_device *cd = NULL;
        struct header *h = NULL;
        struct header_why why = {};
        uint8_t found[64 * 1024];
        char path[32];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        assert_int_equal(crypt_init(&cd, path), 0);
        assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
        assert_string_equal(crypt_get_label(cd), "tmp-1");
        for (int i = 0; i < crypt_keyslot_max(CRYPT_LUKS2); i++)
                assert_int_equal(crypt_keyslot_status(cd, i), CRYPT_SLOT_INACTIVE);
        crypt_free(cd);
        assert_int_equal(header_read(fd, IMAGE_DEVICE_SIZE, &h, &why), -ENOENT);
        for (off_t at = 0; pread(fd, found, sizeof(found), at) == sizeof(found); at += sizeof(found))
                assert_null(memmem(found, sizeof(found), secret_cdata(volume_key), 32));
}

/* As a crash leaves it: one copy is torn, the other is whole. */
static void one_copy_is_enough(void **state _unused_) {
        for (int i = 0; i < 3; i++) {
                _cleanup_(closep) int fd = make("a");

                spoil(fd, i == 0 ? 0 : i == 1 ? 4096 : COPY, 512, 0);
                assert_true(read_mark(fd).marked);
        }
}

static void without_a_copy_it_is_not(void **state _unused_) {
        _cleanup_(closep) int fd = make("a"), empty = memfd_create("empty", MFD_CLOEXEC);

        spoil(fd, 100, 16, 'x');
        spoil(fd, COPY + 100, 16, 'x');
        assert_false(read_mark(fd).marked);
        assert_false(read_mark(empty).marked);
        assert_int_equal(ftruncate(empty, COPY + 100), 0);
        assert_false(read_mark(empty).marked);
}

/* Whoever adds a keyslot wants to keep what is there. */
static void a_header_with_a_keyslot_is_somebodys(void **state _unused_) {
        _cleanup_(closep) int fd = make("a");
        struct crypt_device *cd = NULL;
        char path[32];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        assert_int_equal(crypt_init(&cd, path), 0);
        assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
        assert_int_equal(crypt_set_pbkdf_type(cd, &(struct crypt_pbkdf_type) { .type = CRYPT_KDF_PBKDF2, .hash = "sha256",
                                 .iterations = 1000, .flags = CRYPT_PBKDF_NO_BENCHMARK }), 0);
        assert_true(crypt_keyslot_add_by_volume_key(cd, CRYPT_ANY_SLOT, (const char *) secret_cdata(volume_key),
                                                    secret_size(volume_key), "x", 1) >= 0);
        crypt_free(cd);
        assert_false(read_mark(fd).marked);
        /* nor is the old copy behind it taken for the truth */
        spoil(fd, COPY, 512, 0);
        assert_false(read_mark(fd).marked);
}

static void a_volume_of_cmkds_is_not_one(void **state _unused_) {
        struct json_object *metadata = image_metadata();
        _cleanup_(closep) int fd = image_new_from(metadata);

        assert_false(read_mark(fd).marked);
        json_object_put(metadata);
}

static void judged(const struct scratch_found f, enum scratch_verdict v) {
        assert_int_equal(scratch_judge(&f, "a"), v);
}

static void what_a_disk_is(void **state _unused_) {
        judged((struct scratch_found) { .zeros = true }, SCRATCH_EMPTY);
        judged((struct scratch_found) {}, SCRATCH_UNKNOWN);
        judged((struct scratch_found) { .signature = "ext4" }, SCRATCH_HOLDS);
        judged((struct scratch_found) { .signature = "ext4", .zeros = true }, SCRATCH_HOLDS);
        judged((struct scratch_found) { .signature = "crypto_LUKS" }, SCRATCH_ENCRYPTED);
        judged((struct scratch_found) { .signature = "crypto_LUKS labelled \"b\"", .zeros = true }, SCRATCH_ENCRYPTED);
        judged((struct scratch_found) { .marked = true, .name = "a" }, SCRATCH_OURS);
        judged((struct scratch_found) { .marked = true, .name = "a", .signature = "crypto_LUKS labelled \"a\"" }, SCRATCH_OURS);
        judged((struct scratch_found) { .marked = true, .name = "b", .signature = "crypto_LUKS" }, SCRATCH_OTHERS);
        /* mdadm --create leaves what was before its superblock */
        judged((struct scratch_found) { .marked = true, .name = "a", .signature = "linux_raid_member" }, SCRATCH_HOLDS);
        judged((struct scratch_found) { .marked = true, .name = "a", .signature = "several signatures" }, SCRATCH_HOLDS);
}

static int set_up(void **state _unused_) {
        return secret_random(VOLUME_KEY_SIZE, &volume_key);
}

static int tear_down(void **state _unused_) {
        secret_free(volume_key);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_was_made_is_known), cmocka_unit_test(it_has_no_way_in), cmocka_unit_test(one_copy_is_enough),
                cmocka_unit_test(without_a_copy_it_is_not), cmocka_unit_test(a_header_with_a_keyslot_is_somebodys),
                cmocka_unit_test(a_volume_of_cmkds_is_not_one), cmocka_unit_test(what_a_disk_is),
        };

        return cmocka_run_group_tests_name("scratch-mark", tests, set_up, tear_down);
}
