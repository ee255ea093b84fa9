/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/pause.c
// libs: libsystemd

/* A pause from its beginning to its end, by clocks that only move when they are told to; the volume's decisions, its mark and
 * the trail are seen from outside. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

#include "manager/key.h"
#include "manager/manager.h"
#include "manager/operation.h"
#include "manager/pause-mark.h"
#include "manager/pause.h"
#include "manager/wrap.h"

#define SEC USEC_PER_SEC
#define HOUR (3600 * SEC)

static const struct requester who = { "uid=0 comm=cmkctl" };
static struct manager manager;
static struct key key;
static struct volume volume;
static struct wrap wrap = { .volume = &volume, .key = &key };
static struct instant now;
static struct pause_mark mark;
static bool marked;
static int mark_error;
static char story[1024];               /* what happened, in order */

static void tell(const char *format, ...) {
        size_t n = strlen(story);
        va_list ap;

        va_start(ap, format);
        vsnprintf(story + n, sizeof(story) - n, format, ap);
        va_end(ap);
}

/* In place of libc's. */
int clock_gettime(clockid_t id, struct timespec *ret) {
        uint64_t usec = id == CLOCK_REALTIME ? now.realtime_usec : now.boottime_usec;

        *ret = (struct timespec) { .tv_sec = (time_t) (usec / USEC_PER_SEC), .tv_nsec = (long) (usec % USEC_PER_SEC * NSEC_PER_USEC) };
        return 0;
}

void key_evaluate_volume(struct volume *v) {
        pause_look(v);
        tell("decide(%s) ", pause_is_set(v) ? "paused" : "free");
        if (v->state == VOLUME_NOTICE && pause_is_set(v))
                v->state = VOLUME_ATTACHED;
}

void wraps_schedule(struct volume *v _unused_) {
        tell("schedule ");
}

int pause_mark_write(const char *uuid _unused_, const struct pause_mark *m) {
        mark = *m;
        marked = true;
        return 0;
}

int pause_mark_read(const char *uuid _unused_, uint64_t longest_usec, struct instant t _unused_, struct pause_mark *ret) {
        assert_int_equal(longest_usec, PAUSE_MAX_USEC);
        if (mark_error < 0 || !marked)
                return mark_error < 0 ? mark_error : -ENOENT;
        *ret = mark;
        return 0;
}

void pause_mark_remove(const char *uuid _unused_) {
        marked = false;
}

void manager_record_start(struct audit_message_record *r, const struct volume *v _unused_, const char *event, uint8_t priority,
                          bool durable _unused_) {
        *r = (struct audit_message_record) {};
        tell("[%s %u", event, priority);
}

void manager_record(struct manager *m _unused_, const struct audit_message_record *r) {
        for (size_t i = 0; i < r->n_fields; i++)
                if (!streq(r->fields[i].name, "until_boottime_usec"))
                        tell(" %s=%s", r->fields[i].name, r->fields[i].value);
        tell("] ");
}

static void pass(uint64_t usec) {
        now.boottime_usec += usec;
        now.realtime_usec += usec;
}

static int set_up(void **state _unused_) {
        now = (struct instant) { 1000 * SEC, UINT64_C(1700000000) * SEC };
        key = (struct key) { .manager = &manager, .attributes.floors.pause_max_usec = USEC_INFINITY };
        volume = (struct volume) { .manager = &manager, .state = VOLUME_ATTACHED, .wraps = { &wrap }, .n_wraps = 1 };
        marked = false;
        mark_error = 0;
        *story = 0;
        return sd_event_default(&manager.event) >= 0 ? 0 : -1;
}

static int tear_down(void **state _unused_) {
        volume.pause_timer = sd_event_source_disable_unref(volume.pause_timer);
        manager.event = sd_event_unref(manager.event);
        return 0;
}

static int check(uint64_t span, struct instant *ret) {
        uint64_t latest;
        const char *why;

        return pause_check(&volume, now.realtime_usec + span, ret, &latest, &why);
}

static void begin(uint64_t span) {
        struct instant until;

        assert_int_equal(check(span, &until), 0);
        assert_int_equal(pause_begin(&volume, until, &who), 0);
}

static void test_begin_and_expiry(void **state _unused_) {
        begin(HOUR);
        assert_string_equal(story, "[paused 1 until=2023-11-14T23:13:20Z by=uid=0 comm=cmkctl] decide(paused) schedule ");
        assert_int_equal(volume.lease.paused_until.boottime_usec, 1000 * SEC + HOUR);
        assert_int_equal(volume.lease.paused_until.realtime_usec, 1700000000 * SEC + HOUR);
        assert_true(marked && mark.since_boottime_usec == 1000 * SEC && mark.until.boottime_usec == 1000 * SEC + HOUR);
        assert_non_null(volume.pause_timer);
        assert_true(pause_until(&volume) == 1700000000 * SEC + HOUR);
        pass(HOUR - 1);
        pause_look(&volume);
        assert_true(pause_is_set(&volume));
        *story = 0;
        pass(1);
        pause_look(&volume);
        assert_string_equal(story, "[pause_ended 5 until=2023-11-14T23:13:20Z why=expired] ");
        assert_true(!pause_is_set(&volume) && !marked && !volume.pause_timer);
        assert_true(pause_until(&volume) == USEC_INFINITY);
        pause_look(&volume);
        assert_string_equal(story, "[pause_ended 5 until=2023-11-14T23:13:20Z why=expired] ");
}

static void test_either_clock_ends_it(void **state _unused_) {
        begin(HOUR);
        now.realtime_usec += HOUR;
        pause_look(&volume);
        assert_false(pause_is_set(&volume));
        /* a wall clock that is set back extends nothing, and status tells the end as it will be */
        begin(HOUR);
        now.realtime_usec -= 24 * HOUR;
        assert_true(pause_until(&volume) == now.realtime_usec + HOUR);
        pass(HOUR - 1);
        pause_look(&volume);
        assert_true(pause_is_set(&volume));
        pass(2);                        /* nobody looks at the very moment */
        pause_look(&volume);
        assert_false(pause_is_set(&volume));
}

static void test_ended_early(void **state _unused_) {
        assert_false(pause_end(&volume, &who));
        assert_string_equal(story, "");
        begin(HOUR);
        *story = 0;
        assert_true(pause_end(&volume, &who));
        assert_string_equal(story, "[pause_ended 5 until=2023-11-14T23:13:20Z why=ended by uid=0 comm=cmkctl] decide(free) schedule ");
        assert_true(!marked && !volume.pause_timer);
        assert_false(pause_end(&volume, &who));
        /* over by itself before anybody looked */
        begin(HOUR);
        pass(HOUR);
        *story = 0;
        assert_false(pause_end(&volume, &who));
        assert_non_null(strstr(story, "why=expired"));
}

static void test_limit(void **state _unused_) {
        struct instant until = {};
        const char *why = NULL;
        uint64_t latest = 0, limit = pause_limit(&volume, &why);

        assert_int_equal(limit, PAUSE_MAX_USEC);
        assert_non_null(why);
        assert_int_equal(check(0, &until), -EINVAL);
        assert_int_equal(check(-SEC, &until), -EINVAL);
        assert_int_equal(check(limit, &until), 0);
        assert_int_equal(check(limit + 1, &until), -EPERM);
        assert_int_equal(pause_check(&volume, USEC_INFINITY, &until, &latest, &why), -EPERM);
        assert_true(latest == now.realtime_usec + limit);
        /* extended, but never beyond the limit from when it began */
        begin(HOUR);
        pass(HOUR / 2);
        begin(4 * HOUR);
        assert_int_equal(mark.since_boottime_usec, 1000 * SEC);
        assert_int_equal(check(limit - HOUR / 2, &until), 0);
        assert_int_equal(pause_check(&volume, now.realtime_usec + limit, &until, &latest, &why), -EPERM);
        assert_true(latest == now.realtime_usec + limit - HOUR / 2);
        /* shortened */
        begin(60 * SEC);
        pass(60 * SEC);
        pause_look(&volume);
        assert_false(pause_is_set(&volume));
}

/* The owner's tag caps it, and cannot stretch it. */
static void test_owner_limit(void **state _unused_) {
        static const struct {
                uint64_t owner, limit;
        } cases[] = { { 60 * SEC, 60 * SEC }, { 0, 0 }, { 48 * HOUR, PAUSE_MAX_USEC }, { USEC_INFINITY, PAUSE_MAX_USEC } };
        struct instant until;
        const char *why;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                key.attributes.floors.pause_max_usec = cases[i].owner;
                assert_true(pause_limit(&volume, &why) == cases[i].limit);
                assert_true((strstr(why, "owner") != NULL) == (cases[i].owner < PAUSE_MAX_USEC));
                assert_int_equal(check(cases[i].limit + 1, &until), -EPERM);
        }
}

static void test_notice_is_decided_twice(void **state _unused_) {
        volume.state = VOLUME_NOTICE;
        begin(HOUR);
        assert_non_null(strstr(story, "] decide(paused) decide(paused) schedule "));
}

static void forget(void) {
        volume.lease.paused_until = (struct instant) {};
        volume.paused_since_usec = 0;
        volume.pause_timer = sd_event_source_disable_unref(volume.pause_timer);
        *story = 0;
}

static void test_restored(void **state _unused_) {
        struct instant until = {};

        pause_restore(&volume);
        assert_false(pause_is_set(&volume));
        begin(HOUR);
        forget();
        pass(HOUR / 2);
        pause_restore(&volume);
        assert_int_equal(volume.lease.paused_until.boottime_usec, 1000 * SEC + HOUR);
        assert_int_equal(volume.lease.paused_until.realtime_usec, 1700000000 * SEC + HOUR);
        assert_non_null(volume.pause_timer);
        assert_string_equal(story, "");
        assert_int_equal(check(PAUSE_MAX_USEC, &until), -EPERM);        /* it began when it began */
        /* over meanwhile, by the boot clock: the wall clock was set back */
        forget();
        pass(HOUR / 2);
        now.realtime_usec -= 24 * HOUR;
        pause_restore(&volume);
        assert_true(!pause_is_set(&volume) && !marked && !volume.pause_timer);
        assert_string_equal(story, "[pause_ended 5 until=2023-11-14T23:13:20Z why=expired] ");
        /* a mark that nobody understands is no pause, and goes */
        mark_error = -EBADMSG;
        marked = true;
        pause_restore(&volume);
        assert_true(!pause_is_set(&volume) && !marked);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_begin_and_expiry, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_either_clock_ends_it, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_ended_early, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_owner_limit, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_notice_is_decided_twice, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_restored, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("pause", tests, NULL, NULL);
}
