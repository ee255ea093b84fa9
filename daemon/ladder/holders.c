/* SPDX-License-Identifier: Apache-2.0 */
#include "holders.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/our-units.h"

#define PF_KTHREAD 0x00200000u

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

/* The executable of a process in our own mount namespace cannot be a stranger's at the path of one of ours; who runs one
 * may be, but not as root. */
static bool is_program_of_ours(int proc, const char *pid) {
        char path[64], exe[256];
        struct stat theirs, ours;
        ssize_t n;

        if (fstatat(proc, pid, &theirs, 0) < 0 || theirs.st_uid != 0)
                return false;
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
        static const char *const slices[] = { "/system.slice/", "/cmkd.slice/cmkd-breaker.slice/" };

        for (char *line; (line = strsep(&text, "\n"));) {
                const char *path = startswith(line, "0::");
                const char *named = strchr(line, ':');

                if (!path && named)
                        path = startswith(named, ":name=systemd:");
                for (size_t i = 0; path && i < ELEMENTSOF(slices); i++) {
                        const char *unit = startswith(path, slices[i]);

                        if (unit && our_unit(unit, strlen(unit)))
                                return true;
                }
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
static bool is_protected(int proc, const char *name, const struct holders_question *q, pid_t pid) {
        return pid == 1 || pid == q->self || pid == q->parent || is_program_of_ours(proc, name) ||
               is_in_our_cgroup(proc, name);
}

int holders_ask(const struct holders_question *q, int (*tell)(const struct holder *h, void *userdata), void *userdata) {
        _cleanup_(closedirp) DIR *d = opendir("/proc");
        struct dirent *e;
        int r = 0;

        if (!d)
                return -errno;
        while (r >= 0 && (e = readdir(d))) {
                struct process_stat st;
                struct holder h = {};
                uint64_t pid;

                if (parse_u64(e->d_name, INT32_MAX, &pid) < 0 || (pid_t) pid <= q->after || (pid_t) pid == q->self ||
                    (pid_t) pid == getpid() || read_stat(dirfd(d), e->d_name, &st) < 0 || (st.flags & PF_KTHREAD))
                        continue;
                h.how = q->ask(dirfd(d), e->d_name, q->userdata);
                if (h.how == 0)
                        continue;
                h.pid = (pid_t) pid;
                h.start_time = st.start_time;
                h.is_protected = is_protected(dirfd(d), e->d_name, q, h.pid);
                memcpy(h.comm, st.comm, sizeof(h.comm));
                r = tell(&h, userdata);
        }
        return r;
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
