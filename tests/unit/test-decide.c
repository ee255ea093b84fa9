/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/decide.c daemon/manager/lease.c daemon/manager/lease-keys.c daemon/manager/key-track.c daemon/manager/policy.c
// libs: libsystemd

/* What the breaker is told of a key that is about to be used, and was not: its deadline goes, but where it is of what was given out before. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/fellows.h"
#include "manager/given-out.h"
#include "manager/key.h"
#include "manager/manager.h"
#include "manager/operation.h"
#include "manager/pause.h"
#include "manager/teardown.h"
#include "manager/wrap.h"

static struct manager manager;
static struct key key;
static struct wrap bound = { .key = &key };
static struct volume volume;
static bool is_set, is_given_out, is_taken;

int breaker_set(struct breaker_link *b _unused_, const struct breaker_slot *s) {
        assert_string_equal(s->dm_uuid, "data1");
        is_set = true;
        return 0;
}

int breaker_clear(struct breaker_link *b _unused_, const char *dm_uuid) {
        assert_string_equal(dm_uuid, "data1");
        is_set = false;
        return 0;
}

/* As given-out.c has it */
bool given_out_takes_deadline(struct volume *v) {
        if (!v->breaker_set || !is_given_out)
                return false;
        v->breaker_set = false;
        is_taken = true;
        return true;
}

void volume_dm_uuid(const struct volume *v, char ret[static 128]) { snprintf(ret, 128, "%s", v->mapping); }
bool volume_is_in_transit(const struct volume *v _unused_) { return false; }
bool teardown_is_cut(const struct volume *v _unused_) { return false; }
const char *fellows_missing(const struct volume *v _unused_) { return NULL; }
void pause_look(struct volume *v _unused_) { }
void teardown_call_off(struct volume *v _unused_, const char *why _unused_) { fail(); }
void manager_record(struct manager *m _unused_, const struct audit_message_record *r _unused_) { }
void manager_record_answer(struct audit_message_record *r _unused_, const struct volume *v _unused_) { }
void manager_record_start(struct audit_message_record *r, const struct volume *v _unused_, const char *event, uint8_t priority, bool durable) {
        audit_record_start(r, event, priority, durable);
}
int teardown_start(struct volume *v _unused_, enum action a _unused_, enum lease_cause cause _unused_, const char *why _unused_) { return 0; }
int hold_start(struct volume *v _unused_, const struct requester *who _unused_, operation_done done _unused_, void *user _unused_) { return 0; }
int resume_start(struct volume *v _unused_, const struct requester *who _unused_, operation_done done _unused_, void *user _unused_) {
        return 0;
}
int attach_start(struct manager *m _unused_, const char *what _unused_, unsigned flags _unused_, const struct requester *who _unused_,
                 operation_done done _unused_, void *user _unused_) {
        return 0;
}

void wraps_lease_keys(const struct volume *v _unused_, struct lease_keys *ret) {
        *ret = (struct lease_keys) { .keys = { { .track = &key.track } }, .n = 1 };
}

static void begin(enum volume_state s, enum lease_state lease) {
        struct key_event e = { .verdict = VERDICT_GRANTED, .issued = instant_now() };

        volume = (struct volume) { .manager = &manager, .name = "data1", .mapping = "data1", .state = s, .wraps = { &bound }, .n_wraps = 1 };
        policy_default(ROLE_DATA, &volume.policy);
        key_timing_init(&key.timing);
        key_track_init(&key.track, true, instant_now());
        (void) key_track_event(&key.track, &key.timing, &e, instant_now(), 0);
        lease_volume_enter(&volume.lease, lease, lease == LEASE_HELD ? CAUSE_EXPIRED : CAUSE_OPERATOR, instant_now());
        is_set = is_given_out = is_taken = false;
}

static void test_not_used(void **state _unused_) {
        static const enum volume_state before[] = { VOLUME_CLOSED, VOLUME_CUT };

        for (unsigned i = 0; i < 8; i++) {
                bool used = i & 1, given_out = i & 2;

                begin(VOLUME_ATTACHING, LEASE_CLOSED);
                is_given_out = is_set = given_out;
                if (used)
                        key_used(&volume, instant_now());
                assert_int_equal(volume.breaker_set, used);
                assert_int_equal(is_set, used || given_out);
                volume.state = before[i / 4];
                key_not_used(&volume);
                assert_int_equal(is_set, given_out);
                assert_int_equal(is_taken, used && given_out);
                assert_false(volume.breaker_set);
                key_evaluate_volume(&volume);
                assert_int_equal(is_set, given_out);
        }
}

/* What is there keeps the one that it has. */
static void test_resume_failed(void **state _unused_) {
        begin(VOLUME_RESUMING, LEASE_HELD);
        is_given_out = true;
        key_used(&volume, instant_now());
        volume.state = VOLUME_HELD;
        key_not_used(&volume);
        assert_true(is_set && volume.breaker_set && !is_taken);
}

/* ... and what was cut loses it, whatever is waited for. */
static void test_closed(void **state _unused_) {
        begin(VOLUME_ATTACHED, LEASE_OPEN);
        is_given_out = true;
        key_evaluate_volume(&volume);
        assert_true(is_set && volume.breaker_set);
        volume.state = VOLUME_CLOSED;
        lease_volume_enter(&volume.lease, LEASE_CLOSED, CAUSE_NONE, instant_now());
        key_evaluate_volume(&volume);
        assert_true(!is_set && !volume.breaker_set && !is_taken);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_not_used), cmocka_unit_test(test_resume_failed), cmocka_unit_test(test_closed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
