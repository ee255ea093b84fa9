/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/mount-table.c

/* File systems by the kernel's number: from a mount's id, and back to where their paths are seen. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/mount-table.h"
#include "common/mountinfo.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEV(major, minor) CMKD_KERNEL_DEV(major, minor)

static const char mounts[] =
        "22 27 0:21 / /sys rw shared:7 - sysfs sysfs rw\n"
        "this is no mount\n"
        "27 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        "30 22 0:30 / /sys/fs/bpf rw shared:9 - bpf bpf rw\n"
        "31 27 0:31 /@srv /srv rw - btrfs /dev/sdb rw\n"
        "32 27 8:1 /srv/data /data rw - ext4 /dev/sda1 rw\n"
        "33 27 0:33 / /mnt/a\\040b rw - tmpfs none rw\n"
        "34 22 0:34 / /sys/fs/bpf rw - bpf bpf rw";

static void has_dev(uint64_t id, int r, uint32_t dev) {
        uint32_t found = 0;

        assert_int_equal(mount_table_dev(mounts, id, &found), r);
        assert_int_equal(found, dev);
}

static void test_dev(void **state _unused_) {
        has_dev(27, 0, DEV(8, 1));
        has_dev(31, 0, DEV(0, 31));
        has_dev(34, 0, DEV(0, 34));        /* the last line has no newline */
        has_dev(2, -ENOENT, 0);
}

static void test_place(void **state _unused_) {
        static const struct { uint32_t dev; const char *path, *place; } cases[] = {
                { DEV(8, 1), "/usr/bin/x", "/usr/bin/x" },
                { DEV(8, 1), "/srv/data/x", "/srv/data/x" },        /* the first that shows it */
                { DEV(0, 31), "/@srv/me/x", "/srv/me/x" },
                { DEV(0, 31), "/@srvx/me/x", NULL },
                { DEV(0, 31), "/x", NULL },
                { DEV(0, 33), "/usr/bin/x", "/mnt/a b/usr/bin/x" },
                { DEV(0, 99), "/usr/bin/x", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char place[64] = "as it was";

                assert_int_equal(mount_table_place(mounts, cases[i].dev, cases[i].path, place, sizeof(place)), cases[i].place != NULL);
                assert_string_equal(place, cases[i].place ? cases[i].place : "as it was");
        }
}

static void test_above(void **state _unused_) {
        static const char own_parent[] = "1 1 0:2 / / rw - rootfs rootfs rw\n5 1 0:30 / /sys/fs/bpf rw - bpf bpf rw\n";
        struct cmkd_mount above[4] = {};

        assert_int_equal(mount_table_above(mounts, "/sys/fs/bpf", above, ELEMENTSOF(above)), 3);
        assert_int_equal(above[0].id, 34);
        assert_int_equal(above[0].group, 0);
        assert_int_equal(above[1].id, 22);
        assert_int_equal(above[1].group, 7);
        assert_int_equal(above[2].id, 27);
        assert_int_equal(above[2].group, 1);
        assert_int_equal(mount_table_above(mounts, "/sys/fs/bpf", above, 1), 1);
        assert_int_equal(mount_table_above(mounts, "/nowhere", above, ELEMENTSOF(above)), 0);
        assert_int_equal(mount_table_above(own_parent, "/sys/fs/bpf", above, ELEMENTSOF(above)), 2);
        assert_int_equal(above[1].id, 1);
}

/* In a namespace of its own, which is the test's to change. Returns false: there is none to be had here. */
static bool alone(void) {
        return unshare(CLONE_NEWNS) >= 0 && mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL) >= 0;
}

static int look_while_it_changes(void) {
        struct mount_table t = MOUNT_TABLE_NONE;
        _cleanup_(freep) char *other = NULL;
        const char *text = mount_table_text(&t);

        if (!text || mount_table_text(&t) != text)
                return 1;
        if (!alone())
                return 77;
        mount_table_done(&t);
        text = mount_table_text(&t);
        if (!text || strstr(text, " /proc/irq "))
                return 2;
        if (mount("none", "/proc/irq", "tmpfs", 0, NULL) < 0)
                return 77;
        text = mount_table_text(&t);
        if (!text || !strstr(text, " /proc/irq "))
                return 3;
        if (mount_table_read((uint32_t) getpid(), &other) < 0 || !streq(other, text))
                return 4;
        mount_table_done(&t);
        return 0;
}

static void test_read_again(void **state _unused_) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(look_while_it_changes());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_fdinfo(void **state _unused_) {
        static const char text[] = "pos:\t0\nflags:\t012000000\nmnt_id:\t27\nx ino:\t9\nino:\t18446744073709551615\n";
        uint64_t n;

        assert_int_equal(fdinfo_number(text, "mnt_id:", UINT32_MAX, &n), 0);
        assert_int_equal(n, 27);
        assert_int_equal(fdinfo_number(text, "ino:", UINT64_MAX, &n), 0);
        assert_true(n == UINT64_MAX);
        assert_int_equal(fdinfo_number(text, "ino:", UINT32_MAX, &n), -ERANGE);
        assert_int_equal(fdinfo_number(text, "map_id:", UINT32_MAX, &n), -ENODATA);
        assert_int_equal(fdinfo_number("ino:\t\n", "ino:", UINT32_MAX, &n), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_dev), cmocka_unit_test(test_place), cmocka_unit_test(test_above), cmocka_unit_test(test_read_again),
                cmocka_unit_test(test_fdinfo),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
