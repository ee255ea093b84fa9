/* SPDX-License-Identifier: Apache-2.0 */
#include "drill.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* cmkd makes it with the drill, and removes it. */
#define MOUNT_POINT "/run/cmkd/drill"
#define MARKER_BLOCKS 256u
#define READY_MSEC 120000
#define STOP_TRIES 500u
#define PAUSE_NSEC (20 * 1000 * 1000)      /* the node has other work to do, and a drill is to find it doing it */

/* ---- in the children ---- */

/* Says why and keeps quiet: the parent reads it and ends us. */
static void give_up(struct drill_page *p, const char *what) {
        p->error = errno ? errno : EIO;
        snprintf(p->what, sizeof(p->what), "%s", what);
}

/* It goes with its parent, and by nothing that a terminal or a service manager sends: what ends it is the cut. */
static void settle(pid_t parent) {
        static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };

        for (size_t i = 0; i < ELEMENTSOF(ignored); i++)
                signal(ignored[i], SIG_IGN);
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(1);
}

struct use {
        int fd;                          /* of what it holds; -EBADF: by other means */
        const uint8_t *map;
        uint8_t *block;                  /* aligned */
        const uint8_t *pattern;          /* a block of the marker */
        uint64_t offset;
};

static int begin(enum drill_holder h, struct use *u, const char *node) {
        switch (h) {
        case HOLDER_WRITER:
                u->fd = open(MOUNT_POINT "/written", O_RDWR|O_CREAT|O_CLOEXEC, 0600);
                return u->fd;
        case HOLDER_MAPPED:
                u->fd = open(MOUNT_POINT "/marker", O_RDONLY|O_CLOEXEC);
                u->map = u->fd < 0 ? MAP_FAILED : mmap(NULL, DRILL_BLOCK, PROT_READ, MAP_SHARED, u->fd, 0);
                u->fd = safe_close(u->fd);
                return u->map == MAP_FAILED ? -1 : 0;
        case HOLDER_CWD:
                return chdir(MOUNT_POINT);
        default:
                u->fd = open(node, O_RDONLY|O_DIRECT|O_CLOEXEC);
                return u->fd;
        }
}

static bool read_block(int fd, const struct use *u, uint64_t offset) {
        return pread(fd, u->block, DRILL_BLOCK, (off_t) offset) == (ssize_t) DRILL_BLOCK &&
               memcmp(u->block, u->pattern, DRILL_BLOCK) == 0;
}

static bool once(enum drill_holder h, const struct use *u) {
        switch (h) {
        case HOLDER_WRITER:
                return pwrite(u->fd, u->pattern, DRILL_BLOCK, 0) == (ssize_t) DRILL_BLOCK && fsync(u->fd) == 0;
        case HOLDER_MAPPED:
                return memcmp(u->map, u->pattern, DRILL_BLOCK) == 0;
        case HOLDER_CWD: {
                _cleanup_(closep) int fd = open("marker", O_RDONLY|O_CLOEXEC);

                return fd >= 0 && read_block(fd, u, 0);
        }
        default:
                return read_block(u->fd, u, u->offset);
        }
}

static bool noted(enum drill_holder h, const struct use *u, struct drill_use *note) {
        uint64_t now = now_boottime_usec();

        if (!once(h, u))
                return false;
        __atomic_store_n(&note->last_usec, now, __ATOMIC_RELEASE);
        __atomic_add_fetch(&note->n, 1, __ATOMIC_RELAXED);
        return true;
}

static _Noreturn void holder_main(struct drill_page *p, enum drill_holder h, const char *node,
                                  const uint8_t *pattern, pid_t keeper, int ready) {
        static const char *const names[_DRILL_HOLDER_MAX] = { "drill-writer", "drill-mapped", "drill-cwd", "drill-raw" };
        struct use u = { .fd = -EBADF, .pattern = pattern, .offset = p->offset };
        struct drill_use *note = p->uses + h;

        settle(keeper);
        (void) prctl(PR_SET_NAME, names[h]);
        u.block = aligned_alloc(DRILL_BLOCK, DRILL_BLOCK);
        errno = ENOMEM;
        if (!u.block || begin(h, &u, node) < 0 || !noted(h, &u, note)) {
                give_up(p, names[h]);
                (void) !write(ready, "x", 1);
                _exit(1);
        }
        (void) !write(ready, ".", 1);
        close(ready);
        for (;;) {
                (void) noted(h, &u, note);
                (void) nanosleep(&(struct timespec) { .tv_nsec = PAUSE_NSEC }, NULL);
        }
}

static int mount_private(const char *node) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL) < 0)
                return -1;
        /* Whatever mke2fs.conf has for others: its errors are no reason to panic. */
        return mount(node, MOUNT_POINT, "ext4", MS_NOSUID|MS_NODEV|MS_NOEXEC, "errors=continue");
}

/* Where on the mapping its first block is. */
static int find_block(int fd, uint64_t *ret) {
        struct { struct fiemap map; struct fiemap_extent extent; } f = {
                .map = { .fm_length = DRILL_BLOCK, .fm_flags = FIEMAP_FLAG_SYNC, .fm_extent_count = 1 },
        };

        if (ioctl(fd, FS_IOC_FIEMAP, &f.map) < 0)
                return -1;
        errno = ENODATA;
        if (f.map.fm_mapped_extents != 1 || (f.extent.fe_flags & FIEMAP_EXTENT_UNKNOWN))
                return -1;
        *ret = f.extent.fe_physical - f.extent.fe_logical;
        return 0;
}

static int write_marker(const uint8_t *pattern, uint64_t *ret_offset) {
        _cleanup_(closep) int fd = open(MOUNT_POINT "/marker", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

        for (unsigned i = 0; fd >= 0 && i < MARKER_BLOCKS; i++)
                if (pwrite_all(fd, pattern, DRILL_BLOCK, (uint64_t) i * DRILL_BLOCK) < 0)
                        return -1;
        return fd < 0 || fsync(fd) < 0 ? -1 : find_block(fd, ret_offset);
}

/* Notes who is gone, and when. */
static _Noreturn void reap(struct drill_page *p) {
        for (;;) {
                int status;
                pid_t pid = waitpid(-1, &status, 0);

                for (unsigned h = 0; pid > 0 && h < _DRILL_HOLDER_MAX; h++)
                        if (p->uses[h].pid == pid) {
                                p->uses[h].status = status;
                                __atomic_store_n(&p->uses[h].gone_usec, now_boottime_usec(), __ATOMIC_RELEASE);
                        }
                if (pid < 0)
                        pause();
        }
}

static int start_all(struct drill_page *p, const char *node, const uint8_t *pattern) {
        pid_t self = getpid();
        int fds[2];
        char byte;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -1;
        for (unsigned h = 0; h < _DRILL_HOLDER_MAX; h++) {
                pid_t pid = fork();

                if (pid == 0)
                        holder_main(p, (enum drill_holder) h, node, pattern, self, fds[1]);
                if (pid < 0)
                        return -1;
                p->uses[h].pid = pid;
        }
        close(fds[1]);
        for (unsigned h = 0; h < _DRILL_HOLDER_MAX; h++)
                if (read(fds[0], &byte, 1) != 1 || byte != '.')
                        return -1;
        close(fds[0]);
        return 0;
}

/* Has the namespace with the mount in it, and nothing else of the volume: nobody kills it, and the mount must go all the
 * same. */
static _Noreturn void keeper_main(struct drill_page *p, const char *node, const uint8_t *pattern, pid_t parent,
                                  int ready) {
        const char *what = NULL;

        settle(parent);
        (void) prctl(PR_SET_NAME, "drill-keeper");
        if (chdir("/") < 0 || mount_private(node) < 0)
                what = "mount";
        else if (write_marker(pattern, &p->offset) < 0)
                what = "write the marker";
        else if (start_all(p, node, pattern) < 0)
                what = "start the holders";
        if (what && p->error == 0)
                give_up(p, what);
        (void) !write(ready, what ? "x" : ".", 1);
        close(ready);
        reap(p);
}

/* ---- in the parent ---- */

/* Nothing of ours may be held by who outlives us for a moment: the loop device, the connection to cmkd. */
static void keep_only(int fd) {
        if (fd > 3)
                (void) close_range(3, (unsigned) fd - 1, 0);
        (void) close_range((unsigned) MAX_OF(fd + 1, 3), ~0u, 0);
}

static int make_file_system(const char *node) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                (void) close_range(3, ~0u, 0);
                (void) dup2(STDERR_FILENO, STDOUT_FILENO);
                (void) setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
                execlp("mkfs.ext4", "mkfs.ext4", "-q", "-F", "-E", "nodiscard", node, (char *) NULL);
                _exit(127);
        }
        while (pid > 0 && waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return fail(EXIT_CODE_FAILED, "mkfs.ext4: %s", strerror(errno));
        if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return EXIT_CODE_DONE;
        return fail(EXIT_CODE_FAILED, "mkfs.ext4 on %s failed%s", node,
                    pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127 ? ": is e2fsprogs installed?" : "");
}

static int wait_ready(const struct drill_holders *h) {
        struct pollfd p = { .fd = h->ready, .events = POLLIN };
        char byte = 0;
        int r;

        do
                r = poll(&p, 1, READY_MSEC);
        while (r < 0 && errno == EINTR);
        if (r > 0 && read(h->ready, &byte, 1) == 1 && byte == '.')
                return EXIT_CODE_DONE;
        return fail(EXIT_CODE_FAILED, "the drill's volume cannot be used: %s: %s",
                    *h->page->what ? h->page->what : "start",
                    h->page->error ? strerror(h->page->error) : r == 0 ? "not in time" : "its process ended");
}

int drill_holders_start(const char *node, const uint8_t *marker, struct drill_holders *ret) {
        uint8_t *pattern;
        pid_t self = getpid();
        int fds[2], code;
        void *p;

        code = make_file_system(node);
        if (code != EXIT_CODE_DONE)
                return code;
        p = mmap(NULL, sizeof(struct drill_page), PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0);
        pattern = malloc(DRILL_BLOCK);
        if (p == MAP_FAILED || !pattern || pipe2(fds, O_CLOEXEC) < 0) {
                free(pattern);
                return fail(EXIT_CODE_FAILED, "the drill's volume cannot be used: %s", strerror(errno));
        }
        for (size_t i = 0; i < DRILL_BLOCK; i += DRILL_MARKER_SIZE)
                memcpy(pattern + i, marker, DRILL_MARKER_SIZE);
        ret->page = p;
        ret->ready = fds[0];
        ret->page->keeper = fork();
        if (ret->page->keeper == 0) {
                keep_only(fds[1]);
                keeper_main(p, node, pattern, self, fds[1]);
        }
        close(fds[1]);
        free(pattern);
        return wait_ready(ret);
}

static bool is_over(const struct drill_page *p) {
        for (unsigned h = 0; h < _DRILL_HOLDER_MAX; h++)
                if (__atomic_load_n(&p->uses[h].gone_usec, __ATOMIC_ACQUIRE) == 0)
                        return false;
        return true;
}

bool drill_holders_wait(struct drill_holders *h, uint64_t timeout_usec) {
        uint64_t until = now_boottime_usec() + timeout_usec;

        while (!is_over(h->page)) {
                if (now_boottime_usec() > until)
                        return false;
                (void) nanosleep(&(struct timespec) { .tv_nsec = 10 * 1000 * 1000 }, NULL);
        }
        return true;
}

void drill_holders_stop(struct drill_holders *h) {
        if (!h->page)
                return;
        /* The others go with it: it is their parent, and the last of the namespace takes the mount along. One that hangs
         * in the kernel is left to it. */
        if (h->page->keeper > 0)
                (void) kill(h->page->keeper, SIGKILL);
        for (unsigned i = 0; h->page->keeper > 0 && i < STOP_TRIES && waitpid(h->page->keeper, NULL, WNOHANG) == 0; i++)
                (void) nanosleep(&(struct timespec) { .tv_nsec = 10 * 1000 * 1000 }, NULL);
        h->ready = safe_close(h->ready);
        (void) munmap(h->page, sizeof(*h->page));
        h->page = NULL;
}
