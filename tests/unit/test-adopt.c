/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/adopt.c daemon/manager/adopted-keys.c daemon/manager/adopted-lease.c daemon/manager/given-out.c daemon/manager/look-again.c daemon/manager/turns.c daemon/manager/recognize.c daemon/manager/mapping-watch.c daemon/manager/uevent.c daemon/manager/volume.c daemon/manager/lease.c daemon/manager/lease-keys.c daemon/manager/key-track.c daemon/manager/policy.c daemon/manager/trust-find.c
// libs: libsystemd

/* What stands when cmkd starts: that nobody could look at it is neither "not there" nor "opened by others". */

#include "adopt-world.h"

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
        is_set[0] = has_slot;
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

static int tear_down(void **state _unused_) {
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

/* ---- given out before ---- */

/* An earlier manager gave its key to somebody, and was killed before he had made the mapping. */
static void start_given_out(bool has_slot) {
        is_mapped = false;
        mark.mark = OPEN_MARK_RELEASED;
        mark.issued.boottime_usec -= 20 * USEC_PER_SEC;
        start(has_slot);
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
                is_mapped = true;
                mapping_watch_kick(manager.mappings);
                pass_time();
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
        is_mapped = true;
        mapping_watch_kick(manager.mappings);
        pass_time();
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
                        is_mapped = true;
                        mapping_watch_kick(manager.mappings);
                        pass_time();
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
        is_mapped = true;
        mapping_watch_kick(manager.mappings);
        pass_time();
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
                        is_mapped = true;
                        mapping_watch_kick(manager.mappings);
                        pass_time();
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
        is_mapped = true;
        mapping_watch_kick(manager.mappings);
        pass_time();
        somebody_looks(FLAGS);
        assert_int_equal(volume->state, VOLUME_RECOVERY);
}

/* Whoever was about to attach it again when its owner said yes */
static void test_given_out_after_a_cut(void **state _unused_) {
        cut = CAUSE_REVOKED;
        start_given_out(true);
        answer(DISK_OP_INSPECT, &(struct disk_reply) { .uuid = UUID });
        assert_int_equal(volume->state, VOLUME_CUT);
        is_mapped = true;
        mapping_watch_kick(manager.mappings);
        pass_time();
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_looked_at), cmocka_unit_test_teardown(test_two_leases, tear_down), TEST(test_not_listed), cmocka_unit_test(test_waits_for_others), TEST(test_not_mapped), cmocka_unit_test_teardown(test_looked_at_later, tear_down),
                TEST(test_cut_meanwhile), TEST(test_others_later), TEST(test_others_with_deadline), TEST(test_never_looked_at), TEST(test_goes_between_two_looks),
                TEST(test_gone_later), TEST(test_pulled), TEST(test_renumbered), TEST(test_no_memory), TEST(test_while_we_run),
                TEST(test_released), cmocka_unit_test_teardown(test_released_and_half_made, tear_down), TEST(test_attach_failed_meanwhile), TEST(test_two_of_nothing), TEST(test_cut),
                cmocka_unit_test_teardown(test_given_out, tear_down), TEST(test_given_out_and_being_made), TEST(test_given_out_and_unused), cmocka_unit_test_teardown(test_half_made_at_start, tear_down),
                cmocka_unit_test_teardown(test_given_out_and_other_name, tear_down), TEST(test_others_with_other_name), TEST(test_given_out_and_deadline_gone),
                cmocka_unit_test_teardown(test_given_out_and_breaker_late, tear_down),
                TEST(test_given_out_after_a_cut), TEST(test_closed_before),
                cmocka_unit_test_teardown(test_closed_meanwhile, tear_down), TEST(test_cut_and_closed_meanwhile), TEST(test_cut_is_not_ours), TEST(test_cut_is_read_later), TEST(test_cut_is_attached_meanwhile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
