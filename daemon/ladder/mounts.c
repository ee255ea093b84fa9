/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"
#include "tasks.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int add_mount(struct mounts *s, const struct mount_line *line, uint64_t ns, pid_t pid) {
        if (s->n == s->size) {
                size_t size = MAX_OF(s->size * 2, (size_t) 256);
                struct mount *m = reallocarray(s->m, size, sizeof(*m));

                if (!m)
                        return -ENOMEM;
                s->m = m;
                s->size = size;
        }
        s->m[s->n++] = (struct mount) { .line = *line, .ns = ns, .pid = pid };
        return 0;
}

/* Takes over text. */
static int add_text(struct mounts *s, char *text, uint64_t ns, pid_t pid) {
        char **texts = reallocarray(s->texts, s->n_texts + 1, sizeof(*texts));
        struct mount_line line;
        char *p = text, *l;
        int r = 0;

        if (!texts) {
                free(text);
                return -ENOMEM;
        }
        s->texts = texts;
        s->texts[s->n_texts++] = text;
        while (r >= 0 && (l = strsep(&p, "\n")))
                if (mount_line_parse(l, &line) >= 0)
                        r = add_mount(s, &line, ns, pid);
        return r;
}

static bool has_ns(const struct mounts *s, uint64_t ns) {
        for (size_t i = s->n_namespaces; i > 0; i--)
                if (s->namespaces[i - 1] == ns)
                        return true;
        return false;
}

static int add_ns(struct mounts *s, uint64_t ns) {
        uint64_t *p = reallocarray(s->namespaces, s->n_namespaces + 1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        s->namespaces = p;
        s->namespaces[s->n_namespaces++] = ns;
        return 0;
}

static int read_mountinfo(struct mounts *s, int proc, const char *pid_name, uint64_t ns, pid_t pid) {
        _cleanup_(closep) int fd = -EBADF;
        char path[64], *text = NULL;
        int r;

        snprintf(path, sizeof(path), "%s/mountinfo", pid_name);
        fd = openat(proc, path, O_RDONLY|O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = mountinfo_read(fd, &text);
        if (r >= 0)
                r = add_text(s, text, ns, pid);
        return r < 0 ? r : add_ns(s, ns);
}

static int ns_of(int proc, const char *pid_name, uint64_t *ret) {
        struct stat st;
        char path[64];

        snprintf(path, sizeof(path), "%s/ns/mnt", pid_name);
        if (fstatat(proc, path, &st, 0) < 0)
                return -errno;
        *ret = st.st_ino;
        return 0;
}

int mounts_read_own(int proc, struct mounts *ret) {
        struct mounts s = {};
        int r;

        r = ns_of(proc, "self", &s.own_ns);
        if (r >= 0)
                r = read_mountinfo(&s, proc, "self", s.own_ns, getpid());
        if (r < 0)
                mounts_free(&s);
        else
                *ret = s;
        return r;
}

struct reading {
        struct mounts s;
        uint64_t last;
        int error;
};

static bool read_namespace(int proc, const char *tid, void *userdata) {
        struct reading *x = userdata;
        uint64_t number, ns;

        if (parse_u64(tid, INT32_MAX, &number) < 0 || ns_of(proc, tid, &ns) < 0 || ns == x->last)
                return false;
        x->last = ns;
        /* A thread that goes meanwhile leaves the namespace to the next one in it. */
        if (!has_ns(&x->s, ns) && read_mountinfo(&x->s, proc, tid, ns, (pid_t) number) == -ENOMEM)
                x->error = -ENOMEM;
        return x->error < 0;
}

int mounts_read(struct mounts *ret) {
        _cleanup_(closedirp) DIR *d = NULL;
        struct reading x = {};
        struct dirent *e;
        uint64_t pid;

        d = opendir("/proc");
        if (!d)
                return -errno;
        x.error = mounts_read_own(dirfd(d), &x.s);
        while (x.error >= 0 && (e = readdir(d)))
                if (parse_u64(e->d_name, INT32_MAX, &pid) >= 0 && !read_namespace(dirfd(d), e->d_name, &x) &&
                    tasks_count(dirfd(d), e->d_name) > 1)
                        (void) tasks_each(dirfd(d), e->d_name, read_namespace, &x);
        if (x.error < 0)
                mounts_free(&x.s);
        else
                *ret = x.s;
        return x.error;
}

void mounts_free(struct mounts *s) {
        for (size_t i = 0; i < s->n_texts; i++)
                free(s->texts[i]);
        free(s->texts);
        free(s->m);
        free(s->ids);
        free(s->known);
        free(s->namespaces);
        *s = (struct mounts) {};
}

const struct mount *mounts_find_path(const struct mounts *s, const char *path) {
        const struct mount *best = NULL;

        for (size_t i = 0; i < s->n; i++) {
                const struct mount *m = &s->m[i];

                /* Of two on the same point the later one is on top. */
                if (m->ns == s->own_ns && path_is_below(path, m->line.point) &&
                    (!best || strlen(m->line.point) >= strlen(best->line.point)))
                        best = m;
        }
        return best;
}

int fdinfo_mount_id(const char *text, uint64_t *ret) {
        return fdinfo_number(text, "mnt_id:", UINT32_MAX, ret) < 0 ? -ENODATA : 0;
}

int fd_mount_id(int fd, uint64_t *ret) {
        _cleanup_(freep) char *text = NULL;
        char path[64];
        int r;

        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        r = read_small_file(path, 65536, &text, NULL);
        return r < 0 ? r : fdinfo_mount_id(text, ret);
}

int mount_open_root(const struct mount *m) {
        struct open_how how = { .flags = O_RDONLY|O_CLOEXEC|O_NONBLOCK|O_NOCTTY, .resolve = RESOLVE_IN_ROOT };
        _cleanup_(closep) int root = -EBADF, fd = -EBADF;
        char path[64];
        uint64_t id;
        int r;

        snprintf(path, sizeof(path), "/proc/%d/root", m->pid);
        root = open(path, O_PATH|O_CLOEXEC|O_DIRECTORY);
        if (root < 0)
                return -errno;
        fd = (int) syscall(SYS_openat2, root, m->line.point, &how, sizeof(how));
        if (fd < 0)
                return -errno;
        r = fd_mount_id(fd, &id);
        if (r < 0)
                return r;
        return id == m->line.id ? TAKE_FD(fd) : -ESTALE;
}
