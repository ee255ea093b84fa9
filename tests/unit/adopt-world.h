/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What stands around adopt.c in its test: one volume; marks, slots, sysfs and the children are models, and the answers of children wait until
 * they are given. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/adopt.h"
#include "manager/automatic.h"
#include "manager/cut-mark.h"
#include "manager/disk-child.h"
#include "manager/drill.h"
#include "manager/given-out.h"
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
#define DM_UUID_OF "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-"
#define DM_UUID DM_UUID_OF "data1"
#define FLAGS (DISK_FLAG_MAPPED|DISK_FLAG_OURS|DISK_FLAG_TABLE_OK)

static struct manager manager;
static struct trust_entry entry = { .uuid = UUID, .name = "data1", .role = ROLE_DATA };
static struct trust_list list = { .entries = &entry, .n_entries = 1 };
static struct volume *volume;
static struct key key;
static struct wrap bound = { .key = &key };

static bool is_mapped;                   /* in sysfs */
static const char *mapped_as;            /* NULL: by the volume's name */
static int not_listed;                   /* why sysfs cannot be read */
static int n_below;                      /* that it stands on */
static struct open_mark_text mark;
static enum lease_cause cut;
static const char *not_bound;            /* why */
static bool out_of_memory;               /* for children */
static char recorded[256];
static struct instant lease_yes, lease_from;
static uint64_t tried_after;
static unsigned n_children;              /* that were asked for */
static struct { disk_callback callback; void *user; enum disk_op op; } children[4];

static void note(const char *what) {
        size_t n = strlen(recorded);

        snprintf(recorded + n, sizeof(recorded) - n, "%s ", what);
}

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

/* As manager.c has it */
void manager_volume_forget_deadline(struct volume *v) {
        char dm_uuid[128];

        volume_dm_uuid(v, dm_uuid);
        if (v->breaker_set)
                (void) breaker_clear(NULL, dm_uuid);
        v->breaker_set = false;
}

void manager_volume_forget(struct manager *m _unused_, struct volume *v) {
        manager_volume_forget_deadline(v);
        LIST_REMOVE(v, volumes);
        volume = volume_free(v);
}

void manager_volume_mapped_as(struct volume *v, const char *mapping) {
        if (!streq(v->mapping, mapping))
                manager_volume_forget_deadline(v);
        snprintf(v->mapping, sizeof(v->mapping), "%s", mapping);
}

void manager_volume_policy(struct manager *m _unused_, struct volume *v) {
        policy_default(v->role, &v->policy);
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

static struct mapping_seen seen(void) {
        struct mapping_seen s = listed;

        if (mapped_as)
                snprintf(s.mapping, sizeof(s.mapping), "%s", mapped_as);
        return s;
}

int mapping_sysfs_for_each(int (*f)(const struct mapping_seen *s, void *user), void *user) {
        struct mapping_seen s = seen();

        return is_mapped ? f(&s, user) : 0;
}

int mapping_sysfs_list(struct mapping_seen **ret, size_t *ret_n) {
        struct mapping_seen *s;

        if (not_listed < 0)
                return not_listed;
        s = malloc(sizeof(*s));
        assert_non_null(s);
        *s = seen();
        *ret = s;
        *ret_n = is_mapped;
        return 0;
}

int mapping_sysfs_read(uint32_t major, uint32_t minor, struct mapping_seen *ret) {
        if (!is_mapped || major != listed.major || minor != listed.minor)
                return -ENOENT;
        *ret = seen();
        return 0;
}

int mapping_sysfs_below(uint32_t major _unused_, uint32_t minor _unused_, struct below *ret, size_t max _unused_) {
        *ret = (struct below) { .major = 8, .name = "sda" };
        return is_mapped ? n_below : -ENOENT;
}

void open_mark_read(const char *uuid _unused_, struct open_mark_text *ret) {
        *ret = mark;
}

void open_mark_forget(const char *uuid) {
        assert_string_equal(uuid, UUID);
        mark = (struct open_mark_text) {};
}

/* What the breaker has: one slot, by our name or by the other. */
static bool is_set[2];
static uint64_t deadline;                /* of the other */

static bool *slot_of(const char *dm_uuid) {
        bool other = mapped_as && streq(dm_uuid, DM_UUID_OF "luks-data1");

        if (!other)
                assert_string_equal(dm_uuid, DM_UUID);
        return is_set + other;
}

/* What is taken back for another is not until that one is there. */
int breaker_clear(struct breaker_link *b _unused_, const char *dm_uuid) {
        if (mapped_as && volume && volume->state == VOLUME_ATTACHED)
                assert_true(is_set[1]);
        *slot_of(dm_uuid) = false;
        note("undeadlined");
        return 0;
}

int breaker_set(struct breaker_link *b _unused_, const struct breaker_slot *s) {
        *slot_of(s->dm_uuid) = true;
        deadline = s->deadline_boottime_usec;
        return 0;
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

/* An open volume has a deadline by its policy. */
void key_evaluate_volume(struct volume *v) {
        struct breaker_slot s = {};

        if (!v->n_wraps || v->state != VOLUME_ATTACHED)
                return;
        volume_dm_uuid(v, s.dm_uuid);
        (void) breaker_set(NULL, &s);
        v->breaker_set = true;
}

void wrap_mark_adopt(struct volume *v _unused_, struct instant yes, struct instant began) {
        lease_yes = yes;
        lease_from = began;
}

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

/* ---- what a test does ---- */

_unused_ static size_t n_waiting(void) {
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(children); i++)
                n += !!children[i].callback;
        return n;
}

/* The answer to whoever asked first. */
_unused_ static void answer(enum disk_op op, const struct disk_reply *y) {
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

_unused_ static void nobody_looks(enum disk_op op) {
        answer(op, &(struct disk_reply) { .error = -ETIMEDOUT, .silence = DISK_SILENT, .message = "a model" });
}

_unused_ static void somebody_looks(uint32_t flags) {
        answer(DISK_OP_RECOGNIZE, &(struct disk_reply) { .flags = flags, .uuid = UUID, .dev_major = 253, .dev_minor = 1, .sectors = 2048 });
}

/* Whatever waits for nothing but time. */
_unused_ static void pass_time(void) {
        tried_after = 0;
        while (sd_event_run(manager.event, 0) > 0)
                ;
}

_unused_ static void start(bool has_slot) {
        struct breaker_slot slot = { .dm_uuid = DM_UUID, .name = "data1", .state = BREAKER_ARMED };

        slot.deadline_boottime_usec = now_boottime_usec() + 60 * USEC_PER_SEC;
        is_set[0] = has_slot;
        adopt_start(&manager, &slot, has_slot ? 1 : 0);
        memset(&slot, 0xff, sizeof(slot));          /* the caller's: nobody has it any more */
}

/* The start is over, and nothing is known, nothing forgotten. */
_unused_ static void must_be_unseen(void) {
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

_unused_ static int set_up(void **state _unused_) {
        manager = (struct manager) { .trust = &list };
        LIST_INIT(&manager.volumes);
        LIST_INIT(&manager.given_out);
        is_mapped = true;
        mapped_as = NULL;
        memset(is_set, 0, sizeof(is_set));
        not_listed = 0;
        n_below = 1;
        mark = (struct open_mark_text) { .mark = OPEN_MARK_ATTACHED, .issued = instant_now(), .mapping = "data1" };
        cut = CAUSE_NONE;
        not_bound = NULL;
        out_of_memory = false;
        *recorded = 0;
        lease_yes = lease_from = (struct instant) {};
        n_children = 0;
        memset(children, 0, sizeof(children));
        assert_int_equal(sd_event_new(&manager.event), 0);
        assert_int_equal(turns_init(&manager.looks, manager.event, 1, 60 * USEC_PER_SEC), 0);
        return mapping_watch_new(&manager, manager.event, &manager.mappings);
}

_unused_ static int tear_down(void **state _unused_) {
        assert_int_equal(n_waiting(), 0);
        if (volume)
                manager_volume_forget(&manager, volume);
        assert_int_equal(manager.looks.n, 0);
        given_out_clear(&manager);
        turns_done(&manager.looks);
        mapping_watch_free(manager.mappings);
        sd_event_unref(manager.event);
        return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
