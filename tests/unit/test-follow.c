/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/follow.c daemon/manager/trust-find.c
// libs: libsystemd

/* A key's newest version, as its vault tells: said once, and where the configuration has it followed, each volume goes over to it, one
 * after the other. The vault and the rotation are models; follow.c decides. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/follow.h"
#include "manager/key.h"
#include "manager/manager.h"
#include "manager/operation.h"

#define KEY "https://a.test/keys/k"
#define OTHER "https://b.test/keys/k"

static struct trust_entry entries[3];
static struct trust_list list = { .entries = entries, .n_entries = ELEMENTSOF(entries) };
static char vault_name[] = "a";
static struct vault_config vault = { .name = vault_name };
static struct config config = { .vaults = &vault };
static struct manager manager;
static struct key key;
static struct wrap wraps[3];
static struct volume volumes[3];

static struct { worker_callback callback; void *user; struct vault_request q; } asked;
static struct { operation_done done; void *user; struct rotate_request q; } rotating;
static unsigned n_asked, n_rotations, n_records;

int worker_ask(struct worker_link *w _unused_, const struct vault_request *q, int fd _unused_, worker_callback callback, void *user) {
        assert_null(asked.callback);
        asked.callback = callback;
        asked.user = user;
        asked.q = *q;
        n_asked++;
        return 0;
}

void key_fill_request(const struct key *k, enum vault_op op, struct vault_request *ret) {
        *ret = (struct vault_request) { .op = (uint8_t) op, .key = k->uri };
}

int rotate_start(struct manager *m, const struct rotate_request *q, const struct requester *who _unused_, operation_done done, void *user) {
        assert_ptr_equal(m, &manager);
        assert_null(rotating.done);              /* one at a time */
        rotating.done = done;
        rotating.user = user;
        rotating.q = *q;
        n_rotations++;
        return 0;
}

void manager_record(struct manager *m _unused_, const struct audit_message_record *r) {
        assert_string_equal(r->event, "key_outdated");
        n_records++;
}

struct volume *manager_volume_by_uuid(struct manager *m _unused_, const char *uuid) {
        for (size_t i = 0; i < ELEMENTSOF(volumes); i++)
                if (streq(volumes[i].uuid, uuid))
                        return volumes + i;
        return NULL;
}

/* Three attached volumes of version v1. */
static void start(bool latest) {
        memset(&manager, 0, sizeof(manager));
        memset(&key, 0, sizeof(key));
        memset(volumes, 0, sizeof(volumes));
        memset(entries, 0, sizeof(entries));
        memset(&asked, 0, sizeof(asked));
        memset(&rotating, 0, sizeof(rotating));
        n_asked = n_rotations = n_records = 0;
        manager.config = &config;
        manager.trust = &list;
        vault.key_version = latest ? KEY_VERSION_LATEST : KEY_VERSION_PINNED;
        key.manager = &manager;
        strcpy(key.vault, "a");
        strcpy(key.uri_text, KEY "/v1");
        assert_int_equal(key_uri_parse(KEY "/v1", &key.uri, NULL), 0);
        LIST_INIT(&manager.volumes);
        for (size_t i = ELEMENTSOF(volumes); i-- > 0;) {
                snprintf(volumes[i].uuid, sizeof(volumes[i].uuid), "8d2f6e3c-5b1a-4f7e-9c0d-11223344556%zu", i);
                snprintf(entries[i].uuid, sizeof(entries[i].uuid), "%s", volumes[i].uuid);
                strcpy(wraps[i].uri, KEY "/v1");
                volumes[i].manager = &manager;
                volumes[i].state = VOLUME_ATTACHED;
                volumes[i].wraps[0] = wraps + i;
                volumes[i].n_wraps = 1;
                LIST_INSERT_HEAD(&manager.volumes, volumes + i, volumes);
        }
}

static struct vault_reply newest(const char *kid) {
        struct vault_reply y = { .verdict = VERDICT_GRANTED, .key_flags = VAULT_KEY_ENABLED };

        snprintf(y.kid, sizeof(y.kid), "%s", kid);
        return y;
}

static void answer(const struct vault_reply *y) {
        worker_callback callback = TAKE_PTR(asked.callback);

        assert_non_null(callback);
        callback(y, asked.user);
}

/* How the rotation ended that is under way. */
static void rotated(enum exit_code code) {
        struct outcome o = { .code = code, .message = "no" };
        operation_done done = TAKE_PTR(rotating.done);
        struct volume *v = manager_volume_by_uuid(&manager, rotating.q.what);

        assert_non_null(done);
        if (code == EXIT_CODE_DONE)
                strcpy(v->wraps[0]->uri, KEY "/v2");
        done(&o, rotating.user);
}

static void test_all_one_after_the_other(void **state _unused_) {
        struct vault_reply y = newest(KEY "/v2");

        start(true);
        follow_look(&key);
        follow_look(&key);                                       /* it is being asked */
        assert_int_equal(n_asked, 1);
        assert_int_equal(asked.q.op, VAULT_OP_GET_KEY);
        assert_string_equal(asked.q.key.version, "");
        answer(&y);
        for (size_t i = 0; i < ELEMENTSOF(volumes); i++) {
                assert_int_equal(n_rotations, i + 1);
                assert_string_equal(rotating.q.what, volumes[i].uuid);
                assert_string_equal(rotating.q.key, KEY);
                assert_string_equal(rotating.q.version, "v2");
                rotated(EXIT_CODE_DONE);
        }
        assert_int_equal(n_rotations, 3);
        assert_null(manager.following);
        assert_int_equal(n_records, 1);
        /* with the next poll, and no more is there to be done */
        follow_look(&key);
        answer(&y);
        assert_int_equal(n_rotations, 3);
        assert_int_equal(n_records, 1);
}

/* Which are left alone: not attached, busy, of a signed list, of a drill, put off, of another key. */
static void test_who_is_left_alone(void **state _unused_) {
        struct vault_reply y = newest(KEY "/v2");

        for (unsigned row = 0; row < 7; row++) {
                start(true);
                volumes[0].state = row == 0 ? VOLUME_HELD : VOLUME_ATTACHED;
                volumes[0].owner = row == 1 ? (struct unlock *) &y : NULL;
                strcpy(entries[0].list, row == 2 ? "owners.list" : "");
                entries[0].drill = row == 3;
                volumes[0].follow_after_usec = row == 4 ? now_boottime_usec() + FOLLOW_RETRY_USEC : 0;
                strcpy(wraps[0].uri, row == 5 ? OTHER "/v1" : row == 6 ? KEY "/v2" : KEY "/v1");
                follow_look(&key);
                answer(&y);
                assert_string_equal(rotating.q.what, volumes[1].uuid);
                rotated(EXIT_CODE_DONE);
                rotated(EXIT_CODE_DONE);
                assert_null(rotating.done);
                assert_int_equal(n_rotations, 2);
        }
}

/* It is tried again, not at once, and does not keep the others. */
static void test_failure_is_put_off(void **state _unused_) {
        struct vault_reply y = newest(KEY "/v2");

        start(true);
        follow_look(&key);
        answer(&y);
        rotated(EXIT_CODE_UNREACHABLE);
        assert_string_equal(rotating.q.what, volumes[1].uuid);
        rotated(EXIT_CODE_DONE);
        rotated(EXIT_CODE_DONE);
        assert_null(rotating.done);
        assert_in_range(volumes[0].follow_after_usec, now_boottime_usec() + FOLLOW_RETRY_USEC - 60 * USEC_PER_SEC,
                        now_boottime_usec() + FOLLOW_RETRY_USEC);
        follow_look(&key);
        answer(&y);
        assert_int_equal(n_rotations, 3);
        volumes[0].follow_after_usec = 1;
        follow_look(&key);
        answer(&y);
        assert_string_equal(rotating.q.what, volumes[0].uuid);
        rotated(EXIT_CODE_DONE);
}

/* What the vault says is no reason to touch a volume, and known no more as a newer one. */
static void test_what_does_not_count(void **state _unused_) {
        const uint64_t now = instant_now().realtime_usec / USEC_PER_SEC;
        struct vault_reply bad[8];

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                bad[i] = newest(KEY "/v2");
        bad[0].key_flags = 0;
        bad[1].not_before = now + 1000;
        bad[2].expires = now - 1000;
        strcpy(bad[3].kid, KEY "/v1");
        strcpy(bad[4].kid, KEY);
        strcpy(bad[5].kid, OTHER "/v2");
        strcpy(bad[6].kid, "nonsense");
        bad[7].verdict = VERDICT_DENIED;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                start(true);
                strcpy(key.follow.newest, KEY "/v7");
                follow_look(&key);
                answer(bad + i);
                assert_int_equal(n_rotations, 0);
                assert_int_equal(n_records, 0);
                /* of a vault that says nothing nothing new is known */
                assert_string_equal(key.follow.newest, i == 7 ? KEY "/v7" : "");
                assert_false(key.follow.asking);
        }
}

/* Not followed: asked seldom, said once, and nothing is done. */
static void test_pinned(void **state _unused_) {
        struct vault_reply y = newest(KEY "/v2"), later = newest(KEY "/v3");

        start(false);
        follow_look(&key);
        answer(&y);
        assert_string_equal(key.follow.newest, KEY "/v2");
        follow_look(&key);
        assert_int_equal(n_asked, 1);
        key.follow.asked_usec = now_boottime_usec() - FOLLOW_LOOK_USEC;
        follow_look(&key);
        answer(&later);
        assert_int_equal(n_records, 2);
        assert_int_equal(n_rotations, 0);
        assert_false(follow_wants(&key));
}

static void test_token_has_no_versions(void **state _unused_) {
        start(true);
        assert_int_equal(key_uri_parse("pkcs11:token=t;object=k;type=private", &key.uri, NULL), 0);
        follow_look(&key);
        assert_int_equal(n_asked, 0);
}

/* While volumes of one key are rotated, the others wait for their next poll. */
static void test_one_run(void **state _unused_) {
        struct vault_reply y = newest(KEY "/v2");

        start(true);
        follow_look(&key);
        answer(&y);
        follow_look(&key);
        answer(&y);
        assert_int_equal(n_rotations, 1);
        for (size_t i = 0; i < ELEMENTSOF(volumes); i++)
                rotated(EXIT_CODE_DONE);
        assert_null(manager.following);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_one_after_the_other), cmocka_unit_test(test_who_is_left_alone),
                cmocka_unit_test(test_failure_is_put_off), cmocka_unit_test(test_what_does_not_count), cmocka_unit_test(test_pinned),
                cmocka_unit_test(test_token_has_no_versions), cmocka_unit_test(test_one_run),
        };

        return cmocka_run_group_tests_name("follow", tests, NULL, NULL);
}
