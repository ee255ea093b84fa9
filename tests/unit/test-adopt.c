/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/adopt.c daemon/manager/look-again.c daemon/manager/turns.c daemon/manager/recognize.c daemon/manager/mapping-watch.c daemon/manager/uevent.c daemon/manager/volume.c daemon/manager/lease.c daemon/manager/lease-keys.c daemon/manager/key-track.c daemon/manager/policy.c daemon/manager/trust-find.c
// libs: libsystemd

/* What stands when cmkd starts: that nobody could look at it is neither "not there" nor "opened by others". Marks, slots, sysfs and the
 * children are models. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/adopt.h"
#include "manager/cut-mark.h"
#include "manager/disk-child.h"
#include "manager/drill.h"
#include "manager/header-watch.h"
#include "manager/key.h"
#include "manager/manager.h"
#include "manager/mapping-watch.h"
#include "manager/mount-watch.h"
#include "manager/open-mark.h"
#include "manager/operation.h"
#include "manager/pause.h"
#include "manager/personalize.h"
#include "manager/teardown.h"
#include "manager/unit-return.h"
#include "manager/wrap.h"
#include "manager/wrap-mark.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define DM_UUID "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-data1"
#define FLAGS (DISK_FLAG_MAPPED|DISK_FLAG_OURS|DISK_FLAG_TABLE_OK)

static struct manager manager;
static struct trust_entry entry = { .uuid = UUID, .name = "data1", .role = ROLE_DATA };
static struct trust_list list = { .entries = &entry, .n_entries = 1 };
static struct volume *volume;
static struct key key;
static struct wrap bound = { .key = &key };

static bool is_mapped;                   /* in sysfs */
static int n_below;                      /* that it stands on */
static struct open_mark_text mark;
static enum lease_cause cut;
static const char *not_bound;            /* why */
static bool out_of_memory;               /* for children */
static char recorded[256];
static uint64_t tried_after;
static unsigned n_children;              /* that were asked for */
static struct { disk_callback callback; void *user; enum disk_op op; } children[4];

/* ---- what stands around it ---- */

/* Time passes at once. */
int sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec, uint64_t accuracy,
                               sd_event_time_handler_t callback, void *user) {
        if (usec > 0)
                tried_after = usec;
        return sd_event_add_time(e, ret, clock, 1, accuracy, callback, user);
}

struct volume *manager_volume_by_uuid(struct manager *m _unused_, const char *uuid) {
        return volume && streq(uuid, UUID) ? volume : NULL;
}

int manager_volume_add(struct manager *m, const char *uuid, const char *name, enum role role, struct volume **ret) {
        if (volume)
                return -EEXIST;
        *ret = volume = volume_new(m, uuid, name, role);
        assert_non_null(volume);
        LIST_INSERT_HEAD(&m->volumes, volume, volumes);
        return 0;
}

void manager_volume_forget(struct manager *m _unused_, struct volume *v) {
        LIST_REMOVE(v, volumes);
        volume = volume_free(v);
}

void manager_volume_mapped_as(struct volume *v, const char *mapping) {
        snprintf(v->mapping, sizeof(v->mapping), "%s", mapping);
}

void manager_volume_policy(struct manager *m _unused_, struct volume *v) {
        policy_default(v->role, &v->policy);
}

static void note(const char *what) {
        size_t n = strlen(recorded);

        snprintf(recorded + n, sizeof(recorded) - n, "%s ", what);
}

void manager_record_start(struct audit_message_record *r, const struct volume *v _unused_, const char *event, uint8_t priority, bool durable) {
        audit_record_start(r, event, priority, durable);
}

void manager_record(struct manager *m _unused_, const struct audit_message_record *r) {
        note(r->event);
}

int disk_child_start(struct disk_children *c _unused_, const struct disk_request *q, int secret_fd _unused_, int in_fd _unused_,
                     uint64_t timeout _unused_, disk_callback callback, void *user, struct disk_child **ret _unused_) {
        n_children++;
        if (out_of_memory)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(children); i++)
                if (!children[i].callback) {
                        children[i] = (typeof(children[0])) { callback, user, (enum disk_op) q->op };
                        return 0;
                }
        fail();
        return 0;
}

static const struct mapping_seen listed = { .uuid = UUID, .mapping = "data1", .major = 253, .minor = 1 };

int mapping_sysfs_for_each(int (*f)(const struct mapping_seen *s, void *user), void *user) {
        return is_mapped ? f(&listed, user) : 0;
}

int mapping_sysfs_read(uint32_t major, uint32_t minor, struct mapping_seen *ret) {
        if (!is_mapped || major != listed.major || minor != listed.minor)
                return -ENOENT;
        *ret = listed;
        return 0;
}

int mapping_sysfs_below(uint32_t major _unused_, uint32_t minor _unused_, struct below *ret, size_t max _unused_) {
        *ret = (struct below) { .major = 8, .name = "sda" };
        return is_mapped ? n_below : -ENOENT;
}

void open_mark_read(const char *uuid _unused_, struct open_mark_text *ret) {
        *ret = mark;
}

enum lease_cause cut_mark_read(struct volume *v _unused_) {
        return cut;
}

int wrap_choose(const struct disk_reply *h _unused_, const struct trust_entry *t _unused_, bool lenient _unused_, struct wrap_choice *ret,
                char why[static 600]) {
        *ret = (struct wrap_choice) { .n = 1 };
        snprintf(why, 600, "%s", strempty(not_bound));
        return not_bound ? -ENOENT : 0;
}

int wraps_bind(struct volume *v, const struct wrap_choice *c _unused_, bool strict _unused_, char why[static 600] _unused_) {
        v->wraps[0] = &bound;
        v->n_wraps = 1;
        return 0;
}

void wraps_unbind(struct volume *v) { v->n_wraps = 0; }
void wraps_schedule(struct volume *v _unused_) { note("polled"); }
void wrap_mark_adopt(struct volume *v _unused_, struct instant otherwise _unused_) { }
void key_evaluate_volume(struct volume *v _unused_) { }
void manager_volume_changed(struct manager *m _unused_, struct volume *v _unused_) { }
void drill_kick(struct manager *m _unused_) { }
void mount_watch_mark(struct mount_watch *w _unused_, struct volume *v _unused_) { }
void mount_watch_device(struct mount_watch *w _unused_, uint32_t major _unused_, uint32_t minor _unused_) { }
void header_watch_event(struct manager *m _unused_, uint32_t major _unused_, uint32_t minor _unused_) { }
void personalize_seen(struct manager *m _unused_, const char *uuid _unused_) { }
bool open_mark_has_progressed(const char *uuid _unused_) { return false; }
bool pause_end(struct volume *v _unused_, const struct requester *who _unused_) { return false; }
struct teardown *teardown_free(struct teardown *t _unused_) { return NULL; }
struct unit_return *unit_return_free(struct unit_return *r _unused_) { return NULL; }
bool mapping_sysfs_exists(uint32_t major _unused_, uint32_t minor _unused_) { return true; }
bool mapping_sysfs_has_other(uint32_t major _unused_, uint32_t minor _unused_, const char *name _unused_) { return false; }
void automatic_know(const char *device _unused_) { }
void adopt_changed(struct volume *v _unused_) { }
void adopt_pulled(struct volume *v _unused_, const char *below _unused_) { fail(); }
void adopt_second(struct volume *v _unused_, const struct mapping_seen *s _unused_) { fail(); }
void adopt_foreign(struct manager *m _unused_, const struct mapping_seen *s _unused_) { fail(); }

int teardown_start(struct volume *v, enum action a _unused_, enum lease_cause cause, const char *why _unused_) {
        v->cause = cause;
        return volume_set_state(v, VOLUME_CUTTING);
}

/* ---- a run ---- */

static size_t n_waiting(void) {
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(children); i++)
                n += !!children[i].callback;
        return n;
}

/* The answer to whoever asked first. */
static void answer(enum disk_op op, const struct disk_reply *y) {
        for (size_t i = 0; i < ELEMENTSOF(children); i++)
                if (children[i].callback) {
                        disk_callback callback = children[i].callback;

                        assert_int_equal(children[i].op, op);
                        children[i].callback = NULL;
                        callback(y, -EBADF, children[i].user);
                        return;
                }
        fail();
}

static void nobody_looks(enum disk_op op) {
        answer(op, &(struct disk_reply) { .error = -ETIMEDOUT, .silence = DISK_SILENT, .message = "a model" });
}

static void somebody_looks(uint32_t flags) {
        answer(DISK_OP_RECOGNIZE, &(struct disk_reply) { .flags = flags, .uuid = UUID, .dev_major = 253, .dev_minor = 1, .sectors = 2048 });
}

/* Whatever waits for nothing but time. */
static void pass_time(void) {
        tried_after = 0;
        while (sd_event_run(manager.event, 0) > 0)
                ;
}

static void start(bool has_slot) {
        struct breaker_slot slot = { .dm_uuid = DM_UUID, .name = "data1", .state = BREAKER_ARMED };

        slot.deadline_boottime_usec = now_boottime_usec() + 60 * USEC_PER_SEC;
        adopt_start(&manager, &slot, has_slot ? 1 : 0);
        memset(&slot, 0xff, sizeof(slot));          /* the caller's: nobody has it any more */
}

/* The start is over, and nothing is known, nothing forgotten. */
static void must_be_unseen(void) {
        const char *why;

        assert_true(manager.adopted);
        assert_non_null(volume);
        assert_true(volume->unseen && volume_is_open(volume) && !volume_is_attaching(volume));
        assert_int_equal(volume->state, VOLUME_ATTACHING);
        assert_string_equal(volume->mapping, "data1");
        assert_int_equal(volume_may_attach(volume, &why), -EBUSY);
        assert_non_null(strstr(why, "nobody could look at it"));
        assert_int_equal(volume_may_release(volume, &why), -EBUSY);
        assert_int_equal(volume_may_detach(volume, &why), -EBUSY);
        assert_int_equal(volume_may_hold(volume, &why), -EBUSY);
        assert_int_equal(volume_may_resume(volume, &why), -EBUSY);
        assert_int_equal(volume_may_pause(volume, &why), -EBUSY);
        assert_int_equal(volume_may_cut(volume, &why), -EBUSY);
        assert_non_null(strstr(why, "nobody could look at it"));
        assert_string_equal(recorded, "");
}

static int set_up(void **state _unused_) {
        manager = (struct manager) { .trust = &list };
        LIST_INIT(&manager.volumes);
        is_mapped = true;
        n_below = 1;
        mark = (struct open_mark_text) { .mark = OPEN_MARK_ATTACHED, .issued = instant_now(), .mapping = "data1" };
        cut = CAUSE_NONE;
        not_bound = NULL;
        out_of_memory = false;
        *recorded = 0;
        n_children = 0;
        memset(children, 0, sizeof(children));
        assert_int_equal(sd_event_new(&manager.event), 0);
        assert_int_equal(turns_init(&manager.looks, manager.event, 1, 60 * USEC_PER_SEC), 0);
        return mapping_watch_new(&manager, manager.event, &manager.mappings);
}

static int tear_down(void **state _unused_) {
        assert_int_equal(n_waiting(), 0);
        if (volume)
                manager_volume_forget(&manager, volume);
        assert_int_equal(manager.looks.n, 0);
        turns_done(&manager.looks);
        mapping_watch_free(manager.mappings);
        sd_event_unref(manager.event);
        return 0;
}

/* ---- mapped ---- */

static void test_looked_at(void **state _unused_) {
        start(true);
        assert_false(manager.adopted);
        somebody_looks(FLAGS);
        assert_true(manager.adopted);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        assert_true(volume->breaker_set);
        assert_string_equal(recorded, "adopted polled ");
        pass_time();
        assert_int_equal(n_children, 1);
}

/* It waits for its turn; by then it may be forgotten, or not mapped any more. */
static void test_waits_for_others(void **state) {
        for (unsigned later = 0; later < 2; later++) {
                struct turn other;

                set_up(state);
                assert_true(turn_take(&manager.looks, &other, NULL, NULL));
                start(true);
                assert_true(n_children == 0 && !manager.adopted);
                if (later == 1)
                        manager_volume_forget(&manager, volume);
                is_mapped = later == 0;
                pass_time();                   /* the other's turn is over */
                if (later == 0)
                        somebody_looks(FLAGS);
                assert_true(n_children == (later == 0) && manager.adopted);
                assert_string_equal(recorded, later == 0 ? "adopted polled " : "");
                tear_down(state);
        }
}

static void test_not_mapped(void **state _unused_) {
        start(true);
        is_mapped = false;
        somebody_looks(0);
        assert_true(manager.adopted);
        assert_null(volume);
        pass_time();
        assert_int_equal(n_children, 1);
}

/* Its mark or its deadline count when somebody has looked, however late that is. */
static void test_looked_at_later(void **state) {
        for (unsigned known = 0; known < 3; known++) {
                set_up(state);
                if (known == 1)
                        mark.mark = OPEN_MARK_NONE;
                start(known > 0);
                if (known == 2)
                        mark.mark = OPEN_MARK_RECOVERY;          /* since it was read */
                nobody_looks(DISK_OP_RECOGNIZE);
                must_be_unseen();
                assert_int_equal(n_children, 1);
                pass_time();
                assert_int_equal(n_children, 2);                 /* the next try, and no other for the mapping that is listed */
                must_be_unseen();
                somebody_looks(FLAGS);
                assert_int_equal(volume->state, VOLUME_ATTACHED);
                assert_false(volume->unseen);
                assert_int_equal(volume->breaker_set, known > 0);
                assert_int_equal(volume->sectors, 2048);
                assert_string_equal(recorded, "adopted polled ");
                pass_time();
                assert_int_equal(n_children, 2);
                assert_int_equal(volume->state, VOLUME_ATTACHED);
                if (known < 2)
                        tear_down(state);
        }
}

static void test_cut_meanwhile(void **state _unused_) {
        start(true);
        nobody_looks(DISK_OP_RECOGNIZE);
        pass_time();
        somebody_looks(FLAGS|DISK_FLAG_ERROR_TABLE);
        assert_int_equal(volume->state, VOLUME_CUTTING);
        assert_int_equal(volume->cause, CAUSE_EXPIRED);
}

/* What nobody ever knew of is somebody else's, then too. */
static void test_others_later(void **state _unused_) {
        mark.mark = OPEN_MARK_NONE;
        start(false);
        nobody_looks(DISK_OP_RECOGNIZE);
        pass_time();
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_RECOVERY);
}

static void test_never_looked_at(void **state _unused_) {
        static const uint64_t sec[] = { 1, 2, 4, 8, 15, 15, 15 };

        start(true);
        for (size_t i = 0; i < ELEMENTSOF(sec); i++) {
                tried_after = 0;
                nobody_looks(DISK_OP_RECOGNIZE);
                must_be_unseen();
                assert_int_equal(tried_after, sec[i] * USEC_PER_SEC);
                pass_time();
                assert_int_equal(n_waiting(), 1);
        }
        /* the volume goes while it is asked about, as with the manager */
        manager_volume_forget(&manager, volume);
        nobody_looks(DISK_OP_RECOGNIZE);
        assert_null(volume);
}

/* ... and while the next try is waited for: tear_down() */
static void test_goes_between_two_looks(void **state _unused_) {
        start(true);
        nobody_looks(DISK_OP_RECOGNIZE);
        must_be_unseen();
}

static void test_gone_later(void **state _unused_) {
        start(true);
        nobody_looks(DISK_OP_RECOGNIZE);
        pass_time();
        is_mapped = false;
        somebody_looks(0);
        assert_null(volume);
        pass_time();
        assert_int_equal(n_children, 2);
}

static void test_pulled(void **state _unused_) {
        n_below = 0;
        start(true);
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_CUTTING);
        assert_int_equal(volume->cause, CAUSE_DISK_REMOVED);
}

/* Closed and opened again between two looks it has another number: no disk has been pulled. */
static void test_renumbered(void **state _unused_) {
        start(true);
        nobody_looks(DISK_OP_RECOGNIZE);
        n_below = -ENOENT;
        pass_time();
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
}

static void test_no_memory(void **state _unused_) {
        out_of_memory = true;
        start(true);
        must_be_unseen();
        out_of_memory = false;
        pass_time();
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
}

/* Every uevent of a mapping has it looked at: one look is waited for, and tried again. */
static void test_while_we_run(void **state _unused_) {
        is_mapped = false;
        mark.mark = OPEN_MARK_NONE;
        start(false);
        assert_true(manager.adopted);
        is_mapped = true;
        mapping_watch_kick(manager.mappings);
        pass_time();
        mapping_watch_kick(manager.mappings);
        pass_time();
        assert_int_equal(n_waiting(), 2);
        nobody_looks(DISK_OP_RECOGNIZE);
        nobody_looks(DISK_OP_RECOGNIZE);
        must_be_unseen();
        pass_time();
        assert_int_equal(n_waiting(), 1);
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_RECOVERY);
}

/* Whoever has its key has mapped it, and that nobody could look is no reason to take it from him. */
static void test_released(void **state _unused_) {
        manager.adopted = true;
        assert_int_equal(manager_volume_add(&manager, UUID, "data1", ROLE_DATA, &volume), 0);
        assert_int_equal(volume_set_state(volume, VOLUME_ATTACHING), 0);
        volume->released = true;
        mapping_watch_kick(manager.mappings);
        pass_time();
        nobody_looks(DISK_OP_RECOGNIZE);
        assert_true(volume->unseen && volume->released);
        pass_time();
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        assert_string_equal(recorded, "attached polled ");
}

/* Whatever comes of what was begun meanwhile: the mapping that was seen before is looked at again. */
static void test_attach_failed_meanwhile(void **state _unused_) {
        for (unsigned forgotten = 0; forgotten < 2; forgotten++) {
                manager.adopted = true;
                n_children = 0;
                *recorded = 0;
                mapping_watch_kick(manager.mappings);
                pass_time();
                assert_int_equal(volume->looks, 1);
                assert_int_equal(volume_set_state(volume, VOLUME_ATTACHING), 0);
                if (forgotten)
                        manager_volume_forget(&manager, volume);
                somebody_looks(FLAGS);
                pass_time();
                if (!forgotten) {
                        assert_int_equal(n_children, 1);
                        assert_int_equal(volume_set_state(volume, VOLUME_CLOSED), 0);
                        mapping_watch_made(manager.mappings, volume);
                        pass_time();
                }
                assert_int_equal(n_children, 2);
                somebody_looks(FLAGS);
                assert_int_equal(volume->state, VOLUME_RECOVERY);
                assert_int_equal(volume->looks, 0);
                if (!forgotten)
                        manager_volume_forget(&manager, volume);
        }
}

/* Neither is left for the other to be looked at again, and again. */
static void test_two_of_nothing(void **state _unused_) {
        manager.adopted = true;
        for (unsigned i = 0; i < 2; i++) {
                mapping_watch_kick(manager.mappings);
                pass_time();
        }
        assert_int_equal(volume->looks, 2);
        somebody_looks(FLAGS|DISK_FLAG_ERROR_TABLE);
        assert_non_null(volume);
        somebody_looks(FLAGS|DISK_FLAG_ERROR_TABLE);
        assert_null(volume);
        pass_time();
        assert_int_equal(n_children, 2);
}

/* ---- cut before ---- */

static void inspected(int error) {
        answer(DISK_OP_INSPECT, &(struct disk_reply) { .error = error, .uuid = UUID, .message = "a model" });
}

static void start_cut(void) {
        is_mapped = false;
        mark.mark = OPEN_MARK_NONE;
        cut = CAUSE_REVOKED;
        start(false);
}

static void must_be_cut(bool has_key) {
        assert_true(manager.adopted);
        assert_non_null(volume);
        assert_int_equal(volume->state, VOLUME_CUT);
        assert_int_equal(volume->cause, CAUSE_REVOKED);
        assert_int_equal(volume_has_key(volume), has_key);
        assert_string_equal(recorded, has_key ? "adopted polled " : "adopted ");
}

static void test_cut(void **state _unused_) {
        start_cut();
        inspected(0);
        must_be_cut(true);
}

static void test_cut_is_not_ours(void **state _unused_) {
        start_cut();
        inspected(-EBADMSG);
        assert_null(volume);
        assert_true(manager.adopted);
}

static void test_cut_is_read_later(void **state _unused_) {
        const char *why;

        start_cut();
        nobody_looks(DISK_OP_INSPECT);
        must_be_cut(false);
        assert_int_equal(volume_may_attach(volume, &why), 0);
        assert_int_equal(tried_after, USEC_PER_SEC);
        pass_time();
        inspected(-EIO);
        must_be_cut(false);
        assert_int_equal(tried_after, 2 * USEC_PER_SEC);
        pass_time();
        inspected(0);
        must_be_cut(true);
        pass_time();
        assert_int_equal(n_children, 3);
}

static void test_cut_is_attached_meanwhile(void **state _unused_) {
        start_cut();
        nobody_looks(DISK_OP_INSPECT);
        assert_int_equal(volume_set_state(volume, VOLUME_ATTACHING), 0);
        pass_time();
        inspected(0);
        assert_int_equal(volume->state, VOLUME_ATTACHING);
        assert_false(volume->unseen);
        assert_int_equal(volume_set_state(volume, VOLUME_ATTACHED), 0);
        pass_time();
        inspected(0);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        pass_time();
        assert_int_equal(n_children, 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_looked_at), cmocka_unit_test(test_waits_for_others), TEST(test_not_mapped), cmocka_unit_test_teardown(test_looked_at_later, tear_down),
                TEST(test_cut_meanwhile), TEST(test_others_later), TEST(test_never_looked_at), TEST(test_goes_between_two_looks),
                TEST(test_gone_later), TEST(test_pulled), TEST(test_renumbered), TEST(test_no_memory), TEST(test_while_we_run),
                TEST(test_released), TEST(test_attach_failed_meanwhile), TEST(test_two_of_nothing), TEST(test_cut),
                TEST(test_cut_is_not_ours), TEST(test_cut_is_read_later), TEST(test_cut_is_attached_meanwhile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
