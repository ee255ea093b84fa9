/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/enroll.c daemon/manager/header-verb.c daemon/manager/trust-find.c daemon/manager/outcome.c daemon/manager/stored.c daemon/manager/pin.c
// libs: libsystemd libcrypto

/* Which public key a volume's new key is known by: what stands in the header, of this run or of an earlier one, held against what was
 * expected before the list has it. Header, list, vault and children are models; enroll.c decides. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/header-verb.h"
#include "manager/manager.h"
#include "manager/new-secret.h"
#include "manager/operation.h"
#include "manager/pin.h"
#include "manager/trust.h"

#define KEY "https://a.test/keys/k"
#define NEW "https://b.test/keys/k"
#define UUID "8d2f6e3c-5b1a-4f7e-9c0d-112233445566"

static struct manager manager;
static struct config config;
static struct disk_reply header;
static struct trust_list list;
static struct trust_entry entry;
static struct audit_message_record recorded;    /* the last one */
static char dropped[4][STORED_NAME_SIZE];       /* the secret that each record of a removal names */
static unsigned n_dropped;
static uint8_t says;                            /* the worker, of the new key's public half */
static unsigned proofs, changes;
static disk_callback inspected;
static void *inspecting;
static struct outcome end;

struct volume *manager_volume_by_uuid(struct manager *m _unused_, const char *uuid _unused_) { return NULL; }
bool volume_is_open(const struct volume *v _unused_) { return false; }
bool key_prove(struct key *k _unused_, struct key_waiter *w _unused_) { return true; }
static const char *field(const char *name);

void manager_record(struct manager *m _unused_, const struct audit_message_record *r) {
        recorded = *r;
        if (streq(r->event, "key_removed"))
                snprintf(dropped[n_dropped++], STORED_NAME_SIZE, "%s", field("old_secret"));
}

void manager_record_reply(struct audit_message_record *r _unused_, const struct vault_reply *y _unused_) { }

void header_work_resolve(struct header_work *w, const char *what) {
        snprintf(w->device, sizeof(w->device), "/dev/%s", what);
}

int header_work_inspect(struct header_work *w _unused_, disk_callback callback, void *user) {
        inspected = callback;
        inspecting = user;
        return 0;
}

const struct trust_entry *header_work_begin(struct header_work *w, const struct disk_reply *y) {
        w->header = *y;
        memcpy(w->uuid, UUID, sizeof(w->uuid));
        strcpy(w->name, "data1");
        return &entry;
}

void header_work_give_back(struct header_work *w _unused_) { }
struct volume *header_work_bind(struct header_work *w _unused_, int also _unused_) { return NULL; }
void header_work_use_check(struct unlock *u _unused_) { }

static void put(const char *key, uint8_t pin) {
        struct disk_wrap *w = header.wraps + header.n_wraps++;

        *w = (struct disk_wrap) { .generation = 1, .spki = { pin }, .spki_size = 1 };
        strcpy(w->key, key);
}

/* The first token of that key. */
static void take(const char *key) {
        struct key_uri a, b;

        assert_int_equal(key_uri_parse(key, &a, NULL), 0);
        for (unsigned i = 0; i < header.n_wraps; i++) {
                assert_int_equal(key_uri_parse(header.wraps[i].key, &b, NULL), 0);
                if (!key_uri_same_key(&a, &b))
                        continue;
                header.n_wraps--;
                memmove(header.wraps + i, header.wraps + i + 1, (header.n_wraps - i) * sizeof(header.wraps[0]));
                return;
        }
        fail();
}

void header_work_use_change(struct unlock *u, enum disk_op op) {
        struct header_work *w = u->user;
        struct disk_request q = {};
        int fd = -EBADF;

        w->verb->fill(w, &q, &fd);
        if (op == DISK_OP_WRAP_ADD)
                put(q.key, q.spki[0]);
        else
                take(q.key);
        changes++;
}

int header_work_step(struct header_work *w, const struct unlock_verb *verb, enum unlock_pick pick, const struct key_uri *key,
                     operation_done done) {
        struct unlock u = { .verb = verb, .pick = pick, .pick_key = *key, .user = w };
        struct outcome o = {};

        verb->use(&u);
        w->header = header;
        done(&o, w);
        return 0;
}

int header_work_list(struct header_work *w _unused_, const struct trust_entry *t) {
        entry = *t;
        changes++;
        return 0;
}

int key_proof_check(struct manager *m _unused_, const char *key, struct proven_key *ret, struct outcome *o _unused_) {
        return key_uri_parse(key, &ret->uri, NULL);
}

int key_proof_check_boot(struct manager *m _unused_, const struct proven_key *k _unused_, struct outcome *o _unused_) { return 0; }
int key_proof_check_store(struct manager *m _unused_, struct proven_key *k _unused_, struct outcome *o _unused_) { return 0; }

int key_proof_start(struct manager *m _unused_, const struct key_proof_request *q _unused_, const struct proven_key *k, key_proof_done done,
                    void *user) {
        struct proven_key proven = *k;
        struct outcome o = {};

        proofs++;
        strcpy(proven.uri.version, "1");
        proven.spki[0] = says;
        proven.spki_size = 1;
        done(&o, &proven, user);
        return 0;
}

void key_proof_fill(const struct proven_key *k, struct disk_request *q) {
        key_uri_format(&k->uri, q->key, sizeof(q->key));
        memcpy(q->spki, k->spki, k->spki_size);
}

int new_secret_start(struct manager *m _unused_, const struct new_secret_request *q _unused_, new_secret_done done _unused_,
                     void *user _unused_) {
        return -ENOMEM;
}

bool new_secret_is_needed(const struct proven_key *k _unused_) { return false; }
void new_secret_fill(const struct new_secret *s _unused_, struct disk_request *q _unused_) { }

const char *new_secret_name(const struct new_secret *s _unused_, const char uuid[static 37] _unused_, char buf[static STORED_NAME_SIZE] _unused_) {
        return NULL;
}

static void on_end(const struct outcome *o, void *user _unused_) { end = *o; }

static const char *field(const char *name) {
        for (unsigned i = 0; i < recorded.n_fields; i++)
                if (streq(recorded.fields[i].name, name))
                        return recorded.fields[i].value;
        return "";
}

/* expected: 0: nothing. */
static enum exit_code enroll(uint8_t expected) {
        static const struct requester who = { .text = "a test" };
        struct enroll_request q = { .what = "data1", .key = NEW };

        if (expected)
                pin_digest(&expected, 1, q.expected);
        proofs = changes = 0;
        assert_int_equal(enroll_start(&manager, &q, &who, on_end, NULL), 0);
        inspected(&header, -EBADF, inspecting);
        return end.code;
}

static int set_up(void **state _unused_) {
        header = (struct disk_reply) {};
        entry = (struct trust_entry) { .uuid = UUID, .name = "data1", .n_keys = 1, .keys = { { .generation = 1, .spki = { 'a' }, .spki_size = 1 } } };
        assert_int_equal(key_uri_parse(KEY, &entry.keys[0].key, NULL), 0);
        list = (struct trust_list) { .entries = &entry, .n_entries = 1 };
        manager.trust = &list;
        manager.config = &config;
        put(KEY "/1", 'a');
        says = 'b';
        return 0;
}

static void must_be_pinned(uint8_t pin) {
        char digest[KEY_DIGEST_SIZE];

        pin_digest(&pin, 1, digest);
        assert_int_equal(entry.n_keys, 2);
        assert_int_equal(entry.keys[1].spki[0], pin);
        assert_string_equal(recorded.event, "key_enrolled");
        assert_string_equal(field("key"), NEW "/1");
        assert_string_equal(field("spki_sha256"), digest);
}

static void test_pinned_and_recorded(void **state _unused_) {
        assert_int_equal(enroll(0), EXIT_CODE_DONE);
        assert_int_equal(proofs, 1);
        must_be_pinned('b');
}

static void test_left_by_an_earlier_run(void **state _unused_) {
        put(NEW "/1", 'x');
        assert_int_equal(enroll('b'), EXIT_CODE_POLICY);
        assert_int_equal(changes, 0);
        assert_int_equal(entry.n_keys, 1);
        assert_string_equal(recorded.event, "refused");
        assert_non_null(strstr(end.message, "enroll --remove"));
        assert_int_equal(enroll('x'), EXIT_CODE_DONE);
        assert_int_equal(proofs, 0);                 /* the worker was not asked what it is */
        must_be_pinned('x');
}

static void test_enrolled_already(void **state _unused_) {
        assert_int_equal(enroll(0), EXIT_CODE_DONE);
        assert_int_equal(enroll('b'), EXIT_CODE_DONE);
        assert_int_equal(enroll('x'), EXIT_CODE_POLICY);
        assert_int_equal(changes, 0);
}

static void put_stored(const char *key, uint8_t secret) {
        put(key, 'b');
        header.wraps[header.n_wraps - 1].stored = true;
        memset(header.wraps[header.n_wraps - 1].wrapped, secret, sizeof(header.wraps[0].wrapped));
}

/* In the middle of a rotation: one record a token, each with its own secret. */
static void test_two_versions_removed(void **state _unused_) {
        static const struct requester who = { .text = "a test" };
        const struct enroll_request q = { .what = "data1", .key = NEW, .remove = true };
        char secrets[2][STORED_NAME_SIZE];

        put_stored(NEW "/1", 1);
        put_stored(NEW "/2", 2);
        for (unsigned i = 0; i < 2; i++)
                stored_key_name(UUID, header.wraps[1 + i].wrapped, secrets[i]);
        assert_string_not_equal(secrets[0], secrets[1]);
        entry.keys[entry.n_keys] = (struct trust_key) { .generation = 1, .spki = { 'b' }, .spki_size = 1 };
        assert_int_equal(key_uri_parse(NEW, &entry.keys[entry.n_keys++].key, NULL), 0);
        n_dropped = 0;
        assert_int_equal(enroll_start(&manager, &q, &who, on_end, NULL), 0);
        inspected(&header, -EBADF, inspecting);
        assert_int_equal(end.code, EXIT_CODE_DONE);
        assert_int_equal(entry.n_keys, 1);
        assert_int_equal(header.n_wraps, 1);
        assert_int_equal(n_dropped, 2);
        assert_string_equal(dropped[0], secrets[0]);
        assert_string_equal(dropped[1], secrets[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_pinned_and_recorded, set_up), cmocka_unit_test_setup(test_left_by_an_earlier_run, set_up),
                cmocka_unit_test_setup(test_enrolled_already, set_up), cmocka_unit_test_setup(test_two_versions_removed, set_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
