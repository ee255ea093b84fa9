/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/unlock-keys.c daemon/manager/outcome.c daemon/manager/lease.c daemon/manager/key-track.c daemon/manager/lease-keys.c daemon/manager/policy.c daemon/manager/stored.c
// libs: libsystemd

/* A volume with two keys is opened: which vault is asked in which order, by whom it is opened, and when it is not. The vaults,
 * the polls of the keys and the end of the operation are seen from outside. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

#include "manager/key-attributes.h"
#include "manager/lease-keys.h"
#include "manager/manager.h"
#include "manager/unlock.h"

#define KEY_A "https://a.test/keys/k/0123456789abcdef0123456789abcdef"
#define KEY_B "https://b.test/keys/k/0123456789abcdef0123456789abcdef"

static struct manager manager;
static struct volume volume;
static struct key keys[2];
static struct wrap wraps[2];
static struct vault_config vault = { .name = (char *) "v" };
static struct unlock *u;

static const enum verdict *says;       /* the vault of each key, to an unwrap */
static const enum verdict *polled;     /* ... and to a challenge, where one has to be made */
static bool fresh[2];                  /* a challenge was answered a moment ago */
static struct { worker_callback callback; void *user; unsigned key; } asked;
static struct { struct key_waiter *waiter; unsigned key; } waiting[2];
static unsigned n_waiting;
static char order[16];                 /* the keys whose vaults were asked to unwrap */
static bool released, known, expired;
static struct config config;
static struct outcome end;
static struct vault_reply answer;

static unsigned index_of(const struct key *k) {
        return k == keys + 1;
}

/* ---- what stands around it ---- */

int worker_ask(struct worker_link *l _unused_, const struct vault_request *q, int fd, worker_callback callback, void *user) {
        unsigned key = streq(q->key.host, "b.test");

        assert_int_equal(fd >= 0, q->op == VAULT_OP_UNWRAP);
        asked.callback = callback;
        asked.user = user;
        asked.key = key;
        order[strlen(order)] = q->op == VAULT_OP_GET_KEY ? '?' : key ? 'b' : 'a';
        return 0;
}

static void tell(struct key *k, enum verdict v) {
        struct key_timing t;
        struct key_event e = { .verdict = v, .flags = KEY_EVENT_FRESH_CONNECTION|KEY_EVENT_FRESH_TOKEN, .issued = instant_now() };

        key_timing_init(&t);
        k->answer = (struct vault_reply) { .verdict = v };
        snprintf(k->answer.code, sizeof(k->answer.code), "said-by-%c", index_of(k) ? 'b' : 'a');
        key_track_event(&k->track, &t, &e, instant_now(), 0);
}

bool key_prove(struct key *k, struct key_waiter *w) {
        if (fresh[index_of(k)])
                return k->track.state == KEY_GRANTED;
        waiting[n_waiting].waiter = w;
        waiting[n_waiting++].key = index_of(k);
        return false;
}

bool key_is_fresh(const struct key *k) {
        return fresh[index_of(k)];
}

void key_forget_waiter(struct key *k _unused_, struct key_waiter *w) {
        for (unsigned i = 0; i < n_waiting; i++)
                if (waiting[i].waiter == w)
                        waiting[i] = waiting[--n_waiting];
}

void unlock_release(struct unlock *what, const struct vault_reply *y) {
        assert_ptr_equal(what, u);
        answer = *y;
        released = true;
}

void unlock_fail(struct unlock *what, struct outcome *o, const char *event _unused_) {
        assert_ptr_equal(what, u);
        end = *o;
}

int unlock_check_key(struct unlock *what, struct key_uri *uri, struct outcome *o _unused_) {
        what->vault = &vault;
        return key_uri_parse(what->header.wraps[what->tries.at[what->at]].key, uri, NULL);
}

void wraps_lease_keys(const struct volume *v, struct lease_keys *ret) {
        *ret = (struct lease_keys) { .n = v->n_wraps };
        for (unsigned i = 0; i < v->n_wraps; i++)
                ret->keys[i] = (struct lease_key) { .track = &v->wraps[i]->key->track, .begun = v->wraps[i]->begun };
}

struct key *wraps_telling_key(const struct volume *v) {
        struct lease_keys k;

        wraps_lease_keys(v, &k);
        return keys + lease_keys_telling(&k, &v->policy);
}

struct volume *manager_volume_by_uuid(struct manager *m _unused_, const char *uuid _unused_) {
        return known ? &volume : NULL;
}

void manager_record_start(struct audit_message_record *r _unused_, const struct volume *v _unused_, const char *event _unused_,
                          uint8_t priority _unused_, bool durable _unused_) {
}

void manager_record_reply(struct audit_message_record *r _unused_, const struct vault_reply *y _unused_) {
}

void manager_record(struct manager *m _unused_, const struct audit_message_record *r _unused_) {
}

void key_attributes_take(struct key *k _unused_, const struct vault_reply *y _unused_) {
}

void attributes_judge(struct vault_reply *y, bool expiry_revokes, struct instant now _unused_) {
        if (expiry_revokes && expired)
                y->verdict = VERDICT_REVOKED;
}

void attributes_asked(struct attributes *a _unused_, uint64_t n _unused_, struct instant now _unused_) {
}

void key_fill_request(const struct key *k, enum vault_op op, struct vault_request *q) {
        *q = (struct vault_request) { .op = (uint8_t) op };
        assert_int_equal(key_uri_parse(k->uri_text, &q->key, NULL), 0);
}

/* ---- one attempt ---- */

static int set_up(void **state _unused_) {
        policy_settings_init(&config.policy);
        manager.config = &config;
        return sd_event_default(&manager.event) >= 0 ? 0 : -1;
}

static int tear_down(void **state _unused_) {
        manager.event = sd_event_unref(manager.event);
        return 0;
}

static const struct unlock_verb attach = { .name = "attach" }, header = { .name = "enroll", .header_only = true };

static void begin(const struct unlock_verb *verb, enum revoke revoke) {
        memset(&volume, 0, sizeof(volume));
        snprintf(volume.name, sizeof(volume.name), "data1");
        volume.manager = &manager;
        policy_default(ROLE_DATA, &volume.policy);
        volume.policy.revoke = revoke;
        volume.lease.hold_possible = true;
        volume.header.n_wraps = 2;
        snprintf(volume.header.wraps[0].key, sizeof(volume.header.wraps[0].key), KEY_A);
        snprintf(volume.header.wraps[1].key, sizeof(volume.header.wraps[1].key), KEY_B);
        for (unsigned i = 0; i < 2; i++) {
                keys[i] = (struct key) { .manager = &manager };
                snprintf(keys[i].uri_text, sizeof(keys[i].uri_text), "%s", i ? KEY_B : KEY_A);
                key_track_init(&keys[i].track, true, instant_now());
                wraps[i] = (struct wrap) { .volume = &volume, .key = keys + i, .begun = instant_now() };
                snprintf(wraps[i].uri, sizeof(wraps[i].uri), "%s", i ? KEY_B : KEY_A);
                volume.wraps[i] = wraps + i;
                fresh[i] = false;
        }
        volume.n_wraps = 2;
        u = calloc(1, sizeof(*u));
        u->manager = &manager;
        u->verb = verb;
        u->volume = &volume;
        u->header = volume.header;
        u->revoke = revoke;
        u->secret_fd = -EBADF;
        u->tries = u->choice = (struct wrap_choice) { .at = { 0, 1 }, .n = 2 };
        memset(order, 0, sizeof(order));
        memset(&end, 0, sizeof(end));
        asked.callback = NULL;
        n_waiting = 0;
        released = known = false;
}

/* The worker answers, then whoever is polled does, until it has ended. */
static void play(void) {
        unlock_try_keys(u);
        while (!released && end.code == EXIT_CODE_DONE) {
                if (asked.callback) {
                        worker_callback callback = asked.callback;
                        struct vault_reply y = { .verdict = says[asked.key] };

                        snprintf(y.code, sizeof(y.code), "said-by-%c", asked.key ? 'b' : 'a');
                        y.delivered = y.verdict == VERDICT_GRANTED ? DISK_W_SIZE : 0;
                        asked.callback = NULL;
                        callback(&y, asked.user);
                } else {
                        struct key_waiter *w;
                        unsigned key;

                        assert_true(n_waiting > 0);
                        w = waiting[n_waiting - 1].waiter;
                        key = waiting[--n_waiting].key;
                        tell(keys + key, polled[key]);
                        fresh[key] = true;
                        w->done(&keys[key].answer, w->user);
                }
        }
        assert_int_equal(n_waiting, 0);
        safe_close(u->secret_fd);
        free(u);
}

static void attempt(const struct unlock_verb *verb, enum revoke revoke, const enum verdict unwrap[2], const enum verdict poll[2]) {
        says = unwrap;
        polled = poll;
        begin(verb, revoke);
        play();
}

/* Every pair of answers, the same to an unwrap and to a challenge, against the table of README. */
static void test_every_pair(void **state _unused_) {
        for (enum revoke revoke = 0; revoke < _REVOKE_MAX; revoke++)
                for (enum verdict a = 0; a < _VERDICT_MAX; a++)
                        for (enum verdict b = 0; b < _VERDICT_MAX; b++) {
                                const enum verdict both[] = { a, b };
                                bool any = revoke == REVOKE_ANY, a_revokes = any && a == VERDICT_REVOKED;
                                bool b_revokes = any && b == VERDICT_REVOKED;
                                bool opens = (a == VERDICT_GRANTED || b == VERDICT_GRANTED) && !a_revokes && !b_revokes;
                                const char *asks = a == VERDICT_GRANTED || a_revokes ? "a" : "ab";

                                attempt(&attach, revoke, both, both);
                                assert_string_equal(order, asks);
                                if (released != opens)
                                        fail_msg("%s: a says %s, b says %s: %s", revoke_to_string(revoke), verdict_to_string(a),
                                                 verdict_to_string(b), released ? "opened" : end.message);
                                if (opens) {
                                        assert_string_equal(answer.code, a == VERDICT_GRANTED ? "said-by-a" : "said-by-b");
                                        assert_int_equal(volume.opener, a != VERDICT_GRANTED);
                                        continue;
                                }
                                /* who says no is named, and where nobody opens it each with what he said */
                                if (a_revokes || b_revokes)
                                        assert_int_equal(end.code, EXIT_CODE_REVOKED);
                                if (!a_revokes)
                                        assert_non_null(strstr(end.message, KEY_B));
                                if (!b_revokes || a != VERDICT_GRANTED)
                                        assert_non_null(strstr(end.message, KEY_A));
                        }
}

/* What is worth waiting for is said to be, whoever says no besides. */
static void test_exit_codes(void **state _unused_) {
        static const struct { enum verdict says[2]; enum revoke revoke; enum exit_code code; } rows[] = {
                { { VERDICT_UNREACHABLE, VERDICT_UNREACHABLE }, REVOKE_ANY, EXIT_CODE_UNREACHABLE },
                { { VERDICT_DENIED, VERDICT_THROTTLED }, REVOKE_ANY, EXIT_CODE_UNREACHABLE },
                { { VERDICT_BROKEN, VERDICT_DENIED }, REVOKE_ANY, EXIT_CODE_UNREACHABLE },
                { { VERDICT_DENIED, VERDICT_MISCONFIGURED }, REVOKE_ANY, EXIT_CODE_REVOKED },
                { { VERDICT_UNREACHABLE, VERDICT_REVOKED }, REVOKE_ANY, EXIT_CODE_REVOKED },
                { { VERDICT_UNREACHABLE, VERDICT_REVOKED }, REVOKE_ALL, EXIT_CODE_UNREACHABLE },
                { { VERDICT_REVOKED, VERDICT_REVOKED }, REVOKE_ALL, EXIT_CODE_REVOKED },
                { { VERDICT_MISCONFIGURED, VERDICT_MISCONFIGURED }, REVOKE_ALL, EXIT_CODE_FAILED },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                attempt(&attach, rows[i].revoke, rows[i].says, rows[i].says);
                assert_false(released);
                assert_int_equal(end.code, rows[i].code);
        }
}

/* A worker that kept the secret unwraps; the challenge says what the owner says. */
static void test_unwrapped_from_memory(void **state _unused_) {
        static const enum verdict granted[] = { VERDICT_GRANTED, VERDICT_GRANTED };
        static const enum verdict not_a[] = { VERDICT_DENIED, VERDICT_GRANTED }, neither[] = { VERDICT_REVOKED, VERDICT_REVOKED };

        attempt(&attach, REVOKE_ANY, granted, not_a);
        assert_true(released);
        assert_string_equal(order, "ab");
        assert_int_equal(volume.opener, 1);
        attempt(&attach, REVOKE_ALL, granted, neither);
        assert_false(released);
        assert_string_equal(order, "ab");
}

/* With any who was silent for too long already closes what would be opened; with all he is nobody. */
static void test_silent_for_too_long(void **state _unused_) {
        static const enum verdict both[] = { VERDICT_GRANTED, VERDICT_UNREACHABLE };

        for (enum revoke revoke = 0; revoke < _REVOKE_MAX; revoke++) {
                says = polled = both;
                begin(&attach, revoke);
                wraps[1].begun.boottime_usec -= MIN_OF(wraps[1].begun.boottime_usec - 1, 4000 * USEC_PER_SEC);
                wraps[1].begun.realtime_usec -= 4000 * USEC_PER_SEC;
                play();
                assert_int_equal(released, revoke == REVOKE_ALL);
                if (!released) {
                        assert_int_equal(end.code, EXIT_CODE_UNREACHABLE);
                        assert_non_null(strstr(end.message, KEY_B));
                }
        }
}

/* A header is changed by any of the keys, not past an owner who is known to have revoked the volume. */
static void test_header_only(void **state _unused_) {
        static const enum verdict second[] = { VERDICT_UNREACHABLE, VERDICT_GRANTED }, first[] = { VERDICT_GRANTED, VERDICT_REVOKED };
        static const enum verdict revoked[] = { VERDICT_REVOKED, VERDICT_GRANTED };

        attempt(&header, REVOKE_ANY, second, second);
        assert_true(released);
        attempt(&header, REVOKE_ANY, revoked, revoked);
        assert_false(released);
        assert_string_equal(order, "a");
        attempt(&header, REVOKE_ALL, revoked, revoked);
        assert_true(released);
        says = polled = first;
        begin(&header, REVOKE_ANY);
        known = true;
        tell(keys + 1, VERDICT_REVOKED);
        play();
        assert_false(released);
        assert_int_equal(end.code, EXIT_CODE_REVOKED);
}

/* Nor past an expiry that revokes, though the vault unwraps: whether this node says so, or the owner of a key that is polled. */
static void test_header_of_expired_key(void **state _unused_) {
        static const enum verdict granted[] = { VERDICT_GRANTED, VERDICT_GRANTED };
        static struct volume stand_in;

        for (unsigned i = 0; i < 8; i++) {
                bool polls = i & 4, asks;

                says = polled = granted;
                begin(&header, REVOKE_ALL);
                u->tries.n = 1;
                expired = i & 1;
                config.policy.on_key_expiry = !polls && i & 2 ? KEY_EXPIRY_REVOKE : KEY_EXPIRY_REPORT;
                keys[0].timing.expiry_revokes = polls && i & 2;
                asks = i & 2;
                known = polls;
                stand_in = volume;
                stand_in.n_wraps = 0;
                u->volume = &stand_in;
                play();
                assert_int_equal(released, !asks || !expired);
                assert_string_equal(order, !asks ? "a" : expired ? "?" : "?a");
                if (!released)
                        assert_int_equal(end.code, EXIT_CODE_REVOKED);
        }
        expired = false;
}

static void test_keyslot_that_does_not_open(void **state _unused_) {
        static const enum verdict both[] = { VERDICT_GRANTED, VERDICT_GRANTED };
        struct disk_reply y = { .error = -ENOKEY, .message = "it does not open" };

        says = polled = both;
        begin(&attach, REVOKE_ANY);
        unlock_try_keys(u);
        y.error = -EUCLEAN;
        assert_false(unlock_try_next(u, &y));
        y.error = -ENOKEY;
        assert_true(unlock_try_next(u, &y));
        assert_string_equal(order, "ab");
        assert_int_equal(u->at, 1);
        assert_false(unlock_try_next(u, &y));
        safe_close(u->secret_fd);
        free(u);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_pair), cmocka_unit_test(test_exit_codes),
                cmocka_unit_test(test_unwrapped_from_memory), cmocka_unit_test(test_silent_for_too_long),
                cmocka_unit_test(test_header_only), cmocka_unit_test(test_header_of_expired_key),
                cmocka_unit_test(test_keyslot_that_does_not_open),
        };

        return cmocka_run_group_tests_name("unlock-keys", tests, set_up, tear_down);
}
