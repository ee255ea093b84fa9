/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/adopt.c daemon/manager/adopted-keys.c daemon/manager/adopted-lease.c daemon/manager/given-out.c daemon/manager/look-again.c daemon/manager/turns.c daemon/manager/recognize.c daemon/manager/mapping-watch.c daemon/manager/uevent.c daemon/manager/volume.c daemon/manager/lease.c daemon/manager/lease-keys.c daemon/manager/key-track.c daemon/manager/policy.c daemon/manager/trust-find.c
// libs: libsystemd

/* What stands when cmkd starts: that nobody could look at it is neither "not there" nor "opened by others". */

#include "adopt-world.h"

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

/* The policy may be another by now, and a deadline another than the lease's: what its owner has said is known by the mark alone, and the
 * volume's own lease is no longer than either of them says. */
static void test_two_leases(void **state) {
        static const enum open_mark marks[] = { OPEN_MARK_ATTACHED, OPEN_MARK_RELEASED, OPEN_MARK_NONE };

        for (size_t i = 0; i < ELEMENTSOF(marks); i++)
                for (unsigned has_slot = 0; has_slot < 2; has_slot++) {
                        struct instant before, yes;
                        struct policy p;

                        set_up(state);
                        policy_default(ROLE_DATA, &p);
                        mark.mark = marks[i];
                        mark.issued.boottime_usec -= 10 * USEC_PER_SEC;
                        yes = mark.issued;
                        if (marks[i] == OPEN_MARK_NONE)
                                mark = (struct open_mark_text) {};
                        before = instant_now();
                        start(has_slot);
                        somebody_looks(FLAGS);
                        assert_int_equal(lease_yes.boottime_usec, mark.issued.boottime_usec);
                        assert_int_equal(lease_yes.realtime_usec, mark.issued.realtime_usec);
                        if (has_slot) {
                                uint64_t due = lease_from.boottime_usec + p.lease_usec + p.grace_usec + LEASE_BREAKER_USEC;

                                due -= before.boottime_usec;
                                assert_true(due >= 60 * USEC_PER_SEC && due < 61 * USEC_PER_SEC);
                        } else if (marks[i] != OPEN_MARK_NONE)
                                assert_int_equal(lease_from.boottime_usec, yes.boottime_usec);
                        if (i + 1 < ELEMENTSOF(marks) || !has_slot)
                                tear_down(state);
                }
}

/* Where nobody can say what is open, nothing is taken for closed: deadlines stay, and no verb begins. */
static void test_not_listed(void **state _unused_) {
        not_listed = -EMFILE;
        start(true);
        pass_time();
        assert_null(volume);
        assert_false(manager.adopted);
        assert_int_equal(n_children, 0);
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
                assert_true(volume->breaker_set && is_set[0]);
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

/* The breaker has a deadline of it that is nobody's any more: known, so that it is taken back. */
static void test_others_with_deadline(void **state _unused_) {
        mark.mark = OPEN_MARK_RECOVERY;
        start(true);
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_RECOVERY);
        assert_true(volume->breaker_set);
}

/* ... also where nobody would decide that later */
static void test_others_with_deadline_without_key(void **state _unused_) {
        mark.mark = OPEN_MARK_RECOVERY;
        not_bound = "nobody";
        start(true);
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_RECOVERY);
        assert_true(!volume->breaker_set && !is_set[0]);
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

/* Its maker is dead, or the breaker was faster: it is neither waited for without an end nor in the way of the next one. */
static void test_released_and_half_made(void **state) {
        static const uint32_t left[] = { DISK_FLAG_NO_TABLE, DISK_FLAG_ERROR_TABLE };

        for (size_t i = 0; i < ELEMENTSOF(left); i++) {
                set_up(state);
                manager.adopted = true;
                assert_int_equal(manager_volume_add(&manager, UUID, "data1", ROLE_DATA, &volume), 0);
                assert_int_equal(volume_set_state(volume, VOLUME_ATTACHING), 0);
                volume->released = true;
                if (left[i] == DISK_FLAG_NO_TABLE) {
                        mapping_watch_kick(manager.mappings);
                        pass_time();
                        somebody_looks(DISK_FLAG_MAPPED|DISK_FLAG_OURS|left[i]);
                        assert_int_equal(volume->state, VOLUME_ATTACHING);
                        assert_true(volume->released);
                        volume->overdue = true;
                }
                mapping_watch_kick(manager.mappings);
                pass_time();
                somebody_looks(DISK_FLAG_MAPPED|DISK_FLAG_OURS|left[i]);
                assert_int_equal(volume->state, VOLUME_CUTTING);
                assert_int_equal(volume->cause, left[i] == DISK_FLAG_NO_TABLE ? CAUSE_REFUSED : CAUSE_EXPIRED);
                assert_false(volume->overdue);
                if (i == 0)
                        tear_down(state);
        }
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
        assert_non_null(strstr(recorded, has_key ? "adopted polled " : "adopted "));
}

static void test_cut(void **state _unused_) {
        start_cut();
        inspected(0);
        must_be_cut(true);
}

/* Its mapping, of the one that undid that, goes while it is looked at. */
static void test_cut_and_closed_meanwhile(void **state _unused_) {
        cut = CAUSE_REVOKED;
        start(true);
        nobody_looks(DISK_OP_RECOGNIZE);
        pass_time();
        is_mapped = false;
        somebody_looks(0);
        nobody_looks(DISK_OP_INSPECT);
        must_be_cut(false);
        pass_time();
        inspected(0);
        must_be_cut(true);
        assert_false(is_set[0]);
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

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_looked_at), cmocka_unit_test_teardown(test_two_leases, tear_down), TEST(test_not_listed),
                cmocka_unit_test(test_waits_for_others), TEST(test_not_mapped),
                cmocka_unit_test_teardown(test_looked_at_later, tear_down), TEST(test_cut_meanwhile), TEST(test_others_later),
                TEST(test_others_with_deadline),
                TEST(test_others_with_deadline_without_key), TEST(test_never_looked_at), TEST(test_goes_between_two_looks), TEST(test_gone_later),
                TEST(test_pulled), TEST(test_renumbered), TEST(test_no_memory), TEST(test_while_we_run), TEST(test_released),
                cmocka_unit_test_teardown(test_released_and_half_made, tear_down), TEST(test_attach_failed_meanwhile),
                TEST(test_two_of_nothing), TEST(test_cut), TEST(test_cut_and_closed_meanwhile), TEST(test_cut_is_not_ours),
                TEST(test_cut_is_read_later), TEST(test_cut_is_attached_meanwhile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
