/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/release.c daemon/manager/volume.c daemon/manager/lease.c daemon/manager/lease-keys.c daemon/manager/key-track.c daemon/manager/policy.c
// libs: libsystemd

/* A key that was given out, and no mapping: the volume is as it was. One that may be mapped is not. The vault and the children are models. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/manager.h"
#include "manager/mapping-sysfs.h"
#include "manager/mapping-watch.h"
#include "manager/teardown.h"
#include "manager/unit-return.h"
#include "manager/unlock.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static struct manager manager;
static struct volume *volume;
static unsigned n_recorded, n_done, n_kicked;
static uint64_t until;                   /* the timer */
static const char *mapped;               /* what sysfs has */

/* Time passes at once, but for what is set anew by whoever was called at its end. */
int sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec, uint64_t accuracy,
                               sd_event_time_handler_t callback, void *user) {
        until = usec;
        return sd_event_add_time(e, ret, clock, 1, accuracy, callback, user);
}

int sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec) {
        until = usec;
        return sd_event_source_set_time(s, 1);
}

int mapping_sysfs_for_each(int (*f)(const struct mapping_seen *s, void *user), void *user) {
        struct mapping_seen s = {};

        if (!mapped)
                return 0;
        strcpy(s.uuid, mapped);
        return f(&s, user);
}

void manager_volume_forget(struct manager *m _unused_, struct volume *v) {
        assert_ptr_equal(v, volume);
        volume = volume_free(v);
}

void manager_record_start(struct audit_message_record *r, const struct volume *v _unused_, const char *event, uint8_t priority, bool durable) {
        assert_string_equal(event, "release_unused");
        audit_record_start(r, event, priority, durable);
}

void manager_record(struct manager *m _unused_, const struct audit_message_record *r _unused_) {
        n_recorded++;
}

struct unlock *unlock_new(struct manager *m, const struct unlock_verb *verb, const struct requester *who _unused_, operation_done done,
                          void *user) {
        struct unlock *u = calloc(1, sizeof(*u));

        assert_non_null(u);
        *u = (struct unlock) { .manager = m, .verb = verb, .volume = volume, .before = volume->state, .done = done, .user = user };
        return u;
}

struct unlock *unlock_free(struct unlock *u) {
        free(u);
        return NULL;
}

int unlock_start(struct unlock *u) {
        assert_int_equal(volume_set_state(volume, VOLUME_ATTACHING), 0);
        u->verb->use(u);
        return 0;
}

void unlock_run(struct unlock *u, enum disk_op op, disk_callback callback) {
        assert_int_equal(op, DISK_OP_UNLOCK_KEY);
        callback(&(struct disk_reply) {}, -EBADF, u);
}

void unlock_end(struct unlock *u, struct outcome *o) {
        assert_int_equal(o->code, EXIT_CODE_DONE);
        o->volume = u->volume;
        u->done(o, u->user);
        unlock_free(u);
}

void unlock_fail(struct unlock *u _unused_, struct outcome *o _unused_, const char *event _unused_) { fail(); }
void outcome_set(struct outcome *o _unused_, enum exit_code code _unused_, const char *format _unused_, ...) { fail(); }
bool unlock_went_well(struct unlock *u _unused_, const struct disk_reply *y _unused_) { return true; }
void unlock_report_foreign(struct unlock *u _unused_, const struct disk_reply *y _unused_) { }
void unlock_resolve(struct unlock *u _unused_, const char *what _unused_) { }
void mapping_watch_kick(struct mapping_watch *w _unused_) { n_kicked++; }
void key_not_used(struct volume *v _unused_) { }
void manager_volume_changed(struct manager *m _unused_, struct volume *v _unused_) { }
struct teardown *teardown_free(struct teardown *t _unused_) { return NULL; }
struct unit_return *unit_return_free(struct unit_return *r _unused_) { return NULL; }

static void on_done(const struct outcome *o, void *user _unused_) {
        n_done++;
        assert_true(o->volume->released);
}

/* One turn: on_unused() once at most. */
static void pass_time(void) {
        until = 0;
        assert_true(sd_event_run(manager.event, 0) >= 0);
}

static void release_from(enum volume_state before) {
        static const struct requester who = { "a model" };

        volume = volume_new(&manager, UUID, "data1", ROLE_DATA);
        assert_non_null(volume);
        assert_int_equal(volume_set_state(volume, before), 0);
        assert_int_equal(release_start(&manager, "", "data1", UINT32_MAX, -EBADF, &who, on_done, NULL), 0);
        assert_int_equal(n_done, 1);
        assert_int_equal(volume->state, VOLUME_ATTACHING);
        assert_int_equal(until, RELEASE_UNUSED_USEC);
}

static void must_wait(void) {
        assert_non_null(volume);
        assert_true(volume->released);
        assert_int_equal(volume->state, VOLUME_ATTACHING);
        assert_int_equal(n_recorded, 0);
}

static int set_up(void **state _unused_) {
        manager = (struct manager) {};
        n_recorded = n_done = n_kicked = 0;
        mapped = NULL;
        return sd_event_new(&manager.event);
}

static int tear_down(void **state _unused_) {
        volume = volume_free(volume);
        sd_event_unref(manager.event);
        return 0;
}

static void test_unused(void **state _unused_) {
        release_from(VOLUME_CLOSED);
        pass_time();
        assert_null(volume);
        assert_int_equal(n_recorded, 1);
}

static void test_back_to_cut(void **state _unused_) {
        release_from(VOLUME_CUT);
        release_unused(volume, "whoever asked for it is gone");
        assert_int_equal(volume->state, VOLUME_CUT);
        assert_int_equal(n_recorded, 1);
        release_unused(volume, "once more");
        pass_time();
        assert_int_equal(n_recorded, 1);
}

/* Whoever asked may be gone, or the time over: it is mapped. */
static void test_nobody_could_look(void **state _unused_) {
        release_from(VOLUME_CLOSED);
        volume->unseen = true;
        release_unused(volume, "whoever asked for it is gone");
        must_wait();
        pass_time();
        must_wait();
        assert_int_equal(until, RELEASE_UNUSED_USEC);
        volume->unseen = false;                        /* somebody looked, and there is none */
        pass_time();
        assert_null(volume);
        assert_int_equal(n_recorded, 1);
}

static void test_somebody_is_looking(void **state _unused_) {
        release_from(VOLUME_CLOSED);
        volume->looks = 1;
        release_unused(volume, "whoever asked for it is gone");
        must_wait();
        pass_time();
        must_wait();
        assert_int_equal(until, RELEASE_UNUSED_USEC);
        volume->looks = 0;
        pass_time();
        assert_null(volume);
}

/* Nobody was told of it yet. */
static void test_mapped_unheard(void **state _unused_) {
        release_from(VOLUME_CLOSED);
        mapped = UUID;
        release_unused(volume, "whoever asked for it is gone");
        must_wait();
        assert_true(n_kicked == 0 && !volume->overdue);
        pass_time();
        must_wait();
        assert_true(n_kicked == 1 && volume->overdue);         /* it is looked at */
        assert_int_equal(until, RELEASE_UNUSED_USEC);
        mapped = "fedcba98-7654-3210-fedc-ba9876543210";       /* another one's */
        pass_time();
        assert_null(volume);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_unused), TEST(test_back_to_cut), TEST(test_nobody_could_look), TEST(test_somebody_is_looking),
                TEST(test_mapped_unheard),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
