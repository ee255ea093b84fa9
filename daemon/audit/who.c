/* SPDX-License-Identifier: Apache-2.0 */
#include "who.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/mountinfo.h"
#include "common/our-units.h"
#include "mount-table.h"

#define CACHE_SIZE 64u
#define FILEID_KERNFS 0xfe         /* linux/exportfs.h: a cgroup's handle is its id */

struct process {
        uint32_t tgid;
        uint64_t start_boottime_ns;
        char kernel_exe[CMKD_EXE_SIZE];    /* these change with exec: then the entry is stale */
        uint64_t exe_ino;
        uint32_t exe_dev;
        char exe[WHO_PATH_MAX];
};

struct group {
        uint64_t id;
        char path[WHO_PATH_MAX];
};

struct who {
        int cgroup_fd;
        uint64_t tick_ns;
        unsigned next_process, next_group;
        struct mount_table mounts;
        struct process processes[CACHE_SIZE];
        struct group groups[CACHE_SIZE];
};

int who_new(struct who **ret) {
        struct who *w = calloc(1, sizeof(*w));

        if (!w)
                return -ENOMEM;
        w->tick_ns = NSEC_PER_SEC / (uint64_t) sysconf(_SC_CLK_TCK);
        w->mounts = (struct mount_table) MOUNT_TABLE_NONE;
        w->cgroup_fd = open("/sys/fs/cgroup", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        *ret = w;
        return 0;
}

struct who *who_free(struct who *w) {
        if (!w)
                return NULL;
        safe_close(w->cgroup_fd);
        mount_table_done(&w->mounts);
        free(w);
        return NULL;
}

void who_exe_from_event(const struct cmkd_event *e, char *buf, size_t size) {
        unsigned n = 0;
        size_t used;

        *buf = 0;
        if (!e->exe[0])
                return;
        while (n < CMKD_EXE_DIRS && e->exe_dir[n][0] && e->exe_dir[n][0] != '/')
                n++;
        snprintf(buf, size, n < CMKD_EXE_DIRS && e->exe_dir[n][0] == '/' ? "/" : ".../");
        while (n-- > 0) {
                used = strlen(buf);
                snprintf(buf + used, size - used, "%.*s/", CMKD_EXE_DIR_SIZE, e->exe_dir[n]);
        }
        used = strlen(buf);
        snprintf(buf + used, size - used, "%.*s", CMKD_EXE_SIZE, e->exe);
}

bool who_cgroup_is_ours(const char *cgroup) {
        /* Anybody may name a cgroup so below one that was delegated: only slices may stand before it */
        for (const char *p = cgroup; *p == '/' && !startswith(p, "/user.slice/"); ) {
                size_t n = strcspn(++p, "/");

                if (our_unit(p, n))
                        return true;
                if (n < 6 || strncmp(p + n - 6, ".slice", 6) != 0)
                        return false;
                p += n;
        }
        return false;
}

/* Field 22 of /proc/PID/stat, behind the command's closing parenthesis, which the command may hold itself. */
static int start_ticks(uint32_t pid, uint64_t *ret) {
        _cleanup_(freep) char *text = NULL;
        char path[64], *p;
        int r;

        snprintf(path, sizeof(path), "/proc/%" PRIu32 "/stat", pid);
        r = read_small_file(path, 4096, &text, NULL);
        if (r < 0)
                return r;
        p = strrchr(text, ')');
        for (unsigned i = 2; p && i < 22; i++)
                p = strchr(p + 1, ' ');
        if (!p)
                return -EBADMSG;
        *ret = strtoull(p + 1, NULL, 10);
        return 0;
}

/* A mount of a namespace of the process's own is in its table only. What a file system's server is asked here is nothing that it has to
 * answer. */
static bool is_in_file_system(struct who *w, const struct cmkd_event *e, int fd, uint64_t mount_id) {
        _cleanup_(freep) char *theirs = NULL;
        const char *text;
        struct statx sx;
        uint32_t dev;

        if (statx(fd, "", AT_EMPTY_PATH|AT_STATX_DONT_SYNC, STATX_TYPE, &sx) >= 0 &&
            CMKD_KERNEL_DEV(sx.stx_dev_major, sx.stx_dev_minor) == e->exe_dev)
                return true;
        text = mount_table_text(&w->mounts);
        if (text && mount_table_dev(text, mount_id, &dev) >= 0)
                return dev == e->exe_dev;
        return mount_table_read(e->tgid, &theirs) >= 0 && mount_table_dev(theirs, mount_id, &dev) >= 0 && dev == e->exe_dev;
}

/* The file that fd, opened with O_PATH, is of is the one that ran. */
static bool is_file_of(struct who *w, const struct cmkd_event *e, int fd) {
        _cleanup_(freep) char *text = NULL;
        uint64_t ino, mount_id;
        char path[64];

        if (e->exe_dev == 0)
                return true;
        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        return read_small_file(path, 4096, &text, NULL) >= 0 && fdinfo_number(text, "ino:", UINT64_MAX, &ino) >= 0 &&
               fdinfo_number(text, "mnt_id:", UINT64_MAX, &mount_id) >= 0 && ino == e->exe_ino &&
               is_in_file_system(w, e, fd, mount_id);
}

static bool read_exe(struct who *w, const struct cmkd_event *e, char *buf, size_t size) {
        _cleanup_(closep) int fd = -EBADF;
        char path[64], *base;
        uint64_t ticks;
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%" PRIu32 "/exe", e->tgid);
        fd = open(path, O_PATH|O_CLOEXEC);
        if (fd < 0)
                return false;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        n = readlink(path, buf, size - 1);
        if (n <= 0)
                return false;
        buf[n] = 0;
        base = strrchr(buf, '/');
        /* The same process, and not behind an exec that came after the event */
        return base && strncmp(base + 1, e->exe, strnlen(e->exe, sizeof(e->exe) - 1)) == 0 &&
               start_ticks(e->tgid, &ticks) >= 0 && ticks == e->start_boottime_ns / w->tick_ns && is_file_of(w, e, fd);
}

/* The kernel's names begin at the root of the file system, wherever that is mounted. */
static void kernel_exe(struct who *w, const struct cmkd_event *e, char *buf, size_t size) {
        char path[WHO_PATH_MAX];
        const char *text;

        who_exe_from_event(e, path, sizeof(path));
        snprintf(buf, size, "%s", path);
        if (e->exe_dev == 0 || *path != '/')
                return;
        text = mount_table_text(&w->mounts);
        if (!text || !mount_table_place(text, e->exe_dev, path, buf, size))
                snprintf(buf, size, "...%s", path);
}

static void resolve_exe(struct who *w, const struct cmkd_event *e, struct who_names *ret) {
        struct process *p;

        ret->exe_from_proc = true;
        for (unsigned i = 0; i < CACHE_SIZE; i++) {
                p = w->processes + i;
                if (p->tgid == e->tgid && p->start_boottime_ns == e->start_boottime_ns &&
                    p->exe_ino == e->exe_ino && p->exe_dev == e->exe_dev &&
                    strncmp(p->kernel_exe, e->exe, sizeof(p->kernel_exe)) == 0) {
                        memcpy(ret->exe, p->exe, sizeof(ret->exe));
                        return;
                }
        }
        if (!read_exe(w, e, ret->exe, sizeof(ret->exe))) {
                ret->exe_from_proc = false;
                kernel_exe(w, e, ret->exe, sizeof(ret->exe));
                return;
        }
        p = w->processes + w->next_process++ % CACHE_SIZE;
        p->tgid = e->tgid;
        p->start_boottime_ns = e->start_boottime_ns;
        p->exe_ino = e->exe_ino;
        p->exe_dev = e->exe_dev;
        memcpy(p->kernel_exe, e->exe, sizeof(p->kernel_exe));
        memcpy(p->exe, ret->exe, sizeof(p->exe));
}

static int open_cgroup(const struct who *w, uint64_t id) {
        union { struct file_handle h; char space[sizeof(struct file_handle) + sizeof(uint64_t)]; } u = {};
        int fd;

        u.h.handle_bytes = sizeof(id);
        u.h.handle_type = FILEID_KERNFS;
        memcpy(u.h.f_handle, &id, sizeof(id));
        fd = open_by_handle_at(w->cgroup_fd, &u.h, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* A directory that somebody still has open can be opened after its end, and is empty. */
static bool is_removed(int fd) {
        return faccessat(fd, "cgroup.procs", F_OK, 0) < 0 && errno != EACCES;
}

/* What the kernel says of the path of what is not there any more; a group may be called so too. */
static void take_off_deleted(char *path, int fd) {
        static const char deleted[] = " (deleted)";
        size_t n = strlen(path), k = sizeof(deleted) - 1;

        if (n > k && streq(path + n - k, deleted) && is_removed(fd))
                path[n - k] = 0;
}

static int read_cgroup(const struct who *w, uint64_t id, char *buf, size_t size) {
        _cleanup_(closep) int fd = open_cgroup(w, id);
        char path[64], target[WHO_PATH_MAX];
        const char *below;
        ssize_t n;

        if (fd < 0)
                return fd;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
                return -errno;
        target[n] = 0;
        take_off_deleted(target, fd);
        below = startswith(target, "/sys/fs/cgroup");
        if (!below)
                return -ENOENT;
        snprintf(buf, size, "%s", *below ? below : "/");
        return 0;
}

bool who_cgroup(struct who *w, uint64_t id, char ret[static WHO_PATH_MAX]) {
        struct group *g;

        for (unsigned i = 0; i < CACHE_SIZE; i++) {
                g = w->groups + i;
                if (id != 0 && g->id == id) {
                        memcpy(ret, g->path, WHO_PATH_MAX);
                        return true;
                }
        }
        if (w->cgroup_fd < 0 || read_cgroup(w, id, ret, WHO_PATH_MAX) < 0) {
                ret[0] = 0;
                return false;
        }
        g = w->groups + w->next_group++ % CACHE_SIZE;
        g->id = id;
        memcpy(g->path, ret, sizeof(g->path));
        return true;
}

bool who_cgroup_is_gone(const struct who *w, uint64_t id) {
        _cleanup_(closep) int fd = -EBADF;
        struct statfs sfs;

        /* Other file systems do not know the handle either */
        if (w->cgroup_fd < 0 || fstatfs(w->cgroup_fd, &sfs) < 0 || sfs.f_type != CGROUP2_SUPER_MAGIC)
                return false;
        fd = open_cgroup(w, id);
        return fd < 0 ? fd == -ESTALE : is_removed(fd);
}

bool who_program_is_ours(const char *exe) {
        /* What is gone from /proc already has no more of its path than the kernel's names of three directories */
        static const char *const places[] = { "/usr/lib/cmkd/", ".../usr/lib/cmkd/", "/lib/cmkd/" };

        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                if (startswith(exe, places[i]))
                        return true;
        return false;
}

/* Whoever is root may move into our cgroup: one of our programs counts, in it. Without systemd (an initramfs) all share one
 * cgroup: the path counts, if /proc vouches for it. */
void who_resolve(struct who *w, const struct cmkd_event *e, struct who_names *ret) {
        resolve_exe(w, e, ret);
        if (!who_cgroup(w, e->cgroup_id, ret->cgroup) && e->cgroup[0])
                snprintf(ret->cgroup, sizeof(ret->cgroup), ".../%.*s", CMKD_CGROUP_LEAF_SIZE, e->cgroup);
        ret->ours = who_program_is_ours(ret->exe) &&
                    (who_cgroup_is_ours(ret->cgroup) ||
                     (ret->exe_from_proc && (!ret->cgroup[0] || streq(ret->cgroup, "/"))));
}
