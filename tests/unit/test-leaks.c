/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/doctor/leaks.c daemon/ctl/doctor/backing.c daemon/ctl/doctor/findings.c

/* A small node that leaks nothing, and one change of it for each finding. */
#include "ctl/doctor/leaks.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "ctl/doctor/backing.h"

#define SWAPS "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
#define MOUNTS "20 1 254:1 / / rw shared:1 - ext4 /dev/root rw\n" \
        "21 20 0:20 / /run rw shared:2 - tmpfs tmpfs rw\n" \
        "22 20 252:0 / /srv rw shared:3 - ext4 /dev/mapper/data rw\n" \
        "23 20 0:30 / /btr rw shared:4 - btrfs /dev/vdb rw\n" \
        "24 20 252:3 / /with\\040blank rw - ext4 /dev/mapper/top rw\n" \
        "25 20 0:31 / /nfs rw - nfs host:/x rw\n"

struct file { const char *path, *content; };

/* "> target": a symbolic link, below the root if it is absolute. dm-0: crypt on vdc; dm-1: linear on vda and vdb; dm-3: linear
 * on dm-0; dm-4: linear on dm-0 and vdb. */
static const struct file in_node[] = {
        { "proc/cmdline", "root=/dev/vda1 init_on_free=1\n" }, { "proc/swaps", SWAPS },
        { "proc/self/mountinfo", MOUNTS }, { "proc/sys/kernel/core_pattern", "core\n" },
        { "sys/kernel/kexec_crash_loaded", "0\n" }, { "sys/kernel/kexec_loaded", "0\n" },
        { "sys/power/state", "freeze mem disk\n" }, { "sys/power/disk", "[platform] shutdown reboot suspend\n" },
        { "sys/power/resume", "0:0\n" },
        { "sys/class/block/vda1/size", "1" }, { "sys/class/block/vdb/size", "1" }, { "sys/class/block/vdc/size", "1" },
        { "sys/class/block/dm-0/dm/uuid", "CRYPT-LUKS2-0123-data\n" }, { "sys/class/block/dm-0/slaves/vdc/x", "" },
        { "sys/class/block/dm-1/dm/uuid", "LVM-x\n" }, { "sys/class/block/dm-1/slaves/vda1/x", "" },
        { "sys/class/block/dm-1/slaves/vdb/x", "" },
        { "sys/class/block/dm-3/dm/uuid", "LVM-y\n" }, { "sys/class/block/dm-3/slaves/dm-0/x", "" },
        { "sys/class/block/dm-4/dm/uuid", "LVM-z\n" }, { "sys/class/block/dm-4/slaves/dm-0/x", "" },
        { "sys/class/block/dm-4/slaves/vdb/x", "" }, { "sys/class/block/zram0/size", "1" },
        { "sys/dev/block/254:1", "> /sys/class/block/vda1" }, { "sys/dev/block/252:0", "> /sys/class/block/dm-0" },
        { "sys/dev/block/252:3", "> /sys/class/block/dm-3" },
        { "dev/vda1", "" }, { "dev/vdb", "" }, { "dev/dm-0", "" }, { "dev/dm-1", "" }, { "dev/dm-3", "" },
        { "dev/dm-4", "" }, { "dev/zram0", "" }, { "dev/mapper/data", "> /dev/dm-0" },
};

/* The findings that a change (NULL: the file is removed) must bring, ids in order; and words of one of them. */
static const struct change { const char *name, *path, *content, *ids, *says; } changes[] = {
        { "nothing", "x", "", "core-dumps", "" },
        { "freed memory stays", "proc/cmdline", "quiet\n", "init-on-free core-dumps", "" },
        { "the last one counts", "proc/cmdline", "init_on_free=1 init_on_free=0\n", "init-on-free core-dumps", "" },
        { "a partition", "proc/swaps", SWAPS "/dev/vda1 partition 1 0 -2\n", "plain-swap hibernation core-dumps",
          "swap on /dev/vda1, which is not" },
        { "LVM", "proc/swaps", SWAPS "/dev/dm-1 partition 1 0 -2\n", "plain-swap hibernation core-dumps", "" },
        { "LVM on a volume", "proc/swaps", SWAPS "/dev/dm-3 partition 1 0 -2\n", "hibernation core-dumps", "" },
        { "LVM on a volume and a disk", "proc/swaps", SWAPS "/dev/dm-4 partition 1 0 -2\n",
          "plain-swap hibernation core-dumps", "" },
        { "a volume", "proc/swaps", SWAPS "/dev/dm-0 partition 1 0 -2\n", "hibernation core-dumps",
          "to the swap that is on" },
        { "zram", "proc/swaps", SWAPS "/dev/zram0 partition 1 0 100\n", "core-dumps", "" },
        { "a file", "proc/swaps", SWAPS "/swap\\040file file 1 0 -2\n", "plain-swap hibernation core-dumps", "/swap" },
        { "a file on a volume", "proc/swaps", SWAPS "/srv/swap file 1 0 -2\n", "hibernation core-dumps", "" },
        { "a file on btrfs", "proc/swaps", SWAPS "/btr/swap file 1 0 -2\n", "plain-swap hibernation core-dumps", "" },
        { "a file elsewhere", "proc/swaps", SWAPS "/nfs/swap file 1 0 -2\n", "plain-swap hibernation core-dumps",
          "not known to be" },
        { "kdump", "sys/kernel/kexec_crash_loaded", "1\n", "kdump core-dumps", "" },
        { "kexec", "sys/kernel/kexec_loaded", "1\n", "core-dumps kexec", "" },
        { "no kexec", "sys/kernel/kexec_crash_loaded", NULL, "core-dumps", "" },
        { "resume=", "proc/cmdline", "init_on_free=1 resume=/dev/vda3\n", "hibernation core-dumps", "/dev/vda3" },
        { "a resume device", "sys/power/resume", "254:3\n", "hibernation core-dumps", "254:3" },
        { "hibernation off", "sys/power/disk", "[disabled]\n", "core-dumps", "" },
        { "cores to a plain directory", "proc/sys/kernel/core_pattern", "/var/crash/%p\n", "core-dumps", "/var/crash" },
        { "cores to memory", "proc/sys/kernel/core_pattern", "/run/cores/%p\n", "", "" },
        { "cores to a volume", "proc/sys/kernel/core_pattern", "/with blank/%p\n", "", "" },
        { "not quite that mount", "proc/sys/kernel/core_pattern", "/srvx/%p\n", "core-dumps", "/srvx" },
        { "cores to systemd", "proc/sys/kernel/core_pattern", "|/usr/lib/systemd/systemd-coredump %P %u\n", "core-dumps",
          "/var/lib/systemd/coredump" },
        { "cores to a program", "proc/sys/kernel/core_pattern", "|/usr/share/apport/apport -p%p\n", "core-dumps",
          "program apport:" },
        { "cores to nobody", "proc/sys/kernel/core_pattern", "|/bin/false\n", "", "" },
        { "no cores", "proc/sys/kernel/core_pattern", "\n", "", "" },
};

static char top[] = "/tmp/test-leaks.XXXXXX";

static void make_file(const char *path, const char *content) {
        char full[512], target[512], dir[512];
        const char *link = startswith(content, "> ");

        snprintf(full, sizeof(full), "%s/%s", top, path);
        snprintf(dir, sizeof(dir), "%s", full);
        *strrchr(dir, '/') = 0;
        assert_int_equal(mkdir_parents(dir, 0755), 0);
        if (link) {
                snprintf(target, sizeof(target), "%s%s", top, link);
                assert_int_equal(symlink(target, full), 0);
        } else
                assert_int_equal(write_file_atomic(full, content, strlen(content), 0644), 0);
}

static int remove_one(const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f) {
        return f->level == 0 ? 0 : remove(path);
}

static void make_node(const struct change *c) {
        nftw(top, remove_one, 16, FTW_DEPTH|FTW_PHYS);
        for (size_t k = 0; k < ELEMENTSOF(in_node); k++)
                if (!c || !streq(in_node[k].path, c->path))
                        make_file(in_node[k].path, in_node[k].content);
        if (c && c->content)
                make_file(c->path, c->content);
}

static void finds(void **state) {
        const struct change *c = *state;
        struct findings l = {};
        char ids[256] = "", all[2048] = "";

        make_node(c);
        find_leaks(top, &l);
        findings_sort(&l);
        for (size_t i = 0; i < l.n; i++) {
                snprintf(ids + strlen(ids), sizeof(ids) - strlen(ids), "%s%s", i > 0 ? " " : "", finding_id(l.list[i].kind));
                snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s: %s:\n", finding_id(l.list[i].kind), l.list[i].what);
        }
        findings_release(&l);
        if (!streq(ids, c->ids) || !strstr(all, c->says))
                fail_msg("wanted %s (%s):\n%s", c->ids, c->says, all);
}

/* systemd's own handler keeps none where it is told so. */
static void storage_none(void **state _unused_) {
        static const struct { const char *text; size_t n; } cases[] = {
                { "[Coredump]\n#Storage=none\n", 1 }, { "[Coredump]\nStorage=none\n", 0 },
                { "[Coredump]\nStorage=external\n", 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct findings l = {};

                make_node(&(struct change) { .path = "proc/sys/kernel/core_pattern", .content = "|/x/systemd-coredump %P" });
                make_file("etc/systemd/coredump.conf", cases[i].text);
                find_leaks(top, &l);
                assert_int_equal(l.n, cases[i].n);
                findings_release(&l);
        }
}

/* Nothing there at all: what is not known to be good is said, nothing is read past its end. */
static void empty_root(void **state _unused_) {
        struct findings l = {};

        nftw(top, remove_one, 16, FTW_DEPTH|FTW_PHYS);
        find_leaks(top, &l);
        assert_int_equal(l.n, 1);
        assert_int_equal(l.list[0].kind, FINDING_INIT_ON_FREE);
        findings_release(&l);
        assert_int_equal(backing_of_path(top, "/x"), BACKING_UNKNOWN);
        assert_int_equal(backing_of_path(top, "/dev/x"), BACKING_UNKNOWN);
}

static int set_up(void **state _unused_) {
        return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state _unused_) {
        nftw(top, remove_one, 16, FTW_DEPTH|FTW_PHYS);
        return rmdir(top);
}

int main(void) {
        struct CMUnitTest tests[ELEMENTSOF(changes) + 2] = {
                cmocka_unit_test(storage_none), cmocka_unit_test(empty_root),
        };

        for (size_t i = 0; i < ELEMENTSOF(changes); i++)
                tests[2 + i] = (struct CMUnitTest) {
                        .name = changes[i].name, .test_func = finds, .initial_state = (void *) (changes + i),
                };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
