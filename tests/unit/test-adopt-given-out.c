/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/adopt.c daemon/manager/adopted-keys.c daemon/manager/adopted-lease.c daemon/manager/given-out.c daemon/manager/look-again.c daemon/manager/turns.c daemon/manager/recognize.c daemon/manager/mapping-watch.c daemon/manager/uevent.c daemon/manager/volume.c daemon/manager/lease.c daemon/manager/lease-keys.c daemon/manager/key-track.c daemon/manager/policy.c daemon/manager/trust-find.c
// libs: libsystemd

/* A key that was given out before cmkd starts, and a mapping that goes, or is being made, as it starts: one of the same name later is not
 * taken for it, and it is not taken for somebody else's. */

#include "adopt-world.h"

/* An earlier manager gave its key to somebody, and was killed before he had made the mapping. */
static void start_given_out(bool has_slot) {
        is_mapped = false;
        mark.mark = OPEN_MARK_RELEASED;
        mark.issued.boottime_usec -= 20 * USEC_PER_SEC;
        start(has_slot);
}

static void map_it(void) {
        is_mapped = true;
        mapping_watch_kick(manager.mappings);
        pass_time();
}

static void test_given_out(void **state) {
        for (unsigned has_slot = 0; has_slot < 2; has_slot++) {
                struct instant issued;

                set_up(state);
                start_given_out(has_slot);
                issued = mark.issued;
                assert_true(manager.adopted);
                assert_null(volume);
                assert_string_equal(recorded, "");
                map_it();
                somebody_looks(FLAGS);
                assert_int_equal(volume->state, VOLUME_ATTACHED);
                assert_true(volume->breaker_set && is_set[0]);
                assert_int_equal(lease_from.boottime_usec, issued.boottime_usec);
                assert_string_equal(recorded, "attached polled ");
                /* the next one is anybody's */
                *recorded = 0;
                volume->breaker_set = false;
                manager_volume_forget(&manager, volume);
                mapping_watch_kick(manager.mappings);
                pass_time();
                somebody_looks(FLAGS);
                assert_int_equal(volume->state, VOLUME_RECOVERY);
                if (has_slot == 0)
                        tear_down(state);
        }
}

/* A mapping that is being made has no table yet: that is looked at, and is nothing, and what is known of it stays. */
static void test_given_out_and_being_made(void **state _unused_) {
        start_given_out(true);
        map_it();
        somebody_looks(FLAGS|DISK_FLAG_NO_TABLE);
        assert_null(volume);
        assert_string_equal(recorded, "");
        mapping_watch_kick(manager.mappings);
        pass_time();
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        assert_true(volume->breaker_set);
}

/* Whoever has it gives the mapping another name, for which the breaker has no deadline yet: that of the other one is not left to be
 * acted on, and is not taken back before this one has its own. */
static void test_given_out_and_other_name(void **state) {
        for (unsigned i = 0; i < 8; i++) {
                bool no_key = i & 1, at_start = i & 2, unseen = i & 4;

                set_up(state);
                if (at_start) {
                        mapped_as = "luks-data1";
                        mark.mark = OPEN_MARK_RELEASED;
                        start(true);
                } else {
                        start_given_out(true);
                        mapped_as = "luks-data1";
                        map_it();
                }
                not_bound = no_key ? "nobody" : NULL;
                if (unseen) {
                        nobody_looks(DISK_OP_RECOGNIZE);
                        assert_true(is_set[0]);
                        pass_time();
                }
                somebody_looks(FLAGS);
                assert_int_equal(volume->state, VOLUME_ATTACHED);
                assert_string_equal(volume->mapping, "luks-data1");
                assert_true(volume->breaker_set && is_set[1] && !is_set[0]);
                if (no_key)
                        assert_true(deadline > now_boottime_usec());
                if (i < 7)
                        tear_down(state);
        }
}

/* It was attached and closed by us in between, and the deadline went with that: it has it again. */
static void test_given_out_and_deadline_gone(void **state _unused_) {
        start_given_out(true);
        is_set[0] = false;
        not_bound = "nobody";
        map_it();
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        assert_true(volume->breaker_set && is_set[0]);
        assert_true(deadline > now_boottime_usec());
}

/* The breaker was late, and has been back since; by then the mapping has gone: the deadline is of what is waited for. */
static void test_given_out_and_breaker_late(void **state) {
        for (unsigned at_start = 0; at_start < 2; at_start++) {
                set_up(state);
                if (at_start) {
                        mark.mark = OPEN_MARK_RELEASED;
                        start(false);
                } else {
                        start_given_out(false);
                        map_it();
                }
                nobody_looks(DISK_OP_RECOGNIZE);
                must_be_unseen();
                pass_time();
                is_set[0] = volume->breaker_set = true;          /* breaker-found.h */
                is_mapped = false;
                somebody_looks(0);
                assert_null(volume);
                assert_true(is_set[0]);
                assert_int_equal(mark.mark, OPEN_MARK_RELEASED);
                if (at_start) {
                        pass_time();
                        assert_false(is_set[0]);
                } else
                        tear_down(state);
        }
}

/* ... and not by us: nothing has a hold on it. */
static void test_others_with_other_name(void **state _unused_) {
        mapped_as = "luks-data1";
        mark.mark = OPEN_MARK_RECOVERY;
        start(true);
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_RECOVERY);
        assert_true(!volume->breaker_set && !is_set[0] && !is_set[1]);
}

/* ... also when cmkd starts in the middle of that: whoever makes it goes on, or is dead, and then the breaker has cut what he left. */
static void test_half_made_at_start(void **state) {
        static const struct { uint32_t then; enum volume_state state; } ends[] = {
                { FLAGS, VOLUME_ATTACHED }, { DISK_FLAG_MAPPED|DISK_FLAG_OURS|DISK_FLAG_ERROR_TABLE, VOLUME_CUTTING },
        };

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                set_up(state);
                mark.mark = OPEN_MARK_RELEASED;
                start(true);
                somebody_looks(DISK_FLAG_MAPPED|DISK_FLAG_OURS|DISK_FLAG_NO_TABLE);
                assert_true(manager.adopted);
                assert_null(volume);
                assert_true(is_set[0]);
                assert_int_equal(mark.mark, OPEN_MARK_RELEASED);
                mapping_watch_kick(manager.mappings);
                pass_time();
                somebody_looks(ends[i].then);
                assert_int_equal(volume->state, ends[i].state);
                assert_true(volume->breaker_set && is_set[0]);
                if (i == 0)
                        tear_down(state);
        }
}

static void test_given_out_and_unused(void **state _unused_) {
        start_given_out(true);
        pass_time();
        assert_string_equal(recorded, "undeadlined ");
        assert_int_equal(mark.mark, OPEN_MARK_NONE);
        map_it();
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_RECOVERY);
}

/* Whoever was about to attach it again when its owner said yes */
static void test_given_out_after_a_cut(void **state _unused_) {
        cut = CAUSE_REVOKED;
        start_given_out(true);
        answer(DISK_OP_INSPECT, &(struct disk_reply) { .uuid = UUID });
        assert_int_equal(volume->state, VOLUME_CUT);
        map_it();
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_ATTACHED);
        assert_true(volume->breaker_set);
}

/* Closed while no manager ran: neither its mark nor its deadline is of the next mapping. */
static void test_closed_before(void **state _unused_) {
        is_mapped = false;
        start(true);
        assert_null(volume);
        assert_string_equal(recorded, "undeadlined ");
        assert_int_equal(mark.mark, OPEN_MARK_NONE);
}

/* The same, but it is closed while it is looked at. */
static void test_closed_meanwhile(void **state) {
        for (unsigned i = 0; i < 4; i++) {
                bool unseen = i & 1, given_out = i & 2;

                set_up(state);
                if (given_out)
                        mark.mark = OPEN_MARK_RELEASED;
                start(true);
                if (unseen) {
                        nobody_looks(DISK_OP_RECOGNIZE);
                        pass_time();
                }
                is_mapped = false;
                somebody_looks(0);
                assert_null(volume);
                assert_true(manager.adopted);
                assert_int_equal(is_set[0], given_out);
                assert_int_equal(mark.mark, given_out ? OPEN_MARK_RELEASED : OPEN_MARK_NONE);
                assert_int_equal(LIST_EMPTY(&manager.given_out), !given_out);
                pass_time();
                assert_false(is_set[0]);
                assert_int_equal(mark.mark, OPEN_MARK_NONE);
                assert_true(LIST_EMPTY(&manager.given_out));
                if (i < 3)
                        tear_down(state);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_given_out, tear_down), TEST(test_given_out_and_being_made),
                cmocka_unit_test_teardown(test_given_out_and_other_name, tear_down), TEST(test_given_out_and_deadline_gone),
                cmocka_unit_test_teardown(test_given_out_and_breaker_late, tear_down), TEST(test_others_with_other_name),
                cmocka_unit_test_teardown(test_half_made_at_start, tear_down), TEST(test_given_out_and_unused),
                TEST(test_given_out_after_a_cut), TEST(test_closed_before), cmocka_unit_test_teardown(test_closed_meanwhile, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
