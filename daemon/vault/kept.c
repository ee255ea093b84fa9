/* SPDX-License-Identifier: Apache-2.0 */
#include "kept.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define KEPT_MAX 64u                    /* FileDescriptorStoreMax= of the unit */
#define FIRST_FD 3

static struct {
        pthread_mutex_t lock;
        int notify_fd;
        struct { char name[KEPT_NAME_MAX + 1]; int fd; } list[KEPT_MAX];
        size_t n;
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER, .notify_fd = -EBADF };

static int open_notify(void) {
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        _cleanup_(closep) int fd = -EBADF;
        size_t n = path ? strlen(path) : 0;

        if (n == 0 || n >= sizeof(sa.sun_path) || (*path != '/' && *path != '@'))
                return -EBADF;
        memcpy(sa.sun_path, path, n);
        if (*path == '@')
                sa.sun_path[0] = 0;
        fd = socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &sa, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n)) < 0)
                return -EBADF;
        return TAKE_FD(fd);
}

/* Under the lock. Takes the descriptor over. */
static int remember(const char *name, int fd) {
        for (size_t i = 0; i < kept.n; i++)
                if (streq(kept.list[i].name, name)) {
                        safe_close(kept.list[i].fd);
                        kept.list[i].fd = fd;
                        return 0;
                }
        if (kept.n == KEPT_MAX || strlen(name) > KEPT_NAME_MAX) {
                safe_close(fd);
                return -ENOSPC;
        }
        snprintf(kept.list[kept.n].name, sizeof(kept.list[kept.n].name), "%s", name);
        kept.list[kept.n++].fd = fd;
        return 0;
}

/* LISTEN_FDNAMES: one name for each, the listening socket's first. */
static void take_passed(void) {
        const char *fds = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES"), *pid = getenv("LISTEN_PID");
        _cleanup_(freep) char *copy = names ? strdup(names) : NULL;
        char *rest = copy, *name;
        uint64_t n, owner;

        if (!copy || !fds || !pid || parse_u64(fds, KEPT_MAX + 1, &n) < 0 || parse_u64(pid, INT32_MAX, &owner) < 0 ||
            (pid_t) owner != getpid())
                return;
        for (uint64_t i = 0; i < n && (name = strsep(&rest, ":")); i++) {
                int fd = FIRST_FD + (int) i;

                if (i > 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) >= 0)
                        (void) remember(name, fd);
        }
}

void kept_open(void) {
        kept.notify_fd = open_notify();
        take_passed();
}

int kept_get(const char *name, struct secret **ret) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        ssize_t n = -ENOENT;
        int r;

        r = secret_new(SECRET_MAX, &s);
        if (r < 0)
                return r;
        pthread_mutex_lock(&kept.lock);
        for (size_t i = 0; i < kept.n; i++)
                if (streq(kept.list[i].name, name))
                        n = recv(kept.list[i].fd, secret_data(s), SECRET_MAX, MSG_PEEK|MSG_DONTWAIT|MSG_TRUNC);
        pthread_mutex_unlock(&kept.lock);
        if (n <= 0 || (size_t) n > SECRET_MAX)
                return n == -ENOENT ? -ENOENT : -EBADMSG;
        secret_shrink(s, (size_t) n);
        *ret = TAKE_PTR(s);
        return 0;
}

/* Tells systemd, with a descriptor or without (negative). */
static int notify(const char *text, int fd) {
        union { char space[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = {};
        struct iovec iov = { .iov_base = (char *) text, .iov_len = strlen(text) };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (kept.notify_fd < 0)
                return -ENOTCONN;
        if (fd >= 0) {
                m.msg_control = control.space;
                m.msg_controllen = sizeof(control.space);
                *CMSG_FIRSTHDR(&m) = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
                memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof(fd));
        }
        return sendmsg(kept.notify_fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* FDPOLL=0: its other end is closed, which is no reason to let go of it. */
int kept_put(const char *name, const struct secret *s) {
        char forget[128], keep[128];
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        r = send(fds[0], secret_cdata(s), secret_size(s), MSG_NOSIGNAL) == (ssize_t) secret_size(s) ? 0 : -EIO;
        safe_close(fds[0]);
        if (r < 0) {
                safe_close(fds[1]);
                return r;
        }
        snprintf(forget, sizeof(forget), "FDSTOREREMOVE=1\nFDNAME=%s", name);
        snprintf(keep, sizeof(keep), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
        pthread_mutex_lock(&kept.lock);
        r = notify(forget, -EBADF);
        if (r >= 0)
                r = notify(keep, fds[1]);
        if (remember(name, fds[1]) < 0)
                r = -ENOSPC;
        pthread_mutex_unlock(&kept.lock);
        return r;
}

int kept_exit_status(void) {
        bool any;

        pthread_mutex_lock(&kept.lock);
        any = kept.n > 0 && kept.notify_fd >= 0;
        pthread_mutex_unlock(&kept.lock);
        return any ? KEPT_EXIT_STATUS : EXIT_SUCCESS;
}
