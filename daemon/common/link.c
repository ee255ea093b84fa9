/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

union one_fd {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(sizeof(int))];
};

int link_send_bytes(int sock, const void *data, size_t size, int fd) {
        struct iovec iov = { .iov_base = (void *) data, .iov_len = size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
        union one_fd control = {};
        ssize_t n;

        if (fd >= 0) {
                struct cmsghdr *h;

                m.msg_control = &control;
                m.msg_controllen = sizeof(control.space);
                h = CMSG_FIRSTHDR(&m);
                h->cmsg_level = SOL_SOCKET;
                h->cmsg_type = SCM_RIGHTS;
                h->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(h), &fd, sizeof(int));
        }
        do
                n = sendmsg(sock, &m, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

int link_send(int sock, const struct wire_frame *f, int fd) {
        return f->error != 0 ? f->error : link_send_bytes(sock, f->data, f->size, fd);
}

/* Takes the descriptor that came along, if one did. The padding of the control buffer has room for a second one: what
 * is more than one is closed here, none is lost. Returns 0 or -EBADMSG. */
static int take_descriptor(struct msghdr *m, int *ret) {
        size_t n_taken = 0;

        for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
                if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= h->cmsg_len; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
                        if (n_taken++ == 0)
                                *ret = fd;
                        else
                                safe_close(fd);
                }
        }
        return n_taken > 1 ? -EBADMSG : 0;
}

int link_receive_bytes(int sock, void *data, size_t size, size_t *ret_size, int *ret_fd) {
        struct iovec iov = { .iov_base = data, .iov_len = size };
        union one_fd control = {};
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space),
        };
        _cleanup_(closep) int fd = -EBADF;
        ssize_t n;
        int taken;

        do
                n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        taken = take_descriptor(&m, &fd);
        if (taken < 0)
                return taken;
        if (n == 0)
                return 0;
        if ((m.msg_flags & (MSG_TRUNC|MSG_CTRUNC)) || (fd >= 0 && !ret_fd))
                return -EBADMSG;
        *ret_size = (size_t) n;
        if (ret_fd)
                *ret_fd = TAKE_FD(fd);
        return 1;
}

int link_receive(int sock, struct wire_frame *f, struct wire_cursor *c, int *ret_fd) {
        _cleanup_(closep) int fd = -EBADF;
        int r;

        r = link_receive_bytes(sock, f->data, sizeof(f->data), &f->size, ret_fd ? &fd : NULL);
        if (r <= 0)
                return r;
        f->error = 0;
        r = wire_open(c, f->data, f->size);
        if (r < 0)
                return r;
        if (ret_fd)
                *ret_fd = TAKE_FD(fd);
        return 1;
}

static int socket_address(const char *path, struct sockaddr_un *ret) {
        *ret = (struct sockaddr_un) { .sun_family = AF_UNIX };
        if (strlen(path) >= sizeof(ret->sun_path))
                return -ENAMETOOLONG;
        strcpy(ret->sun_path, path);
        return 0;
}

int link_connect(const char *path, bool nonblock) {
        _cleanup_(closep) int fd = -EBADF;
        struct sockaddr_un sa;
        int r;

        r = socket_address(path, &sa);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC|(nonblock ? SOCK_NONBLOCK : 0), 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &sa, sizeof(sa)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int link_listen(const char *path, mode_t mode) {
        _cleanup_(closep) int fd = -EBADF;
        struct sockaddr_un sa;
        mode_t mask;
        int r;

        r = socket_address(path, &sa);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        mask = umask(~mode & 0777);
        r = bind(fd, (struct sockaddr *) &sa, sizeof(sa)) < 0 ? -errno : 0;
        umask(mask);
        if (r < 0)
                return r;
        if (listen(fd, 64) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int link_peer(int sock, uid_t *ret_uid, pid_t *ret_pid) {
        struct ucred cred;
        socklen_t size = sizeof(cred);

        if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
                return -errno;
        *ret_uid = cred.uid;
        *ret_pid = cred.pid;
        return 0;
}
