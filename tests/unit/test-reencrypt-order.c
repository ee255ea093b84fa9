/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/reencrypt.c daemon/manager/encrypt-run.c daemon/manager/header-verb.c daemon/manager/trust.c daemon/manager/trust-find.c daemon/manager/outcome.c daemon/manager/stored.c daemon/manager/pin.c
// libs: libsystemd libcrypto

/* Another volume key for the root file system, killed before or after every write, once and twice: whatever disk, list and initramfs are
 * then, the initramfs opens the header that the disk has, and the next start ends what was begun. The header, the list, the initramfs and the
 * children are models; reencrypt.c and encrypt-run.c decide. */

#include "reencrypt-world.h"

#include <fcntl.h>
#include <malloc.h>

static void encrypt_some(void) {
        struct disk_reply y;
        disk_callback callback = run.callback;

        run.callback = NULL;
        assert_true(disk.rekeying);
        if (other_keys > 0) {
                y = died();
                close(run.pipe);
                callback(&y, -EBADF, run.user);
                return;
        }
        for (unsigned n = 0; !dead && disk.plain > 0 && !(fails > 0 && (n == 2 || fails == 1 || stuck)); n++) {
                const struct disk_progress p = { SIZE, SIZE - disk.plain };

                assert_int_equal(write(run.pipe, &p, sizeof(p)), sizeof(p));
                assert_true(sd_event_run(manager.event, 0) >= 0);
                if (may_write())
                        disk.plain -= PART;
                check();
        }
        if (fails > 0) {
                fails--;
                y = died();
        } else {
                if (!dead && may_write()) {
                        disk.rekeying = false;
                        disk.done = true;
                        check();
                }
                y = dead ? died() : header();
        }
        close(run.pipe);
        callback(&y, -EBADF, run.user);
}

/* Until nobody waits for anything. A machine that is dead has nobody who waits. */
static void spin(void) {
        for (unsigned n = 0; n < 500; n++) {
                if (dead)
                        volume.state = VOLUME_CLOSED;
                if (child.callback) {
                        disk_callback callback = child.callback;

                        child.callback = NULL;
                        callback(&child.y, child.fd, child.u);
                } else if (inspect.callback && !(looks_early && has_header && !disk.rekeying)) {
                        struct disk_reply y = inspect.y;
                        disk_callback callback = inspect.callback;

                        inspect.callback = NULL;
                        callback(&y, -EBADF, inspect.user);
                } else if (build.done) {
                        boot_image_done done = build.done;

                        build.done = NULL;
                        done(make_image(), build.user);
                } else if (run.callback)
                        encrypt_some();
                else if (sd_event_run(manager.event, 0) == 0 && LIST_EMPTY(&manager.encryptions))
                        return;
                else if (no_image && n > 100) {
                        volume.state = VOLUME_CLOSED;      /* it would try again for ever */
                        (void) sd_event_run(manager.event, 0);
                }
        }
        fail_msg("it never ends");
}

static void on_end(const struct outcome *o, void *user _unused_) {
        end = *o;
        ended = true;
}

static void start(void) {
        volume.state = VOLUME_ATTACHED;
        volume.encrypt_failures = 0;
        volume.encrypt_progressed = dead = false;
        writes = 0;
}

static enum exit_code reencrypt(void) {
        static const struct requester who = { .text = "a test" };

        start();
        ended = false;
        assert_int_equal(reencrypt_start(&manager, "vda", -EBADF, &who, on_end, NULL), 0);
        spin();
        assert_true(ended && !has_header);
        return end.code;
}

/* The initramfs opens it; whoever wants cmkd-initramfs.service may be first or last. */
static void reboot_machine(bool unit_first) {
        check();
        start();
        volume.encrypt_half_way = marked = false;
        if (disk.rekeying && disk.plain == 0) {            /* encryption-end.h, when it is opened */
                disk.rekeying = false;
                disk.done = true;
                check();
        }
        if (due && unit_first)
                (void) make_image();
        encrypt_look(&volume);
        spin();
        if (due && !dead)
                (void) make_image();
        assert_false(has_header);
}

static void must_be_done(void) {
        if (!disk.done) {
                assert_false(disk.rekeying);
                next_key = NEW;
                stop_at = -1;
                assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        }
        assert_true(disk.done && !due);
        assert_int_equal(entry.digest[0], NEW);
        assert_true(entry.unencrypted == 0 && !entry.rekeying && !entry.has_next);
        if (entry.role == ROLE_OS)
                assert_memory_equal(&image, &entry, sizeof(entry));
}

static void set_up(enum role role) {
        entry = (struct trust_entry) { .uuid = UUID, .name = "osroot", .role = role, .digest = { OLD }, .n_keys = 1 };
        image = entry;
        volume = (struct volume) { .manager = &manager, .uuid = UUID, .name = "osroot", .role = role, .sectors = SIZE / 512 };
        memset(&disk, 0, sizeof(disk));
        list = (struct trust_list) { .entries = &entry, .n_entries = 1 };
        manager.trust = &list;
        looks_early = due = no_image = stuck = stop_after = marked = manager.initramfs = false;
        images = reboots = cuts = fails = 0;
        stop_at = -1;
        next_key = NEW;
}

static void test_whole(void **state _unused_) {
        set_up(ROLE_OS);
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        must_be_done();
        assert_int_equal(images, 3);
        set_up(ROLE_DATA);
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        must_be_done();
        assert_int_equal(images, 0);
        set_up(ROLE_SCRATCH);
        assert_int_equal(reencrypt(), EXIT_CODE_POLICY);
}

static void test_killed(void **state _unused_) {
        unsigned runs = 0;
        bool reached = true;

        for (int first = 0; reached; first++)
                for (int second = -1; second < 24; second++)
                        for (unsigned how = 0; how < 8; how++) {
                                set_up(ROLE_OS);
                                stop_at = first;
                                stop_after = how & 1;
                                (void) reencrypt();
                                reached = dead;
                                stop_at = second;
                                stop_after = how & 2;
                                reboot_machine(how & 4);
                                stop_at = -1;
                                reboot_machine(how & 4);
                                must_be_done();
                                runs++;
                        }
        print_message("%u runs\n", runs);
        assert_true(runs > 1000);
}

static void test_no_image(void **state _unused_) {
        struct trust_entry before;

        set_up(ROLE_OS);
        before = entry;
        no_image = true;
        assert_int_equal(reencrypt(), EXIT_CODE_FAILED);
        assert_non_null(strstr(end.message, "could not be built"));
        assert_false(due || disk.rekeying);
        assert_false(entry.has_next || entry.rekeying);
        assert_memory_equal(entry.digest, before.digest, sizeof(entry.digest));
        /* only the second one fails: nothing is encrypted */
        set_up(ROLE_OS);
        stop_at = 6;
        stop_after = true;
        (void) reencrypt();
        assert_true(disk.rekeying && due);
        no_image = true;
        stop_at = -1;
        start();
        encrypt_look(&volume);
        spin();
        assert_true(disk.plain == SIZE && due);
        no_image = false;
        reboot_machine(false);
        must_be_done();
}

static void test_nothing_in_an_initramfs(void **state _unused_) {
        set_up(ROLE_OS);
        stop_at = 12;
        (void) reencrypt();
        assert_true(disk.rekeying);
        start();
        manager.initramfs = true;
        encrypt_look(&volume);
        manager.initramfs = false;
        manager.trust_early = true;
        encrypt_look(&volume);
        manager.trust_early = false;
        assert_true(LIST_EMPTY(&manager.encryptions));
        stop_at = -1;
        reboot_machine(false);
        must_be_done();
}

/* Booted again where it got on before; else it is followed by another one, once. */
static void test_child_dies(void **state _unused_) {
        set_up(ROLE_OS);
        fails = 1;
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        must_be_done();
        assert_int_equal(reboots, 0);
        set_up(ROLE_OS);
        fails = 2;
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        assert_int_equal(reboots, 1);
        reboot_machine(false);
        must_be_done();
        set_up(ROLE_OS);
        fails = 2;
        stuck = true;
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        assert_true(reboots == 0 && disk.plain == SIZE);
        reboot_machine(false);
        must_be_done();
        set_up(ROLE_DATA);
        fails = 1;
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        assert_int_equal(cuts, 1);
        reboot_machine(false);
        must_be_done();
}

/* While the verb works, and answered after it: that header is not the disk's any more. */
static void test_looked_at_too_early(void **state _unused_) {
        for (unsigned role = ROLE_DATA; role <= ROLE_OS; role++) {
                set_up((enum role) role);
                looks_early = true;
                assert_int_equal(reencrypt(), EXIT_CODE_DONE);
                assert_true(disk.done && !disk.rekeying);
                must_be_done();
        }
}

static unsigned descriptors(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

/* Each child has a pipe that says how far it is: the one of before is not kept. */
static void test_another_key(void **state _unused_) {
        unsigned before;

        set_up(ROLE_DATA);
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);          /* what is opened once and kept, is */
        before = descriptors();
        set_up(ROLE_DATA);
        other_keys = 3;
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        assert_int_equal(other_keys, 0);
        assert_int_equal(descriptors(), before);
        must_be_done();
}

/* The manager was killed too: the next one needs nothing of what waits, and has the machine booted again where it got on. */
static void test_both_die(void **state _unused_) {
        unsigned booted = 0, left = 0;
        bool reached = true;
        uint64_t plain;

        for (int at = 0; reached; at++) {
                set_up(ROLE_OS);
                stop_at = at;
                (void) reencrypt();
                reached = dead;
                if (!dead || !disk.rekeying || entry.unencrypted == 0)
                        continue;
                plain = disk.plain;
                reboots = 0;
                stop_at = -1;
                start();
                volume.encrypt_half_way = true;
                volume.encrypt_progressed = marked;
                encrypt_look(&volume);
                spin();
                assert_int_equal(reboots, marked);
                assert_int_equal(volume.state, marked ? VOLUME_CUTTING : VOLUME_ATTACHED);
                assert_true(disk.plain == plain && writes == 0);
                booted += reboots;
                left += !reboots;
                reboot_machine(false);
                must_be_done();
        }
        assert_true(booted > 2 && left > 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_whole), cmocka_unit_test(test_killed), cmocka_unit_test(test_no_image),
                cmocka_unit_test(test_nothing_in_an_initramfs), cmocka_unit_test(test_child_dies), cmocka_unit_test(test_both_die),
                cmocka_unit_test(test_another_key), cmocka_unit_test(test_looked_at_too_early),
        };
        int r;

        (void) mallopt(M_PERTURB, 0xa5);          /* what is read after it was freed is not what it was */
        if (sd_event_new(&manager.event) < 0)
                return 1;
        r = cmocka_run_group_tests(tests, NULL, NULL);
        sd_event_unref(manager.event);
        return r;
}
