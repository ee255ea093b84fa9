/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/doctor/leftovers.c daemon/ctl/doctor/findings.c daemon/ctl/doctor/machine-disk.c
// libs: json-c

/* A header that is in order, and one change of it for each thing that an interrupted command leaves; and files below a root. */

#include "ctl/doctor/leftovers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <ftw.h>
#include <json-c/json.h>
#include <json-c/json_pointer.h>
#include <sys/stat.h>
#include <unistd.h>

#define UUID "11111111-2222-3333-4444-555555555555"
#define OTHER "aaaaaaaa-2222-3333-4444-555555555555"
#define KEYS "https://v.example/keys/"
#define DIGITS "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e"
#define FIRST "Name=data1\nRole=data\nKey=" KEYS "a\nGeneration=2\nPublicKey=AA==\n"
#define SECOND "Key2=" KEYS "b\nGeneration2=1\nPublicKey2=AA==\n"
#define OF(digest) "[Volume]\n" FIRST SECOND "Digest=" digest "\n"
#define LISTED OF(DIGITS "00")

static const char in_order[] =
        "{\"keyslots\":{\"0\":{\"type\":\"luks2\"},\"1\":{\"type\":\"luks2\"},\"2\":{\"type\":\"luks2\"}},"
        "\"tokens\":{\"0\":{\"type\":\"cmkd\",\"keyslots\":[\"0\"],\"name\":\"data1\",\"generation\":\"2\",\"key\":\"" KEYS "a/1\"},"
        "\"1\":{\"type\":\"systemd-recovery\",\"keyslots\":[\"1\"]},"
        "\"2\":{\"type\":\"cmkd\",\"keyslots\":[\"2\"],\"name\":\"data1\",\"generation\":\"1\",\"key\":\"" KEYS "b/7\"}},"
        "\"config\":{}}";

static const struct {
        const char *path, *value;          /* of a JSON pointer; NULL: nothing is changed */
        int kind;                          /* -1: no finding */
        const char *says;
} changes[] = {
        { NULL, NULL, -1, "" },
        { "/keyslots/3", "{\"type\":\"luks2\"}", FINDING_OLD_KEYSLOT, "data1 has keyslots that no token names: 3" },
        { "/keyslots/3", "{\"type\":\"reencrypt\"}", -1, "" },
        { "/tokens/1/keyslots", "[\"1\",\"9\"]", FINDING_TOKEN_ALONE, "token 1 (systemd-recovery) whose keyslot 9 is not there" },
        { "/tokens/2/keyslots", "[\"2\",\"31\"]", FINDING_TOKEN_ALONE, "token 2 (cmkd) whose keyslot 31" },
        { "/tokens/2/generation", "\"3\"", FINDING_LEFT_OVER, "another generation (3) of a key than this node's list, " KEYS "b/7" },
        { "/tokens/2/generation", "3", FINDING_LEFT_OVER, "another generation (3)" },
        { "/tokens/2/key", "\"" KEYS "c/1\"", FINDING_LEFT_OVER, "has key " KEYS "c/1, which is not on this node's list" },
        { "/tokens/2/key", "17", FINDING_LEFT_OVER, "has key 17" },
        { "/config/requirements", "{\"mandatory\":[\"online-reencrypt-v2\"]}", FINDING_REENCRYPTION, "data1 says that it is being reencrypted" },
        { "/config/requirements", "{\"mandatory\":[]}", -1, "" },
        { "/tokens", "[]", -1, "" },
};

static struct trust_entry listed(void) {
        struct trust_entry v;

        assert_int_equal(trust_parse(UUID, LISTED, strlen(LISTED), &v, NULL), 0);
        return v;
}

static struct json_object *changed(const char *path, const char *value) {
        struct json_object *o = json_tokener_parse(in_order);

        assert_non_null(o);
        if (path)
                assert_int_equal(json_pointer_set(&o, path, json_tokener_parse(value)), 0);
        return o;
}

static void test_headers(void **state) {
        const struct trust_entry v = listed();

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                struct json_object *o = changed(changes[i].path, changes[i].value);
                struct findings l = {};

                judge_header(o, &v, "", &l);
                if (l.n != (changes[i].kind >= 0) || (l.n > 0 && ((int) l.list[0].kind != changes[i].kind ||
                                                                 !strstr(l.list[0].what, changes[i].says))))
                        fail_msg("%s: %zu findings, %s", strempty(changes[i].path), l.n, l.n > 0 ? l.list[0].what : "");
                if (l.n > 0)
                        assert_true(*finding_danger(l.list[0].kind) && *finding_cure(l.list[0].kind));
                findings_release(&l);
                json_object_put(o);
        }
}

/* Encrypted in place: the list knows, and says it. */
static void test_under_way(void **state) {
        struct json_object *o = changed("/config/requirements", "{\"mandatory\":[\"online-reencrypt-v2\"]}");
        struct trust_entry v = listed();
        struct findings l = {};

        (void) state;
        v.unencrypted = 4096;
        judge_header(o, &v, "", &l);
        assert_int_equal(l.n, 0);
        json_object_put(o);
}

static void test_not_listed(void **state) {
        struct json_object *o = changed(NULL, NULL);
        struct findings l = {};

        (void) state;
        judge_header(o, NULL, "/dev/x", &l);
        assert_int_equal(l.n, 1);
        assert_int_equal(l.list[0].kind, FINDING_NOT_LISTED);
        assert_string_equal(l.list[0].what, "/dev/x has the header of a volume data1, which is not on this node's list");
        findings_release(&l);
        json_object_put(o);
}

/* ---- files ---- */

static char top[32];

static void put(const char *path, const char *text) {
        char full[256], *slash;
        FILE *f;

        snprintf(full, sizeof(full), "%s%s", top, path);
        slash = strrchr(full, '/');
        *slash = 0;
        assert_int_equal(mkdir_parents(full, 0755), 0);
        *slash = '/';
        f = fopen(full, "we");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
}

static int remove_one(const char *path, const struct stat *st _unused_, int kind _unused_, struct FTW *w _unused_) {
        return remove(path);
}

static int set_up(void **state) {
        (void) state;
        strcpy(top, "/tmp/test-leftovers.XXXXXX");
        return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state) {
        (void) state;
        return nftw(top, remove_one, 16, FTW_DEPTH|FTW_PHYS);
}

static void expect(int kind, const char *says) {
        struct findings l = {};

        find_leftovers(top, &l);
        if (l.n != (kind >= 0) || (l.n > 0 && ((int) l.list[0].kind != kind || !strstr(l.list[0].what, says))))
                fail_msg("%zu findings, %s, not: %s", l.n, l.n > 0 ? l.list[l.n - 1].what : "", says);
        findings_release(&l);
}

static void test_encryptions(void **state) {
        (void) state;
        expect(-1, "");
        put("/var/lib/cmkd/encrypt/" UUID ".header", "x");
        expect(FINDING_STAGED, UUID ".header is of an encryption that did not begin");
        put("/var/lib/cmkd/trust/" UUID ".conf", LISTED);
        expect(FINDING_STAGED, "as volume data1");
        put("/dev/disk/by-uuid/" UUID, "");
        put("/var/lib/cmkd/trust/" UUID ".conf", LISTED "Unencrypted=1048576\n");
        expect(FINDING_ENCRYPTION, "of volume data1 1048576 bytes");
}

/* What the manager does not read as an entry is none here either. */
static void test_bad_entry(void **state) {
        (void) state;
        put("/var/lib/cmkd/trust/" UUID ".conf", LISTED "Unencrypted=1048576\nUnencrypted=1\n");
        expect(-1, "");
        put("/var/lib/cmkd/trust/" UUID ".conf", "[Volume]\n" FIRST "Unencrypted=1048576\n");
        expect(-1, "");
}

static void test_reencryption(void **state) {
        (void) state;
        put("/var/lib/cmkd/trust/" UUID ".conf", LISTED "OldKey=1048576\n");
        expect(FINDING_OLD_KEY, "of volume data1 1048576 bytes");
}

static void test_images(void **state) {
        (void) state;
        put("/etc/cmkd/personalize", "# of the image\n" UUID " data1\n");
        expect(FINDING_IMAGE, "says that volume data1 is an image's, UUID " UUID);
        put("/etc/cmkd/personalize", UUID "\n");
        expect(FINDING_IMAGE, "cannot be read for what a line of it says");
        put("/etc/cmkd/personalize", "");
        put("/var/lib/cmkd/personalize/" UUID ".conf", "");
        expect(FINDING_PENDING, "personalize/" UUID ".conf is of a volume");
        put("/var/lib/cmkd/trust/" UUID ".conf", LISTED "ImageDigest=" DIGITS "00\nImage=" OTHER "\n");
        expect(FINDING_IMAGE_KEY, "data1 has the volume key of the image");
        put("/var/lib/cmkd/trust/" UUID ".conf", OF(DIGITS "01") "ImageDigest=" DIGITS "00\nImage=" OTHER "\n");
        expect(-1, "");
}

static void test_begun(void **state) {
        (void) state;
        put("/var/lib/cmkd/encrypt/" UUID ".begun", "");
        expect(FINDING_BEGUN, "encrypt/" UUID ".begun: the disk that it is of has had its beginning moved");
        put("/dev/disk/by-uuid/" UUID, "");
        expect(-1, "");
}

static void test_conversions(void **state) {
        (void) state;
        put("/var/lib/cmkd/backups/" OTHER ".luks1", "x");
        put("/var/lib/cmkd/backups/no uuid.luks1", "x");
        expect(FINDING_CONVERSION, OTHER ".luks1 is the header of a disk that is not here");
        put("/dev/disk/by-uuid/" OTHER, "");
        expect(FINDING_KEPT, OTHER ".luks1 is the header that was converted");
}

#define FILES(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_headers), cmocka_unit_test(test_under_way), cmocka_unit_test(test_not_listed),
                FILES(test_encryptions), FILES(test_bad_entry), FILES(test_reencryption), FILES(test_begun), FILES(test_images),
                FILES(test_conversions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
