/* SPDX-License-Identifier: Apache-2.0 */
#include "holders.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PF_KTHREAD 0x00200000u
/* Who opens half a million descriptors must not keep us from the others: the first look is at so many of each. */
#define SHALLOW_DESCRIPTORS 4096u

static inline void closedirp(DIR **d) { if (*d) closedir(*d); }

int maps_line_parse(const char *line, uint32_t *ret_major, uint32_t *ret_minor) {
        unsigned major, minor;

        if (sscanf(line, "%*x-%*x %*4s %*x %x:%x ", &major, &minor) != 2)
                return -EINVAL;
        *ret_major = major;
        *ret_minor = minor;
        return 0;
}

int process_stat_parse(const char *text, struct process_stat *ret) {
        const char *open = strchr(text, '('), *close = strrchr(text, ')');
        struct process_stat s = {};
        unsigned long long start;

        if (!open || !close || close < open || close[1] != ' ')
                return -EINVAL;
        if (sscanf(close + 2, "%c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                   &s.state, &s.flags, &start) != 3)
                return -EINVAL;
        s.start_time = start;
        for (size_t i = 0; i < sizeof(s.comm) - 1 && open + 1 + i < close; i++) {
                char c = open[1 + i];

                s.comm[i] = c >= ' ' && c < 127 ? c : '?';
        }
        *ret = s;
        return 0;
}

static int read_stat(int proc, const char *pid, struct process_stat *ret) {
        _cleanup_(closep) int fd = -EBADF;
        char path[64], text[1024];
        ssize_t n;

        snprintf(path, sizeof(path), "%s/stat", pid);
        fd = openat(proc, path, O_RDONLY|O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return -ESRCH;
        text[n] = 0;
        return process_stat_parse(text, ret);
}

int holders_add(struct holders *s, const struct holder *h) {
        for (size_t i = s->n; i > 0; i--)
                if (s->h[i - 1].pid == h->pid) {
                        s->h[i - 1].how |= h->how;
                        return 0;
                }
        if (s->n == s->size) {
                size_t size = MAX_OF(s->size * 2, (size_t) 32);
                struct holder *p = reallocarray(s->h, size, sizeof(*p));

                if (!p)
                        return -ENOMEM;
                s->h = p;
                s->size = size;
        }
        s->h[s->n++] = *h;
        return 0;
}

void holders_free(struct holders *s) {
        free(s->h);
        *s = (struct holders) {};
}

/* task: directory of a process or thread. */
static bool uses_by_path(int task, const struct mounts *mounts) {
        static const char *const names[] = { "cwd", "root", "exe" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(closep) int fd = openat(task, names[i], O_PATH|O_CLOEXEC);
                uint64_t id;

                if (fd >= 0 && fd_mount_id(fd, &id) >= 0 && mounts_have_id(mounts, id))
                        return true;
        }
        return false;
}

/* A descriptor that is not on a mount of the volume: a node of one of its devices, or a file on a mount that is in no
 * namespace any more. Asked without waiting for remote file systems. */
static unsigned uses_by_stat(int task, const char *fd_name, const struct stack *stack) {
        struct statx st;
        char path[64];

        snprintf(path, sizeof(path), "fd/%s", fd_name);
        if (statx(task, path, AT_STATX_DONT_SYNC|AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0)
                return 0;
        if (S_ISBLK(st.stx_mode) && stack_find(stack, st.stx_rdev_major, st.stx_rdev_minor))
                return HOLDER_DEVICE;
        return stack_find(stack, st.stx_dev_major, st.stx_dev_minor) ? HOLDER_FD : 0;
}

static unsigned uses_by_fd(int task, const struct mounts *mounts, const struct stack *stack, unsigned max) {
        _cleanup_(closedirp) DIR *d = NULL;
        struct dirent *e;
        unsigned how = 0;
        int fd;

        fd = openat(task, "fdinfo", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        d = fd < 0 ? NULL : fdopendir(fd);
        while (how == 0 && max-- > 0 && d && (e = readdir(d))) {
                _cleanup_(closep) int info = -EBADF;
                char text[256];
                uint64_t id;
                ssize_t n;

                if (*e->d_name == '.')
                        continue;
                info = openat(fd, e->d_name, O_RDONLY|O_CLOEXEC);
                n = info < 0 ? -1 : read(info, text, sizeof(text) - 1);
                if (n <= 0)
                        continue;
                text[n] = 0;
                if (fdinfo_mount_id(text, &id) >= 0 && mounts_have_id(mounts, id))
                        how |= HOLDER_FD;
                else
                        how |= uses_by_stat(task, e->d_name, stack);
        }
        return how;
}

static bool uses_by_map(int task, const struct stack *stack) {
        _cleanup_(fclosep) FILE *f = NULL;
        _cleanup_(freep) char *line = NULL;
        uint32_t major, minor;
        size_t size = 0;
        int fd;

        fd = openat(task, "maps", O_RDONLY|O_CLOEXEC);
        if (fd < 0)
                return false;
        f = fdopen(fd, "r");
        if (!f) {
                safe_close(fd);
                return false;
        }
        while (getline(&line, &size, f) > 0)
                if (maps_line_parse(line, &major, &minor) >= 0 && stack_find(stack, major, minor))
                        return true;
        return false;
}

/* The executable of a process in our own mount namespace cannot be a stranger's at the path of one of ours. */
static bool is_program_of_ours(int proc, const char *pid) {
        char path[64], exe[256];
        struct stat theirs, ours;
        ssize_t n;

        snprintf(path, sizeof(path), "%s/ns/mnt", pid);
        if (fstatat(proc, path, &theirs, 0) < 0 || fstatat(proc, "self/ns/mnt", &ours, 0) < 0 ||
            theirs.st_ino != ours.st_ino)
                return false;
        snprintf(path, sizeof(path), "%s/exe", pid);
        n = readlinkat(proc, path, exe, sizeof(exe) - 1);
        if (n <= 0)
                return false;
        exe[n] = 0;
        return startswith(exe, "/usr/lib/cmkd/cmkd") != NULL;
}

bool cgroup_is_ours(char *text) {
        static const char *const units[] = {
                "/system.slice/cmkd.service", "/system.slice/cmkd-vault.service", "/system.slice/cmkd-audit.service",
                "/cmkd.slice/cmkd-breaker.slice/cmkd-breaker.service",
        };

        for (char *line; (line = strsep(&text, "\n"));) {
                const char *path = startswith(line, "0::");
                const char *named = strchr(line, ':');

                if (!path && named)
                        path = startswith(named, ":name=systemd:");
                for (size_t i = 0; path && i < ELEMENTSOF(units); i++)
                        if (streq(path, units[i]))
                                return true;
        }
        return false;
}

static bool is_in_our_cgroup(int proc, const char *pid) {
        _cleanup_(closep) int fd = -EBADF;
        char path[64], text[8192];
        ssize_t n;

        snprintf(path, sizeof(path), "%s/cgroup", pid);
        fd = openat(proc, path, O_RDONLY|O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return false;
        text[n] = 0;
        return cgroup_is_ours(text);
}

/* The programs of an initramfs are in no unit's control group: they are told by their executables. */
static bool is_protected(int proc, const char *name, pid_t pid) {
        return pid == 1 || pid == getpid() || pid == getppid() || is_program_of_ours(proc, name) ||
               is_in_our_cgroup(proc, name);
}

static unsigned uses_of_task(int task, const struct mounts *mounts, const struct stack *stack, bool deep) {
        unsigned how = uses_by_fd(task, mounts, stack, deep ? UINT32_MAX : SHALLOW_DESCRIPTORS);

        if (uses_by_path(task, mounts))
                how |= HOLDER_PATH;
        if (uses_by_map(task, stack))
                how |= HOLDER_MAP;
        return how;
}

static unsigned uses_of_process(int process, const struct mounts *mounts, const struct stack *stack, bool deep) {
        _cleanup_(closedirp) DIR *d = NULL;
        unsigned how = uses_of_task(process, mounts, stack, deep);
        struct dirent *e;
        int fd;

        if (how != 0 || !deep)
                return how;
        fd = openat(process, "task", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        d = fd < 0 ? NULL : fdopendir(fd);
        while (how == 0 && d && (e = readdir(d))) {
                _cleanup_(closep) int task = -EBADF;

                if (*e->d_name == '.')
                        continue;
                task = openat(fd, e->d_name, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
                if (task >= 0)
                        how = uses_of_task(task, mounts, stack, deep);
        }
        return how;
}

typedef unsigned (*uses_function)(int proc, const char *pid, const void *userdata);

static int for_each_process(uses_function f, const void *userdata, struct holders *ret) {
        _cleanup_(closedirp) DIR *d = opendir("/proc");
        struct dirent *e;
        int r = 0;

        if (!d)
                return -errno;
        while (r >= 0 && (e = readdir(d))) {
                struct process_stat st;
                struct holder h = {};
                uint64_t pid;

                if (parse_u64(e->d_name, INT32_MAX, &pid) < 0 || read_stat(dirfd(d), e->d_name, &st) < 0 ||
                    (st.flags & PF_KTHREAD) || (pid_t) pid == getpid())
                        continue;
                h.how = f(dirfd(d), e->d_name, userdata);
                if (h.how == 0)
                        continue;
                h.pid = (pid_t) pid;
                h.start_time = st.start_time;
                h.is_protected = is_protected(dirfd(d), e->d_name, h.pid);
                memcpy(h.comm, st.comm, sizeof(h.comm));
                r = holders_add(ret, &h);
        }
        return r;
}

struct question {
        const struct mounts *mounts;
        const struct stack *stack;
        bool deep;
        uint64_t ns;
};

static unsigned ask_volume(int proc, const char *pid, const void *userdata) {
        _cleanup_(closep) int process = openat(proc, pid, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        const struct question *q = userdata;

        return process < 0 ? 0 : uses_of_process(process, q->mounts, q->stack, q->deep);
}

static unsigned ask_namespace(int proc, const char *pid, const void *userdata) {
        const struct question *q = userdata;
        struct stat st;
        char path[64];

        snprintf(path, sizeof(path), "%s/ns/mnt", pid);
        return fstatat(proc, path, &st, 0) >= 0 && st.st_ino == q->ns ? HOLDER_NAMESPACE : 0;
}

int holders_find(const struct mounts *mounts, const struct stack *stack, bool deep, struct holders *ret) {
        const struct question q = { .mounts = mounts, .stack = stack, .deep = deep };

        return for_each_process(ask_volume, &q, ret);
}

int holders_find_in_namespace(uint64_t ns, struct holders *ret) {
        const struct question q = { .ns = ns };

        return for_each_process(ask_namespace, &q, ret);
}

void holders_describe(const struct holders *s, char *buf, size_t size) {
        size_t n = 0;

        *buf = 0;
        for (size_t i = 0; i < s->n; i++) {
                int k;

                if (size - n < 64) {
                        (void) snprintf(buf + n, size - n, " and %zu more", s->n - i);
                        return;
                }
                k = snprintf(buf + n, size - n, "%s%s (%d)", i > 0 ? ", " : "", s->h[i].comm, s->h[i].pid);
                n += k > 0 ? (size_t) k : 0;
        }
}
