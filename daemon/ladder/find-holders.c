/* SPDX-License-Identifier: Apache-2.0 */
#include "holders.h"
#include "tasks.h"

#include "common/child.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Who opens half a million descriptors must not keep us from the others: the first look is at so many of each. */
#define SHALLOW_DESCRIPTORS 4096u
/* A process with its memory locked for long (one that waits for a file system of a user's own in the middle of a page fault)
 * does not let its maps be read. So many are passed over, each after that long. */
#define STUCK_MAX 4u
#define STUCK_MSEC 500

/* So many different tables of descriptors (or sets of directories) of the threads of a process are told apart; what there is
 * beyond that may be looked at again. */
#define SEEN_MAX 256u
/* One whose threads have a table each does not keep us from the others for longer. */
#define PROCESS_USEC (1 * USEC_PER_SEC)
#define XFS_MAGIC 0x58465342u

struct volume_question {
        const struct mounts *mounts;
        const struct stack *stack;
        bool deep;
};

/* XFS that is shut down answers no stat(2). statfs(2) it does answer, and gives its device (fs/xfs/xfs_super.c), written as the
 * kernel's huge_encode_dev() does. */
static bool is_xfs_on(int fd, const struct stack *stack) {
        struct statfs st;
        uint32_t dev[2];

        if (fd < 0 || fstatfs(fd, &st) < 0 || (uint32_t) st.f_type != XFS_MAGIC)
                return false;
        memcpy(dev, &st.f_fsid, sizeof(dev));
        return stack_find(stack, dev[0] >> 8 & 0xfff, (dev[0] & 0xff) | (dev[0] >> 12 & 0xfff00));
}

/* What is open there, by its device: a node of one of the volume's, or a file on a mount that is in no namespace any more (not
 * known). Asked without waiting for remote file systems. path: "" for at itself. */
static unsigned uses_by_stat(int at, const char *path, bool known, const struct stack *stack) {
        _cleanup_(closep) int fd = -EBADF;
        struct statx st;

        if (statx(at, path, AT_STATX_DONT_SYNC|AT_NO_AUTOMOUNT|AT_EMPTY_PATH, STATX_TYPE, &st) < 0) {
                if (errno != EIO || known)
                        return 0;
                fd = *path ? openat(at, path, O_PATH|O_CLOEXEC) : -EBADF;
                return is_xfs_on(*path ? fd : at, stack) ? HOLDER_FD : 0;
        }
        if (S_ISBLK(st.stx_mode) && stack_find(stack, st.stx_rdev_major, st.stx_rdev_minor))
                return HOLDER_DEVICE;
        return stack_find(stack, st.stx_dev_major, st.stx_dev_minor) ? HOLDER_FD : 0;
}

/* task, here and below: directory of a thread. */
static bool uses_by_path(int task, const struct volume_question *q) {
        static const char *const names[] = { "cwd", "root", "exe" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(closep) int fd = openat(task, names[i], O_PATH|O_CLOEXEC);
                uint64_t id;

                if (fd < 0 || fd_mount_id(fd, &id) < 0)
                        continue;
                if (mounts_have_id(q->mounts, id) ||
                    (!mounts_know_id(q->mounts, id) && uses_by_stat(fd, "", false, q->stack) == HOLDER_FD))
                        return true;
        }
        return false;
}

static unsigned uses_by_fd(int task, const struct volume_question *q) {
        unsigned max = q->deep ? UINT32_MAX : SHALLOW_DESCRIPTORS, how = 0;
        _cleanup_(closedirp) DIR *d = NULL;
        struct dirent *e;
        int fd;

        fd = openat(task, "fdinfo", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        d = fd < 0 ? NULL : fdopendir(fd);
        while (how == 0 && max-- > 0 && d && (e = readdir(d))) {
                _cleanup_(closep) int info = -EBADF;
                char text[256], path[64];
                uint64_t id;
                bool known;
                ssize_t n;

                if (*e->d_name == '.')
                        continue;
                info = openat(fd, e->d_name, O_RDONLY|O_CLOEXEC);
                n = info < 0 ? -1 : read(info, text, sizeof(text) - 1);
                if (n <= 0)
                        continue;
                text[n] = 0;
                snprintf(path, sizeof(path), "fd/%.16s", e->d_name);
                known = fdinfo_mount_id(text, &id) >= 0 && mounts_know_id(q->mounts, id);
                if (known && mounts_have_id(q->mounts, id))
                        how = HOLDER_FD;
                else
                        how = uses_by_stat(task, path, known, q->stack);
        }
        return how;
}

/* Threads that were looked at, one for each table, in the order that kcmp(2) gives to tables. */
struct seen {
        pid_t tid[SEEN_MAX];
        size_t n;
};

/* Whether one of them has the same table as that thread, which becomes one of them otherwise. Where the kernel does not say (one of
 * them has ended; kcmp(2) is not there) none has. */
static bool seen_before(struct seen *s, pid_t tid, int type) {
        size_t low = 0;

        for (size_t high = s->n; low < high;) {
                size_t middle = low + (high - low) / 2;
                long order = syscall(SYS_kcmp, tid, s->tid[middle], type, 0, 0);

                if (order == 0)
                        return true;
                if (order == 1)
                        high = middle;
                else if (order == 2)
                        low = middle + 1;
                else
                        return false;
        }
        if (s->n < SEEN_MAX) {
                memmove(s->tid + low + 1, s->tid + low, (s->n - low) * sizeof(*s->tid));
                s->tid[low] = tid;
                s->n++;
        }
        return false;
}

/* A process, thread by thread. */
struct look {
        const struct volume_question *q;
        unsigned how;
        uint64_t until;
        struct seen files, directories;
};

static bool look_at_thread(int proc, const char *tid, void *userdata) {
        struct look *l = userdata;
        _cleanup_(closep) int task = -EBADF;
        uint64_t number;

        if (now_boottime_usec() >= l->until)
                return true;
        if (parse_u64(tid, INT32_MAX, &number) < 0 || !task_is_live(proc, tid))
                return false;
        task = openat(proc, tid, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        if (task < 0)
                return false;
        if (!seen_before(&l->files, (pid_t) number, KCMP_FILES))
                l->how |= uses_by_fd(task, l->q);
        if (!seen_before(&l->directories, (pid_t) number, KCMP_FS) && uses_by_path(task, l->q))
                l->how |= HOLDER_PATH;
        /* not deep: one of those that live is enough */
        return l->how != 0 || !l->q->deep;
}

static unsigned ask_open(int proc, const char *pid, const void *userdata) {
        struct look l = { .q = userdata, .until = now_boottime_usec() + PROCESS_USEC };

        if (!look_at_thread(proc, pid, &l) && tasks_count(proc, pid) > 1)
                (void) tasks_each(proc, pid, look_at_thread, &l);
        return l.how;
}

struct map_look {
        const struct stack *stack;       /* NULL: a ring of io_uring's */
        bool found;
};

static bool is_looked_for(const struct map_look *l, const char *line) {
        uint32_t major, minor;

        if (!l->stack)
                return strstr(line, " anon_inode:[io_uring]") != NULL;
        return maps_line_parse(line, &major, &minor) >= 0 && stack_find(l->stack, major, minor);
}

/* Returns true once there is an answer: all threads have the same memory, but one that has ended has none. */
static bool look_at_maps(int proc, const char *tid, void *userdata) {
        struct map_look *l = userdata;
        _cleanup_(fclosep) FILE *f = NULL;
        _cleanup_(freep) char *line = NULL;
        bool answered = false;
        size_t size = 0;
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "%s/maps", tid);
        fd = openat(proc, path, O_RDONLY|O_CLOEXEC);
        if (fd < 0)
                return false;
        f = fdopen(fd, "r");
        if (!f) {
                safe_close(fd);
                return false;
        }
        while (!l->found && getline(&line, &size, f) > 0) {
                answered = true;
                l->found = is_looked_for(l, line);
        }
        return answered;
}

static unsigned ask_maps(int proc, const char *pid, const void *userdata) {
        struct map_look l = { .stack = userdata };

        if (!look_at_maps(proc, pid, &l) && tasks_count(proc, pid) > 1)
                (void) tasks_each(proc, pid, look_at_maps, &l);
        return l.found ? HOLDER_MAP : 0;
}

static bool is_in_namespace(int proc, const char *tid, void *userdata) {
        struct stat st;
        char path[64];

        snprintf(path, sizeof(path), "%s/ns/mnt", tid);
        return fstatat(proc, path, &st, 0) >= 0 && st.st_ino == *(const uint64_t *) userdata;
}

static unsigned ask_namespace(int proc, const char *pid, const void *userdata) {
        uint64_t ns = *(const uint64_t *) userdata;

        return is_in_namespace(proc, pid, &ns) ||
               (tasks_count(proc, pid) > 1 && tasks_each(proc, pid, is_in_namespace, &ns)) ? HOLDER_NAMESPACE : 0;
}

static int add_found(const struct holder *h, void *userdata) {
        return holders_add(userdata, h);
}

static struct holders_question question(holders_asks ask, const void *userdata) {
        return (struct holders_question) { .ask = ask, .userdata = userdata, .self = getpid(), .parent = getppid() };
}

/* What the child of holders_ask_in_child() does: says before each process which it is, and what it found. */
struct teller {
        const struct holders_question *q;
        int pipe;
};

static int tell_found(const struct holder *h, void *userdata) {
        const struct teller *t = userdata;

        return write(t->pipe, h, sizeof(*h)) == (ssize_t) sizeof(*h) ? 0 : -EIO;
}

static unsigned tell_and_ask(int proc, const char *pid, const void *userdata) {
        const struct teller *t = userdata;
        struct holder h = {};
        uint64_t number;

        if (parse_u64(pid, INT32_MAX, &number) < 0)
                return 0;
        h.pid = (pid_t) number;
        (void) tell_found(&h, (void *) t);
        return t->q->ask(proc, pid, t->q->userdata);
}

static _Noreturn void child_main(const struct holders_question *q, int pipe) {
        struct teller t = { q, pipe };
        struct holders_question telling = *q;

        /* One that hangs must not keep our parent's socket open. */
        if (pipe != CHILD_SOCKET_FD)
                (void) close(CHILD_SOCKET_FD);
        telling.ask = tell_and_ask;
        telling.userdata = &t;
        _exit(holders_ask(&telling, tell_found, &t) < 0);
}

/* Returns 1 when the child came to its end, 0 when it says nothing more: *at is where. */
static int listen_to(int pipe, pid_t *at, struct holders *ret) {
        struct pollfd p = { pipe, POLLIN, 0 };
        struct holder h;
        int r;

        while (poll(&p, 1, STUCK_MSEC) > 0) {
                if (read(pipe, &h, sizeof(h)) != (ssize_t) sizeof(h))
                        return 1;
                *at = h.pid;
                r = h.how != 0 ? holders_add(ret, &h) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int ask_once(const struct holders_question *q, pid_t *at, struct holders *ret) {
        _cleanup_(closep) int ours = -EBADF, theirs = -EBADF;
        int pipefd[2], r;
        pid_t pid;

        if (pipe2(pipefd, O_CLOEXEC) < 0)
                return -errno;
        ours = pipefd[0];
        theirs = pipefd[1];
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                child_main(q, theirs);
        theirs = safe_close(theirs);
        r = listen_to(ours, at, ret);
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, r > 0 ? 0 : WNOHANG);
        return r;
}

int holders_ask_in_child(const struct holders_question *asked, struct holders *ret) {
        struct holders_question q = *asked;
        int r = 0;

        for (unsigned i = 0; i < STUCK_MAX && r == 0; i++) {
                pid_t at = q.after;

                r = ask_once(&q, &at, ret);
                q.after = MAX_OF(at, q.after + 1);
        }
        return r < 0 ? r : 0;
}

int holders_find_open(const struct mounts *mounts, const struct stack *stack, bool deep, struct holders *ret) {
        const struct volume_question volume = { mounts, stack, deep };
        const struct holders_question q = question(ask_open, &volume);

        return holders_ask(&q, add_found, ret);
}

int holders_find_maps(const struct stack *stack, struct holders *ret) {
        const struct holders_question q = question(ask_maps, stack);

        return holders_ask_in_child(&q, ret);
}

int holders_find_rings(struct holders *ret) {
        const struct holders_question q = question(ask_maps, NULL);

        return holders_ask_in_child(&q, ret);
}

int holders_find(const struct mounts *mounts, const struct stack *stack, bool deep, struct holders *ret) {
        int r;

        r = holders_find_open(mounts, stack, deep, ret);
        return r < 0 ? r : holders_find_maps(stack, ret);
}

int holders_find_in_namespace(uint64_t ns, struct holders *ret) {
        const struct holders_question q = question(ask_namespace, &ns);

        return holders_ask(&q, add_found, ret);
}
