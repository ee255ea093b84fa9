/* SPDX-License-Identifier: Apache-2.0 */

/* USES and AWAIT: who and what is on a volume, for a plan that is printed and for an orderly end; nothing is changed. */

#include "dm.h"

#include "common/uses.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINE_SIZE 48000u
#define AWAIT_MIN_USEC (200 * USEC_PER_MSEC)
#define AWAIT_MAX_USEC (2 * USEC_PER_SEC)

/* The list as it grows. One line too many is no error: the totals say that there was more. */
struct list {
        int fd;
        size_t size;
        uint64_t total[_USE_KIND_MAX];
        char line[LINE_SIZE];
};

static void add(struct list *l, const struct use *u) {
        int n;

        if (l->total[u->kind]++ >= USES_LISTED_MAX)
                return;
        n = use_line_format(u, l->line, sizeof(l->line));
        /* room is left for the last line */
        if (n < 0 || l->size + (size_t) n > USES_TEXT_MAX - 256 || write_all(l->fd, l->line, (size_t) n) < 0)
                return;
        l->size += (size_t) n;
}

/* As they are unmounted: what was mounted last goes first; our own namespace before the others. */
static void add_mounts(struct list *l, const struct usage *u) {
        for (unsigned round = 0; round < 2; round++)
                for (size_t i = u->mounts.n; i > 0; i--) {
                        const struct mount *m = &u->mounts.m[i - 1];
                        bool own = m->ns == u->mounts.own_ns;

                        if ((m->on_volume || m->below_volume) && own == (round == 0))
                                add(l, &(struct use) { USE_MOUNT, m->on_volume ? 0 : USE_BELOW, own ? 0 : (uint32_t) m->pid,
                                                       m->line.point, m->line.source });
                }
}

static void add_swap(const char *path, void *userdata) {
        add(userdata, &(struct use) { USE_SWAP, 0, 0, path, "" });
}

/* The control group that systemd has it in: of cgroup v1 the hierarchy of its own. */
static void find_cgroup(pid_t pid, char *buf, size_t size) {
        _cleanup_(freep) char *text = NULL;
        char path[64];

        *buf = 0;
        snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
        if (read_small_file(path, 65536, &text, NULL) < 0)
                return;
        for (char *line, *p = text; (line = strsep(&p, "\n"));) {
                const char *group = startswith(line, "0::"), *named = strchr(line, ':');

                if (!group && named)
                        group = startswith(named, ":name=systemd:");
                if (group && strlen(group) < size)
                        memcpy(buf, group, strlen(group) + 1);
        }
}

static int add_processes(struct list *l, const struct usage *u, bool deep) {
        _cleanup_(holders_free) struct holders found = {};
        char group[4096];
        int r;

        r = holders_find(&u->mounts, &u->stack, deep, &found);
        for (size_t i = 0; i < found.n; i++) {
                const struct holder *h = &found.h[i];

                find_cgroup(h->pid, group, sizeof(group));
                add(l, &(struct use) { USE_PROCESS, h->is_protected ? USE_PROTECTED : 0, (uint32_t) h->pid,
                                       *h->comm ? h->comm : "?", group });
        }
        return r;
}

/* "vg-lv", "dm-3 252:3"; where it has no other name than the kernel's, that one. */
static void add_device(struct list *l, const struct mapping *m, const struct stack_device *d) {
        char path[64], target[256], extra[320];
        const char *kernel;
        struct dm_info info;
        ssize_t n;

        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", d->major, d->minor);
        n = readlink(path, target, sizeof(target) - 1);
        target[MAX_OF(n, (ssize_t) 0)] = 0;
        kernel = strrchr(target, '/') ? strrchr(target, '/') + 1 : "?";
        snprintf(extra, sizeof(extra), "%s %u:%u", kernel, d->major, d->minor);
        if (dm_query_dev(m->control, d->major, d->minor, &info) < 0 || !*info.name)
                snprintf(info.name, sizeof(info.name), "%.*s", (int) sizeof(info.name) - 1, kernel);
        add(l, &(struct use) { USE_DEVICE, 0, d->depth, info.name, extra });
}

/* The highest first. Devices of number 0:N are file systems, which are mounts. */
static void add_devices(struct list *l, const struct mapping *m, const struct stack *s) {
        unsigned deepest = 0;

        for (size_t i = 0; i < s->n; i++)
                deepest = MAX_OF(deepest, s->d[i].depth);
        for (unsigned depth = deepest + 1; depth-- > 0;)
                for (size_t i = 0; i < s->n; i++)
                        if (s->d[i].depth == depth && s->d[i].major > 0)
                                add_device(l, m, &s->d[i]);
}

int op_uses(const struct disk_request *q, int in_fd _unused_, int *ret_fd, struct disk_reply *y) {
        _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
        _cleanup_(freep) struct list *l = calloc(1, sizeof(*l));
        _cleanup_(usage_done) struct usage u = {};
        _cleanup_(closep) int fd = -EBADF;
        int n, r;

        if (!l)
                return -ENOMEM;
        r = mapping_find(&m, q, y);
        if (r >= 0)
                r = usage_find(&u, &m, y);
        if (r < 0)
                return r;
        fd = l->fd = memfd_create("uses", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (m.present) {
                add_mounts(l, &u);
                (void) usage_for_each_swap(&u, add_swap, l);
                r = add_processes(l, &u, q->flags & DISK_FLAG_DEEP);
                if (r < 0)
                        return op_fail(y, r, EXIT_CODE_FAILED, "The users of %s cannot be found: %s", q->name, strerror(-r));
                add_devices(l, &m, &u.stack);
        }
        n = uses_total_format(l->total, l->line, sizeof(l->line));
        r = n < 0 ? n : write_all(fd, l->line, (size_t) n);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static unsigned count_signalled(const struct holders *s) {
        unsigned n = 0;

        for (size_t i = 0; i < s->n; i++)
                n += !s->h[i].is_protected;
        return n;
}

/* Who only closes his files is found by looking again, ever less often. */
int op_await(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        for (uint64_t wait = AWAIT_MIN_USEC;; wait = MIN_OF(wait * 2, AWAIT_MAX_USEC)) {
                _cleanup_(mapping_done) struct mapping m = MAPPING_NONE;
                _cleanup_(holders_free) struct holders found = {};
                _cleanup_(usage_done) struct usage u = {};
                unsigned sent = 0;
                int r;

                r = usage_open(&m, &u, q, y);
                if (r <= 0)
                        return r;
                r = holders_find(&u.mounts, &u.stack, false, &found);
                if (r >= 0 && count_signalled(&found) == 0)
                        return 0;
                if (r >= 0)
                        r = holders_signal(&found, 0, wait, &sent, NULL);
                if (r < 0)
                        return op_fail(y, r, EXIT_CODE_FAILED, "The users of %s cannot be found: %s", q->name, strerror(-r));
        }
}
