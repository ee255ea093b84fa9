/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/trust.c daemon/manager/trust-find.c
// libs: libsystemd

/* The copy of the node's list, by whatever the manager was killed between the two. Both are directories of this test's own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/drill.h"
#include "manager/trust-places.h"
#include "manager/trust-signed.h"

static int removing(const char *dir, const char *uuid);

#undef TRUST_DIRECTORY
#undef TRUST_EARLY_DIRECTORY
#undef TRUST_PENDING_DIRECTORY
#undef DRILL_DIRECTORY
#define TRUST_DIRECTORY "list"
#define TRUST_EARLY_DIRECTORY "copy"
#define TRUST_PENDING_DIRECTORY "pending"
#define DRILL_DIRECTORY "drill"
#define trust_remove removing
#include "manager/trust-places.c"
#undef trust_remove

#define UUID "0f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69"
#define UUID2 "1f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69"

static char base[] = "/tmp/test-trust-places.XXXXXX";
static int kill_at;                      /* the removal after which nothing happens any more; 0: none */
static unsigned removed_from_copy;

static int removing(const char *dir, const char *uuid) {
        int r;

        if (kill_at < 0)
                return -EIO;
        removed_from_copy += streq(dir, TRUST_EARLY_DIRECTORY);
        r = trust_remove(dir, uuid);
        if (kill_at > 0 && --kill_at == 0)
                kill_at = -1;
        return r;
}

int trust_load_signed(const char *dir _unused_, char *const *keys _unused_, const struct node_identity *node _unused_, struct trust_list *l _unused_) { return 0; }
void node_identity_get(struct node_identity *ret _unused_) { }

static int remove_one(const char *path, const struct stat *st _unused_, int flag _unused_, struct FTW *f _unused_) {
        return remove(path);
}

static int set_up(void **state _unused_) {
        strcpy(base + strlen(base) - 6, "XXXXXX");
        kill_at = 0;
        removed_from_copy = 0;
        return mkdtemp(base) && chdir(base) >= 0 ? 0 : -1;
}

static int tear_down(void **state _unused_) {
        return chdir("/") < 0 ? -1 : nftw(base, remove_one, 8, FTW_DEPTH|FTW_PHYS);
}

static struct trust_entry entry(const char *uuid, const char *name) {
        struct trust_entry e = {
                .role = ROLE_DATA, .n_keys = 1,
                .keys = { { .key = { .host = "v.test", .port = 443, .name = "k" }, .generation = 3, .spki = { 7 }, .spki_size = 1 } },
        };

        strcpy(e.uuid, uuid);
        strcpy(e.name, name);
        return e;
}

/* What an entry of the directory is, or nothing. */
static bool has(const char *dir, const struct trust_entry *e) {
        _cleanup_(trust_freep) struct trust_list *l = NULL;
        const struct trust_entry *there;

        assert_int_equal(trust_load(dir, &l), 0);
        there = trust_find_uuid(l, e->uuid);
        return there && trust_is_same(there, e);
}

static void must_be_same(size_t n) {
        _cleanup_(trust_freep) struct trust_list *l = NULL, *copy = NULL;

        assert_int_equal(trust_load("list", &l), 0);
        assert_int_equal(trust_load("copy", &copy), 0);
        assert_int_equal(l->n_entries, n);
        assert_int_equal(copy->n_entries, n);
        assert_true(l->n_bad == 0 && copy->n_bad == 0);
        for (size_t i = 0; i < n; i++)
                assert_true(trust_is_same(l->entries + i, copy->entries + i));
}

static void put(const char *path, const char *text) {
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, 0600), 0);
}

/* There is no moment at which the copy lacks it. */
static void test_update(void **state _unused_) {
        struct trust_entry e = entry(UUID, "data1");

        assert_int_equal(trust_places_add(&e), 0);
        must_be_same(1);
        e.keys[0].generation = 4;
        assert_int_equal(trust_places_update(&e), 0);
        must_be_same(1);
        e.keys[0].generation = 2;
        assert_int_equal(trust_places_put_back(&e), 0);
        must_be_same(1);
        assert_int_equal(removed_from_copy, 0);
}

/* Killed after the first of the two: it is not trusted by the one that is read first at boot. */
static void test_removed_half(void **state _unused_) {
        struct trust_entry e = entry(UUID, "data1"), other = entry(UUID2, "data2");

        assert_int_equal(trust_places_add(&e), 0);
        assert_int_equal(trust_places_add(&other), 0);
        kill_at = 1;
        assert_true(trust_places_remove(UUID) < 0);
        assert_false(has("copy", &e));
        kill_at = 0;
        trust_places_follow();
        must_be_same(2);
        assert_int_equal(trust_places_remove(UUID), 0);
        must_be_same(1);
        assert_int_equal(trust_places_remove(UUID), -ENOENT);
}

/* By an older cmkd, whose list was first. */
static void test_only_in_the_copy(void **state _unused_) {
        struct trust_entry e = entry(UUID, "data1");

        assert_int_equal(trust_add("copy", &e), 0);
        assert_int_equal(trust_places_remove(UUID), -ENOENT);
        assert_false(has("copy", &e));
}

static void test_successor_of_its_name(void **state _unused_) {
        struct trust_entry old = entry(UUID, "data1"), new = entry(UUID2, "data1");

        assert_int_equal(trust_add("copy", &old), 0);
        assert_int_equal(trust_places_add(&new), 0);
        must_be_same(1);
}

static void test_follows(void **state _unused_) {
        struct trust_entry e = entry(UUID, "data1"), old = e, other = entry(UUID2, "data2");

        old.keys[0].generation = 1;
        assert_int_equal(trust_add("list", &e), 0);
        trust_places_follow();               /* missing */
        must_be_same(1);
        assert_int_equal(trust_put_back("copy", &old), 0);
        assert_int_equal(trust_add("copy", &other), 0);
        trust_places_follow();               /* another one, and one that is gone */
        must_be_same(1);
        assert_int_equal(access("copy/" UUID2 ".gone", F_OK), 0);
        put("copy/" UUID ".conf", "[Vol");
        trust_places_follow();
        must_be_same(1);
        strcpy(other.name, "data1");         /* two of a name are none */
        assert_int_equal(trust_copy("list2", &other), 0);
        assert_int_equal(rename("list2/" UUID2 ".conf", "copy/" UUID2 ".conf"), 0);
        assert_false(has("copy", &e));
        trust_places_follow();
        must_be_same(1);
}

/* What nothing is concluded from. */
static void test_does_not_follow(void **state _unused_) {
        struct trust_entry e = entry(UUID, "data1"), other = entry(UUID2, "data2");

        assert_int_equal(trust_add("copy", &e), 0);
        trust_places_follow();
        assert_true(has("copy", &e));
        assert_int_equal(mkdir("list", 0700), 0);
        trust_places_follow();
        assert_true(has("copy", &e));
        assert_int_equal(trust_places_add(&other), 0);
        put("list/" UUID ".conf", "[Vol");
        trust_places_follow();
        assert_true(has("copy", &e));
        assert_true(has("copy", &other));
}

static void test_settled_again(void **state _unused_) {
        struct trust_entry image = entry(UUID, "data1"), e = entry(UUID2, "data1"), changed;

        strcpy(e.image, UUID);
        for (int at = 1; at < 5; at++) {
                assert_int_equal(trust_places_add(&image), 0);
                assert_int_equal(trust_places_pend(&e), 0);
                kill_at = at;
                (void) trust_places_settle(&e);
                kill_at = 0;
                /* its removal failed, say: the same call once more */
                assert_int_equal(trust_places_pend(&e), 0);
                assert_int_equal(trust_places_settle(&e), 0);
                must_be_same(1);
                assert_true(has("list", &e));
                assert_false(has("pending", &e));
                assert_int_equal(trust_places_remove(UUID2), 0);
        }
        changed = e;
        changed.keys[0].generation = 9;
        assert_int_equal(trust_places_add(&changed), 0);
        assert_int_equal(trust_places_pend(&e), 0);
        assert_int_equal(trust_places_settle(&e), -EEXIST);
        assert_true(has("list", &changed));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_update), TEST(test_removed_half), TEST(test_only_in_the_copy), TEST(test_successor_of_its_name), TEST(test_follows),
                TEST(test_does_not_follow), TEST(test_settled_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
