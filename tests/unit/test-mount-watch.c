/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/mount-watch.c daemon/manager/mount-diff.c daemon/manager/volume.c daemon/manager/lease.c daemon/manager/lease-keys.c daemon/manager/key-track.c daemon/manager/policy.c
// libs: libsystemd

/* The queue of looks: few at a time, none twice, none lost, and no answer that is about another use. What a change of
 * mounts is about: test-mount-diff.c; with real devices: tests/vm/revoke-hold-manual. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/log.h"
#include "manager/disk-child.h"
#include "manager/encrypt-run.h"
#include "manager/key.h"
#include "manager/manager.h"
#include "manager/mount-watch.h"
#include "manager/teardown.h"
#include "manager/trust-places.h"
#include "manager/unit-return.h"

#define N 10

static struct manager manager;
static struct volume *volumes[N];

/* Looks that wait for their answers, in the order in which they were started. */
static struct asked {
        char uuid[37];
        disk_callback callback;
        void *user;
} asked[64];
static unsigned n_asked, n_evaluated;
static bool no_memory;

int disk_child_start(struct disk_children *c _unused_, const struct disk_request *q, int secret_fd _unused_,
                     int in_fd _unused_, uint64_t timeout_usec _unused_, disk_callback callback, void *user,
                     struct disk_child **ret _unused_) {
        if (no_memory)
                return -ENOMEM;
        assert_int_equal(q->op, DISK_OP_QUERY);
        assert_true(n_asked < ELEMENTSOF(asked));
        memcpy(asked[n_asked].uuid, q->uuid, sizeof(q->uuid));
        asked[n_asked].callback = callback;
        asked[n_asked++].user = user;
        return 0;
}

void manager_volume_changed(struct manager *m, struct volume *v) {
        if (v->look.due > 0)
                mount_watch_run(m->mounts);
}

struct volume *manager_volume_by_uuid(struct manager *m, const char *uuid) {
        struct volume *v;

        LIST_FOREACH(v, &m->volumes, volumes)
                if (streq(v->uuid, uuid))
                        return v;
        return NULL;
}

static unsigned n_unsaid;                /* how often sysfs does not say what it is */

/* 4000:N is the mapping of volume N; nothing stands on it. */
int mapping_sysfs_read(uint32_t major, uint32_t minor, struct mapping_seen *ret) {
        if (major != 4000 || minor >= N)
                return -EINVAL;
        if (n_unsaid > 0) {
                n_unsaid--;
                return -EINVAL;
        }
        *ret = (struct mapping_seen) { .major = major, .minor = minor };
        memcpy(ret->uuid, volumes[minor]->uuid, sizeof(ret->uuid));
        return 0;
}

bool mapping_sysfs_exists(uint32_t major _unused_, uint32_t minor _unused_) { return true; }
void manager_volume_policy(struct manager *m _unused_, struct volume *v _unused_) { }
void key_evaluate_volume(struct volume *v _unused_) { n_evaluated++; }
int manager_reload_trust(struct manager *m _unused_) { return 0; }
void encrypt_look(struct volume *v _unused_) { }
bool trust_places_ready(void) { return true; }
void trust_places_follow(void) { }
struct teardown *teardown_free(struct teardown *t _unused_) { return NULL; }
struct unit_return *unit_return_free(struct unit_return *r _unused_) { return NULL; }

static struct volume *add(unsigned i) {
        char uuid[37], name[16];
        struct volume *v;

        snprintf(uuid, sizeof(uuid), "%08u-89ab-cdef-0123-456789abcdef", i);
        snprintf(name, sizeof(name), "data%u", i);
        v = volume_new(&manager, uuid, name, ROLE_DATA);
        assert_non_null(v);
        LIST_INSERT_HEAD(&manager.volumes, v, volumes);
        assert_int_equal(volume_set_state(v, VOLUME_ATTACHING), 0);
        assert_int_equal(volume_set_state(v, VOLUME_ATTACHED), 0);
        return v;
}

static int set_up(void **state _unused_) {
        LIST_INIT(&manager.volumes);
        n_asked = n_evaluated = 0;
        no_memory = false;
        assert_true(sd_event_new(&manager.event) >= 0);
        assert_int_equal(mount_watch_new(&manager, manager.event, &manager.mounts), 0);
        for (unsigned i = 0; i < N; i++)
                volumes[i] = add(i);
        return 0;
}

static int tear_down(void **state _unused_) {
        for (unsigned i = 0; i < n_asked; i++)
                free(asked[i].user);
        for (unsigned i = 0; i < N; i++)
                volume_free(volumes[i]);
        manager.mounts = mount_watch_free(manager.mounts);
        manager.event = sd_event_unref(manager.event);
        return 0;
}

/* The n-th look that waits is answered. */
static void answer(unsigned i, int error, uint32_t flags) {
        struct disk_reply y = { .error = error, .flags = flags };
        struct asked a = asked[i];

        memmove(asked + i, asked + i + 1, (--n_asked - i) * sizeof(*asked));
        a.callback(&y, -EBADF, a.user);
}

static void due(unsigned i) {
        mount_watch_mark(manager.mounts, volumes[i]);
}

static void assert_asked(const char *numbers) {
        assert_int_equal(n_asked, strlen(numbers));
        for (unsigned i = 0; i < n_asked; i++)
                if (!streq(asked[i].uuid, volumes[numbers[i] - '0']->uuid))
                        fail_msg("look %u is at %.8s, not %c", i, asked[i].uuid, numbers[i]);
}

static void test_own_attach(void **state _unused_) {
        mount_watch_run(manager.mounts);
        for (unsigned i = 0; i < N; i++)
                mount_watch_device(manager.mounts, 4000, i);
        /* announced before sysfs says what it is */
        n_unsaid = 1;
        mount_watch_device(manager.mounts, 4000, 1);
        assert_int_equal(n_unsaid, 0);
        mount_watch_run(manager.mounts);
        assert_asked("");
}

static void test_few_at_a_time_in_order(void **state _unused_) {
        for (unsigned i = 0; i < N; i++)
                due(N - 1 - i);
        due(9);                        /* keeps its place */
        mount_watch_run(manager.mounts);
        mount_watch_run(manager.mounts);
        assert_asked("9876");
        answer(1, 0, DISK_FLAG_OURS);
        assert_asked("9765");
        for (unsigned i = N - 1; i > 0; i--)
                answer(0, 0, DISK_FLAG_OURS);
        assert_asked("");
        for (unsigned i = 0; i < N; i++)
                assert_int_equal(volumes[i]->use_flags, DISK_FLAG_OURS);
}

static void test_not_twice_and_again(void **state _unused_) {
        due(3);
        due(3);
        mount_watch_run(manager.mounts);
        due(3);
        due(5);
        due(3);
        mount_watch_run(manager.mounts);
        assert_asked("35");
        answer(0, 0, DISK_FLAG_OURS|DISK_FLAG_MOUNTED);
        assert_asked("53");
        answer(1, 0, DISK_FLAG_OURS|DISK_FLAG_SYSTEM);
        assert_int_equal(volumes[3]->use_flags, DISK_FLAG_OURS|DISK_FLAG_SYSTEM);
        answer(0, 0, DISK_FLAG_OURS);
        assert_asked("");
}

static void test_nothing_new(void **state _unused_) {
        volumes[2]->use_flags = DISK_FLAG_OURS;
        due(2);
        mount_watch_run(manager.mounts);
        answer(0, 0, DISK_FLAG_OURS);
        due(2);
        mount_watch_run(manager.mounts);
        answer(0, 0, DISK_FLAG_MOUNTED);               /* somebody else's mapping */
        assert_int_equal(n_evaluated, 0);
        assert_int_equal(volumes[2]->use_flags, DISK_FLAG_OURS);
        due(2);
        mount_watch_run(manager.mounts);
        answer(0, 0, DISK_FLAG_OURS|DISK_FLAG_SWAP);
        assert_int_equal(n_evaluated, 1);
}

/* Used before our attach is at its end: looked at then, by itself. */
static void test_used_while_attaching(void **state _unused_) {
        assert_int_equal(volume_set_state(volumes[4], VOLUME_CLOSED), 0);
        assert_int_equal(volume_set_state(volumes[4], VOLUME_ATTACHING), 0);
        due(4);
        mount_watch_run(manager.mounts);
        assert_asked("");
        assert_int_equal(volume_set_state(volumes[4], VOLUME_ATTACHED), 0);
        assert_asked("4");
        assert_int_equal(volume_set_state(volumes[4], VOLUME_HOLDING), 0);
        due(4);
        answer(0, 0, DISK_FLAG_OURS);
        assert_asked("");
        assert_int_equal(volume_set_state(volumes[4], VOLUME_ATTACHED), 0);
        assert_asked("4");
}

static void test_another_use(void **state _unused_) {
        due(6);
        mount_watch_run(manager.mounts);
        due(6);
        assert_int_equal(volume_set_state(volumes[6], VOLUME_CLOSED), 0);
        assert_int_equal(volume_set_state(volumes[6], VOLUME_ATTACHING), 0);
        assert_int_equal(volume_set_state(volumes[6], VOLUME_ATTACHED), 0);
        assert_asked("6");
        due(6);
        mount_watch_run(manager.mounts);
        assert_asked("66");
        answer(0, 0, DISK_FLAG_OURS|DISK_FLAG_SYSTEM);
        assert_int_equal(volumes[6]->use_flags, 0);
        answer(0, 0, DISK_FLAG_OURS|DISK_FLAG_MOUNTED);
        assert_int_equal(volumes[6]->use_flags, DISK_FLAG_OURS|DISK_FLAG_MOUNTED);
}

/* Gone while it was queued, and while it was looked at; one of the same UUID has come since. */
static void test_gone(void **state _unused_) {
        for (unsigned i = 0; i < 6; i++)
                due(i);
        mount_watch_run(manager.mounts);
        assert_asked("0123");
        for (unsigned i = 0; i < 6; i += 5) {
                LIST_REMOVE(volumes[i], volumes);
                volume_free(volumes[i]);
                volumes[i] = add(i);
        }
        answer(0, 0, DISK_FLAG_OURS|DISK_FLAG_SYSTEM);
        assert_int_equal(volumes[0]->use_flags, 0);
        assert_asked("1234");
        LIST_REMOVE(volumes[2], volumes);
        answer(1, 0, DISK_FLAG_OURS);
        LIST_INSERT_HEAD(&manager.volumes, volumes[2], volumes);
        assert_asked("134");
}

static void test_failures(void **state _unused_) {
        for (unsigned i = 0; i < 5; i++)
                due(i);
        no_memory = true;
        mount_watch_run(manager.mounts);
        no_memory = false;
        mount_watch_run(manager.mounts);
        assert_asked("0123");
        answer(0, -ETIMEDOUT, DISK_FLAG_OURS|DISK_FLAG_SYSTEM);
        assert_asked("1234");
        assert_int_equal(volumes[0]->use_flags, 0);
        assert_true(volumes[0]->look.failed);
        due(0);
        answer(0, 0, DISK_FLAG_OURS);
        assert_asked("2340");
        assert_false(volumes[0]->look.failed);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                T(test_own_attach), T(test_few_at_a_time_in_order), T(test_not_twice_and_again), T(test_nothing_new),
                T(test_used_while_attaching), T(test_another_use), T(test_gone), T(test_failures),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
