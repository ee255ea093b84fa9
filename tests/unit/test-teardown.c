/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/teardown.c daemon/manager/detach.c daemon/manager/outcome.c daemon/manager/stored.c daemon/manager/volume.c daemon/manager/plan.c daemon/manager/lease.c daemon/manager/lease-keys.c daemon/manager/key-track.c daemon/manager/policy.c
// libs: libsystemd

/* What could not be cleaned, by a cut or by a detach, is tried again until it is, whatever there is no memory for meanwhile. The children are
 * models. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dlfcn.h>

#include "manager/bus.h"
#include "manager/disk-child.h"
#include "manager/drill.h"
#include "manager/encrypt-run.h"
#include "manager/fellows.h"
#include "manager/key.h"
#include "manager/manager.h"
#include "manager/mapping-watch.h"
#include "manager/no-cores.h"
#include "manager/notice.h"
#include "manager/operation.h"
#include "manager/teardown.h"
#include "manager/unit-return.h"
#include "manager/wrap.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static struct manager manager;
static struct volume *volume;
static enum disk_op failing;             /* 0: none */
static int failing_error;
static uint32_t failing_flags;
static enum disk_silence failing_silence;
static unsigned failing_times;           /* 0: for ever */
static enum disk_op not_started;         /* no memory for that child */
static uint64_t asked;                   /* a bit a disk_op */
static enum volume_state forgotten;      /* in which state it was */
static enum volume_state evaluated_in;   /* the last time */
static bool fellows_taken;
static struct outcome said;
static bool no_memory;                   /* for event sources */
static uint64_t tried_after;             /* what the timer was set to last */
static unsigned told;                    /* the breaker, of those times that count */
static bool breaker_away;
static unsigned looked;                  /* whether its mapping is there still */

static struct { disk_callback callback; void *user; enum disk_op op; } child;

/* ---- what stands around it ---- */

int sd_event_add_time(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec, uint64_t accuracy, sd_event_time_handler_t callback,
                      void *user) {
        typeof(sd_event_add_time) *real = (typeof(sd_event_add_time) *) dlsym(RTLD_NEXT, "sd_event_add_time");

        return no_memory ? -ENOMEM : real(e, ret, clock, usec, accuracy, callback, user);
}

/* Time passes at once. */
int sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec, uint64_t accuracy,
                               sd_event_time_handler_t callback, void *user) {
        tried_after = usec;
        return sd_event_add_time(e, ret, clock, 1, accuracy, callback, user);
}

int sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec) {
        tried_after = usec;
        return sd_event_source_set_time(s, 1);
}

void mapping_watch_made(struct mapping_watch *w _unused_, const struct volume *v _unused_) { looked++; }
void manager_volume_changed(struct manager *m _unused_, struct volume *v _unused_) { }
void manager_record(struct manager *m _unused_, const struct audit_message_record *r _unused_) { }
void manager_record_answer(struct audit_message_record *r _unused_, const struct volume *v _unused_) { }
struct unit_return *unit_return_free(struct unit_return *r _unused_) { return NULL; }
void unit_return_look(struct volume *v _unused_, bool again _unused_) { }
void unit_return_remember(struct volume *v _unused_) { }
const char *drill_of(const struct manager *m _unused_, const char *name _unused_) { return NULL; }
bool fellows_are_held(const struct volume *v _unused_) { return false; }
void fellows_take_along(struct volume *v _unused_) { fellows_taken = true; }
bool encrypt_stop(struct volume *v _unused_, void (*done)(void *user) _unused_, void *user _unused_) { return false; }
void key_evaluate_volume(struct volume *v) { evaluated_in = v->state; }
void wraps_schedule(struct volume *v _unused_) { }
void no_cores_forbid(struct no_cores *n _unused_, const struct volume *v _unused_) { }
void bus_start_unit(struct bus *b _unused_, const char *unit _unused_, const char *name _unused_) { }
struct notice *notice_cancel(struct notice *n _unused_) { return NULL; }
void audit_cancel(struct audit_link *a _unused_, void *user _unused_) { }

void manager_volume_forget(struct manager *m _unused_, struct volume *v) {
        forgotten = v->state;
        volume = volume_free(v);
}

void manager_record_start(struct audit_message_record *r _unused_, const struct volume *v _unused_, const char *event _unused_,
                          uint8_t priority _unused_, bool durable _unused_) {
}

int notice_start(struct volume *v _unused_, const struct plan_step *s _unused_, enum action a _unused_, struct instant i _unused_,
                 notice_done done _unused_, void *user _unused_, struct notice **ret _unused_) {
        fail();
        return 0;
}

int audit_write(struct audit_link *a _unused_, const struct audit_message_record *m _unused_, uint64_t timeout _unused_,
                audit_callback callback _unused_, void *user _unused_) {
        return -ENOTCONN;
}

int breaker_act(struct breaker_link *b _unused_, const struct breaker_slot *s _unused_) {
        told += !breaker_away;
        return breaker_away ? -ENOTCONN : 0;
}

int disk_child_start(struct disk_children *c _unused_, const struct disk_request *q, int secret_fd _unused_, int in_fd _unused_,
                     uint64_t timeout _unused_, disk_callback callback, void *user, struct disk_child **ret) {
        assert_null(child.callback);
        if (q->op == not_started)
                return -ENOMEM;
        asked |= 1ull << q->op;
        child = (typeof(child)) { .callback = callback, .user = user, .op = q->op };
        if (ret)
                *ret = (struct disk_child *) &child;
        return 0;
}

int disk_child_again(struct disk_child *d _unused_, const struct disk_request *q _unused_, int fd _unused_, uint64_t timeout _unused_,
                     disk_callback callback _unused_, void *user _unused_) {
        return -EPIPE;
}

void disk_child_cancel(struct disk_child *d _unused_) {
        child.callback = NULL;
}

/* ---- a run ---- */

static void run_children(void) {
        while (child.callback) {
                const bool fails = child.op == failing;
                const struct disk_reply y = {
                        .error = fails ? failing_error : 0, .silence = fails ? failing_silence : DISK_ANSWERED,
                        .flags = fails ? failing_flags : child.op == DISK_OP_HOLD ? DISK_FLAG_SUSPENDED : 0, .message = "a model",
                };
                disk_callback callback = child.callback;

                if (fails && failing_times > 0 && --failing_times == 0)
                        failing = 0;
                child.callback = NULL;
                callback(&y, -EBADF, child.user);
        }
}

/* The next try. */
static void pass_time(void) {
        tried_after = 0;
        assert_int_equal(sd_event_run(manager.event, 0), 1);
        run_children();
}

static void open_volume(enum role role) {
        volume = volume_new(&manager, UUID, "data1", role);
        assert_non_null(volume);
        volume->sectors = 2048;
        assert_int_equal(volume_set_state(volume, VOLUME_ATTACHED), 0);
}

static int set_up(void **state _unused_) {
        failing = not_started = 0;
        failing_error = -EBUSY;
        failing_flags = 0;
        failing_silence = DISK_ANSWERED;
        failing_times = 0;
        no_memory = breaker_away = fellows_taken = false;
        told = looked = 0;
        asked = 0;
        forgotten = evaluated_in = _VOLUME_STATE_MAX;
        memset(&child, 0, sizeof(child));
        return sd_event_new(&manager.event) < 0;
}

static int tear_down(void **state _unused_) {
        volume = volume_free(volume);
        sd_event_unref(manager.event);
        return 0;
}

static void test_not_begun_without_memory(void **state _unused_) {
        open_volume(ROLE_DATA);
        no_memory = true;
        assert_int_equal(teardown_start(volume, ACTION_CUT, CAUSE_REVOKED, NULL), -ENOMEM);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        assert_null(volume->teardown);
}

static void test_tried_again_without_memory(void **state _unused_) {
        open_volume(ROLE_DATA);
        failing = DISK_OP_STEP_REMOVE;
        assert_int_equal(teardown_start(volume, ACTION_CUT, CAUSE_REVOKED, NULL), 0);
        no_memory = true;
        run_children();
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(volume->state, VOLUME_LINGERING);
                assert_true(volume->lease.cut_done);
                assert_int_equal(tried_after, 15 * USEC_PER_SEC);
                pass_time();
        }
        failing = 0;
        pass_time();
        assert_int_equal(volume->state, VOLUME_CUT);
        assert_int_equal(sd_event_run(manager.event, 0), 0);
}

static void test_tried_again_without_plan(void **state _unused_) {
        open_volume(ROLE_DATA);
        failing = DISK_OP_STEP_REMOVE;
        assert_int_equal(teardown_start(volume, ACTION_CUT, CAUSE_REVOKED, NULL), 0);
        run_children();
        failing = 0;
        volume->sectors = 0;
        pass_time();
        assert_int_equal(volume->state, VOLUME_LINGERING);
        assert_int_equal(tried_after, 15 * USEC_PER_SEC);
        volume->sectors = 2048;
        pass_time();
        assert_int_equal(volume->state, VOLUME_CUT);
}

static void test_breaker_is_told_again(void **state _unused_) {
        open_volume(ROLE_OS);
        breaker_away = true;
        assert_int_equal(teardown_start(volume, ACTION_POWEROFF, CAUSE_REVOKED, NULL), 0);
        no_memory = true;
        assert_int_equal(tried_after, USEC_PER_SEC);
        pass_time();
        assert_int_equal(tried_after, USEC_PER_SEC);
        breaker_away = false;
        pass_time();
        assert_int_equal(told, 1);
        assert_int_equal(volume->state, VOLUME_CUTTING);
        assert_int_equal(sd_event_run(manager.event, 0), 0);
}

/* ---- detach ---- */

static void on_detached(const struct outcome *o, void *user _unused_) {
        said = *o;
}

static enum exit_code detach(enum role role) {
        static const struct requester who = { .text = "a test" };

        open_volume(role);
        said.code = _EXIT_CODE_MAX;
        assert_int_equal(detach_start(&manager, volume, &who, on_detached, NULL), 0);
        run_children();
        return said.code;
}

static void test_detach(void **state _unused_) {
        assert_int_equal(detach(ROLE_DATA), EXIT_CODE_DONE);
        assert_int_equal(forgotten, VOLUME_CLOSED);
}

/* It lingers, until what is left is gone; no process is looked for, and no other volume is cut for its sake. */
static void cleaned_later(void) {
        const uint64_t allowed = 1ull << DISK_OP_STEP_REMOVE | 1ull << DISK_OP_STEP_VERIFY;

        assert_int_equal(volume->state, VOLUME_LINGERING);
        assert_true(volume->lease.cut_done);
        assert_int_equal(tried_after, 15 * USEC_PER_SEC);
        asked = 0;
        failing = DISK_OP_STEP_VERIFY;
        not_started = 0;
        pass_time();
        assert_int_equal(volume->state, VOLUME_LINGERING);
        assert_int_equal(tried_after, 15 * USEC_PER_SEC);
        failing = 0;
        pass_time();
        assert_int_equal(asked, allowed);
        assert_false(fellows_taken);
        assert_int_equal(forgotten, VOLUME_CLOSED);
        assert_null(volume);
}

static void test_detach_leaves_something(void **state _unused_) {
        for (enum role role = ROLE_DATA; role < _ROLE_MAX; role++) {
                failing = DISK_OP_STEP_VERIFY;
                assert_int_equal(detach(role), EXIT_CODE_BUSY);
                assert_true(said.changed && strstr(said.message, "a model"));
                cleaned_later();
        }
}

static void test_detach_leaves_keys(void **state _unused_) {
        failing = DISK_OP_DEACTIVATE;
        failing_error = -EKEYREJECTED;
        assert_int_equal(detach(ROLE_DATA), EXIT_CODE_BUSY);
        cleaned_later();
}

static void test_detach_is_not_verified(void **state _unused_) {
        not_started = DISK_OP_STEP_VERIFY;
        assert_int_equal(detach(ROLE_DATA), EXIT_CODE_BUSY);
        cleaned_later();
}

static void test_detach_without_memory(void **state _unused_) {
        failing = DISK_OP_STEP_VERIFY;
        no_memory = true;
        assert_int_equal(detach(ROLE_DATA), EXIT_CODE_BUSY);
        assert_int_equal(volume->state, VOLUME_LINGERING);
        assert_null(volume->teardown);
        no_memory = false;
        failing = 0;
        assert_int_equal(teardown_start(volume, ACTION_CUT, CAUSE_OPERATOR, NULL), 0);
        run_children();
        assert_int_equal(volume->state, VOLUME_CUT);
}

/* In use, or mapped again by somebody: it is open, and under its lease as before. */
static void test_detach_fails(void **state _unused_) {
        failing = DISK_OP_DEACTIVATE;
        failing_flags = DISK_FLAG_MAPPED|DISK_FLAG_OURS;
        assert_true(detach(ROLE_DATA) != EXIT_CODE_DONE && !said.changed);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        assert_int_equal(looked, 1);
        volume = volume_free(volume);
        failing = DISK_OP_STEP_VERIFY;
        assert_int_equal(detach(ROLE_DATA), EXIT_CODE_BUSY);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        assert_int_equal(forgotten, _VOLUME_STATE_MAX);
}

/* ---- hold ---- */

static enum exit_code hold(enum lease_cause cause) {
        static const struct requester who = { .text = "a test" };

        open_volume(ROLE_DATA);
        volume->cause = cause;
        said.code = _EXIT_CODE_MAX;
        assert_int_equal(hold_start(volume, &who, on_detached, NULL), 0);
        run_children();
        return said.code;
}

static void test_hold(void **state _unused_) {
        assert_int_equal(hold(CAUSE_OPERATOR), EXIT_CODE_DONE);
        assert_int_equal(volume->state, VOLUME_HELD);
}

/* Nobody was there to do it: nothing has happened, and the operator may say it again. */
static void test_hold_is_not_started(void **state _unused_) {
        failing = DISK_OP_HOLD;
        failing_error = -ECONNREFUSED;
        failing_silence = DISK_NOT_STARTED;
        assert_int_equal(hold(CAUSE_OPERATOR), EXIT_CODE_BUSY);
        assert_true(!said.changed && strstr(said.message, "cmkd-ladder.socket"));
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        assert_int_equal(evaluated_in, VOLUME_ATTACHED);
        assert_int_equal(asked, 1ull << DISK_OP_HOLD);
        assert_int_equal(sd_event_run(manager.event, 0), 0);
}

/* Who was there may have done half of it. */
static void test_hold_dies(void **state _unused_) {
        failing = DISK_OP_HOLD;
        failing_error = -EPIPE;
        failing_silence = DISK_SILENT;
        assert_int_equal(hold(CAUSE_OPERATOR), EXIT_CODE_FAILED);
        assert_int_equal(volume->state, VOLUME_CUT);
}

static void test_hold_is_refused(void **state _unused_) {
        failing = DISK_OP_HOLD;
        failing_error = -EPERM;
        assert_true(hold(CAUSE_OPERATOR) != EXIT_CODE_DONE);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        assert_int_equal(evaluated_in, VOLUME_ATTACHED);
}

/* Policy's own: by whoever is there within LEASE_HOLDING_USEC, else it is cut. */
static void test_own_hold_is_tried_again(void **state _unused_) {
        for (failing_times = 1; failing_times <= 4; failing_times++) {
                unsigned times = failing_times;
                uint64_t waited = 0;

                failing = DISK_OP_HOLD;
                failing_error = -EAGAIN;
                failing_silence = DISK_NOT_STARTED;
                assert_int_equal(hold(CAUSE_DENIED), _EXIT_CODE_MAX);
                for (unsigned i = 1; i < times; i++) {
                        assert_int_equal(volume->state, VOLUME_HOLDING);
                        waited += tried_after;
                        pass_time();
                }
                if (times <= 3) {
                        assert_int_equal(volume->state, VOLUME_HOLDING);
                        waited += tried_after;
                        pass_time();
                }
                assert_true(waited > times - 1 && waited < LEASE_HOLDING_USEC);
                assert_int_equal(volume->state, times <= 3 ? VOLUME_HELD : VOLUME_CUT);
                assert_int_equal(said.code, times <= 3 ? EXIT_CODE_DONE : EXIT_CODE_FAILED);
                volume = volume_free(volume);
                failing_times = times;
        }
}

/* Something stronger has begun in between: that is the volume's end, not the hold. */
static void test_own_hold_is_overtaken(void **state _unused_) {
        failing = DISK_OP_HOLD;
        failing_silence = DISK_NOT_STARTED;
        assert_int_equal(hold(CAUSE_DENIED), _EXIT_CODE_MAX);
        assert_int_equal(teardown_start(volume, ACTION_CUT, CAUSE_REVOKED, NULL), 0);
        run_children();
        asked = 0;
        pass_time();
        assert_int_equal(asked, 0);
        assert_int_equal(said.code, EXIT_CODE_REVOKED);
        assert_int_equal(volume->state, VOLUME_CUT);
}

/* ---- a child that answers when it is all over ---- */

static typeof(child) let_hang(void) {
        typeof(child) hanging = child;

        child.callback = NULL;
        return hanging;
}

static void cut_it(void) {
        assert_int_equal(teardown_start(volume, ACTION_CUT, CAUSE_REVOKED, NULL), 0);
        run_children();
        assert_int_equal(volume->state, VOLUME_CUT);
}

static void test_answer_about_nothing(void **state _unused_) {
        static const struct requester who = { .text = "a test" };
        const struct disk_reply held = { .flags = DISK_FLAG_SUSPENDED }, gone = {};
        typeof(child) hanging;

        for (int i = 0; i < 2; i++) {
                open_volume(ROLE_DATA);
                assert_int_equal(i == 0 ? hold_start(volume, &who, on_detached, NULL)
                                        : detach_start(&manager, volume, &who, on_detached, NULL), 0);
                hanging = let_hang();
                cut_it();
                volume = volume_free(volume);
                said.code = _EXIT_CODE_MAX;
                hanging.callback(i == 0 ? &held : &gone, -EBADF, hanging.user);
                assert_int_equal(said.code, EXIT_CODE_REVOKED);
                assert_null(said.volume);
        }
}

/* Attached and detached anew meanwhile: the first one's answer is not the second's. */
static void test_answer_about_another_use(void **state _unused_) {
        static const struct requester who = { .text = "a test" };
        const struct disk_reply gone = {};
        typeof(child) hanging;

        open_volume(ROLE_DATA);
        assert_int_equal(detach_start(&manager, volume, &who, on_detached, NULL), 0);
        hanging = let_hang();
        cut_it();
        assert_int_equal(volume_set_state(volume, VOLUME_ATTACHING), 0);
        assert_int_equal(volume_set_state(volume, VOLUME_ATTACHED), 0);
        assert_int_equal(detach_start(&manager, volume, &who, on_detached, NULL), 0);
        said.code = _EXIT_CODE_MAX;
        asked = 0;
        hanging.callback(&gone, -EBADF, hanging.user);
        assert_int_equal(said.code, EXIT_CODE_REVOKED);
        assert_int_equal(volume->state, VOLUME_DETACHING);
        assert_int_equal(asked, 0);
        run_children();
        assert_int_equal(said.code, EXIT_CODE_DONE);
        assert_int_equal(forgotten, VOLUME_CLOSED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_not_begun_without_memory), TEST(test_tried_again_without_memory), TEST(test_tried_again_without_plan),
                TEST(test_breaker_is_told_again), TEST(test_detach), TEST(test_detach_leaves_something), TEST(test_detach_leaves_keys),
                TEST(test_detach_is_not_verified), TEST(test_detach_without_memory), TEST(test_detach_fails),
                TEST(test_hold), TEST(test_hold_is_not_started), TEST(test_hold_dies), TEST(test_hold_is_refused),
                TEST(test_own_hold_is_tried_again), TEST(test_own_hold_is_overtaken), TEST(test_answer_about_nothing),
                TEST(test_answer_about_another_use),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
