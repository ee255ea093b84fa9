/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/wrap-choice.c daemon/manager/trust.c daemon/manager/trust-find.c daemon/manager/wrap-mark.c daemon/manager/lease-keys.c

/* Which of a header's keys count, by the node's list; and what is remembered of each. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/key.h"
#include "manager/wrap-choice.h"
#include "manager/wrap-mark.h"
#include "manager/wrap.h"

#define VERSION "/0123456789abcdef0123456789abcdef"

void key_track_adopt(struct key_track *k, struct instant granted) {
        k->granted = granted;
        k->has_grant = true;
}

struct lease_key wrap_lease_key(const struct wrap *w) {
        return (struct lease_key) { .track = w->key ? &w->key->track : NULL, .begun = w->begun, .adopted = w->adopted };
}

static struct disk_reply header;
static struct trust_entry list;
static struct wrap_choice choice;
static char why[600];

static void token(unsigned at, const char *key, uint8_t spki, uint64_t generation) {
        struct disk_wrap *w = header.wraps + at;

        *w = (struct disk_wrap) { .token = (uint8_t) at, .spki = { spki }, .spki_size = 3, .generation = generation };
        snprintf(w->key, sizeof(w->key), "https://%s" VERSION, key);
        header.n_wraps = (uint8_t) MAX_OF(header.n_wraps, at + 1u);
}

static void listed(const char *key, uint8_t spki, uint64_t generation) {
        struct trust_key *t = list.keys + list.n_keys++;
        char uri[KEY_URI_MAX];

        *t = (struct trust_key) { .spki = { spki }, .spki_size = 3, .generation = generation };
        snprintf(uri, sizeof(uri), "https://%s", key);
        assert_int_equal(key_uri_parse(uri, &t->key, NULL), 0);
}

static int choose(bool lenient) {
        choice = (struct wrap_choice) { .n = 77 };
        *why = 0;
        return wrap_choose(&header, list.n_keys > 0 ? &list : NULL, lenient, &choice, why);
}

static int set_up(void **state _unused_) {
        header = (struct disk_reply) {};
        list = (struct trust_entry) {};
        token(0, "a.test/keys/k", 1, 1);
        token(1, "b.test/keys/k", 2, 1);
        token(2, "c.test/keys/k", 3, 1);
        return 0;
}

static void test_order_is_the_list_s(void **state _unused_) {
        listed("c.test/keys/k", 3, 1);
        listed("a.test/keys/k", 1, 1);
        assert_int_equal(choose(false), 0);
        assert_int_equal(choice.n, 2);               /* b, which is nobody's, is not asked */
        assert_int_equal(choice.at[0], 2);
        assert_int_equal(choice.at[1], 0);
}

static void test_unlisted_volume(void **state _unused_) {
        assert_int_equal(choose(false), 0);
        assert_int_equal(choice.n, 3);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(choice.at[i], i);
}

static void test_missing(void **state _unused_) {
        listed("a.test/keys/k", 1, 1);
        listed("d.test/keys/k", 4, 1);
        assert_int_equal(choose(false), -ENOENT);
        assert_non_null(strstr(why, "https://d.test/keys/k"));
        assert_int_equal(choice.n, 77);
        assert_int_equal(choose(true), 0);           /* a copy of an older list, in early boot */
        assert_int_equal(choice.n, 1);
        list.n_keys = 0;
        listed("d.test/keys/k", 4, 1);
        listed("e.test/keys/k", 5, 1);
        assert_int_equal(choose(true), -ENOENT);     /* but none at all is none */
}

static void test_other_public_key(void **state _unused_) {
        listed("a.test/keys/k", 9, 1);
        assert_int_equal(choose(false), -EKEYREJECTED);
        assert_non_null(strstr(why, "not the one that was pinned"));
        listed("b.test/keys/k", 2, 1);
        assert_int_equal(choose(false), -EKEYREJECTED);
        assert_non_null(strstr(why, "https://a.test/keys/k"));
}

static void test_older_generation(void **state _unused_) {
        listed("a.test/keys/k", 1, 1);
        listed("b.test/keys/k", 2, 7);
        assert_int_equal(choose(false), -ESTALE);
        assert_int_equal(choose(true), -ESTALE);
        assert_non_null(strstr(why, "generation 1, this node has seen 7"));
}

/* One key in two vaults: the public half alone does not say which is which. */
static void test_same_key_in_two_vaults(void **state _unused_) {
        token(1, "b.test/keys/k", 1, 1);
        listed("b.test/keys/k", 1, 1);
        listed("a.test/keys/k", 1, 1);
        assert_int_equal(choose(false), 0);
        assert_int_equal(choice.at[0], 1);
        assert_int_equal(choice.at[1], 0);
}

/* Of a key that is being rotated the one counts that the list has, and none that is older. */
static void test_two_versions(void **state _unused_) {
        for (int same_public_key = 0; same_public_key < 2; same_public_key++) {
                list.n_keys = 0;
                header.n_wraps = 0;
                token(0, "a.test/keys/k", 1, 4);
                token(1, "a.test/keys/k", same_public_key ? 1 : 2, 5);
                memset(strrchr(header.wraps[1].key, '/') + 1, 'f', 32);
                listed("a.test/keys/k", 1, 4);
                assert_int_equal(choose(false), 0);          /* the new one has not been proven */
                assert_true(choice.n == 1 && choice.at[0] == 0);
                list.n_keys = 0;
                listed("a.test/keys/k", same_public_key ? 1 : 2, 5);
                assert_int_equal(choose(false), 0);
                assert_true(choice.n == 1 && choice.at[0] == 1);
                header.n_wraps = 1;                          /* the header of before */
                for (int lenient = 0; lenient < 2; lenient++) {
                        assert_int_equal(choose(lenient), -ESTALE);
                        assert_non_null(strstr(why, "generation 4, this node has seen 5"));
                }
        }
}

static void test_marks(void **state _unused_) {
        struct wrap_mark_line l[DISK_WRAPS_MAX];
        static const char good[] = "granted 5 1700000000 https://a.test/keys/k" VERSION "\n"
                                   "silent 9 1700000001 https://b.test/keys/k" VERSION "\n";
        static const char *const bad[] = {
                "", "granted 5 6 https://a.test/keys/k", "granted 5 6\n", "asleep 5 6 https://a.test/keys/k\n",
                "granted 0 6 https://a.test/keys/k\n", "granted 5 6 http://a.test/keys/k\n",
                "granted 5 6 https://a.test/keys/k x\n", "granted x 6 https://a.test/keys/k\n", "\n",
        };
        char many[512] = "";

        assert_int_equal(wrap_mark_parse(good, l), 2);
        assert_true(l[0].granted && l[0].at.boottime_usec == 5 && l[0].at.realtime_usec == 1700000000);
        assert_true(!l[1].granted && l[1].at.boottime_usec == 9);
        assert_string_equal(l[1].key, "https://b.test/keys/k" VERSION);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(wrap_mark_parse(bad[i], l), -EBADMSG);
        for (unsigned i = 0; i <= DISK_WRAPS_MAX; i++)
                strcat(many, "granted 5 6 https://a.test/keys/k\n");
        assert_int_equal(wrap_mark_parse(many, l), -EBADMSG);
}

/* Two volumes of a key: what no mark says of it is the lease of the volume that it is known of, and of no other. */
static void test_adopted(void **state _unused_) {
        static const struct instant none, yes = { 700, 800 }, own = { 300, 400 };
        struct key k = {};
        struct wrap of_a = { .key = &k }, of_b = { .key = &k };
        struct volume a = { .wraps = { &of_a }, .n_wraps = 1 }, b = { .wraps = { &of_b }, .n_wraps = 1 };

        wrap_mark_adopt(&b, none, own);
        assert_true(k.track.has_grant && k.track.granted.boottime_usec == 300);
        wrap_mark_adopt(&a, yes, yes);
        assert_true(k.track.granted.boottime_usec == 700 && of_a.adopted.boottime_usec == 700 && of_b.adopted.boottime_usec == 300);
        wrap_mark_adopt(&b, none, none);
        assert_int_equal(k.track.granted.boottime_usec, 700);
        assert_int_equal(of_b.adopted.boottime_usec, 1);         /* from for ever */
        wrap_mark_adopt(&b, yes, own);
        assert_true(of_b.adopted.boottime_usec == 300 && of_b.adopted.realtime_usec == 400);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_adopted),
                cmocka_unit_test_setup(test_order_is_the_list_s, set_up), cmocka_unit_test_setup(test_unlisted_volume, set_up),
                cmocka_unit_test_setup(test_missing, set_up), cmocka_unit_test_setup(test_other_public_key, set_up),
                cmocka_unit_test_setup(test_older_generation, set_up),
                cmocka_unit_test_setup(test_same_key_in_two_vaults, set_up), cmocka_unit_test_setup(test_two_versions, set_up),
                cmocka_unit_test(test_marks),
        };

        return cmocka_run_group_tests_name("wrap-choice", tests, NULL, NULL);
}
