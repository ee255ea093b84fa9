/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/luks1.c daemon/disk/luks1-convert.c daemon/disk/luks-convert.c daemon/disk/luks-wrap.c daemon/disk/header-write.c daemon/disk/luks-open.c daemon/disk/luks-format.c daemon/disk/luks-log.c daemon/disk/header.c daemon/disk/encryption.c daemon/disk/reencryption.c daemon/disk/header-check.c daemon/disk/token.c daemon/disk/manifest.c daemon/disk/strict-json.c daemon/disk/unlock-key.c daemon/disk/activation.c
// libs: libcryptsetup json-c

/* LUKS1 as Azure Disk Encryption has it becomes LUKS2: what is taken and what is refused; and the power fails at any sector on the way.
 * The disk is a memfd (failing-disk.h). */

#include "disk/luks1.h"
#include "disk/ops.h"
#include "disk/volume.h"

#include <endian.h>
#include <libcryptsetup.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "failing-disk.h"

#define DEVICE_SIZE (8u << 20)
#define DATA (2u << 20)
#define BEK "c29tZSBwYXNzcGhyYXNlIGFzIEFERSBtYWtlcyBpdA=="
#define OTHER "what opens it at boot"

static const struct crypt_pbkdf_type cheap = {
        .type = CRYPT_KDF_PBKDF2, .hash = "sha256", .iterations = 1000, .flags = CRYPT_PBKDF_NO_BENCHMARK,
};
static char kept[] = "/tmp/test-luks1.XXXXXX";

static struct secret *text(const char *s) {
        struct secret *x;

        assert_int_equal(secret_new(strlen(s), &x), 0);
        memcpy(secret_data(x), s, strlen(s));
        return x;
}

struct made {
        struct device disk;
        struct secret *bek, *other, *volume_key;
};

static void make(struct made *m, const char *mode, size_t key_size) {
        struct crypt_params_luks1 params = { .hash = "sha256" };
        struct crypt_device *cd;

        m->disk.fd = memfd_create("disk", MFD_CLOEXEC);
        m->disk.size = DEVICE_SIZE;
        snprintf(m->disk.path, sizeof(m->disk.path), "/proc/self/fd/%d", m->disk.fd);
        assert_int_equal(ftruncate(m->disk.fd, DEVICE_SIZE), 0);
        assert_int_equal(secret_random(key_size, &m->volume_key), 0);
        m->bek = text(BEK);
        m->other = text(OTHER);
        crypt_set_log_callback(NULL, NULL, NULL);
        assert_int_equal(crypt_init(&cd, m->disk.path), 0);
        assert_int_equal(crypt_format(cd, CRYPT_LUKS1, "aes", mode, NULL, (const char *) secret_cdata(m->volume_key), key_size, &params), 0);
        assert_int_equal(crypt_set_pbkdf_type(cd, &cheap), 0);
        assert_int_equal(crypt_keyslot_add_by_volume_key(cd, 0, NULL, 0, BEK, strlen(BEK)), 0);
        assert_int_equal(crypt_keyslot_add_by_volume_key(cd, 1, NULL, 0, OTHER, strlen(OTHER)), 1);
        crypt_free(cd);
        for (size_t at = DATA; at < DEVICE_SIZE; at += SECTOR)
                assert_int_equal(pwrite(m->disk.fd, "the data", 8, (off_t) at), 8);
        power = SIZE_MAX;
}

static int set_up(void **state) {
        struct made *m = calloc(1, sizeof(*m));

        make(m, "xts-plain64", 64);
        *state = m;
        return 0;
}

static int tear_down(void **state) {
        struct made *m = *state;

        secret_free(m->bek);
        secret_free(m->other);
        secret_free(m->volume_key);
        safe_close(m->disk.fd);
        (void) unlink(kept);
        free(m);
        return 0;
}

static int check(const struct made *m, struct luks1 *ret, struct header_why *why) {
        uint8_t p[LUKS1_HEADER_SIZE];

        *why = (struct header_why) {};
        assert_int_equal(pread(m->disk.fd, p, sizeof(p), 0), sizeof(p));
        return luks1_check(p, ret, why);
}

static void opens(const struct made *m, const struct header *h, const struct secret *passphrase) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        _cleanup_(luks_close) struct luks l = {};

        assert_int_equal(luks_open(&l, h, m->disk.path), 0);
        assert_int_equal(luks_unlock(&l, -1, passphrase, &key), 0);
        assert_true(secret_equal(key, m->volume_key));
}

/* Both passphrases open what is there, the data is where it was, and stays. */
static void is_converted(const struct made *m, const char *uuid) {
        _cleanup_(header_freep) struct header *h = NULL;
        struct header_why why = {};
        char data[9] = "";
        int r = header_read_plain(m->disk.fd, DEVICE_SIZE, &h, &why);

        if (r < 0)
                fail_msg("%d: %s", r, why.text);
        assert_string_equal(h->copy.uuid, uuid);
        assert_int_equal(h->layout.data_offset, DATA);
        assert_int_equal(h->layout.n_wraps, 0);
        opens(m, h, m->bek);
        opens(m, h, m->other);
        for (size_t at = DATA; at < DEVICE_SIZE; at += SECTOR) {
                assert_int_equal(pread(m->disk.fd, data, 8, (off_t) at), 8);
                assert_string_equal(data, "the data");
        }
}

static int convert(const struct made *m, const struct secret *passphrase, struct disk_reply *y) {
        _cleanup_(header_freep) struct header *h = NULL;
        struct header_why why;
        struct luks1 l;

        *y = (struct disk_reply) {};
        assert_int_equal(check(m, &l, &why), 0);
        return luks1_convert(&m->disk, "disk", &l, kept, passphrase, &h, y);
}

static void test_converted(void **state) {
        const struct made *m = *state;
        _cleanup_(freep) char *file = NULL;
        _cleanup_(freep) uint8_t *was = malloc(DATA);
        struct header_why why;
        struct disk_reply y;
        struct luks1 l;
        size_t size;

        assert_int_equal(check(m, &l, &why), 0);
        assert_int_equal(l.payload_offset, DATA);
        assert_int_equal(pread(m->disk.fd, was, DATA, 0), DATA);
        assert_int_equal(convert(m, m->other, &y), 0);
        assert_string_equal(y.message, kept);
        is_converted(m, l.uuid);
        assert_int_equal(check(m, &l, &why), -ENODATA);
        assert_int_equal(read_small_file(kept, DATA + 1, &file, &size), 0);
        assert_int_equal(size, DATA);
        assert_memory_equal(file, was, DATA);
}

static void test_wrong_passphrase(void **state) {
        const struct made *m = *state;
        _cleanup_(secret_freep) struct secret *wrong = text(BEK "\n");
        _cleanup_(freep) uint8_t *was = malloc(DATA), *is = malloc(DATA);
        struct disk_reply y;

        assert_int_equal(pread(m->disk.fd, was, DATA, 0), DATA);
        assert_int_equal(convert(m, wrong, &y), -ENOKEY);
        assert_int_equal(pread(m->disk.fd, is, DATA, 0), DATA);
        assert_memory_equal(is, was, DATA);
        assert_int_equal(access(kept, F_OK), -1);
}

/* However far it got: what is there opens, or the same call once more ends it, with all that it had. */
static void test_power_fails(void **state) {
        const struct made *m = *state;
        _cleanup_(freep) uint8_t *was = malloc(DATA);
        struct header_why why;
        struct disk_reply y;
        struct luks1 l;
        size_t total;

        assert_int_equal(check(m, &l, &why), 0);
        assert_int_equal(pread(m->disk.fd, was, DATA, 0), DATA);
        written = 0;
        assert_int_equal(convert(m, m->bek, &y), 0);
        total = written;
        assert_int_equal(total, DATA / SECTOR);
        for (size_t sectors = 0; sectors < total; sectors += sectors + 40 < total ? 389 : 3) {
                assert_int_equal(unlink(kept), 0);
                assert_int_equal(pwrite(m->disk.fd, was, DATA, 0), DATA);
                power = sectors;
                assert_int_equal(convert(m, m->bek, &y), -EIO);
                power = SIZE_MAX;
                /* it is still known for what it was */
                assert_int_equal(convert(m, m->bek, &y), 0);
                is_converted(m, l.uuid);
        }
}

/* One of another time is not taken for what is there. */
static void test_old_file(void **state) {
        const struct made *m = *state;
        _cleanup_(freep) uint8_t *was = malloc(DATA);
        struct header_why why;
        struct disk_reply y;
        struct luks1 l;

        assert_int_equal(check(m, &l, &why), 0);
        assert_int_equal(pread(m->disk.fd, was, DATA, 0), DATA);
        was[300] ^= 1;
        assert_int_equal(write_file_atomic(kept, was, DATA, 0600), 0);
        assert_int_equal(convert(m, m->bek, &y), 0);
        is_converted(m, l.uuid);
}

static void test_refused(void **state) {
        struct made *m = *state;
        struct header_why why;
        struct luks1 l;
        uint32_t n;

        n = htobe32(0);
        assert_int_equal(pwrite(m->disk.fd, &n, sizeof(n), 104), sizeof(n));
        assert_int_equal(check(m, &l, &why), -EBADMSG);
        assert_non_null(strstr(why.text, "detached"));
        n = htobe32(UINT32_MAX);
        assert_int_equal(pwrite(m->disk.fd, &n, sizeof(n), 104), sizeof(n));
        assert_int_equal(check(m, &l, &why), -EBADMSG);
        safe_close(m->disk.fd);
        secret_free(m->bek);
        secret_free(m->other);
        secret_free(m->volume_key);
        make(m, "xts-plain64", 32);
        assert_int_equal(check(m, &l, &why), -EPERM);
        assert_string_equal(why.text, "its volume key has 256 bits, not 512");
        safe_close(m->disk.fd);
        secret_free(m->bek);
        secret_free(m->other);
        secret_free(m->volume_key);
        make(m, "cbc-essiv:sha256", 32);
        assert_int_equal(check(m, &l, &why), -EPERM);
        assert_int_equal(pwrite(m->disk.fd, "nothing", 7, 0), 7);
        assert_int_equal(check(m, &l, &why), -ENODATA);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_converted, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_wrong_passphrase, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_power_fails, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_old_file, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        };
        int fd = mkstemp(kept);

        if (fd < 0)
                return EXIT_FAILURE;
        safe_close(fd);
        (void) unlink(kept);
        return cmocka_run_group_tests_name("luks1", tests, NULL, NULL);
}
