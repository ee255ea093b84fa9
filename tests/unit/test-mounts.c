/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ladder/mounts.c daemon/ladder/mounts-mark.c daemon/ladder/tasks.c daemon/ladder/loops.c

/* Which mounts are on a volume. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "ladder/mounts.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

/* Mounts as mounts_read() would give them; numbers that no machine has. */
static void add(struct mounts *s, uint64_t ns, uint64_t id, uint64_t parent, uint32_t minor, const char *point,
                const char *type, const char *options) {
        s->m = reallocarray(s->m, s->n + 1, sizeof(*s->m));
        assert_non_null(s->m);
        s->m[s->n++] = (struct mount) {
                .ns = ns,
                .line = { .id = id, .parent = parent, .major = 4000, .minor = minor, .root = "/", .point = point,
                          .type = type, .source = "x", .options = options },
        };
}

static void test_mark(void **state _unused_) {
        _cleanup_(mounts_free) struct mounts s = { .own_ns = 1 };
        struct stack stack = {};

        add(&s, 1, 1, 0, 1, "/", "ext4", "rw");
        add(&s, 1, 2, 1, 7, "/data", "ext4", "rw");
        add(&s, 1, 3, 2, 50, "/data/tmp", "tmpfs", "rw");
        add(&s, 1, 4, 3, 51, "/data/tmp/deeper", "tmpfs", "rw");
        add(&s, 1, 5, 1, 60, "/over", "overlay", "rw,lowerdir=/usr:/data/layer,upperdir=/up,workdir=/work");
        add(&s, 1, 6, 1, 61, "/over2", "overlay", "rw,lowerdir=/usr,upperdir=/database/up,workdir=/database/work");
        add(&s, 1, 7, 1, 62, "/over3", "overlay", "rw,lowerdir=/over/x");
        add(&s, 2, 8, 0, 60, "/", "overlay", "rw,lowerdir=/nowhere");
        add(&s, 2, 9, 8, 8, "/data", "ext4", "rw");
        (void) stack_add(&stack, 4000, 7, 0);
        assert_int_equal(mounts_mark(&s, &stack), 0);
        assert_false(s.m[0].on_volume || s.m[0].below_volume);
        assert_true(s.m[1].on_volume);
        assert_true(!s.m[2].on_volume && s.m[2].below_volume);
        assert_true(!s.m[3].on_volume && s.m[3].below_volume);
        assert_true(s.m[4].on_volume);
        assert_false(s.m[5].on_volume);
        assert_true(s.m[6].on_volume);
        assert_true(s.m[7].on_volume);           /* the same overlay, seen from a container */
        assert_false(s.m[8].on_volume);
        assert_non_null(stack_find(&stack, 4000, 60));
        assert_non_null(stack_find(&stack, 4000, 62));
        assert_null(stack_find(&stack, 4000, 61));
        assert_true(mounts_have_id(&s, 2) && mounts_have_id(&s, 5) && mounts_have_id(&s, 8));
        assert_false(mounts_have_id(&s, 3) || mounts_have_id(&s, 9));
        assert_true(mounts_know_id(&s, 3) && mounts_know_id(&s, 9) && mounts_know_id(&s, 8));
        assert_false(mounts_know_id(&s, 10) || mounts_know_id(&s, 0));
}

static void test_layers(void **state _unused_) {
        _cleanup_(mounts_free) struct mounts s = { .own_ns = 1 };
        struct stack stack = {};

        add(&s, 1, 1, 0, 1, "/", "ext4", "rw");
        add(&s, 1, 2, 1, 7, "/data", "ext4", "rw");
        add(&s, 1, 3, 2, 7, "/data/inner/x", "ext4", "rw");
        add(&s, 1, 4, 1, 7, "/data-1", "ext4", "rw");
        add(&s, 2, 5, 0, 7, "/", "ext4", "rw");
        add(&s, 1, 10, 1, 60, "/o1", "overlay", "rw,lowerdir=/data-2:/data:x");
        add(&s, 1, 11, 1, 61, "/o2", "overlay", "rw,lowerdir=/data-2/y,upperdir=/datax/inner");
        add(&s, 1, 12, 1, 62, "/o3", "overlay", "rw,lowerdir=/data/inner/y");
        add(&s, 1, 13, 1, 63, "/o4", "overlay", "rw,lowerdir=data,upperdir=,workdir=/");
        add(&s, 2, 14, 1, 64, "/o5", "overlay", "rw,lowerdir=/any/where");
        add(&s, 3, 15, 1, 65, "/o6", "overlay", "rw,lowerdir=/data-1//z");
        add(&s, 3, 16, 1, 66, "/o7", "overlay", "rw,lowerdir=/o6");
        (void) stack_add(&stack, 4000, 7, 0);
        assert_int_equal(mounts_mark(&s, &stack), 0);
        assert_true(s.m[5].on_volume && s.m[7].on_volume && s.m[9].on_volume && s.m[10].on_volume && s.m[11].on_volume);
        assert_false(s.m[6].on_volume || s.m[8].on_volume || s.m[0].on_volume);
}

#define MANY 100000u

static double cpu_seconds(void) {
        struct timespec ts;

        assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts), 0);
        return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

static void fill_many(struct mounts *s) {
        s->m = calloc(MANY, sizeof(*s->m));
        assert_non_null(s->m);
        for (size_t i = 0; i < MANY; i++)
                s->m[s->n++] = (struct mount) {
                        .ns = 2,
                        .line = { .id = i + 1, .major = 4000, .minor = 9, .root = "/", .point = "/m", .type = "tmpfs",
                                  .source = "x", .options = "rw" },
                };
}

/* Whoever may mount in a namespace of his own may mount as much as he likes there. The worst order: each on the next. */
static void test_many_deep(void **state _unused_) {
        _cleanup_(mounts_free) struct mounts s = { .own_ns = 1 };
        struct stack stack = {};
        double before;

        fill_many(&s);
        for (size_t i = 0; i < MANY; i++)
                s.m[i].line.parent = i + 2;
        s.m[MANY - 1].line.minor = 7;
        (void) stack_add(&stack, 4000, 7, 0);
        before = cpu_seconds();
        assert_int_equal(mounts_mark(&s, &stack), 0);
        assert_true(cpu_seconds() - before < 2);
        assert_true(s.m[0].below_volume && s.m[MANY - 2].below_volume && s.m[MANY - 1].on_volume);
        assert_int_equal(s.n_ids, 1);
}

/* All of them copies of the volume's, and as many descriptors. */
static void test_many_ids(void **state _unused_) {
        _cleanup_(mounts_free) struct mounts s = { .own_ns = 1 };
        struct stack stack = {};
        unsigned found = 0;
        double before;

        fill_many(&s);
        for (size_t i = 0; i < MANY; i++) {
                s.m[i].line.minor = 7;
                s.m[i].line.id = 2 * (MANY - i);
                s.m[i].line.parent = 2;
        }
        (void) stack_add(&stack, 4000, 7, 0);
        before = cpu_seconds();
        assert_int_equal(mounts_mark(&s, &stack), 0);
        for (uint64_t id = 0; id <= 2 * MANY; id++)
                found += mounts_have_id(&s, id);
        assert_true(cpu_seconds() - before < 2);
        assert_int_equal(found, MANY);
}

static void test_many_overlays(void **state _unused_) {
        _cleanup_(mounts_free) struct mounts s = { .own_ns = 1 };
        struct stack stack = {};
        double before;

        fill_many(&s);
        for (size_t i = 0; i < MANY; i++)
                if (i % 2 == 0)
                        s.m[i].line.minor = 7;
                else {
                        s.m[i].line.type = "overlay";
                        s.m[i].line.options = "rw,lowerdir=/a/a/a/a/a/a:/l/o/w/e/r:/m2,upperdir=/up,workdir=/work";
                }
        (void) stack_add(&stack, 4000, 7, 0);
        before = cpu_seconds();
        assert_int_equal(mounts_mark(&s, &stack), 0);
        assert_true(cpu_seconds() - before < 2);
        assert_int_equal(s.n_ids, MANY / 2);
}

static void test_find_path(void **state _unused_) {
        _cleanup_(mounts_free) struct mounts s = { .own_ns = 1 };

        assert_null(mounts_find_path(&s, "/"));
        add(&s, 1, 1, 0, 1, "/", "ext4", "rw");
        add(&s, 1, 2, 1, 2, "/var", "ext4", "rw");
        add(&s, 1, 3, 1, 3, "/variable", "ext4", "rw");
        add(&s, 2, 4, 1, 4, "/var/log", "ext4", "rw");
        add(&s, 1, 5, 2, 5, "/var", "ext4", "rw");
        assert_int_equal(mounts_find_path(&s, "/")->line.id, 1);
        assert_int_equal(mounts_find_path(&s, "/usr")->line.id, 1);
        assert_int_equal(mounts_find_path(&s, "/var/log/cmkd")->line.id, 5);
        assert_int_equal(mounts_find_path(&s, "/variable/x")->line.id, 3);
}

static void test_fdinfo(void **state _unused_) {
        uint64_t id = 0;

        assert_int_equal(fdinfo_mount_id("pos:\t0\nflags:\t0100000\nmnt_id:\t27\nino:\t4\n", &id), 0);
        assert_int_equal(id, 27);
        assert_int_equal(fdinfo_mount_id("pos:\t0\n", &id), -ENODATA);
        assert_int_equal(fdinfo_mount_id("mnt_id:\t\n", &id), -ENODATA);
        assert_int_equal(fdinfo_mount_id("mnt_id:\t99999999999999999999999999\n", &id), -ENODATA);
        assert_int_equal(id, 27);
}

static void test_stack_depth(void **state _unused_) {
        struct stack s = {};

        assert_true(stack_add(&s, 4000, 1, 0));
        assert_true(stack_add(&s, 4000, 2, 1));
        assert_false(stack_add(&s, 4000, 2, 3));
        assert_false(stack_add(&s, 4000, 2, 2));
        assert_int_equal(stack_find(&s, 4000, 2)->depth, 3);
        for (uint32_t i = 0; i < STACK_MAX; i++)
                (void) stack_add(&s, 4001, i, 1);
        assert_true(s.incomplete);
        assert_int_equal(s.n, STACK_MAX);
}

/* As sysfs has it, but for the links being directories. */
static void test_btrfs_devices(void **state _unused_) {
        static const struct { const char *path, *dev; } devices[] = {
                { "fs/btrfs/features/devices/none", "" },
                { "fs/btrfs/5b6e/devices/vdb", "4000:16\n" }, { "fs/btrfs/5b6e/devices/dm-3", "4000:7\n" },
                { "fs/btrfs/77aa/devices/vdc", "4000:32\n" }, { "fs/btrfs/77aa/devices/vdd", "4000:48\n" },
        };
        char root[] = "/dev/shm/cmkd-test-XXXXXX", command[256];
        struct stack s = {}, other = {};

        assert_non_null(mkdtemp(root));
        for (size_t i = 0; i < ELEMENTSOF(devices); i++) {
                snprintf(command, sizeof(command), "mkdir -p %s/%s && printf '%s' >%s/%s/dev", root, devices[i].path,
                         devices[i].dev, root, devices[i].path);
                assert_int_equal(system(command), 0);
        }
        (void) stack_add(&s, 4000, 7, 0);
        assert_true(stack_shares_btrfs(&s, root, 4000, 16));
        assert_true(stack_shares_btrfs(&s, root, 4000, 7));
        assert_false(stack_shares_btrfs(&s, root, 4000, 32));
        assert_false(stack_shares_btrfs(&s, root, 4000, 1));
        assert_false(stack_shares_btrfs(&s, "/nowhere", 4000, 16));
        (void) stack_add(&other, 4000, 32, 0);
        assert_false(stack_touches(&s, &other, root));
        (void) stack_add(&other, 4000, 16, 1);
        assert_true(stack_touches(&s, &other, root) && stack_touches(&other, &s, root));
        assert_false(stack_touches(&s, &other, "/nowhere"));
        stack_merge(&other, &s);
        assert_true(other.n == 3 && stack_touches(&s, &other, "/nowhere"));
        snprintf(command, sizeof(command), "rm -r %s", root);
        assert_int_equal(system(command), 0);
}

static void test_this_machine(void **state _unused_) {
        _cleanup_(closep) int fd = -EBADF, root = -EBADF;
        _cleanup_(mounts_free) struct mounts s = {};
        const struct mount *m;
        uint64_t id = 0;

        assert_int_equal(mounts_read(&s), 0);
        /* not "/": in a chroot that is no mount */
        m = mounts_find_path(&s, "/proc");
        assert_non_null(m);
        fd = open("/proc", O_PATH|O_CLOEXEC);
        assert_int_equal(fd_mount_id(fd, &id), 0);
        assert_int_equal(id, m->line.id);
        root = mount_open_root(m);
        assert_true(root >= 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mark), cmocka_unit_test(test_layers),
                cmocka_unit_test(test_many_deep), cmocka_unit_test(test_btrfs_devices),
                cmocka_unit_test(test_many_ids), cmocka_unit_test(test_many_overlays), cmocka_unit_test(test_find_path),
                cmocka_unit_test(test_fdinfo), cmocka_unit_test(test_stack_depth), cmocka_unit_test(test_this_machine),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
