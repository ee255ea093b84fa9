/* SPDX-License-Identifier: Apache-2.0 */
#include "holders.h"

#include "common/child.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Who opens half a million descriptors must not keep us from the others: the first look is at so many of each. */
#define SHALLOW_DESCRIPTORS 4096u
/* A process with its memory locked for long (one that waits for a file system of a user's own in the middle of a page fault)
 * does not let its maps be read. So many are passed over, each after that long. */
#define STUCK_MAX 4u
#define STUCK_MSEC 500

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

static unsigned uses_of_task(int task, const struct mounts *mounts, const struct stack *stack, bool deep) {
        unsigned how = uses_by_fd(task, mounts, stack, deep ? UINT32_MAX : SHALLOW_DESCRIPTORS);

        if (uses_by_path(task, mounts))
                how |= HOLDER_PATH;
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

struct volume_question {
        const struct mounts *mounts;
        const struct stack *stack;
        bool deep;
};

static unsigned ask_open(int proc, const char *pid, const void *userdata) {
        _cleanup_(closep) int process = openat(proc, pid, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        const struct volume_question *q = userdata;

        return process < 0 ? 0 : uses_of_process(process, q->mounts, q->stack, q->deep);
}

static unsigned ask_maps(int proc, const char *pid, const void *userdata) {
        _cleanup_(closep) int process = openat(proc, pid, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

        return process >= 0 && uses_by_map(process, userdata) ? HOLDER_MAP : 0;
}

static unsigned ask_namespace(int proc, const char *pid, const void *userdata) {
        struct stat st;
        char path[64];

        snprintf(path, sizeof(path), "%s/ns/mnt", pid);
        return fstatat(proc, path, &st, 0) >= 0 && st.st_ino == *(const uint64_t *) userdata ? HOLDER_NAMESPACE : 0;
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

int holders_find(const struct mounts *mounts, const struct stack *stack, bool deep, struct holders *ret) {
        int r;

        r = holders_find_open(mounts, stack, deep, ret);
        return r < 0 ? r : holders_find_maps(stack, ret);
}

int holders_find_in_namespace(uint64_t ns, struct holders *ret) {
        const struct holders_question q = question(ask_namespace, &ns);

        return holders_ask(&q, add_found, ret);
}
