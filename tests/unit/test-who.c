/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/who.c daemon/audit/mount-table.c

/* Which cgroups and programs are cmkd's own: what they do is no use of a key by somebody else. And which file a process runs: this
 * test's own process is the example. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/who.h"
#include "common/mountinfo.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_cgroups(void **state _unused_) {
        static const struct { const char *cgroup; bool ours; } cases[] = {
                { "/system.slice/cmkd.service", true },
                { "/system.slice/cmkd.service/control", true },
                { "/system.slice/cmkd-disk@1-684-0.service", true },
                { "/system.slice/cmkd-ladder@0-3-0.service/x", true },
                { "/system.slice/cmkd-disk@3-118273-684_5123-0.service", true },
                { "/system.slice/cmkd-ladder@.service", false },
                { "/system.slice/cmkd-disk@x.service", false },
                { "/system.slice/cmkd-disk@1.service.d", false },
                { "/system.slice/cmkd-vault@1.service", false },
                { "/cmkd-breaker.slice/cmkd-breaker.service", true },
                { "/system.slice/cmkd.service.d", false },
                { "/system.slice/other.service/cmkd.service", false },
                { "/user.slice/user-0.slice/cmkd.service", false },
                { "/", false },
                { "", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(who_cgroup_is_ours(cases[i].cgroup), cases[i].ours);
}

static void test_programs(void **state _unused_) {
        static const struct { const char *exe; bool ours; } cases[] = {
                { "/usr/lib/cmkd/cmkd-disk", true },
                { "/usr/lib/cmkd/cmkd-ladder (deleted)", true },
                { ".../usr/lib/cmkd/cmkd-ladder", true },
                { "/lib/cmkd/cmkd", true },            /* /usr is a file system of its own */
                { "/usr/sbin/dmsetup", false },
                { ".../lib/cmkd/dmsetup", false },
                { "/tmp/usr/lib/cmkd/dmsetup", false },
                { "/usr/lib/cmkd", false },
                { "", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(who_program_is_ours(cases[i].exe), cases[i].ours);
}

/* Of this process, as the kernel would say it: the mount table has the number of its file system. */
static void own_event(struct cmkd_event *e, char exe[static WHO_PATH_MAX]) {
        _cleanup_(closep) int fd = open("/proc/self/exe", O_PATH|O_CLOEXEC);
        _cleanup_(freep) char *stat_text = NULL, *fdinfo = NULL, *mounts = NULL;
        char path[64], *p, *line, *rest;
        struct mount_line m;
        uint64_t id, ino;
        ssize_t n;

        *e = (struct cmkd_event) { .tgid = (uint32_t) getpid(), .pid = (uint32_t) getpid() };
        n = readlink("/proc/self/exe", exe, WHO_PATH_MAX - 1);
        assert_true(n > 0);
        exe[n] = 0;
        snprintf(e->exe, sizeof(e->exe), "%s", strrchr(exe, '/') + 1);
        snprintf(e->exe_dir[0], sizeof(e->exe_dir[0]), "there");
        assert_int_equal(read_small_file("/proc/self/stat", 4096, &stat_text, NULL), 0);
        p = strrchr(stat_text, ')');
        for (unsigned i = 2; i < 22; i++)
                p = strchr(p + 1, ' ');
        e->start_boottime_ns = strtoull(p + 1, NULL, 10) * (NSEC_PER_SEC / (uint64_t) sysconf(_SC_CLK_TCK)) + 1;
        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        assert_int_equal(read_small_file(path, 4096, &fdinfo, NULL), 0);
        assert_int_equal(fdinfo_number(fdinfo, "ino:", UINT64_MAX, &ino), 0);
        e->exe_ino = ino;
        assert_int_equal(fdinfo_number(fdinfo, "mnt_id:", UINT64_MAX, &id), 0);
        assert_int_equal(read_small_file("/proc/self/mountinfo", 1 << 20, &mounts, NULL), 0);
        for (rest = mounts; (line = strsep(&rest, "\n")); )
                if (mount_line_parse(line, &m) >= 0 && m.id == id)
                        e->exe_dev = CMKD_KERNEL_DEV(m.major, m.minor);
        assert_true(e->exe_dev != 0);
}

static void resolves(struct who *w, const struct cmkd_event *e, const char *exe, bool from_proc) {
        struct who_names names;

        who_resolve(w, e, &names);
        assert_string_equal(names.exe, exe);
        assert_int_equal(names.exe_from_proc, from_proc);
}

/* Before and after it was seen as what it is. */
static void test_other_file(void **state _unused_) {
        char exe[WHO_PATH_MAX], kernel[WHO_PATH_MAX];
        struct cmkd_event e, other;
        struct who *w;

        own_event(&e, exe);
        snprintf(kernel, sizeof(kernel), ".../there/%s", e.exe);
        assert_int_equal(who_new(&w), 0);
        for (unsigned i = 0; i < 2; i++) {
                other = e;
                other.exe_ino++;
                resolves(w, &other, kernel, false);
                other = e;
                other.exe_dev++;
                resolves(w, &other, kernel, false);
                other = e;
                other.start_boottime_ns += NSEC_PER_SEC;
                resolves(w, &other, kernel, false);
                resolves(w, &e, exe, true);
        }
        who_free(w);
}

/* What does not say which file it was is taken by its name, as its build took it. */
static void test_older_event(void **state _unused_) {
        char exe[WHO_PATH_MAX];
        struct cmkd_event e;
        struct who *w;

        own_event(&e, exe);
        e.exe_dev = 0;
        e.exe_ino = 0;
        assert_int_equal(who_new(&w), 0);
        resolves(w, &e, exe, true);
        memcpy(e.exe, "gone", sizeof("gone"));
        memcpy(e.exe_dir[0], "/", 2);
        resolves(w, &e, "/gone", false);
        who_free(w);
}

/* The kernel's names begin at the root of a file system: /proc's is not mounted at ours, and number 0:4095 nowhere. */
static void test_kernel_names(void **state _unused_) {
        _cleanup_(freep) char *mounts = NULL;
        struct cmkd_event e = { .exe = "x", .exe_dir = { "sbin", "usr", "/" }, .exe_ino = 1 };
        char *line, *rest;
        struct mount_line m;
        struct who *w;

        assert_int_equal(who_new(&w), 0);
        e.exe_dev = CMKD_KERNEL_DEV(0, 4095);
        resolves(w, &e, ".../usr/sbin/x", false);
        assert_int_equal(read_small_file("/proc/self/mountinfo", 1 << 20, &mounts, NULL), 0);
        for (rest = mounts; (line = strsep(&rest, "\n")); )
                if (mount_line_parse(line, &m) >= 0 && streq(m.point, "/proc")) {
                        e.exe_dev = CMKD_KERNEL_DEV(m.major, m.minor);
                        resolves(w, &e, "/proc/usr/sbin/x", false);
                }
        who_free(w);
}

/* Whatever who_cgroup() remembers, and however long somebody holds its directory open. */
static void test_gone(void **state _unused_) {
        char name[64], path[WHO_PATH_MAX], known[WHO_PATH_MAX];
        struct who *w, *other;
        struct stat st;
        int fd;

        snprintf(name, sizeof(name), "/test-who-%d", getpid());
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s", name);
        assert_int_equal(who_new(&w), 0);
        assert_false(who_cgroup_is_gone(w, UINT64_MAX >> 1) && access("/sys/fs/cgroup/cgroup.procs", F_OK) < 0);
        if (access("/sys/fs/cgroup/cgroup.procs", F_OK) < 0 || mkdir(path, 0755) < 0) {
                who_free(w);
                skip();
        }
        fd = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        assert_true(fd >= 0 && fstat(fd, &st) >= 0);
        assert_true(who_cgroup(w, st.st_ino, known));
        assert_string_equal(known, name);
        assert_false(who_cgroup_is_gone(w, st.st_ino));
        assert_int_equal(rmdir(path), 0);
        assert_true(who_cgroup_is_gone(w, st.st_ino));
        assert_int_equal(who_new(&other), 0);                 /* who has not seen it before: newer kernels do not open it */
        if (who_cgroup(other, st.st_ino, known))
                assert_string_equal(known, name);
        who_free(other);
        close(fd);
        assert_true(who_cgroup_is_gone(w, st.st_ino));
        who_free(w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cgroups), cmocka_unit_test(test_programs), cmocka_unit_test(test_other_file),
                cmocka_unit_test(test_older_event), cmocka_unit_test(test_kernel_names), cmocka_unit_test(test_gone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
