/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/luks-wrap.c daemon/disk/luks-recovery.c daemon/disk/volume.c daemon/disk/header-write.c daemon/disk/header-successor.c daemon/disk/foreign.c daemon/disk/recovery-text.c daemon/disk/luks-open.c daemon/disk/luks-format.c daemon/disk/luks-log.c daemon/disk/header.c daemon/disk/header-check.c daemon/disk/token.c daemon/disk/manifest.c daemon/disk/strict-json.c daemon/disk/unlock-key.c tests/unit/header-image.c daemon/disk/encryption.c daemon/disk/reencryption.c daemon/disk/activation.c
// libs: libcryptsetup json-c

/* Several keys of one volume: one comes, one goes, and the power fails at any byte on the way; nobody else can add, drop or
 * swap one unseen. The disk is a memfd (failing-disk.h). */

#include "disk/foreign.h"
#include "disk/header-write.h"
#include "disk/ops.h"
#include "disk/unlock-key.h"
#include "disk/volume.h"
#include "header-image.h"

#include <libcryptsetup.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "failing-disk.h"

#define DEVICE_SIZE (LUKS_FORMAT_DATA_OFFSET + (1u << 20))
#define COPIES (2 * HEADER_SIZE_MIN / SECTOR)
#define KEYS DISK_WRAPS_MAX

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
        struct secret *unlock_keys[KEYS], *volume_key;
        struct device disk;
};

/* Set: they are versions of one key. */
static bool versions;

/* Set: the second one's wrapped key is in the vault. */
static bool second_is_stored;

static void key_of(unsigned n, struct token *t) {
        image_token(t);
        t->generation = versions ? n + 1 : 1;
        t->stored = second_is_stored && n == 1;
        if (t->stored)
                t->wrapped_size = DISK_DIGEST_SIZE;
        if (versions) {
                snprintf(t->key, sizeof(t->key), "https://v.vault.azure.net/keys/k1/%u123456789abcdef0123456789abcdef", n);
                t->salt[0] = (uint8_t) n;
                return;
        }
        snprintf(t->key, sizeof(t->key), "https://v%u.vault.azure.net/keys/k1/0123456789abcdef0123456789abcdef", n);
        t->salt[0] = (uint8_t) n;
}

static int set_up(void **state) {
        struct made *m = calloc(1, sizeof(*m));
        struct token token;
        struct luks l = {};
        struct luks_format f = { .uuid = IMAGE_UUID, .label = "data1", .sector_size = 4096, .token = &token };

        key_of(0, &token);
        for (unsigned i = 0; i < KEYS; i++)
                assert_int_equal(secret_random(UNLOCK_KEY_SIZE, &m->unlock_keys[i]), 0);
        assert_int_equal(secret_random(VOLUME_KEY_SIZE, &m->volume_key), 0);
        f.unlock_key = m->unlock_keys[0];
        f.volume_key = m->volume_key;
        assert_int_equal(luks_format_image(&l, &f, &m->disk.fd), 0);
        luks_close(&l);
        m->disk.size = DEVICE_SIZE;
        snprintf(m->disk.path, sizeof(m->disk.path), "/proc/self/fd/%d", m->disk.fd);
        power = SIZE_MAX;
        *state = m;
        return 0;
}

static int set_up_versions(void **state) {
        versions = true;
        return set_up(state);
}

static int tear_down(void **state) {
        struct made *m = *state;

        for (unsigned i = 0; i < KEYS; i++)
                secret_free(m->unlock_keys[i]);
        secret_free(m->volume_key);
        safe_close(m->disk.fd);
        free(m);
        versions = second_is_stored = false;
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

static const struct header_wrap *find(const struct header *h, unsigned n) {
        struct token t;

        key_of(n, &t);
        return header_find_wrap(&h->layout, t.key);
}

/* Which keys open it, a bit each: every one that is there does, and the manifest holds. */
static unsigned openers(const struct made *m) {
        _cleanup_(header_freep) struct header *h = read_header(m);
        _cleanup_(luks_close) struct luks l = {};
        unsigned open = 0, n = 0;

        assert_int_equal(luks_open(&l, h, m->disk.path), 0);
        assert_int_equal(volume_manifest_verify(h, m->volume_key), 0);
        for (unsigned i = 0; i < KEYS; i++) {
                _cleanup_(secret_freep) struct secret *key = NULL;
                const struct header_wrap *w = find(h, i);

                if (!w)
                        continue;
                assert_int_equal(luks_unlock(&l, w->token.keyslot, m->unlock_keys[i], &key), 0);
                assert_true(secret_equal(key, m->volume_key));
                open |= 1u << i;
                n++;
        }
        assert_int_equal(n, h->layout.n_wraps);
        return open;
}

/* The new header for adding (or taking out) key n, not on the disk yet. */
static struct header *make(const struct made *m, const struct header *old, unsigned n, bool add) {
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        struct header_why why = {};
        struct token t;
        struct header *h;
        int r;

        key_of(n, &t);
        r = add ? luks_wrap_add(&l, old, m->disk.path, m->volume_key, m->unlock_keys[n], &t, &image)
                : luks_wrap_remove(&l, old, m->disk.path, m->volume_key, find(old, n), &image);
        if (r < 0)
                fail_msg("%d: %s", r, l.said);
        r = header_read(image, DEVICE_SIZE, &h, &why);
        if (r < 0)
                fail_msg("%d: %s", r, why.text);
        return h;
}

static void change(const struct made *m, unsigned n, bool add) {
        _cleanup_(header_freep) struct header *old = read_header(m), *new = make(m, old, n, add);
        struct header_change c = { .old = old, .new = new, .device = &m->disk };

        assert_int_equal(header_change_begin(&c), 0);
        assert_int_equal(header_change_finish(&c), 0);
}

static void test_as_many_as_there_may_be(void **state) {
        const struct made *m = *state;
        _cleanup_(header_freep) struct header *h = NULL;
        _cleanup_(luks_close) struct luks l = {};
        struct disk_reply y = {};
        struct token t;
        int image;

        for (unsigned n = 1; n < KEYS; n++) {
                change(m, n, true);
                assert_int_equal(openers(m), (2u << n) - 1);
        }
        h = read_header(m);
        header_describe(h, &y);
        assert_int_equal(y.n_wraps, KEYS);
        for (unsigned n = 0; n < KEYS; n++) {
                key_of(n, &t);
                assert_string_equal(y.wraps[n].key, t.key);
                assert_int_equal(y.wraps[n].token, n);
        }
        key_of(KEYS, &t);
        assert_int_equal(luks_wrap_add(&l, h, m->disk.path, m->volume_key, m->unlock_keys[0], &t, &image), -ENOSPC);
}

static void test_one_stays(void **state) {
        const struct made *m = *state;
        _cleanup_(header_freep) struct header *h = NULL;
        _cleanup_(luks_close) struct luks l = {};
        int image;

        change(m, 1, true);
        change(m, 2, true);
        change(m, 1, false);
        assert_int_equal(openers(m), 5);
        change(m, 0, false);                  /* also the one that it was formatted with */
        assert_int_equal(openers(m), 4);
        h = read_header(m);
        assert_int_equal(luks_wrap_remove(&l, h, m->disk.path, m->volume_key, h->layout.wraps, &image), -ENOSPC);
        change(m, 0, true);                   /* into the number that is free */
        assert_int_equal(openers(m), 5);
}

/* Cuts the power after some sectors, every step-th of the copies, up to where the change is complete. Each time it opens by
 * all keys that the header on the disk has then, and the change can be made again. */
static void cut_everywhere(struct made *m, unsigned n, bool add, size_t step) {
        _cleanup_(freep) uint8_t *image = malloc(DEVICE_SIZE);
        unsigned before = openers(m), after;
        size_t total;

        assert_int_equal(pread(m->disk.fd, image, DEVICE_SIZE, 0), DEVICE_SIZE);
        written = 0;
        change(m, n, add);
        total = written;
        after = openers(m);
        assert_int_equal(after, add ? before | 1u << n : before & ~(1u << n));
        for (size_t sectors = 0; sectors < total; sectors += sectors + COPIES < total ? 63 : step) {
                _cleanup_(header_freep) struct header *old = NULL, *new = NULL;
                struct header_change c = { .device = &m->disk };
                unsigned open;

                assert_int_equal(pwrite(m->disk.fd, image, DEVICE_SIZE, 0), DEVICE_SIZE);
                c.old = old = read_header(m);
                c.new = new = make(m, old, n, add);
                power = sectors;
                assert_int_equal(header_change_begin(&c) < 0 ? -EIO : header_change_finish(&c), -EIO);
                power = SIZE_MAX;
                open = openers(m);
                assert_true(open == before || open == after);
                if (open == before)
                        change(m, n, add);
                assert_int_equal(openers(m), after);
        }
}

static void test_power_fails(void **state) {
        cut_everywhere(*state, 1, true, 3);
        cut_everywhere(*state, 0, false, 5);
}

/* ---- two versions of one key ---- */

static int try_key(const struct made *m, unsigned n) {
        _cleanup_(header_freep) struct header *h = read_header(m);
        _cleanup_(secret_freep) struct secret *key = NULL;
        _cleanup_(luks_close) struct luks l = {};

        assert_int_equal(luks_open(&l, h, m->disk.path), 0);
        return luks_unlock(&l, find(h, n)->token.keyslot, m->unlock_keys[n], &key);
}

/* What a rotation does: the next version comes, the keyslot of the one before is overwritten while its token is still there,
 * however far that got, then the token goes. */
static void test_rotated(void **state) {
        struct made *m = *state;
        size_t sectors = 0;

        cut_everywhere(m, 1, true, 5);
        assert_int_equal(openers(m), 3);
        for (; sectors < 600; sectors = sectors * 3 + 1) {
                _cleanup_(header_freep) struct header *h = read_header(m);

                power = sectors;
                assert_true(header_wipe_keyslot(&m->disk, h, find(h, 0)->token.keyslot) < 0 || sectors >= 500);
                power = SIZE_MAX;
                assert_int_equal(try_key(m, 1), 0);
        }
        {
                _cleanup_(header_freep) struct header *h = read_header(m);

                assert_int_equal(header_wipe_keyslot(&m->disk, h, find(h, 0)->token.keyslot), 0);
        }
        assert_int_equal(try_key(m, 0), -ENOKEY);
        change(m, 0, false);
        assert_int_equal(openers(m), 2);
        change(m, 2, true);                   /* and so on */
        change(m, 1, false);
        assert_int_equal(openers(m), 4);
}

/* ---- an old header is put back ---- */

static int write_back(const struct made *m, const struct header *from, const struct header *old, uint64_t seqid) {
        struct header_change c = { .old = old, .device = &m->disk };
        _cleanup_(header_freep) struct header *new = NULL;
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = header_successor(from, old, seqid);
        struct header_why why = {};
        int r;

        assert_return_code(image, 0);
        r = luks_reseal(&l, image, from, m->disk.path, m->volume_key);
        if (r < 0)
                fail_msg("%d: %s", r, l.said);
        r = header_read(image, DEVICE_SIZE, &new, &why);
        if (r < 0)
                fail_msg("%d: %s", r, why.text);
        assert_true(new->copy.seqid > seqid);
        c.new = new;
        r = header_change_begin(&c);
        return r < 0 ? r : header_change_finish(&c);
}

/* The new one's keyslot is where the old one's was: however far it got, one of the two opens, and it can be done again. */
static void test_put_back(void **state) {
        const struct made *m = *state;
        _cleanup_(freep) uint8_t *image = malloc(DEVICE_SIZE);
        _cleanup_(header_freep) struct header *backup = read_header(m), *now = NULL;
        int r = -EIO;

        change(m, 1, true);
        change(m, 0, false);
        change(m, 2, true);
        change(m, 1, false);
        now = read_header(m);
        assert_int_equal(now->layout.areas[find(now, 2)->token.keyslot].offset, backup->layout.areas[0].offset);
        assert_int_equal(pread(m->disk.fd, image, DEVICE_SIZE, 0), DEVICE_SIZE);
        for (size_t sectors = 0; r < 0; sectors += 5) {
                unsigned open;

                assert_int_equal(pwrite(m->disk.fd, image, DEVICE_SIZE, 0), DEVICE_SIZE);
                power = sectors;
                r = write_back(m, backup, now, now->copy.seqid);
                power = SIZE_MAX;
                open = openers(m);
                assert_true(r < 0 ? open == 1 || open == 4 : open == 1);
                if (r < 0) {
                        _cleanup_(header_freep) struct header *there = read_header(m);

                        assert_int_equal(write_back(m, backup, there, there->copy.seqid), 0);
                        assert_int_equal(openers(m), 1);
                }
        }
}

/* Nothing that opens is left: what the file has is written as it is. */
static void test_put_back_over_nothing(void **state) {
        const struct made *m = *state;
        _cleanup_(header_freep) struct header *backup = read_header(m), *there = NULL;
        struct header_why why;
        uint8_t *noise = calloc(1, 2 * HEADER_SIZE_MIN);

        change(m, 1, true);
        assert_int_equal(pwrite(m->disk.fd, noise, 2 * HEADER_SIZE_MIN, 0), 2 * HEADER_SIZE_MIN);
        free(noise);
        assert_int_equal(header_read(m->disk.fd, DEVICE_SIZE, &there, &why), -ENODATA);
        assert_int_equal(write_back(m, backup, NULL, 0), 0);
        assert_int_equal(openers(m), 1);
}

static void test_no_room(void **state) {
        const struct made *m = *state;
        _cleanup_(header_freep) struct header *backup = read_header(m), *now = NULL;

        now = read_header(m);
        /* as if the whole of it were another keyslot's */
        now->layout.areas[31].offset = 2 * HEADER_SIZE_MIN;
        now->layout.areas[31].size = now->layout.keyslots_size;
        now->layout.areas[31].used = true;
        now->layout.areas[0].used = false;
        assert_int_equal(header_successor(backup, now, 1), -ENOSPC);
}

/* ---- what others do ---- */

static struct crypt_device *as_stranger(const struct made *m) {
        struct crypt_device *cd;

        assert_int_equal(crypt_metadata_locking(NULL, 0), 0);
        crypt_set_log_callback(NULL, NULL, NULL);
        assert_int_equal(crypt_init(&cd, m->disk.path), 0);
        assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
        return cd;
}

/* A token as ours are, with a keyslot that was made for it; it bears the MAC of the others, or none that holds. */
static void add_stranger(const struct made *m, int at, bool same_mac) {
        static const struct crypt_pbkdf_type cheap = {
                .type = CRYPT_KDF_PBKDF2, .hash = "sha512", .iterations = 1000, .flags = CRYPT_PBKDF_NO_BENCHMARK,
        };
        _cleanup_(header_freep) struct header *h = read_header(m);
        struct crypt_device *cd = as_stranger(m);
        _cleanup_(freep) char *text = NULL;
        struct token t;

        key_of(9, &t);
        t.keyslot = at;
        if (same_mac)
                memcpy(t.mac, h->layout.wraps[0].token.mac, sizeof(t.mac));
        assert_int_equal(token_format(&t, &text), 0);
        assert_int_equal(crypt_set_pbkdf_type(cd, &cheap), 0);
        assert_int_equal(crypt_keyslot_add_by_volume_key(cd, at, (const char *) secret_cdata(m->volume_key), VOLUME_KEY_SIZE,
                                                         "stranger", 8), at);
        assert_int_equal(crypt_token_json_set(cd, at, text), at);
        crypt_free(cd);
}

static int find_foreign(const struct made *m, int opener, struct header_why *why) {
        _cleanup_(header_freep) struct header *h = read_header(m);

        struct foreign f = {};
        int r;

        assert_int_equal(volume_manifest_verify(h, m->volume_key), -EUCLEAN);
        r = foreign_find(h->metadata, h->copy.uuid, m->volume_key, &h->layout, opener < 0 ? NULL : find(h, (unsigned) opener), &f);
        *why = f.what;
        return r;
}

static void test_token_of_a_stranger(void **state) {
        const struct made *m = *state;
        struct header_why why;

        change(m, 1, true);
        for (int same_mac = 0; same_mac < 2; same_mac++) {
                int at = same_mac ? 7 : 5;

                add_stranger(m, at, same_mac);
                for (int opener = -1; opener < 2; opener++)
                        assert_int_equal(find_foreign(m, opener, &why), 0);
                assert_string_equal(why.text, same_mac ? "keyslot 7, token 7 (cmkd)" : "keyslot 5, token 5 (cmkd)");
                /* and by itself it opens nothing that is as it was enrolled */
                assert_int_equal(find_foreign(m, 9, &why), -EUCLEAN);
                {
                        struct crypt_device *cd = as_stranger(m);

                        assert_int_equal(crypt_token_json_set(cd, at, NULL), at);
                        assert_int_equal(crypt_keyslot_destroy(cd, at), 0);
                        crypt_free(cd);
                }
                assert_int_equal(openers(m), 3);
        }
}

static void test_dropped(void **state) {
        const struct made *m = *state;
        struct header_why why;
        struct crypt_device *cd;

        change(m, 1, true);
        cd = as_stranger(m);
        assert_int_equal(crypt_token_json_set(cd, 1, NULL), 1);
        crypt_free(cd);
        assert_int_equal(find_foreign(m, 0, &why), -EUCLEAN);
}

/* The other owner's public key and wrapped key give way to a stranger's. */
static void test_swapped(void **state) {
        const struct made *m = *state;
        _cleanup_(freep) char *text = NULL;
        struct header_why why;
        struct crypt_device *cd;
        struct token t;

        change(m, 1, true);
        {
                _cleanup_(header_freep) struct header *h = read_header(m);

                t = find(h, 1)->token;
        }
        t.wrapped[0] ^= 1;
        assert_int_equal(token_format(&t, &text), 0);
        cd = as_stranger(m);
        assert_int_equal(crypt_token_json_set(cd, 1, text), 1);
        crypt_free(cd);
        assert_int_equal(find_foreign(m, 0, &why), -EUCLEAN);
}

/* Who once had the wrapped key puts it into the header, so that its secret need not be there any more. */
static void test_put_back_from_the_vault(void **state) {
        const struct made *m = *state;
        _cleanup_(freep) char *text = NULL;
        struct header_why why;
        struct crypt_device *cd;
        struct token t;

        second_is_stored = true;
        change(m, 1, true);
        {
                _cleanup_(header_freep) struct header *h = read_header(m);

                assert_int_equal(volume_manifest_verify(h, m->volume_key), 0);
                t = find(h, 1)->token;
        }
        assert_true(t.stored);
        assert_int_equal(openers(m), 3);
        t.stored = false;
        t.wrapped_size = 256;
        assert_int_equal(token_format(&t, &text), 0);
        cd = as_stranger(m);
        assert_int_equal(crypt_token_json_set(cd, 1, text), 1);
        crypt_free(cd);
        assert_int_equal(find_foreign(m, 0, &why), -EUCLEAN);
        assert_int_equal(find_foreign(m, 1, &why), -EUCLEAN);
}

/* The MAC is over everything but itself: still nobody changes it unseen in one of the tokens. */
static void test_another_mac(void **state) {
        const struct made *m = *state;
        _cleanup_(freep) char *text = NULL;
        struct header_why why;
        struct crypt_device *cd;
        struct token t;

        change(m, 1, true);
        {
                _cleanup_(header_freep) struct header *h = read_header(m);

                t = find(h, 1)->token;
        }
        t.mac[0] ^= 1;
        assert_int_equal(token_format(&t, &text), 0);
        cd = as_stranger(m);
        assert_int_equal(crypt_token_json_set(cd, 1, text), 1);
        crypt_free(cd);
        assert_int_equal(find_foreign(m, 0, &why), -EUCLEAN);
        assert_int_equal(find_foreign(m, 1, &why), -EUCLEAN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_as_many_as_there_may_be), TEST(test_one_stays), TEST(test_power_fails),
                cmocka_unit_test_setup_teardown(test_rotated, set_up_versions, tear_down),
                cmocka_unit_test_setup_teardown(test_put_back, set_up_versions, tear_down),
                cmocka_unit_test_setup_teardown(test_put_back_over_nothing, set_up_versions, tear_down),
                cmocka_unit_test_setup_teardown(test_no_room, set_up_versions, tear_down),
                TEST(test_token_of_a_stranger), TEST(test_dropped), TEST(test_swapped), TEST(test_put_back_from_the_vault), TEST(test_another_mac),
        };

        return cmocka_run_group_tests_name("luks-wrap", tests, NULL, NULL);
}
