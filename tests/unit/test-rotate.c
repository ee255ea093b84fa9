/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/rotate.c daemon/manager/header-verb.c daemon/manager/wrap-choice.c daemon/manager/trust.c daemon/manager/trust-find.c daemon/manager/outcome.c daemon/manager/stored.c daemon/manager/pin.c
// libs: libsystemd libcrypto

/* A key goes over to another version, and is interrupted before or after every write: whatever the header and the list are
 * then, what the list says opens the volume, and the same command ends where it would have. The header, the list, the vault and
 * the children are models; rotate.c decides. */

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
#define OTHER "https://b.test/keys/k"
#define UUID "8d2f6e3c-5b1a-4f7e-9c0d-112233445566"

static struct manager manager;
static struct config config;
static struct disk_reply header;
static struct trust_list list;
static struct trust_entry entry;
static bool wiped[16];                  /* by number of the token: its keyslot opens nothing */
static unsigned next_token;

static char newest[33];                 /* of the key, in its vault */
static uint8_t says;                    /* the worker, of its public key; 0: what it is */
static struct audit_message_record rotated;     /* the last "key_rotated" */
static enum verdict new_version_says, challenge_says;
static struct volume open_volume;       /* while it is open */
static struct wrap wraps[DISK_WRAPS_MAX];
static struct key keys[DISK_WRAPS_MAX];
static bool is_open;

static int writes, stop_at;             /* durable changes so far; the one at which it is interrupted, -1: none */
static bool stop_after;                 /* ... when it has been made */
static bool proven;                     /* CHECK by the new version, in this run */
static bool granted;                    /* ... and its challenge, with the volume polled by both */
static char history[256];
static struct outcome end;
static bool ended, has_header;

/* What was started and has not answered yet. */
static struct { operation_done done; struct header_work *work; struct outcome o; } pending;
static struct { key_proof_done done; void *user; struct outcome o; struct proven_key key; } proof;
static struct { disk_callback done; void *user; } inspect;
static struct key_waiter *waiter;

static void note(const char *format, ...) _printf_(1, 2);
static void note(const char *format, ...) {
        size_t n = strlen(history);
        va_list ap;

        va_start(ap, format);
        vsnprintf(history + n, sizeof(history) - n, format, ap);
        va_end(ap);
}

static struct disk_wrap *find_wrap(const char *key) {
        for (unsigned i = 0; i < header.n_wraps; i++)
                if (streq(header.wraps[i].key, key))
                        return header.wraps + i;
        return NULL;
}

/* The invariant: all that the list has is in the header and opens it. */
static void must_open(void) {
        struct wrap_choice c;
        char why[600];

        assert_int_equal(wrap_choose(&header, &entry, false, &c, why), 0);
        for (unsigned i = 0; i < c.n; i++)
                assert_false(wiped[header.wraps[c.at[i]].token]);
}

/* A durable change is about to be made: false, it is interrupted before; *ret_fails: afterwards. */
static bool may_write(bool *ret_fails) {
        bool now = writes++ == stop_at;

        *ret_fails = now;
        return !now || stop_after;
}

/* ---- what stands around it ---- */

struct volume *manager_volume_by_uuid(struct manager *m _unused_, const char *uuid _unused_) {
        return is_open ? &open_volume : NULL;
}

void manager_record(struct manager *m _unused_, const struct audit_message_record *r) {
        note("[%s]", r->event);
        if (streq(r->event, "key_rotated"))
                rotated = *r;
}

void manager_record_reply(struct audit_message_record *r _unused_, const struct vault_reply *y _unused_) {
}

void header_work_resolve(struct header_work *w, const char *what) {
        snprintf(w->device, sizeof(w->device), "/dev/%s", what);
}

int header_work_inspect(struct header_work *w _unused_, disk_callback callback, void *user) {
        inspect.done = callback;
        inspect.user = user;
        return 0;
}

const struct trust_entry *header_work_begin(struct header_work *w, const struct disk_reply *y) {
        assert_false(has_header);
        has_header = true;
        w->header = *y;
        memcpy(w->uuid, UUID, sizeof(w->uuid));
        strcpy(w->name, "data1");
        return &entry;
}

void header_work_give_back(struct header_work *w _unused_) {
        has_header = false;
}

static void add(const struct disk_request *q) {
        struct disk_wrap *w = header.wraps + header.n_wraps++;

        assert_true(header.n_wraps <= DISK_WRAPS_MAX);
        *w = (struct disk_wrap) { .token = (uint8_t) next_token++, .generation = q->generation, .spki_size = q->spki_size };
        strcpy(w->key, q->key);
        memcpy(w->spki, q->spki, q->spki_size);
        wiped[w->token] = false;
}

void header_work_use_change(struct unlock *u, enum disk_op op) {
        struct header_work *w = u->user;
        struct disk_request q = {};
        struct disk_wrap *old;
        bool fails;
        int fd = -EBADF;

        assert_int_equal(u->pick, PICK_ANY);
        w->verb->fill(w, &q, &fd);
        note(op == DISK_OP_WRAP_ROTATE ? "make " : "drop ");
        note("%s ", strrchr(q.key, '/') + 1);
        old = find_wrap(q.key);
        if (may_write(&fails)) {
                if (op == DISK_OP_WRAP_ROTATE) {
                        assert_null(old);
                        add(&q);
                } else {
                        wiped[old->token] = true;
                        must_open();
                        *old = header.wraps[--header.n_wraps];
                }
                must_open();
                w->header = header;
        }
        pending.o.code = fails ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

void header_work_use_check(struct unlock *u) {
        char uri[KEY_URI_MAX];

        key_uri_format(&u->pick_key, uri, sizeof(uri));
        assert_int_equal(u->pick, PICK_VERSION);
        assert_non_null(find_wrap(uri));
        proven = new_version_says == VERDICT_GRANTED;
        pending.o.code = proven ? EXIT_CODE_DONE : EXIT_CODE_REVOKED;
        note("prove ");
}

int header_work_step(struct header_work *w, const struct unlock_verb *verb, enum unlock_pick pick, const struct key_uri *key,
                     operation_done done) {
        struct unlock u = { .verb = verb, .pick = pick, .pick_key = *key, .user = w };

        assert_true(has_header && verb->header_only);
        pending.done = done;
        pending.work = w;
        verb->use(&u);
        return 0;
}

struct volume *header_work_bind(struct header_work *w, int also) {
        struct wrap_choice c;
        char why[600];

        if (!is_open)
                return NULL;
        assert_int_equal(wrap_choose(&w->header, &entry, false, &c, why), 0);
        for (unsigned i = 0; also >= 0 && i < w->header.n_wraps; i++)
                if (w->header.wraps[i].token == also)
                        c.at[c.n++] = i;
        open_volume.n_wraps = c.n;
        for (unsigned i = 0; i < c.n; i++) {
                strcpy(wraps[i].uri, w->header.wraps[c.at[i]].key);
                wraps[i].key = keys + i;
                open_volume.wraps[i] = wraps + i;
        }
        return &open_volume;
}

bool key_prove(struct key *k _unused_, struct key_waiter *w) {
        assert_int_equal(open_volume.n_wraps, entry.n_keys + 1);       /* the old one has not been let go of */
        waiter = w;
        note("challenge ");
        return false;
}

int header_work_list(struct header_work *w _unused_, const struct trust_entry *t) {
        bool same = memcmp(t->keys, entry.keys, sizeof(entry.keys)) == 0, fails;

        assert_ptr_not_equal(t, &entry);
        if (!same) {
                assert_true(proven && (granted || !is_open));
                note("list ");
        }
        if (may_write(&fails)) {
                entry = *t;
                must_open();
        }
        return fails ? -EIO : 0;
}

/* ---- the vault ---- */

int key_proof_check(struct manager *m _unused_, const char *key, struct proven_key *ret, struct outcome *o) {
        assert_string_equal(ret->vault, "");         /* no other field was there before */
        if (key_uri_parse(key, &ret->uri, NULL) >= 0)
                return 0;
        outcome_set(o, EXIT_CODE_USAGE, "no key");
        return -EINVAL;
}

int key_proof_start(struct manager *m _unused_, const struct key_proof_request *q, const struct proven_key *k, key_proof_done done,
                    void *user) {
        proof.key = *k;
        proof.o = (struct outcome) {};
        if (!*proof.key.uri.version)
                strcpy(proof.key.uri.version, newest);
        strcpy(proof.key.algorithm, "RSA-OAEP-256");
        proof.key.spki_size = 1;
        proof.key.spki[0] = says ? says : (uint8_t) proof.key.uri.version[0];
        if (!streq(strempty(q->known), proof.key.uri.version))
                note("ask ");
        proof.done = done;
        proof.user = user;
        return 0;
}

void key_proof_fill(const struct proven_key *k, struct disk_request *q) {
        q->generation = 1;
        key_uri_format(&k->uri, q->key, sizeof(q->key));
        memcpy(q->spki, k->spki, k->spki_size);
        q->spki_size = k->spki_size;
}

int new_secret_start(struct manager *m _unused_, const struct new_secret_request *q _unused_, new_secret_done done _unused_,
                     void *user _unused_) {
        return -ENOMEM;
}

bool new_secret_is_needed(const struct proven_key *k) {
        return k->stored;
}

const char *new_secret_name(const struct new_secret *s _unused_, const char uuid[static 37] _unused_,
                            char buf[static STORED_NAME_SIZE] _unused_) {
        return NULL;
}

int key_proof_check_store(struct manager *m _unused_, struct proven_key *k, struct outcome *o _unused_) {
        k->stored = true;
        return 0;
}

void new_secret_fill(const struct new_secret *s _unused_, struct disk_request *q _unused_) {
}

/* ---- one run ---- */

static void version(unsigned at, const char *key, char v, uint64_t generation) {
        struct disk_wrap *w = header.wraps + at;

        *w = (struct disk_wrap) { .token = (uint8_t) next_token++, .generation = generation, .spki = { (uint8_t) v }, .spki_size = 1 };
        snprintf(w->key, sizeof(w->key), "%s/%c", key, v);
        header.n_wraps = (uint8_t) (at + 1);
}

static void listed(const char *key, char v, uint64_t generation) {
        struct trust_key *k = entry.keys + entry.n_keys++;

        *k = (struct trust_key) { .generation = generation, .spki = { (uint8_t) v }, .spki_size = 1 };
        assert_int_equal(key_uri_parse(key, &k->key, NULL), 0);
}

static int set_up(void **state _unused_) {
        header = (struct disk_reply) {};
        entry = (struct trust_entry) { .uuid = UUID, .name = "data1" };
        list = (struct trust_list) { .entries = &entry, .n_entries = 1 };
        manager.trust = &list;
        memset(wiped, 0, sizeof(wiped));
        next_token = 0;
        new_version_says = challenge_says = VERDICT_GRANTED;
        strcpy(newest, "2");
        says = 0;
        manager.config = &config;
        is_open = false;
        open_volume.n_wraps = 0;
        stop_at = -1;
        version(0, KEY, '1', 1);
        listed(KEY, '1', 1);
        return 0;
}

static void on_end(const struct outcome *o, void *user _unused_) {
        end = *o;
        ended = true;
}

static enum exit_code run(const struct rotate_request *q) {
        static const struct requester who = { .text = "a test" };

        writes = 0;
        proven = granted = ended = false;
        *history = 0;
        assert_int_equal(rotate_start(&manager, q, &who, on_end, NULL), 0);
        inspect.done(&header, -EBADF, inspect.user);
        while (!ended) {
                if (proof.done) {
                        key_proof_done done = proof.done;

                        proof.done = NULL;
                        done(&proof.o, &proof.key, proof.user);
                } else if (waiter) {
                        struct key_waiter *w = waiter;
                        struct vault_reply y = { .verdict = challenge_says };

                        waiter = NULL;
                        granted = challenge_says == VERDICT_GRANTED;
                        w->done(&y, w->user);
                } else {
                        operation_done done = pending.done;
                        struct outcome o = pending.o;

                        pending.done = NULL;
                        assert_non_null(done);
                        done(&o, pending.work);
                }
        }
        assert_false(has_header);
        must_open();
        return end.code;
}

static enum exit_code rotate(void) {
        return run(&(struct rotate_request) { .what = "data1" });
}

static void must_be_at(const char *key, uint64_t generation) {
        assert_string_equal(end.key, key);
        assert_string_equal(end.kept, "");
        assert_non_null(find_wrap(key));
        assert_int_equal(find_wrap(key)->generation, generation);
        assert_int_equal(entry.keys[0].generation, generation);
        assert_int_equal(header.n_wraps, entry.n_keys);
        if (is_open)
                assert_int_equal(open_volume.n_wraps, entry.n_keys);
}

/* ---- tests ---- */

static void test_closed(void **state _unused_) {
        assert_int_equal(rotate(), EXIT_CODE_DONE);
        assert_string_equal(history, "ask [request]make 2 prove list [key_rotated]drop 1 [key_version_removed]");
        assert_true(end.changed);
        must_be_at(KEY "/2", 2);
}

static void test_open(void **state _unused_) {
        is_open = true;
        assert_int_equal(rotate(), EXIT_CODE_DONE);
        assert_string_equal(history, "ask [request]make 2 prove challenge list [key_rotated]drop 1 [key_version_removed]");
        must_be_at(KEY "/2", 2);
        assert_string_equal(wraps[0].uri, KEY "/2");
}

static void test_nothing_newer(void **state _unused_) {
        strcpy(newest, "1");
        assert_int_equal(rotate(), EXIT_CODE_DONE);
        assert_false(end.changed);
        assert_string_equal(history, "");
        assert_int_equal(writes, 0);
        must_be_at(KEY "/1", 1);
}

/* Before and after each write; the next run ends it, from whatever is there. */
static void test_interrupted_everywhere(void **state) {
        int points = 0;

        for (int open = 0; open < 2; open++)
                for (int after = 0; after < 2; after++)
                        for (int at = 0;; at++) {
                                set_up(state);
                                is_open = open;
                                stop_after = after;
                                stop_at = at;
                                if (rotate() == EXIT_CODE_DONE)
                                        break;
                                points++;
                                assert_true(open_volume.n_wraps <= 1);      /* by the list's version and no other */
                                stop_at = -1;
                                assert_int_equal(rotate(), EXIT_CODE_DONE);
                                must_be_at(KEY "/2", 2);
                                assert_int_equal(rotate(), EXIT_CODE_DONE);
                                assert_false(end.changed);
                        }
        assert_int_equal(points, 3 * 4);
        print_message("interrupted at %d points\n", points);
}

/* Interrupted with one version, gone on with with another one: no third is left. */
static void test_another_version_meanwhile(void **state) {
        for (int after = 0; after < 2; after++)
                for (int at = 0;; at++) {
                        enum exit_code code;

                        set_up(state);
                        stop_after = after;
                        stop_at = at;
                        code = rotate();
                        stop_at = -1;
                        strcpy(newest, "3");
                        assert_int_equal(rotate(), EXIT_CODE_DONE);
                        must_be_at(KEY "/3", find_wrap(KEY "/3")->generation);
                        assert_true(find_wrap(KEY "/3")->generation > 1);
                        if (code == EXIT_CODE_DONE)
                                break;
                }
}

/* An abandoned one goes when the version that counts is asked for. */
static void test_back_to_the_old(void **state _unused_) {
        stop_at = 0;
        stop_after = true;
        assert_int_equal(rotate(), EXIT_CODE_FAILED);
        assert_int_equal(header.n_wraps, 2);
        stop_at = -1;
        assert_int_equal(run(&(struct rotate_request) { .what = "data1", .version = "1" }), EXIT_CODE_DONE);
        assert_true(end.changed);
        must_be_at(KEY "/1", 1);
}

/* The vault's owner says no to the new version after it was written: the old one goes on. */
static void test_new_version_is_refused(void **state) {
        for (int challenge = 0; challenge < 2; challenge++) {
                set_up(state);
                is_open = true;
                *(challenge ? &challenge_says : &new_version_says) = VERDICT_REVOKED;
                assert_int_equal(rotate(), EXIT_CODE_REVOKED);
                assert_int_equal(entry.keys[0].generation, 1);
                assert_int_equal(header.n_wraps, 2);
                assert_true(open_volume.n_wraps <= 1);
                strcpy(newest, "1");
                assert_int_equal(rotate(), EXIT_CODE_DONE);
                must_be_at(KEY "/1", 1);
        }
}

static const char *recorded(const char *name) {
        for (unsigned i = 0; i < rotated.n_fields; i++)
                if (streq(rotated.fields[i].name, name))
                        return rotated.fields[i].value;
        return "";
}

static struct rotate_request expecting(uint8_t pin) {
        struct rotate_request q = { .what = "data1" };

        pin_digest(&pin, 1, q.expected);
        return q;
}

static void must_be_recorded(uint8_t pin) {
        char digest[KEY_DIGEST_SIZE];

        pin_digest(&pin, 1, digest);
        assert_string_equal(recorded("spki_sha256"), digest);
        assert_string_equal(recorded("key"), KEY "/2");
        assert_int_equal(entry.keys[0].spki[0], pin);
}

/* What the list has from now on, not what the worker said in the run that ended it. */
static void test_what_is_pinned_is_recorded(void **state _unused_) {
        assert_int_equal(rotate(), EXIT_CODE_DONE);
        must_be_recorded('2');
        set_up(NULL);
        stop_at = 0;
        stop_after = true;
        says = 'x';
        assert_int_equal(rotate(), EXIT_CODE_FAILED);
        stop_at = -1;
        says = 'y';
        assert_int_equal(rotate(), EXIT_CODE_DONE);
        must_be_recorded('x');
}

static void test_what_is_expected(void **state _unused_) {
        struct rotate_request right = expecting('2'), wrong = expecting('x');

        stop_at = 0;
        stop_after = true;
        says = 'x';
        assert_int_equal(rotate(), EXIT_CODE_FAILED);      /* of another key, in the header and not on the list */
        stop_at = -1;
        says = 0;
        is_open = true;
        assert_int_equal(run(&right), EXIT_CODE_POLICY);
        assert_int_equal(writes, 0);
        assert_int_equal(entry.keys[0].generation, 1);
        assert_true(open_volume.n_wraps <= 1);             /* it is not polled by that */
        assert_non_null(strstr(end.message, right.expected));
        set_up(NULL);
        assert_int_equal(run(&right), EXIT_CODE_DONE);
        must_be_at(KEY "/2", 2);

        /* of what is pinned already the same, before what it needs no more goes */
        assert_int_equal(run(&right), EXIT_CODE_DONE);
        assert_int_equal(run(&wrong), EXIT_CODE_POLICY);
        version(1, KEY, '1', 1);
        assert_int_equal(run(&wrong), EXIT_CODE_POLICY);
        assert_int_equal(writes, 0);
        assert_int_equal(run(&right), EXIT_CODE_DONE);
        must_be_at(KEY "/2", 2);
}

static void test_role_os(void **state _unused_) {
        entry.role = ROLE_OS;
        assert_int_equal(rotate(), EXIT_CODE_DONE);
        assert_string_equal(end.key, KEY "/2");
        assert_string_equal(end.kept, KEY "/1");
        assert_int_equal(rotate(), EXIT_CODE_DONE);
        assert_false(end.changed);
        assert_string_equal(end.kept, KEY "/1");
        strcpy(newest, "3");
        assert_int_equal(rotate(), EXIT_CODE_POLICY);            /* two of before would be kept */
        strcpy(newest, "2");
        assert_int_equal(run(&(struct rotate_request) { .what = "data1", .finish = true }), EXIT_CODE_DONE);
        must_be_at(KEY "/2", 2);
}

static void test_which_key(void **state _unused_) {
        version(1, OTHER, '7', 1);
        listed(OTHER, '7', 1);
        assert_int_equal(rotate(), EXIT_CODE_USAGE);
        assert_int_equal(run(&(struct rotate_request) { .what = "data1", .key = "https://c.test/keys/k" }), EXIT_CODE_POLICY);
        assert_int_equal(run(&(struct rotate_request) { .what = "data1", .key = "x" }), EXIT_CODE_USAGE);
        assert_int_equal(run(&(struct rotate_request) { .what = "data1", .key = OTHER, .version = "8" }), EXIT_CODE_DONE);
        assert_non_null(find_wrap(KEY "/1"));
        assert_non_null(find_wrap(OTHER "/8"));
        assert_int_equal(header.n_wraps, 2);
        assert_int_equal(entry.keys[0].generation, 1);
        assert_int_equal(entry.keys[1].generation, 2);           /* in its old place */
}

/* As many as a volume may have: each is rotated. With a token too many that nobody lists none is. */
static void test_all_its_keys(void **state _unused_) {
        char key[64];

        for (unsigned i = 1; i < VOLUME_KEYS_MAX; i++) {
                snprintf(key, sizeof(key), "https://b%u.test/keys/k", i);
                version(i, key, (char) ('4' + i), 1);
                listed(key, (char) ('4' + i), 1);
        }
        assert_int_equal(run(&(struct rotate_request) { .what = "data1", .key = KEY }), EXIT_CODE_DONE);
        assert_int_equal(header.n_wraps, VOLUME_KEYS_MAX);
        assert_null(find_wrap(KEY "/1"));
        assert_non_null(find_wrap(KEY "/2"));
        version(VOLUME_KEYS_MAX, "https://c.test/keys/k", '9', 1);
        assert_int_equal(run(&(struct rotate_request) { .what = "data1", .key = KEY, .version = "8" }), EXIT_CODE_FAILED);
        assert_non_null(strstr(end.message, "room"));
        assert_int_equal(header.n_wraps, DISK_WRAPS_MAX);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_closed), TEST(test_open), TEST(test_nothing_newer), TEST(test_interrupted_everywhere),
                TEST(test_another_version_meanwhile), TEST(test_back_to_the_old), TEST(test_new_version_is_refused),
                TEST(test_role_os), TEST(test_which_key), TEST(test_all_its_keys),
                TEST(test_what_is_pinned_is_recorded), TEST(test_what_is_expected),
        };

        return cmocka_run_group_tests_name("rotate", tests, NULL, NULL);
}
