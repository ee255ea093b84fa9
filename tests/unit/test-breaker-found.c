/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/breaker-found.c daemon/manager/given-out.c daemon/common/dm-ioctl.c
// libs: libsystemd

/* The deadlines that a breaker still has when it is back: whose they are. And keys that were given out before the start. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/breaker-found.h"
#include "manager/given-out.h"
#include "manager/manager.h"
#include "manager/mapping-sysfs.h"
#include "manager/operation.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define DM_UUID "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-"

static struct manager manager;
static struct volume volume;
static bool is_listed;                     /* by the manager */
static const char *stands;                 /* as a mapping of UUID; NULL: none does */
static int not_listed;                     /* why sysfs cannot be read */
static char cleared[128];
static unsigned n_forgotten;
static uint64_t asked_after;

/* Time passes at once. */
int sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec, uint64_t accuracy,
                               sd_event_time_handler_t callback, void *user) {
        asked_after = usec;
        return sd_event_add_time(e, ret, clock, 1, accuracy, callback, user);
}

int sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec) {
        asked_after = usec;
        return sd_event_source_set_time(s, 1);
}

struct volume *manager_volume_by_uuid(struct manager *m _unused_, const char *uuid) {
        return is_listed && streq(uuid, UUID) ? &volume : NULL;
}

int mapping_sysfs_for_each(int (*f)(const struct mapping_seen *s, void *user), void *user) {
        struct mapping_seen s = { .uuid = UUID };

        if (not_listed < 0)
                return not_listed;
        if (!stands)
                return 0;
        snprintf(s.mapping, sizeof(s.mapping), "%s", stands);
        return f(&s, user);
}

int breaker_clear(struct breaker_link *b _unused_, const char *dm_uuid) {
        snprintf(cleared, sizeof(cleared), "%s", dm_uuid);
        return 0;
}

void open_mark_forget(const char *uuid) {
        assert_string_equal(uuid, UUID);
        n_forgotten++;
}

static int set_up(void **state _unused_) {
        manager = (struct manager) {};
        LIST_INIT(&manager.given_out);
        volume = (struct volume) { .uuid = UUID, .name = "data1", .mapping = "data1", .state = VOLUME_ATTACHED };
        is_listed = true;
        stands = "data1";
        not_listed = 0;
        *cleared = 0;
        n_forgotten = 0;
        return sd_event_new(&manager.event);
}

static int tear_down(void **state _unused_) {
        given_out_clear(&manager);
        sd_event_unref(manager.event);
        return 0;
}

static void begin_again(void **state) {
        tear_down(state);
        set_up(state);
}

static void found(const char *dm_uuid) {
        struct breaker_slot s = { .state = BREAKER_ARMED };

        snprintf(s.dm_uuid, sizeof(s.dm_uuid), "%s", dm_uuid);
        breaker_found(&manager, &s, 1);
}

/* ---- what the breaker has ---- */

/* Also one that cmkd took back while the breaker was away, and which would cut what is open without cmkd. */
static void test_of_a_volume(void **state _unused_) {
        static const enum volume_state states[] = { VOLUME_ATTACHED, VOLUME_HELD, VOLUME_RECOVERY, VOLUME_ATTACHING, VOLUME_LINGERING };

        for (size_t i = 0; i < ELEMENTSOF(states); i++) {
                volume.state = states[i];
                volume.breaker_set = false;
                found(DM_UUID "data1");
                assert_true(volume.breaker_set);
                assert_string_equal(cleared, "");
        }
}

static void test_of_nothing(void **state) {
        for (unsigned known = 0; known < 4; known++) {
                begin_again(state);
                stands = NULL;
                is_listed = known > 0;
                volume.state = known == 2 ? VOLUME_CUT : VOLUME_CLOSED;
                if (known == 3) {
                        volume.state = VOLUME_ATTACHED;          /* by another name */
                        stands = "other";
                        snprintf(volume.mapping, sizeof(volume.mapping), "other");
                }
                found(DM_UUID "data1");
                assert_string_equal(cleared, DM_UUID "data1");
                assert_false(volume.breaker_set);
        }
}

/* Nobody knows what it is, or nobody can say what stands: the deadline stands. */
static void test_of_something_else(void **state _unused_) {
        volume.state = VOLUME_CLOSED;
        found(DM_UUID "data1");
        is_listed = false;
        found(DM_UUID "data1");
        stands = NULL;
        not_listed = -EMFILE;
        found(DM_UUID "data1");
        not_listed = 0;
        found("LVM-of-somebody");
        assert_string_equal(cleared, "");
}

/* ---- keys given out ---- */

static void keep(bool has_slot) {
        static const struct open_mark_text mark = { .mark = OPEN_MARK_RELEASED, .issued = { 7, 8 }, .mapping = "data1" };
        struct breaker_slot s = { .state = BREAKER_ARMED, .dm_uuid = DM_UUID "data1" };

        assert_int_equal(given_out_keep(&manager, UUID, &mark, has_slot ? &s : NULL), 0);
        assert_int_equal(asked_after, RELEASE_UNUSED_USEC);
}

static bool is_kept(void) {
        struct open_mark_text t = {};
        struct breaker_slot slot;

        if (!given_out_find(&manager, UUID, &t, &slot))
                return false;
        assert_int_equal(t.mark, OPEN_MARK_RELEASED);
        assert_int_equal(t.issued.boottime_usec, 7);
        return true;
}

static void pass_time(void) {
        assert_true(sd_event_run(manager.event, 0) > 0);
}

static void test_kept(void **state _unused_) {
        is_listed = false;
        stands = NULL;
        keep(true);
        found(DM_UUID "data1");
        assert_string_equal(cleared, "");
        assert_true(is_kept());
        given_out_seen(&manager, UUID);
        assert_false(is_kept());
        given_out_seen(&manager, UUID);
        assert_int_equal(sd_event_run(manager.event, 0), 0);
        assert_int_equal(n_forgotten, 0);
}

/* The start was without the breaker: what it has is known when it is there. */
static void test_breaker_late(void **state _unused_) {
        struct open_mark_text t;
        struct breaker_slot slot;

        is_listed = false;
        stands = NULL;
        keep(false);
        assert_true(given_out_find(&manager, UUID, &t, &slot));
        assert_string_equal(slot.dm_uuid, "");
        found(DM_UUID "data1");
        found(DM_UUID "data1");
        assert_string_equal(cleared, "");
        assert_true(given_out_find(&manager, UUID, &t, &slot));
        assert_string_equal(slot.dm_uuid, DM_UUID "data1");
        found(DM_UUID "other");                          /* of nothing */
        assert_string_equal(cleared, DM_UUID "other");
        pass_time();
        assert_false(is_kept());
        assert_string_equal(cleared, DM_UUID "data1");
}

void volume_dm_uuid(const struct volume *v, char ret[static 128]) {
        snprintf(ret, 128, DM_UUID "%s", v->mapping);
}

/* The volume was attached meanwhile, and its key was not used: its deadline is of what is kept, and only that. */
static void test_takes_deadline(void **state) {
        for (unsigned i = 0; i < 8; i++) {
                bool has_slot = i & 1, is_volume_s = i & 2, other = i & 4;

                begin_again(state);
                volume.state = VOLUME_CLOSED;
                volume.breaker_set = is_volume_s;
                volume.manager = &manager;
                if (other)
                        snprintf(volume.mapping, sizeof(volume.mapping), "other");
                stands = NULL;
                assert_false(given_out_takes_deadline(&volume));
                keep(has_slot);
                assert_int_equal(given_out_takes_deadline(&volume), is_volume_s && !(other && has_slot));
                assert_int_equal(volume.breaker_set, is_volume_s && other && has_slot);
                pass_time();
                assert_false(is_kept());
                assert_string_equal(cleared, has_slot ? DM_UUID "data1" : !is_volume_s ? "" : other ? DM_UUID "other" : DM_UUID "data1");
        }
}

static void test_not_used(void **state) {
        for (unsigned i = 0; i < 3; i++) {
                begin_again(state);
                stands = NULL;
                is_listed = i > 0;
                volume.state = i == 2 ? VOLUME_CUT : VOLUME_CLOSED;
                keep(i < 2);
                pass_time();
                assert_false(is_kept());
                assert_int_equal(n_forgotten, 1);
                assert_string_equal(cleared, i < 2 ? DM_UUID "data1" : "");
        }
}

/* Attached by cmkd in the meantime: mark and deadline are its own now. */
static void test_attached_meanwhile(void **state _unused_) {
        keep(true);
        pass_time();
        assert_false(is_kept());
        assert_int_equal(n_forgotten, 0);
        assert_string_equal(cleared, "");
}

/* It is there, and somebody is about to look at it. */
static void test_asked_again(void **state _unused_) {
        is_listed = false;
        keep(true);
        asked_after = 0;
        pass_time();
        assert_true(is_kept());
        assert_int_equal(asked_after, RELEASE_UNUSED_USEC);
        not_listed = -EMFILE;
        pass_time();
        assert_true(is_kept());
        not_listed = 0;
        stands = NULL;
        pass_time();
        assert_false(is_kept());
}

/* Nobody could look at it yet, or cmkd itself is about it: whose mark and deadline that will be is not known. */
static void test_being_attached(void **state _unused_) {
        volume.state = VOLUME_ATTACHING;
        stands = NULL;
        keep(true);
        for (unsigned i = 0; i < 3; i++) {
                pass_time();
                assert_true(is_kept());
                assert_int_equal(asked_after, RELEASE_UNUSED_USEC);
        }
        volume.state = VOLUME_CLOSED;
        pass_time();
        assert_false(is_kept());
        assert_int_equal(n_forgotten, 1);
        assert_string_equal(cleared, DM_UUID "data1");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_of_a_volume, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_of_nothing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_of_something_else, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_kept, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_takes_deadline, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_breaker_late, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_not_used, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_attached_meanwhile, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_asked_again, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_being_attached, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
