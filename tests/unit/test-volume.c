/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/volume.c daemon/manager/lease.c daemon/manager/key-track.c daemon/manager/lease-keys.c daemon/manager/policy.c
// libs: libsystemd

/* A volume's states: which verb is legal when, what a volume that was opened without cmkd may become, and by what name
 * device-mapper and the breaker know it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/manager.h"
#include "manager/teardown.h"
#include "manager/unit-return.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define DM_UUID "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-"

static struct manager manager;
static unsigned changes;

void manager_volume_changed(struct manager *m, struct volume *v _unused_) {
        assert_ptr_equal(m, &manager);
        changes++;
}

struct unit_return *unit_return_free(struct unit_return *r _unused_) {
        return NULL;
}

struct teardown *teardown_free(struct teardown *t _unused_) {
        return NULL;
}

static int set_up(void **state) {
        *state = volume_new(&manager, UUID, "data1", ROLE_DATA);
        changes = 0;
        return *state ? 0 : -1;
}

static int tear_down(void **state) {
        volume_free(*state);
        return 0;
}

static void test_mapping(void **state) {
        struct volume *v = *state;
        struct disk_request q;
        char dm_uuid[128];

        volume_dm_uuid(v, dm_uuid);
        assert_string_equal(dm_uuid, DM_UUID "data1");
        snprintf(v->mapping, sizeof(v->mapping), "%s", "luks-other");
        volume_dm_uuid(v, dm_uuid);
        assert_string_equal(dm_uuid, DM_UUID "luks-other");
        volume_disk_request(v, DISK_OP_QUERY, &q);
        assert_string_equal(q.name, "data1");
        assert_string_equal(q.mapping, "luks-other");
        /* it stays until the breaker was told that the volume is closed; what we make has our name */
        assert_int_equal(volume_set_state(v, VOLUME_RECOVERY), 0);
        assert_int_equal(volume_set_state(v, VOLUME_CLOSED), 0);
        assert_string_equal(v->mapping, "luks-other");
        assert_int_equal(volume_set_state(v, VOLUME_ATTACHING), 0);
        assert_string_equal(v->mapping, "data1");
}

static void test_recovery(void **state) {
        static const enum volume_state from[] = { VOLUME_CLOSED, VOLUME_ATTACHING, VOLUME_CUT, VOLUME_DETACHING };
        static const enum volume_state to[] = { VOLUME_ATTACHED, VOLUME_DETACHING, VOLUME_NOTICE, VOLUME_CUTTING, VOLUME_CLOSED };
        struct volume *v = *state;

        for (enum volume_state s = 0; s < _VOLUME_STATE_MAX; s++) {
                bool legal = s == VOLUME_RECOVERY;

                for (size_t i = 0; i < ELEMENTSOF(from); i++)
                        legal |= s == from[i];
                v->state = s;
                v->cause = CAUSE_REVOKED;
                assert_int_equal(volume_set_state(v, VOLUME_RECOVERY), legal ? 0 : -EINVAL);
                if (legal && s != VOLUME_RECOVERY)
                        assert_int_equal(v->cause, CAUSE_NONE);
        }
        for (enum volume_state s = 0; s < _VOLUME_STATE_MAX; s++) {
                bool legal = s == VOLUME_RECOVERY;

                for (size_t i = 0; i < ELEMENTSOF(to); i++)
                        legal |= s == to[i];
                v->state = VOLUME_RECOVERY;
                assert_int_equal(volume_set_state(v, s), legal ? 0 : -EINVAL);
        }
}

/* An orderly end of a recovery is no use of the key: the lease must not begin to count while it runs. */
static void test_lease_of_recovery(void **state) {
        struct volume *v = *state;

        assert_int_equal(volume_set_state(v, VOLUME_RECOVERY), 0);
        assert_int_equal(v->lease.state, LEASE_RECOVERY);
        assert_int_equal(volume_set_state(v, VOLUME_DETACHING), 0);
        assert_int_equal(v->lease.state, LEASE_RECOVERY);
        assert_int_equal(volume_set_state(v, VOLUME_RECOVERY), 0);
        assert_int_equal(v->lease.state, LEASE_RECOVERY);
        assert_int_equal(volume_set_state(v, VOLUME_ATTACHED), 0);
        assert_int_equal(v->lease.state, LEASE_OPEN);
        assert_int_equal(volume_set_state(v, VOLUME_DETACHING), 0);
        assert_int_equal(v->lease.state, LEASE_OPEN);
        assert_int_equal(changes, 5);
}

static void test_may_pause(void **state) {
        static const struct { enum volume_state state; enum lease_cause cause; bool key; int r; } cases[] = {
                { VOLUME_ATTACHED, CAUSE_NONE, true, 0 }, { VOLUME_HELD, CAUSE_DENIED, true, 0 },
                { VOLUME_HOLDING, CAUSE_DENIED, true, 0 }, { VOLUME_RESUMING, CAUSE_DENIED, true, 0 },
                { VOLUME_DETACHING, CAUSE_NONE, true, 0 }, { VOLUME_NOTICE, CAUSE_REVOKED, true, 0 },
                { VOLUME_NOTICE, CAUSE_OPERATOR, true, -EBUSY }, { VOLUME_NOTICE, CAUSE_DISK_REMOVED, true, -EBUSY },
                { VOLUME_ATTACHING, CAUSE_NONE, true, -EBUSY }, { VOLUME_CUTTING, CAUSE_REVOKED, true, -EBUSY },
                { VOLUME_LINGERING, CAUSE_REVOKED, true, -ENOTCONN }, { VOLUME_CUT, CAUSE_REVOKED, true, -ENOTCONN },
                { VOLUME_CLOSED, CAUSE_NONE, true, -ENOTCONN }, { VOLUME_RECOVERY, CAUSE_NONE, false, 0 },
                /* nobody would move the breaker's deadline */
                { VOLUME_ATTACHED, CAUSE_NONE, false, -ENOKEY }, { VOLUME_HELD, CAUSE_OPERATOR, false, -ENOKEY },
        };
        struct volume *v = *state;
        const char *why;

        struct wrap wrap = { .volume = v };

        v->wraps[0] = &wrap;
        v->n_wraps = 1;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                v->state = cases[i].state;
                v->cause = cases[i].cause;
                wrap.key = cases[i].key ? (struct key *) v : NULL;
                assert_int_equal(volume_may_pause(v, &why), cases[i].r);
        }
        v->n_wraps = 0;
        v->state = VOLUME_CLOSED;
}

static void test_verbs(void **state) {
        struct volume *v = *state;
        const char *why = NULL;

        v->state = VOLUME_RECOVERY;
        assert_true(volume_is_open(v) && !volume_is_in_transit(v));
        assert_int_equal(volume_may_attach(v, &why), -EBUSY);
        assert_int_equal(volume_may_release(v, &why), -EBUSY);
        assert_int_equal(volume_may_hold(v, &why), -EBUSY);
        assert_int_equal(volume_may_resume(v, &why), -EBUSY);
        assert_int_equal(volume_may_detach(v, &why), 0);
        assert_int_equal(volume_may_cut(v, &why), 0);
        v->owner = (struct unlock *) v;
        assert_int_equal(volume_may_detach(v, &why), -EBUSY);
        assert_int_equal(volume_may_cut(v, &why), -EBUSY);
        /* a verb that is refused says why, in every state */
        v->owner = NULL;
        for (enum volume_state s = 0; s < _VOLUME_STATE_MAX; s++) {
                int (*const may[])(const struct volume *, const char **) = {
                        volume_may_attach, volume_may_detach, volume_may_cut, volume_may_hold, volume_may_resume,
                        volume_may_pause,
                };

                v->state = s;
                for (size_t i = 0; i < ELEMENTSOF(may); i++) {
                        int r;

                        why = NULL;
                        r = may[i](v, &why);
                        assert_int_equal(r < 0, why != NULL);
                }
        }
        v->state = VOLUME_CLOSED;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_mapping, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_recovery, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_lease_of_recovery, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_verbs, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_may_pause, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("volume", tests, NULL, NULL);
}
