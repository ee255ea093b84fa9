/* SPDX-License-Identifier: Apache-2.0 */
#include "namespaces.h"

#include "common/child.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASSES_MAX 64

/* The directories on the way may be a user's, who can replace them meanwhile: no link is followed. A mount point's own path has
 * none. */
static int unmount_point(const char *point, int flags) {
        struct open_how how = { .flags = O_PATH|O_DIRECTORY|O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
        const char *name = strrchr(point, '/');
        _cleanup_(closep) int fd = -EBADF;
        char parent[PATH_MAX];
        int r;

        if (!name || (size_t) (name - point) >= sizeof(parent))
                return name ? -ENAMETOOLONG : -EINVAL;
        if (!name[1])
                return umount2(point, UMOUNT_NOFOLLOW | flags) < 0 ? -errno : 0;
        snprintf(parent, sizeof(parent), "%.*s", MAX_OF((int) (name - point), 1), point);
        fd = (int) syscall(SYS_openat2, AT_FDCWD, parent, &how, sizeof(how));
        if (fd < 0 || fchdir(fd) < 0)
                return -errno;
        r = umount2(name + 1, UMOUNT_NOFOLLOW | flags) < 0 ? -errno : 0;
        /* where we stand may be the next to go */
        return chdir("/") < 0 && r >= 0 ? -errno : r;
}

/* One pass over the mounts of the namespace we are in, from the last, which is the deepest or on top. Returns how many
 * went; ret_refused: the id of one that umount(2) did not take for a mount. */
static int unmount_pass(int proc, struct stack *stack, bool detach, uint64_t *ret_refused, int32_t *ret_error) {
        _cleanup_(mounts_free) struct mounts s = {};
        int r, gone = 0;

        r = mounts_read_own(proc, &s);
        if (r >= 0)
                r = mounts_mark(&s, stack);
        if (r < 0)
                return r;
        for (size_t i = s.n; i > 0; i--) {
                const struct mount *m = &s.m[i - 1];

                if (!m->on_volume && !m->below_volume)
                        continue;
                r = unmount_point(m->line.point, detach ? MNT_DETACH : 0);
                if (r >= 0) {
                        gone++;
                        continue;
                }
                if (!m->on_volume)
                        continue;
                *ret_error = r;
                if (r == -EINVAL)
                        *ret_refused = m->line.id;
        }
        return gone;
}

/* What is there now. A mount that was refused with EINVAL and is still there was there then: it is locked or covered.
 * One that is gone went by propagation from another namespace while we asked for it. */
static int count_left(int proc, struct stack *stack, uint64_t refused, struct namespace_result *ret) {
        _cleanup_(mounts_free) struct mounts s = {};
        int r;

        r = mounts_read_own(proc, &s);
        if (r >= 0)
                r = mounts_mark(&s, stack);
        if (r < 0)
                return r;
        ret->left = (uint32_t) s.n_ids;
        ret->is_locked = mounts_have_id(&s, refused);
        return 0;
}

static void unmount_here(int proc, const struct usage *u, bool detach, struct namespace_result *ret) {
        struct stack stack = u->stack;
        uint64_t refused = 0;
        int r = 1;

        for (unsigned i = 0; i < PASSES_MAX && r > 0; i++) {
                r = unmount_pass(proc, &stack, detach, &refused, &ret->error);
                if (r > 0)
                        ret->unmounted += (uint32_t) r;
        }
        if (r >= 0)
                r = count_left(proc, &stack, refused, ret);
        if (r < 0)
                ret->error = r;
        else if (ret->left == 0)
                ret->error = 0;
}

/* Locked mounts exist where a user namespace other than ours owns the mount namespace (mount_namespaces(7)). */
static bool is_foreign(int proc, int ns_fd) {
        _cleanup_(closep) int owner = -EBADF;
        struct stat theirs, ours;

        owner = ioctl(ns_fd, NS_GET_USERNS);
        return owner >= 0 && fstat(owner, &theirs) >= 0 && fstatat(proc, "self/ns/user", &ours, 0) >= 0 &&
               theirs.st_ino != ours.st_ino;
}

static _Noreturn void child_main(int proc, int ns_fd, const struct usage *u, bool detach,
                                 struct namespace_result *ret) {
        /* One that hangs must not keep our parent's socket open. */
        (void) close(CHILD_SOCKET_FD);
        if (ns_fd >= 0 && setns(ns_fd, CLONE_NEWNS) < 0)
                ret->error = -errno;
        else
                unmount_here(proc, u, detach, ret);
        ret->is_locked = ret->is_locked && ns_fd >= 0 && is_foreign(proc, ns_fd);
        _exit(0);
}

struct running {
        pid_t pid;
        int pidfd;
};

static int start_child(int proc, const struct usage *u, bool detach, struct namespace_result *shared,
                       struct running *ret) {
        _cleanup_(closep) int ns_fd = -EBADF;
        char path[64];

        if (shared->ns != u->mounts.own_ns) {
                snprintf(path, sizeof(path), "%d/ns/mnt", shared->pid);
                ns_fd = openat(proc, path, O_RDONLY|O_CLOEXEC);
                if (ns_fd < 0)
                        return -errno;
        }
        ret->pid = fork();
        if (ret->pid < 0)
                return -errno;
        if (ret->pid == 0)
                child_main(proc, ns_fd, u, detach, shared);
        ret->pidfd = (int) syscall(SYS_pidfd_open, ret->pid, 0);
        return ret->pidfd < 0 ? -errno : 0;
}

static void finish_child(struct running *c, uint64_t until, struct namespace_result *shared) {
        struct pollfd p = { c->pidfd, POLLIN, 0 };
        uint64_t now = now_boottime_usec();

        if (c->pidfd < 0)
                return;
        if (poll(&p, 1, now < until ? (int) ((until - now) / USEC_PER_MSEC) + 1 : 0) == 0) {
                (void) syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
                shared->error = -ETIMEDOUT;
                shared->left = MAX_OF(shared->left, 1u);
        } else
                (void) waitpid(c->pid, NULL, 0);
        c->pidfd = safe_close(c->pidfd);
}

/* The namespaces that have a mount of the volume in them. */
static void list_namespaces(const struct usage *u, struct namespaces *ret) {
        ret->own_ns = u->mounts.own_ns;
        for (size_t i = 0; i < u->mounts.n; i++) {
                const struct mount *m = &u->mounts.m[i];

                if (!m->on_volume || ret->n == NAMESPACES_MAX || (ret->n > 0 && ret->r[ret->n - 1].ns == m->ns))
                        continue;
                ret->r[ret->n++] = (struct namespace_result) { .ns = m->ns, .pid = m->pid };
        }
}

int namespaces_unmount(const struct usage *u, bool detach, uint64_t wait_usec, struct namespaces *ret) {
        uint64_t until = now_boottime_usec() + wait_usec;
        _cleanup_(freep) struct running *children = NULL;
        _cleanup_(closep) int proc = -EBADF;
        struct namespaces *shared;
        int r;

        proc = open("/proc", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        children = calloc(NAMESPACES_MAX, sizeof(*children));
        if (proc < 0 || !children)
                return proc < 0 ? -errno : -ENOMEM;
        shared = mmap(NULL, sizeof(*shared), PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
                return -errno;
        list_namespaces(u, shared);
        for (size_t i = 0; i < shared->n; i++) {
                children[i].pidfd = -EBADF;
                r = start_child(proc, u, detach, &shared->r[i], &children[i]);
                if (r < 0)
                        shared->r[i].error = r;
        }
        for (size_t i = 0; i < shared->n; i++)
                finish_child(&children[i], until, &shared->r[i]);
        *ret = *shared;
        (void) munmap(shared, sizeof(*shared));
        return 0;
}
