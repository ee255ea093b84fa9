/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/trust.c daemon/manager/trust-find.c

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base64.h"
#include "manager/trust.h"

#define UUID "0f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69"
#define UUID2 "1f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69"
#define DIGEST "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define GOOD "[Volume]\nName=data1\nRole=data\nKey=https://v.test/keys/k\nDigest=" DIGEST "\n" \
        "Generation=1\nPublicKey=QUJD\n"

#define SECOND "Key2=https://w.test/keys/k\nGeneration2=4\nPublicKey2=QUJE\nProofTime2=7\nProofRequestId2=x\n"

static char base[] = "/tmp/test-trust.XXXXXX", dir[64];

static int remove_one(const char *path, const struct stat *st _unused_, int flag _unused_, struct FTW *f _unused_) {
        return remove(path);
}

static int setup(void **state _unused_) {
        strcpy(base + strlen(base) - 6, "XXXXXX");
        if (!mkdtemp(base))
                return -1;
        snprintf(dir, sizeof(dir), "%s/trust/list", base);
        return 0;
}

static int teardown(void **state _unused_) {
        return nftw(base, remove_one, 8, FTW_DEPTH|FTW_PHYS);
}

static struct trust_entry entry(const char *uuid, const char *name) {
        struct trust_entry e = {
                .role = ROLE_SCRATCH, .serial = "S3R1AL", .n_keys = 1,
                .keys = { { .key = { .host = "v.test", .port = 8443, .name = "k", .version = "abc" }, .generation = 3,
                            .spki_size = DISK_SPKI_MAX, .proof_time = 1700000000, .proof_request_id = "a request" } },
        };

        strcpy(e.uuid, uuid);
        strcpy(e.name, name);
        for (size_t i = 0; i < sizeof(e.keys[0].spki); i++)
                e.keys[0].spki[i] = (uint8_t) (i * 7);
        for (size_t i = 0; i < sizeof(e.digest); i++)
                e.digest[i] = (uint8_t) i;
        return e;
}

static void put(const char *file, const char *text, mode_t mode) {
        char path[128];
        FILE *f;

        assert_int_equal(mkdir_parents(dir, 0700), 0);
        snprintf(path, sizeof(path), "%s/%s", dir, file);
        f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        fclose(f);
        assert_int_equal(chmod(path, mode), 0);
}

#define NEXT "aa000000000000000000000000000000000000000000000000000000000000bb"

static void refuse(const char *text, const char *expected) {
        struct trust_entry e = { .n_keys = 77 };
        char *why = NULL;

        assert_int_equal(trust_parse(UUID, text, strlen(text), &e, &why), -EINVAL);
        if (!why || !strstr(why, expected))
                fail_msg("said \"%s\", expected \"%s\"", strempty(why), expected);
        assert_int_equal(e.n_keys, 77);
        free(why);
}

static void test_parse(void **state _unused_) {
        struct trust_entry e;
        char text[8192];

        assert_int_equal(trust_parse(UUID, GOOD, strlen(GOOD), &e, NULL), 0);
        assert_string_equal(e.uuid, UUID);
        assert_string_equal(e.name, "data1");
        assert_string_equal(e.keys[0].key.host, "v.test");
        assert_int_equal(e.keys[0].spki_size, 3);
        assert_int_equal(e.digest[31], 31);
        assert_int_equal(e.keys[0].proof_time, 0);
        refuse("", "Name= is missing");
        refuse("[Volume]\nName=data1\n", "Role= is missing");
        refuse("[Other]\nName=data1\n", "[Other]");
        refuse("Name=data1\n", "line 1");
        refuse("[Volume]\nName=data1\nnonsense\n", "line 3");
        refuse(GOOD "Name=data1\n", "Name= is there twice");
        refuse(GOOD "Colour=red\n", "no Colour=");
        refuse(GOOD "ProofTime=-1\n", "ProofTime= is not");
        refuse(GOOD "ProofRequestId=a\x01z\n", "line 8");
        refuse(GOOD "Serial=\xc3\xa4\n", "Serial= is not");
        refuse(GOOD "Unencrypted=0\n", "Unencrypted= is not");
        refuse(GOOD "Unencrypted=-1\n", "Unencrypted= is not");
        refuse(GOOD "Unencrypted2=1\n", "no Unencrypted2=");
        refuse(GOOD "OldKey=0\n", "OldKey= is not");
        refuse(GOOD "NextDigest=00\n", "NextDigest= is not");
        refuse(GOOD "Image=data0\n", "Image= is not");
        refuse(GOOD "ImageDigest=00\n", "ImageDigest= is not");
        refuse(GOOD "Image2=" UUID2 "\n", "no Image2=");
        refuse("[Volume]\nName=../x\n", "Name= is not");
        refuse("[Volume]\nRole=root\n", "Role= is not");
        refuse("[Volume]\nKey=http://v.test/keys/k\n", "Key= is not");
        refuse("[Volume]\nDigest=" DIGEST "00\n", "Digest= is not");
        refuse("[Volume]\nDigest=zz\n", "Digest= is not");
        refuse("[Volume]\nGeneration=0\n", "Generation= is not");
        refuse("[Volume]\nGeneration=99999999999999999999\n", "Generation= is not");
        refuse("[Volume]\nPublicKey=\n", "PublicKey= is not");
        refuse("[Volume]\nPublicKey=QUJ\n", "PublicKey= is not");
        refuse(GOOD "Key2=https://w.test/keys/k\n", "Generation2= is missing");
        refuse(GOOD "PublicKey3=QUJD\n", "Key2= is missing");
        refuse(GOOD SECOND "Key2=https://w.test/keys/k\n", "Key2= is there twice");
        refuse(GOOD "Key2=https://v.test/keys/k\nGeneration2=1\nPublicKey2=QUJD\n", "Key2= is there already");
        refuse(GOOD "Key5=https://w.test/keys/k\n", "no Key5=");
        refuse(GOOD "Key1=https://w.test/keys/k\n", "no Key1=");
        refuse(GOOD "Name2=other\n", "no Name2=");
        assert_int_equal(trust_parse(UUID, GOOD SECOND, strlen(GOOD SECOND), &e, NULL), 0);
        assert_int_equal(e.n_keys, 2);
        assert_string_equal(e.keys[1].key.host, "w.test");
        assert_int_equal(e.keys[1].generation, 4);
        assert_int_equal(e.keys[0].generation, 1);
        memset(text, 'A', sizeof(text));
        memcpy(text, "[Volume]\nPublicKey=", 19);
        text[19 + 4 * 400] = 0;
        refuse(text, "PublicKey= is not");
        assert_int_equal(trust_parse("not-a-uuid", GOOD, strlen(GOOD), &e, NULL), -EINVAL);
        assert_int_equal(trust_parse(UUID, GOOD "\0Name=x", strlen(GOOD) + 7, &e, NULL), -EINVAL);
}

static void test_print_and_parse_again(void **state _unused_) {
        struct trust_entry e = entry(UUID, "a-name.of_64"), back = {};
        char *text = NULL;

        memset(e.name, 'n', 64);
        e.name[64] = 0;
        assert_int_equal(trust_print(&e, &text), 0);
        assert_true(strlen(text) < TRUST_FILE_MAX);
        assert_int_equal(trust_parse(UUID, text, strlen(text), &back, NULL), 0);
        memset(e.keys[0].key.version, 0, sizeof(e.keys[0].key.version));
        assert_memory_equal(&e, &back, sizeof(e));
        free(text);
        e.unencrypted = INT64_MAX;
        assert_int_equal(trust_print(&e, &text), 0);
        assert_int_equal(trust_parse(UUID, text, strlen(text), &back, NULL), 0);
        assert_memory_equal(&e, &back, sizeof(e));
        free(text);
        /* as many keys as there may be, each as long as it may be */
        for (e.n_keys = 1; e.n_keys < VOLUME_KEYS_MAX; e.n_keys++) {
                e.keys[e.n_keys] = e.keys[0];
                e.keys[e.n_keys].key.port = (uint16_t) (9000 + e.n_keys);
                e.keys[e.n_keys].generation = 9 + e.n_keys;
        }
        assert_int_equal(trust_print(&e, &text), 0);
        assert_true(strlen(text) < TRUST_FILE_MAX);
        assert_int_equal(trust_parse(UUID, text, strlen(text), &back, NULL), 0);
        assert_memory_equal(&e, &back, sizeof(e));
        free(text);
        e.keys[2].key.port = e.keys[1].key.port;
        assert_int_equal(trust_print(&e, &text), -EINVAL);
        e.n_keys = 1;
        e.keys[0].spki_size = 0;
        assert_int_equal(trust_print(&e, &text), -EINVAL);
        e = entry(UUID, "x");
        strcpy(e.serial, "a\nName=b");
        assert_int_equal(trust_print(&e, &text), -EINVAL);
}

static void test_add_find_remove(void **state _unused_) {
        struct trust_entry a = entry(UUID, "one"), b = entry(UUID2, "two"), c = entry(UUID2, "one");
        _cleanup_(trust_freep) struct trust_list *l = NULL;
        char path[128];
        struct stat st;

        assert_int_equal(trust_load(dir, &l), 0);
        assert_int_equal(l->n_entries, 0);
        l = trust_free(l);
        assert_int_equal(trust_add(dir, &a), 0);
        assert_int_equal(trust_add(dir, &a), -EEXIST);
        assert_int_equal(trust_add(dir, &c), -EEXIST);           /* its name is another's */
        c = entry(UUID, "three");
        assert_int_equal(trust_add(dir, &c), -EEXIST);           /* its UUID is another's */
        assert_int_equal(trust_add(dir, &b), 0);
        b.name[0] = '.';
        assert_int_equal(trust_add(dir, &b), -EINVAL);
        assert_int_equal(trust_load(dir, &l), 0);
        assert_int_equal(l->n_entries, 2);
        assert_int_equal(l->n_bad, 0);
        assert_string_equal(trust_find_uuid(l, UUID)->name, "one");
        assert_string_equal(trust_find_name(l, "two")->uuid, UUID2);
        assert_null(trust_find_name(l, "three"));
        assert_null(trust_find_uuid(l, "x"));
        snprintf(path, sizeof(path), "%s/%s.conf", dir, UUID);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(trust_remove(dir, UUID), 0);
        assert_int_equal(trust_remove(dir, UUID), -ENOENT);
        assert_int_equal(trust_remove(dir, "../../etc/x"), -EINVAL);
        l = trust_free(l);
        assert_int_equal(trust_load(dir, &l), 0);
        assert_int_equal(l->n_entries, 1);
}

static void test_update(void **state _unused_) {
        struct trust_entry a = entry(UUID, "one"), b = entry(UUID2, "two");
        _cleanup_(trust_freep) struct trust_list *l = NULL;

        assert_int_equal(trust_update(dir, &a), -ENOENT);
        assert_int_equal(trust_add(dir, &a), 0);
        assert_int_equal(trust_add(dir, &b), 0);
        a.keys[0].generation = 4;
        assert_int_equal(trust_update(dir, &a), 0);
        a.keys[0].generation = 3;
        assert_int_equal(trust_update(dir, &a), -ESTALE);
        assert_int_equal(trust_put_back(dir, &a), 0);              /* because somebody asked for it */
        a.keys[0].generation = 2;
        assert_int_equal(trust_update(dir, &a), -ESTALE);
        a.keys[0].generation = 5;
        strcpy(a.name, "two");
        assert_int_equal(trust_update(dir, &a), -EEXIST);
        strcpy(a.name, "renamed");
        assert_int_equal(trust_update(dir, &a), 0);
        assert_int_equal(trust_load(dir, &l), 0);
        assert_int_equal(l->n_entries, 2);
        assert_int_equal(trust_find_name(l, "renamed")->keys[0].generation, 5);
}

static void test_bad_files_are_named_and_skipped(void **state _unused_) {
        _cleanup_(trust_freep) struct trust_list *l = NULL;
        struct trust_entry a = entry(UUID, "new");
        char link[160], big[TRUST_FILE_MAX + 100];

        put(UUID2 ".conf", GOOD, 0600);
        put("no-uuid.conf", GOOD, 0600);
        put("0f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69-and-more.conf", GOOD, 0600);
        put(UUID ".conf", GOOD, 0666);                            /* anybody may write it */
        put("2f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69.conf", "rubbish", 0600);
        memset(big, '#', sizeof(big));
        big[sizeof(big) - 1] = 0;
        put("3f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69.conf", big, 0600);
        snprintf(link, sizeof(link), "%s/4f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69.conf", dir);
        assert_int_equal(symlink(UUID2 ".conf", link), 0);
        snprintf(link, sizeof(link), "%s/5f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69.conf", dir);
        assert_int_equal(mkfifo(link, 0600), 0);                  /* must not block */
        put(UUID ".conf.abcdef", GOOD, 0600);                     /* what a crash leaves behind */
        assert_int_equal(trust_load(dir, &l), 0);
        assert_int_equal(l->n_entries, 1);
        assert_string_equal(l->entries[0].uuid, UUID2);
        assert_int_equal(l->n_bad, 7);
        for (size_t i = 0; i < l->n_bad; i++)
                assert_non_null(strstr(l->bad[i], ".conf: "));
        assert_null(l->bad[l->n_bad]);
        /* a bad file still stands for its UUID */
        assert_int_equal(trust_add(dir, &a), -EEXIST);
}

static void test_two_with_one_name(void **state _unused_) {
        struct trust_entry a = entry("2f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69", "data1");
        struct trust_entry b = entry("3f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69", "other");
        _cleanup_(trust_freep) struct trust_list *l = NULL;

        put(UUID ".conf", GOOD, 0600);
        put(UUID2 ".conf", GOOD, 0600);
        assert_int_equal(trust_add(dir, &b), 0);
        assert_int_equal(trust_load(dir, &l), 0);
        assert_int_equal(l->n_entries, 1);
        assert_string_equal(l->entries[0].name, "other");
        assert_int_equal(l->n_bad, 2);
        assert_int_equal(trust_add(dir, &a), -EEXIST);
}

/* What a header may say of an encryption, and which volume key it is trusted by. */
static void test_under_way(void **state _unused_) {
        static const char begun[] = GOOD "OldKey=4096\n", made[] = GOOD "NextDigest=" NEXT "\n", plain[] = GOOD "Unencrypted=8192\n";
        struct disk_request q = {};
        struct trust_entry e, again;
        char *text;

        assert_int_equal(trust_parse(UUID, begun, strlen(begun), &e, NULL), 0);
        assert_int_equal(trust_left(&e, DISK_FLAG_ENCRYPTING|DISK_FLAG_REKEYING), 4096);
        assert_int_equal(trust_left(&e, DISK_FLAG_ENCRYPTING), 0);
        assert_int_equal(trust_print(&e, &text), 0);
        assert_int_equal(trust_parse(UUID, text, strlen(text), &again, NULL), 0);
        assert_true(again.rekeying && again.unencrypted == 4096 && !again.has_next);
        free(text);
        assert_int_equal(trust_parse(UUID, made, strlen(made), &e, NULL), 0);
        assert_int_equal(trust_left(&e, DISK_FLAG_ENCRYPTING), 0);
        trust_fill_request(&e, DISK_FLAG_ENCRYPTING|DISK_FLAG_REKEYING, &q);
        assert_int_equal(q.plain_max, INT64_MAX);
        assert_int_equal(q.flags, DISK_FLAG_REKEYING);
        assert_int_equal(q.trust_digest[0], 0xaa);
        trust_fill_request(&e, 0, &q);
        assert_int_equal(q.plain_max, 0);
        assert_int_equal(q.trust_digest[31], 31);
        assert_int_equal(trust_print(&e, &text), 0);
        assert_int_equal(trust_parse(UUID, text, strlen(text), &again, NULL), 0);
        assert_true(again.has_next && !again.rekeying && again.next_digest[0] == 0xaa);
        free(text);
        assert_int_equal(trust_parse(UUID, plain, strlen(plain), &e, NULL), 0);
        assert_int_equal(trust_left(&e, DISK_FLAG_ENCRYPTING), 8192);
        assert_int_equal(trust_left(&e, DISK_FLAG_ENCRYPTING|DISK_FLAG_REKEYING), 0);
}

/* How far a copy of an image is from it. */
static void test_origin(void **state _unused_) {
        struct trust_entry e = entry(UUID, "data1"), again;
        struct trust_list l = { .entries = &e, .n_entries = 1 };
        _cleanup_(freep) char *text = NULL;

        assert_int_equal(trust_origin(&e), ORIGIN_OWN);
        assert_null(trust_find_made_from(&l, UUID2));
        strcpy(e.image, UUID2);
        memcpy(e.image_digest, e.digest, sizeof(e.digest));
        assert_int_equal(trust_origin(&e), ORIGIN_IMAGE);
        e.has_next = true;                    /* the header of before may be the disk's yet */
        assert_int_equal(trust_origin(&e), ORIGIN_IMAGE);
        e.has_next = false;
        e.digest[0] ^= 1;
        e.rekeying = true;
        e.unencrypted = 4096;
        assert_int_equal(trust_origin(&e), ORIGIN_CHANGING);
        e.rekeying = false;
        e.unencrypted = 0;
        assert_int_equal(trust_origin(&e), ORIGIN_CHANGED);
        assert_ptr_equal(trust_find_made_from(&l, UUID2), &e);
        assert_int_equal(trust_print(&e, &text), 0);
        assert_int_equal(trust_parse(UUID, text, strlen(text), &again, NULL), 0);
        assert_string_equal(again.image, UUID2);
        assert_memory_equal(again.image_digest, e.image_digest, sizeof(e.image_digest));
        assert_int_equal(trust_origin(&again), ORIGIN_CHANGED);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse), cmocka_unit_test(test_under_way),
                cmocka_unit_test(test_print_and_parse_again), cmocka_unit_test(test_origin),
                cmocka_unit_test_setup_teardown(test_add_find_remove, setup, teardown),
                cmocka_unit_test_setup_teardown(test_update, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_files_are_named_and_skipped, setup, teardown),
                cmocka_unit_test_setup_teardown(test_two_with_one_name, setup, teardown),
        };
        return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}
