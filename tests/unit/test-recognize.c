/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/recognize.c daemon/manager/lease.c daemon/manager/key-track.c daemon/manager/lease-keys.c daemon/manager/policy.c daemon/manager/uevent.c daemon/manager/open-mark.c daemon/manager/restore-watch.c
// libs: libsystemd

/* What a mapping that stands is to us: cases by name, then every combination against the invariants. And the uevents by
 * which it is heard of. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/manager.h"
#include "manager/recognize.h"
#include "manager/given-out.h"
#include "manager/restore-watch.h"
#include "manager/uevent.h"
#include "manager/wrap-mark.h"
#include "manager/wrap.h"

/* of wrap.c, which the parsing of marks does without */
struct instant wraps_lease_begin(const struct volume *v _unused_) {
        return (struct instant) {};
}

bool given_out_find(struct manager *m _unused_, const char *uuid _unused_, struct open_mark_text *ret _unused_,
                    struct breaker_slot *ret_slot _unused_) {
        return false;
}

bool wraps_have_heard(const struct volume *v _unused_) {
        return false;
}

void wrap_mark_update(const struct volume *v _unused_) {
}

/* of manager.c */
void manager_restored(struct manager *m _unused_) {
}

#define LIVE (DISK_FLAG_MAPPED|DISK_FLAG_OURS|DISK_FLAG_TABLE_OK)

static const struct recognize_facts fine = { .flags = LIVE, .header_ok = true, .role = ROLE_DATA };

static enum lease_cause cause;
static const char *why;

static enum recognized see(struct recognize_facts f) {
        return recognize(&f, &cause, &why);
}

static void test_cases(void **state _unused_) {
        struct recognize_facts f = fine;

        assert_int_equal(see(f), RECOGNIZED_RECOVERY);
        f.recovery = RECOVERY_NEVER;
        assert_int_equal(see(f), RECOGNIZED_CUT);
        assert_int_equal(cause, CAUSE_REFUSED);
        f.released = true;
        assert_int_equal(see(f), RECOGNIZED_ATTACHED);
        f.header_changed = true;
        assert_int_equal(see(f), RECOGNIZED_CUT);
        f = fine;
        f.released = true;
        f.flags &= ~(uint32_t) DISK_FLAG_TABLE_OK;
        assert_int_equal(see(f), RECOGNIZED_CUT);
        f.role = ROLE_OS;
        assert_int_equal(see(f), RECOGNIZED_RECOVERY);
        /* a mark and a slot say something to a new manager only */
        f = fine;
        f.has_slot = true;
        f.mark = OPEN_MARK_ATTACHED;
        assert_int_equal(see(f), RECOGNIZED_RECOVERY);
        f.at_start = true;
        assert_int_equal(see(f), RECOGNIZED_ATTACHED);
        f.mark = OPEN_MARK_RECOVERY;
        assert_int_equal(see(f), RECOGNIZED_RECOVERY);
        f.mark = OPEN_MARK_RELEASED;
        f.has_slot = false;
        assert_int_equal(see(f), RECOGNIZED_ATTACHED);
        f.flags |= DISK_FLAG_SUSPENDED;
        assert_int_equal(see(f), RECOGNIZED_HELD);
        /* what a child that died in the middle of a part leaves is closed to be opened again; what is not ours is not */
        f = fine;
        f.encrypting = f.at_start = true;
        f.mark = OPEN_MARK_ATTACHED;
        assert_int_equal(see(f), RECOGNIZED_ATTACHED);
        f.flags &= ~(uint32_t) DISK_FLAG_TABLE_OK;
        assert_int_equal(see(f), RECOGNIZED_CUT);
        assert_int_equal(cause, CAUSE_INTERRUPTED);
        /* the root file system is not cut for it, nor the machine switched off, and its lease holds */
        f.role = ROLE_OS;
        assert_int_equal(see(f), RECOGNIZED_ATTACHED);
        f.header_changed = true;
        assert_int_equal(see(f), RECOGNIZED_RECOVERY);
        f.header_changed = false;
        f.role = ROLE_DATA;
        f.encrypting = false;
        assert_int_equal(see(f), RECOGNIZED_CUT);
        assert_int_equal(cause, CAUSE_REFUSED);
        /* its header is gone, the mapping works on: the breaker's deadline is kept */
        f = fine;
        f.at_start = f.has_slot = true;
        f.header_ok = false;
        f.flags = DISK_FLAG_MAPPED|DISK_FLAG_OURS;
        assert_int_equal(see(f), RECOGNIZED_ATTACHED);
        /* work that a manager left half done */
        f.cut = CAUSE_OPERATOR;
        assert_int_equal(see(f), RECOGNIZED_CUT);
        assert_int_equal(cause, CAUSE_OPERATOR);
        f.cut = CAUSE_REVOKED;
        assert_int_equal(see(f), RECOGNIZED_ATTACHED);
        f.flags |= DISK_FLAG_ERROR_TABLE;
        assert_int_equal(see(f), RECOGNIZED_CUT);
        assert_int_equal(cause, CAUSE_REVOKED);
        f.cut = CAUSE_NONE;
        assert_int_equal(see(f), RECOGNIZED_CUT);
        assert_int_equal(cause, CAUSE_EXPIRED);
        /* taken over while it was open: it was no one's to refuse, but what it was compared as it has to be still */
        f = fine;
        f.taken_over = true;
        assert_int_equal(see(f), RECOGNIZED_ATTACHED);
        f.recovery = RECOVERY_NEVER;
        assert_int_equal(see(f), RECOGNIZED_ATTACHED);
        f.recovery = RECOVERY_ALLOW;
        f.flags &= ~(uint32_t) DISK_FLAG_TABLE_OK;
        assert_int_equal(see(f), RECOGNIZED_RECOVERY);
        f = fine;
        f.pulled = true;
        assert_int_equal(see(f), RECOGNIZED_CUT);
        assert_int_equal(cause, CAUSE_DISK_REMOVED);
}

/* What is left of a mapping that was being made for somebody whose key was given out */
static void test_half_made(void **state _unused_) {
        struct recognize_facts f = fine;

        f.released = true;
        f.flags = DISK_FLAG_MAPPED|DISK_FLAG_OURS|DISK_FLAG_NO_TABLE;
        assert_int_equal(see(f), RECOGNIZED_NOT);
        f.overdue = true;
        assert_int_equal(see(f), RECOGNIZED_CUT);
        assert_int_equal(cause, CAUSE_REFUSED);
        f.flags = LIVE|DISK_FLAG_ERROR_TABLE;
        f.overdue = false;
        assert_int_equal(see(f), RECOGNIZED_CUT);
        assert_int_equal(cause, CAUSE_EXPIRED);
        f.released = false;
        assert_int_equal(see(f), RECOGNIZED_NOT);
}

static void check(const struct recognize_facts *f) {
        bool ours = f->released || f->taken_over || (f->at_start && f->mark != OPEN_MARK_RECOVERY &&
                                    (f->has_slot || f->mark == OPEN_MARK_ATTACHED || f->mark == OPEN_MARK_RELEASED));
        enum recognized r = see(*f);

        if (r == RECOGNIZED_ATTACHED || r == RECOGNIZED_HELD)
                assert_true(ours);
        if (r == RECOGNIZED_ATTACHED)
                assert_false(f->flags & (DISK_FLAG_SUSPENDED|DISK_FLAG_ERROR_TABLE));
        if (r == RECOGNIZED_RECOVERY && f->recovery == RECOVERY_NEVER)
                assert_true(ours && f->role == ROLE_OS);
        if (!(f->flags & DISK_FLAG_MAPPED) || (f->flags & DISK_FLAG_NO_TABLE && !f->overdue))
                assert_int_equal(r, RECOGNIZED_NOT);
        if (f->flags & (DISK_FLAG_NO_TABLE|DISK_FLAG_ERROR_TABLE))
                assert_true(r == RECOGNIZED_NOT || r == RECOGNIZED_CUT);
        assert_int_equal(r == RECOGNIZED_CUT, cause != CAUSE_NONE);
        assert_int_equal(r == RECOGNIZED_CUT || r == RECOGNIZED_RECOVERY, why != NULL);
        if (f->released && !f->at_start && (f->header_changed || !f->header_ok))
                assert_int_not_equal(r, RECOGNIZED_ATTACHED);
}

static void test_all(void **state _unused_) {
        static const uint32_t flags[] = { DISK_FLAG_MAPPED|DISK_FLAG_OURS, DISK_FLAG_SUSPENDED, DISK_FLAG_ERROR_TABLE,
                                          DISK_FLAG_TABLE_OK, DISK_FLAG_NO_TABLE };

        for (unsigned bits = 0; bits < 1u << (ELEMENTSOF(flags) + 9); bits++)
                for (enum open_mark mark = 0; mark < _OPEN_MARK_MAX; mark++)
                        for (enum lease_cause c = 0; c < _LEASE_CAUSE_MAX; c++)
                                for (unsigned k = 0; k < 4; k++) {
                                        unsigned b = bits >> ELEMENTSOF(flags);
                                        struct recognize_facts f = {
                                                .at_start = b & 1, .header_ok = b & 2, .header_changed = b & 4,
                                                .released = b & 8, .pulled = b & 16, .has_slot = b & 32, .encrypting = b & 64, .taken_over = b & 128,
                                                .overdue = b & 256, .mark = mark,
                                                .cut = c, .role = k & 1 ? ROLE_OS : ROLE_DATA,
                                                .recovery = k & 2 ? RECOVERY_NEVER : RECOVERY_ALLOW,
                                        };

                                        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                                                f.flags |= bits & (1u << i) ? flags[i] : 0;
                                        check(&f);
                                }
}

#define EVENT(text) text, sizeof(text)
#define BLOCK "add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM=block\0MAJOR=253\0MINOR=7"

static void test_uevent(void **state _unused_) {
        struct uevent e = {};

        assert_int_equal(uevent_parse(EVENT(BLOCK), &e), 0);
        assert_true(e.action == UEVENT_ADD && e.major == 253 && e.minor == 7);
        assert_int_equal(uevent_parse(EVENT("x@/y\0ACTION=remove\0SUBSYSTEM=block\0MAJOR=8\0MINOR=16"), &e), 0);
        assert_int_equal(e.action, UEVENT_REMOVE);
        assert_int_equal(uevent_parse(EVENT("x@/y\0ACTION=change\0SUBSYSTEM=block\0MAJOR=8\0MINOR=16"), &e), 0);
        assert_int_equal(e.action, UEVENT_CHANGE);
        assert_int_equal(uevent_parse(EVENT("x@/y\0ACTION=online\0SUBSYSTEM=block\0MAJOR=8\0MINOR=16"), &e), 0);
        assert_int_equal(e.action, UEVENT_OTHER);
        assert_int_equal(uevent_parse(EVENT("x@/y\0ACTION=add\0SUBSYSTEM=net"), &e), -ENOENT);
        assert_int_equal(uevent_parse(EVENT("x@/y\0ACTION=add\0SUBSYSTEM=block\0MAJOR=8"), &e), -EBADMSG);
        assert_int_equal(uevent_parse(EVENT("x@/y\0ACTION=add\0SUBSYSTEM=block\0MAJOR=-8\0MINOR=1"), &e), -EBADMSG);
        assert_int_equal(uevent_parse(EVENT("x@/y\0ACTION=add\0SUBSYSTEM=block\0MAJOR=8\0MINOR=9999999999"), &e), -EBADMSG);
        assert_int_equal(uevent_parse(EVENT("libudev"), &e), -EBADMSG);
        assert_int_equal(uevent_parse(BLOCK, sizeof(BLOCK) - 1, &e), -EBADMSG);
        assert_int_equal(uevent_parse("", 0, &e), -EBADMSG);
}

static bool told(const char *record) {
        return restore_is_told(record, strlen(record));
}

static void test_restore(void **state _unused_) {
        assert_true(told("5,339,5140900,-;random: crng reseeded due to virtual machine fork\n"));
        assert_true(told("5,339,5140900,-,caller=T1;random: crng reseeded due to virtual machine fork\n SUBSYSTEM=x\n"));
        assert_true(told("0,1,1,-;random: crng reseeded due to virtual machine fork"));
        /* a process's own words: facility 1 and others */
        assert_false(told("13,339,5140900,-;random: crng reseeded due to virtual machine fork\n"));
        assert_false(told("8,339,5140900,-;random: crng reseeded due to virtual machine fork\n"));
        assert_false(told("4294967296,339,5140900,-;random: crng reseeded due to virtual machine fork\n"));
        assert_false(told("5,339,5140900,-;x: random: crng reseeded due to virtual machine fork\n"));
        assert_false(told("5,339,5140900,-;random: crng reseeded due to virtual machine forks\n"));
        assert_false(told("5,339,5140900,-;random: crng reseeded due to virtual machine for"));
        assert_false(told("5;random: crng reseeded due to virtual machine fork\n"));
        assert_false(told(",;random: crng reseeded due to virtual machine fork\n"));
        assert_false(told("5,339,5140900,-"));
        assert_false(told("5,"));
        assert_false(told("5"));
        assert_false(told(""));
}

static void test_open_mark(void **state _unused_) {
        static const char *const bad[] = {
                "", "attached", "attached 1 2 a", "attached 1 2 a b\n", "attached 1 2 a/b\n", "none 1 2 a\n", "gone 1 2 a\n",
                "attached x 2 a\n", "attached 1 2 a\n\n", "attachedattachedattached 1 2 a\n",
        };
        struct open_mark_text t = {};

        assert_int_equal(open_mark_parse("attached 0 0 data1\n", &t), 0);
        assert_int_equal(t.mark, OPEN_MARK_ATTACHED);
        assert_string_equal(t.mapping, "data1");
        assert_int_equal(open_mark_parse("released 12 1700000000000000 luks-1\n", &t), 0);
        assert_int_equal(t.mark, OPEN_MARK_RELEASED);
        assert_int_equal(t.issued.boottime_usec, 12);
        assert_int_equal(t.issued.realtime_usec, UINT64_C(1700000000000000));
        assert_int_equal(open_mark_parse("recovery 0 0 root\n", &t), 0);
        assert_int_equal(t.mark, OPEN_MARK_RECOVERY);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(open_mark_parse(bad[i], &t), -EBADMSG);
        assert_int_equal(t.mark, OPEN_MARK_RECOVERY);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cases), cmocka_unit_test(test_half_made), cmocka_unit_test(test_all), cmocka_unit_test(test_uevent),
                cmocka_unit_test(test_open_mark), cmocka_unit_test(test_restore),
        };

        return cmocka_run_group_tests_name("recognize", tests, NULL, NULL);
}
