/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/mount-diff.c

/* Which devices two texts of mountinfo differ in, and when it could be any. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/mount-diff.h"

#include <time.h>

#define ROOT "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
#define PROC "23 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n"
#define DATA "40 22 252:3 / /srv/data rw shared:9 - ext4 /dev/mapper/data rw\n"
#define LOGS "41 22 252:4 / /srv/logs rw shared:8 - xfs /dev/mapper/logs rw\n"
#define BIND "42 22 252:3 /www /srv/www rw shared:9 - ext4 /dev/mapper/data rw\n"
#define LAYER "50 22 0:48 / /var/lib/containers/a\\040b/merged rw - overlay overlay rw,lowerdir=/srv/data/l\n"
#define SHM "51 50 0:49 / /var/lib/containers/shm rw - tmpfs shm rw\n"
#define NOTHING "52 50 0:49 / /var/lib/containers/none rw - tmpfs  rw\n"
#define NFS "53 22 0:50 / /mnt/nfs rw - nfs4 10.0.0.1:/dev/export rw\n"
#define BTRFS "54 22 0:51 / /srv/btrfs rw - btrfs /dev/mapper/data rw\n"
#define FUSE "55 22 0:52 / /media/u rw - fuse.any /dev/mapper/data rw\n"
#define FUSEBLK "56 22 252:5 / /mnt/ntfs rw - fuseblk /dev/mapper/n rw\n"
#define ON_VAR "57 22 0:53 / /var rw - tmpfs tmpfs rw\n"
#define ON_TRAIL "58 22 0:54 / /var/log/cmkd rw - overlay overlay rw,lowerdir=/srv/data/l\n"
#define BELOW_TRAIL "59 22 0:54 / /var/log/cmkd/x rw - tmpfs tmpfs rw\n"
#define BESIDE "60 22 0:54 / /var/logs rw - tmpfs tmpfs rw\n"

static const struct {
        const char *name, *before, *after;
        bool all;
        const char *devices;           /* in the order in which they are found */
} cases[] = {
        { "nothing", ROOT PROC DATA, ROOT PROC DATA, false, "" },
        { "nothing at all", "", "", false, "" },
        { "came", ROOT PROC, ROOT PROC DATA, false, "252:3" },
        { "came in the middle", ROOT PROC LOGS, ROOT PROC DATA LOGS, false, "252:3" },
        { "came in front", LOGS BIND, DATA LOGS BIND, false, "252:3" },
        { "went", ROOT DATA PROC LOGS, ROOT PROC LOGS, false, "252:3" },
        { "the last went", ROOT PROC DATA, ROOT PROC, false, "252:3" },
        { "one of a file system's two mounts went", ROOT DATA PROC BIND, ROOT PROC BIND, false, "252:3" },
        { "one for another", ROOT DATA PROC, ROOT LOGS PROC, false, "252:3 252:4" },
        { "both mounts of one device", ROOT, ROOT DATA BIND, false, "252:3" },
        { "the order", ROOT DATA PROC LOGS BIND, BIND LOGS PROC ROOT DATA, false, "" },
        { "the order, and one came", DATA PROC LOGS, LOGS BIND DATA PROC, false, "252:3" },
        { "the order after the same beginning", PROC LOGS DATA, PROC DATA LOGS, false, "" },
        { "the other order after the same beginning", PROC DATA LOGS, PROC LOGS DATA, false, "" },
        { "the same line twice", DATA DATA PROC, DATA PROC, false, "252:3" },
        { "read-only now", "40 22 252:3 / /d rw - ext4 x rw\n", "40 22 252:3 / /d ro - ext4 x ro\n", false, "252:3" },
        { "another in its place", "40 22 252:3 / /d rw - ext4 x rw\n", "40 22 252:7 / /d rw - ext4 x rw\n", false,
          "252:3 252:7" },
        { "a longer line with the same beginning", "40 22 252:3 / /d rw - ext4 x rw\n",
          "40 22 252:3 / /d rw - ext4 x rw,errors=panic\n", false, "252:3" },
        { "no newline at the end", ROOT, ROOT "40 22 252:3 / /d rw - ext4 x rw", false, "252:3" },
        { "a container", ROOT PROC DATA, ROOT PROC DATA LAYER SHM NOTHING, false, "" },
        { "a container's end", ROOT LAYER SHM PROC DATA, ROOT PROC DATA, false, "" },
        { "a container and a mount", ROOT LAYER SHM PROC, ROOT PROC DATA, false, "252:3" },
        { "a network file system", ROOT, ROOT NFS, false, "" },
        { "btrfs", ROOT, ROOT BTRFS, true, NULL },
        { "btrfs goes", ROOT BTRFS DATA, ROOT DATA, true, NULL },
        { "btrfs as before", ROOT BTRFS PROC, ROOT BTRFS, false, "" },
        { "FUSE, with any source", ROOT, ROOT FUSE, false, "" },
        { "FUSE on a device", ROOT, ROOT FUSEBLK, false, "252:5" },
        { "over a place of the system", ROOT, ROOT ON_VAR, true, NULL },
        { "off a place of the system", ROOT ON_TRAIL DATA, ROOT DATA, true, NULL },
        { "below a place of the system", ROOT, ROOT BELOW_TRAIL BESIDE, false, "" },
        { "a device over a place of the system", ROOT, ROOT "40 22 252:3 / /usr rw - ext4 x rw\n", true, NULL },
        { "no line of mountinfo", ROOT, ROOT "of a name\n", true, NULL },
        { "an empty line", ROOT PROC, ROOT "\n" PROC, true, NULL },
        { "bytes of users", ROOT, ROOT "40 22 252:3 / /\xff\\012\\134\x01% rw - ext4 \xc3( rw\n", false, "252:3" },
        { "a mount point like a separator", ROOT, ROOT "40 22 252:3 - - rw - - - ext4 rw\n", false, "252:3" },
};

static void describe(const struct mount_diff *d, char *buf, size_t size) {
        size_t n = 0;

        *buf = 0;
        for (size_t i = 0; i < d->devices.n && n < size; i++)
                n += (size_t) snprintf(buf + n, size - n, "%s%u:%u", i > 0 ? " " : "", d->devices.d[i].major,
                                       d->devices.d[i].minor);
}

static void test_mounts(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct mount_diff d = {};
                char devices[256];

                assert_int_equal(mount_diff_mounts(&d, cases[i].before, cases[i].after), 0);
                describe(&d, devices, sizeof(devices));
                if (d.all != cases[i].all || (!d.all && !streq(devices, cases[i].devices)))
                        fail_msg("%s: all %d, devices %s", cases[i].name, d.all, devices);
        }
}

static void test_swaps(void **state _unused_) {
#define HEAD "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
#define A(used) "/dev/dm-1                               partition\t1048572\t\t" used "\t\t-2\n"
#define B "/srv/swap\\040file file\t1048572\t\t0\t\t-3\n"
        static const struct { const char *before, *after; bool all; } swaps[] = {
                { HEAD, HEAD, false }, { HEAD, HEAD A("0"), true }, { HEAD A("0"), HEAD, true },
                { HEAD A("0"), HEAD A("4096"), false }, { HEAD A("0") B, HEAD B A("0"), false },
                { HEAD A("0"), HEAD B, true }, { HEAD A("0") B, HEAD A("512"), true }, { "", "", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(swaps); i++) {
                struct mount_diff d = {};

                assert_int_equal(mount_diff_swaps(&d, swaps[i].before, swaps[i].after), 0);
                if (d.all != swaps[i].all || d.devices.n > 0)
                        fail_msg("case %zu: all %d", i, d.all);
        }
}

/* What one file said is kept when the other says nothing. */
static void test_adds(void **state _unused_) {
        struct mount_diff d = {};

        assert_int_equal(mount_diff_mounts(&d, ROOT, ROOT DATA), 0);
        assert_int_equal(mount_diff_mounts(&d, ROOT DATA, ROOT DATA LOGS), 0);
        assert_int_equal(mount_diff_swaps(&d, HEAD, HEAD), 0);
        assert_false(d.all);
        assert_non_null(stack_find(&d.devices, 252, 3));
        assert_non_null(stack_find(&d.devices, 252, 4));
        assert_int_equal(mount_diff_mounts(&d, ROOT, ROOT BTRFS), 0);
        assert_int_equal(mount_diff_mounts(&d, ROOT, ROOT), 0);
        assert_true(d.all);
}

static char *many(unsigned from, unsigned n, unsigned step, unsigned devices) {
        char *text = malloc((size_t) n * 96 + 1), *p = text;

        assert_non_null(text);
        *p = 0;
        for (unsigned i = 0; i < n; i++)
                p += sprintf(p, "%u 22 252:%u / /srv/%u rw shared:9 - ext4 /dev/mapper/data rw\n",
                             1000 + (from + i * step) % n, (from + i * step) % n % devices, i % 7);
        return text;
}

static void test_many_devices(void **state _unused_) {
        _cleanup_(freep) char *few = many(0, STACK_MAX, 1, STACK_MAX), *more = many(0, STACK_MAX + 1, 1, STACK_MAX + 1);
        struct mount_diff d = {}, e = {};

        assert_int_equal(mount_diff_mounts(&d, "", few), 0);
        assert_false(d.all);
        assert_int_equal(d.devices.n, STACK_MAX);
        assert_int_equal(mount_diff_mounts(&e, "", more), 0);
        assert_true(e.all);
}

static double cpu_seconds(void) {
        struct timespec ts;

        assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts), 0);
        return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

/* In another order throughout, each line on another point: everything is different, and nothing may be quadratic. */
static void test_many_lines(void **state _unused_) {
        _cleanup_(freep) char *a = many(0, 100000, 1, 4), *b = many(5, 100000, 7919, 4);
        struct mount_diff d = {}, same = {};
        double before = cpu_seconds();

        assert_int_equal(mount_diff_mounts(&d, a, b), 0);
        assert_int_equal(mount_diff_mounts(&same, a, a), 0);
        assert_true(cpu_seconds() - before < 3);
        assert_false(d.all || same.all);
        assert_int_equal(d.devices.n, 4);
        assert_int_equal(same.devices.n, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mounts), cmocka_unit_test(test_swaps), cmocka_unit_test(test_adds),
                cmocka_unit_test(test_many_devices), cmocka_unit_test(test_many_lines),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
