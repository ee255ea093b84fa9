/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/adopt-changes.c daemon/manager/look-again.c daemon/manager/volume.c daemon/manager/lease.c daemon/manager/lease-keys.c daemon/manager/key-track.c daemon/manager/policy.c
// libs: libsystemd

/* Something happened to the mapping of an open volume. What a child did not see is nothing that happened: only one that looked says that
 * it was closed, or resumed. The children are models. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/adopt.h"
#include "manager/disk-child.h"
#include "manager/key.h"
#include "manager/manager.h"
#include "manager/teardown.h"
#include "manager/unit-return.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define OURS (DISK_FLAG_MAPPED|DISK_FLAG_OURS)

static struct manager manager;
static struct volume *volume;
static bool out_of_memory;               /* for children */
static char recorded[256];
static uint64_t tried_after;
static unsigned n_children;              /* that were asked for */
static struct { disk_callback callback; void *user; enum disk_op op; } child;

/* Time passes at once. */
int sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec, uint64_t accuracy,
                               sd_event_time_handler_t callback, void *user) {
        tried_after = usec;
        return sd_event_add_time(e, ret, clock, 1, accuracy, callback, user);
}

struct volume *manager_volume_by_uuid(struct manager *m _unused_, const char *uuid) {
        return volume && streq(uuid, UUID) ? volume : NULL;
}

void manager_volume_forget(struct manager *m _unused_, struct volume *v) {
        assert_ptr_equal(v, volume);
        volume = volume_free(v);
}

void manager_record_start(struct audit_message_record *r, const struct volume *v _unused_, const char *event, uint8_t priority, bool durable) {
        audit_record_start(r, event, priority, durable);
}

void manager_record(struct manager *m _unused_, const struct audit_message_record *r) {
        size_t n = strlen(recorded);

        snprintf(recorded + n, sizeof(recorded) - n, "%s ", r->event);
}

int disk_child_start(struct disk_children *c _unused_, const struct disk_request *q, int secret_fd _unused_, int in_fd _unused_,
                     uint64_t timeout _unused_, disk_callback callback, void *user, struct disk_child **ret _unused_) {
        n_children++;
        if (out_of_memory)
                return -ENOMEM;
        assert_null(child.callback);
        child = (typeof(child)) { callback, user, (enum disk_op) q->op };
        return 0;
}

int teardown_start(struct volume *v, enum action a _unused_, enum lease_cause cause, const char *why _unused_) {
        v->cause = cause;
        return volume_set_state(v, VOLUME_CUTTING);
}

void key_evaluate_volume(struct volume *v _unused_) { }
void manager_volume_changed(struct manager *m _unused_, struct volume *v _unused_) { }
struct teardown *teardown_free(struct teardown *t _unused_) { return NULL; }
struct unit_return *unit_return_free(struct unit_return *r _unused_) { return NULL; }
int mapping_sysfs_below(uint32_t major _unused_, uint32_t minor _unused_, struct below *ret _unused_, size_t max _unused_) { return 0; }

/* ---- a run ---- */

static void answer(enum disk_op op, const struct disk_reply *y) {
        disk_callback callback = child.callback;

        assert_non_null(callback);
        assert_int_equal(child.op, op);
        child.callback = NULL;
        callback(y, -EBADF, child.user);
}

static void says(enum disk_op op, int error, uint32_t flags) {
        answer(op, &(struct disk_reply) { .error = error, .flags = flags, .message = "a model" });
}

static void nobody_looks(enum disk_op op, int error, enum disk_silence silence) {
        answer(op, &(struct disk_reply) { .error = error, .silence = silence, .message = "a model" });
}

static void pass_time(void) {
        while (sd_event_run(manager.event, 0) > 0)
                ;
}

/* As it was, and asked about again. */
static void must_stay(enum volume_state state, uint64_t sec) {
        assert_non_null(volume);
        assert_int_equal(volume->state, state);
        assert_string_equal(recorded, "");
        assert_null(child.callback);
        assert_int_equal(tried_after, sec * USEC_PER_SEC);
        pass_time();
}

static void must_be_closed(void) {
        assert_null(volume);
        assert_string_equal(recorded, "closed_elsewhere ");
}

static void set_up_as(enum volume_state state) {
        out_of_memory = false;
        *recorded = 0;
        tried_after = 0;
        n_children = 0;
        memset(&child, 0, sizeof(child));
        volume = volume_new(&manager, UUID, "data1", ROLE_DATA);
        assert_non_null(volume);
        assert_int_equal(volume_set_state(volume, state), 0);
}

static int set_up(void **state _unused_) {
        manager = (struct manager) {};
        assert_int_equal(sd_event_new(&manager.event), 0);
        set_up_as(VOLUME_ATTACHED);
        return 0;
}

static int tear_down(void **state _unused_) {
        assert_null(child.callback);
        volume = volume_free(volume);
        sd_event_unref(manager.event);
        return 0;
}

/* ---- gone ---- */

static void test_closed(void **state _unused_) {
        adopt_changed(volume);
        says(DISK_OP_QUERY, 0, 0);
        says(DISK_OP_STEP_VERIFY, 0, 0);
        must_be_closed();
        assert_int_equal(n_children, 2);
}

static void test_something_is_left(void **state _unused_) {
        static const int errors[] = { -EBUSY, -EKEYREJECTED };

        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                adopt_changed(volume);
                says(DISK_OP_QUERY, 0, 0);
                says(DISK_OP_STEP_VERIFY, errors[i], 0);
                must_be_closed();
                if (i == 0)
                        set_up_as(VOLUME_ATTACHED);
        }
}

static void test_still_there(void **state _unused_) {
        adopt_changed(volume);
        says(DISK_OP_QUERY, 0, OURS);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        adopt_changed(volume);
        says(DISK_OP_QUERY, 0, 0);
        says(DISK_OP_STEP_VERIFY, -EBUSY, OURS);       /* again */
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        assert_string_equal(recorded, "");
        assert_int_equal(tried_after, 0);
}

static void test_nobody_could_verify(void **state _unused_) {
        static const struct { int error; enum disk_silence silence; } fails[] = {
                { -ECONNREFUSED, DISK_NOT_STARTED }, { -EMFILE, DISK_NOT_STARTED }, { -ETIMEDOUT, DISK_SILENT }, { -EPIPE, DISK_SILENT },
                { -EIO, DISK_ANSWERED }, { -ENOMEM, DISK_ANSWERED },
        };
        static const uint64_t sec[] = { 1, 2, 4, 8, 15, 15 };

        adopt_changed(volume);
        for (size_t i = 0; i < ELEMENTSOF(fails); i++) {
                says(DISK_OP_QUERY, 0, 0);
                nobody_looks(DISK_OP_STEP_VERIFY, fails[i].error, fails[i].silence);
                must_stay(VOLUME_ATTACHED, sec[i]);
        }
        says(DISK_OP_QUERY, 0, 0);
        says(DISK_OP_STEP_VERIFY, 0, 0);
        must_be_closed();
}

static void test_nobody_could_query(void **state _unused_) {
        adopt_changed(volume);
        nobody_looks(DISK_OP_QUERY, -EMFILE, DISK_NOT_STARTED);
        must_stay(VOLUME_ATTACHED, 1);
        says(DISK_OP_QUERY, 0, 0);
        says(DISK_OP_STEP_VERIFY, 0, 0);
        must_be_closed();
}

static void test_no_memory(void **state _unused_) {
        out_of_memory = true;
        adopt_changed(volume);
        assert_int_equal(n_children, 1);
        out_of_memory = false;
        must_stay(VOLUME_ATTACHED, 1);
        out_of_memory = true;
        says(DISK_OP_QUERY, 0, 0);                     /* and none for VERIFY */
        out_of_memory = false;
        must_stay(VOLUME_ATTACHED, 2);
        says(DISK_OP_QUERY, 0, OURS);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
}

/* Cut, or forgotten, before anybody could look: not ours to say any more. */
static void test_overtaken(void **state _unused_) {
        adopt_changed(volume);
        nobody_looks(DISK_OP_QUERY, -EPIPE, DISK_SILENT);
        assert_int_equal(volume_set_state(volume, VOLUME_CUTTING), 0);
        pass_time();
        assert_null(child.callback);
        assert_int_equal(volume->state, VOLUME_CUTTING);
        assert_int_equal(volume_set_state(volume, VOLUME_CLOSED), 0);
        assert_int_equal(volume_set_state(volume, VOLUME_RECOVERY), 0);
        adopt_changed(volume);
        says(DISK_OP_QUERY, 0, 0);
        manager_volume_forget(&manager, volume);
        nobody_looks(DISK_OP_STEP_VERIFY, -EPIPE, DISK_NOT_STARTED);
        assert_string_equal(recorded, "");
}

/* ... and while the next try is waited for: tear_down() */
static void test_goes_between_two_looks(void **state _unused_) {
        adopt_changed(volume);
        nobody_looks(DISK_OP_QUERY, -EPIPE, DISK_SILENT);
        adopt_changed(volume);
        nobody_looks(DISK_OP_QUERY, -EPIPE, DISK_SILENT);      /* one try waits */
}

/* ---- held ---- */

static void set_up_held(void) {
        volume = volume_free(volume);
        set_up_as(VOLUME_HELD);
        adopt_changed(volume);
}

static void test_held_still(void **state _unused_) {
        static const uint32_t flags[] = { DISK_FLAG_SUSPENDED, DISK_FLAG_ERROR_TABLE };

        for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
                set_up_held();
                says(DISK_OP_QUERY, 0, OURS|flags[i]);
                assert_int_equal(volume->state, VOLUME_HELD);
                assert_string_equal(recorded, "");
        }
}

static void test_resumed(void **state _unused_) {
        set_up_held();
        nobody_looks(DISK_OP_QUERY, -EMFILE, DISK_NOT_STARTED);
        must_stay(VOLUME_HELD, 1);
        says(DISK_OP_QUERY, 0, OURS);
        assert_int_equal(volume->state, VOLUME_CUTTING);
        assert_int_equal(volume->cause, CAUSE_REFUSED);
        assert_string_equal(recorded, "resumed_elsewhere ");
}

static void test_held_is_gone(void **state _unused_) {
        set_up_held();
        says(DISK_OP_QUERY, 0, 0);
        says(DISK_OP_STEP_VERIFY, 0, 0);
        must_be_closed();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_closed), TEST(test_something_is_left), TEST(test_still_there), TEST(test_nobody_could_verify),
                TEST(test_nobody_could_query), TEST(test_no_memory), TEST(test_overtaken), TEST(test_goes_between_two_looks),
                TEST(test_held_still), TEST(test_resumed), TEST(test_held_is_gone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
