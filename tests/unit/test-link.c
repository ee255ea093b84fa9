/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/link.h"

static int pair[2];
static struct wire_frame f, g;

static int setup(void **state _unused_) {
        return socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC|SOCK_NONBLOCK, 0, pair);
}

static int teardown(void **state _unused_) {
        pair[0] = safe_close(pair[0]);
        pair[1] = safe_close(pair[1]);
        return 0;
}

static void fill(uint32_t id) {
        wire_start(&f, 7, id);
        wire_put_string(&f, "payload");
        assert_int_equal(wire_finish(&f), 0);
}

static int count_fds(void) {
        int n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void test_frames_keep_their_borders(void **state _unused_) {
        struct wire_cursor c;
        int fd = -4711;

        for (uint32_t i = 0; i < 3; i++) {
                fill(i);
                assert_int_equal(link_send(pair[0], &f, -EBADF), 0);
        }
        for (uint32_t i = 0; i < 3; i++) {
                assert_int_equal(link_receive(pair[1], &g, &c, &fd), 1);
                assert_int_equal(c.id, i);
                assert_int_equal(fd, -EBADF);
        }
        assert_int_equal(link_receive(pair[1], &g, &c, &fd), -EAGAIN);
}

static void test_end_and_gone(void **state _unused_) {
        struct wire_cursor c;

        pair[0] = safe_close(pair[0]);
        assert_int_equal(link_receive(pair[1], &g, &c, NULL), 0);
        fill(1);
        assert_int_equal(link_send(pair[1], &f, -EBADF), -EPIPE);      /* and no SIGPIPE */
}

static void test_full(void **state _unused_) {
        struct wire_cursor c;
        int n = 0, r;

        fill(1);
        while ((r = link_send(pair[0], &f, -EBADF)) == 0)
                assert_true(++n < 1000000);
        assert_int_equal(r, -EAGAIN);
        while (n-- > 0)
                assert_int_equal(link_receive(pair[1], &g, &c, NULL), 1);
        assert_int_equal(link_receive(pair[1], &g, &c, NULL), -EAGAIN);
}

static void test_descriptor(void **state _unused_) {
        _cleanup_(closep) int fd = -EBADF;
        int before = count_fds(), p[2];
        struct wire_cursor c;
        char byte = 0;

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        fill(1);
        assert_int_equal(link_send(pair[0], &f, p[1]), 0);
        assert_int_equal(link_receive(pair[1], &g, &c, &fd), 1);
        assert_true(fd >= 0 && fd != p[1]);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(write(fd, "x", 1), 1);
        assert_int_equal(read(p[0], &byte, 1), 1);
        assert_int_equal(byte, 'x');
        fd = safe_close(fd);
        /* where none is expected it is closed and the frame refused */
        assert_int_equal(link_send(pair[0], &f, p[1]), 0);
        assert_int_equal(link_receive(pair[1], &g, &c, NULL), -EBADMSG);
        /* with a bad frame it is closed too, and the caller's variable untouched */
        f.data[0] ^= 1;
        assert_int_equal(link_send(pair[0], &f, p[1]), 0);
        fd = -77;
        assert_int_equal(link_receive(pair[1], &g, &c, &fd), -EBADMSG);
        assert_int_equal(fd, -77);
        close(p[0]);
        close(p[1]);
        assert_int_equal(count_fds(), before);
}

static void test_two_descriptors(void **state _unused_) {
        union { struct cmsghdr h; uint8_t space[CMSG_SPACE(2 * sizeof(int))]; } control = {};
        struct iovec iov = { f.data, 0 };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                .msg_controllen = sizeof(control) };
        int before, fds[2] = { 0, 1 }, fd = -EBADF;
        struct wire_cursor c;

        fill(1);
        iov.iov_len = f.size;
        CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
        CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
        CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(fds));
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, sizeof(fds));
        before = count_fds();
        assert_int_equal(sendmsg(pair[0], &m, 0), (ssize_t) f.size);
        assert_int_equal(link_receive(pair[1], &g, &c, &fd), -EBADMSG);
        assert_int_equal(fd, -EBADF);
        assert_int_equal(count_fds(), before);
}

static void test_bad_frames(void **state _unused_) {
        static uint8_t big[WIRE_FRAME_MAX + 1];
        struct wire_cursor c;

        assert_int_equal(send(pair[0], "x", 1, 0), 1);
        assert_int_equal(link_receive(pair[1], &g, &c, NULL), -EBADMSG);
        fill(1);
        f.data[4] = 9;
        assert_int_equal(link_send(pair[0], &f, -EBADF), 0);
        assert_int_equal(link_receive(pair[1], &g, &c, NULL), -EPROTONOSUPPORT);
        /* one byte too long is not cut off and taken */
        wire_start(&f, 1, 1);
        while (f.size < WIRE_FRAME_MAX)
                wire_put_u8(&f, 0);
        assert_int_equal(wire_finish(&f), 0);
        memcpy(big, f.data, WIRE_FRAME_MAX);
        assert_int_equal(send(pair[0], big, sizeof(big), 0), (ssize_t) sizeof(big));
        assert_int_equal(link_receive(pair[1], &g, &c, NULL), -EBADMSG);
        assert_int_equal(link_send(pair[0], &f, -EBADF), 0);
        assert_int_equal(link_receive(pair[1], &g, &c, NULL), 1);
        /* a frame that did not come about is not sent */
        wire_put_u8(&f, 0);
        assert_int_equal(link_send(pair[0], &f, -EBADF), -EMSGSIZE);
        assert_int_equal(link_receive(pair[1], &g, &c, NULL), -EAGAIN);
}

static void test_listen_and_connect(void **state _unused_) {
        char dir[] = "/tmp/test-link.XXXXXX", path[64], longer[200];
        _cleanup_(closep) int listener = -EBADF, one = -EBADF, two = -EBADF;
        struct stat st;
        mode_t mask = umask(022), now;
        pid_t pid;
        uid_t uid;

        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/sock", dir);
        assert_int_equal(link_connect(path, true), -ENOENT);
        listener = link_listen(path, 0660);
        assert_true(listener >= 0);
        now = umask(mask);
        assert_int_equal(now, 022);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0660);
        one = link_connect(path, false);
        assert_true(one >= 0);
        assert_false(fcntl(one, F_GETFL) & O_NONBLOCK);
        two = accept(listener, NULL, NULL);
        assert_true(two >= 0);
        assert_int_equal(link_peer(two, &uid, &pid), 0);
        assert_int_equal(uid, geteuid());
        assert_int_equal(pid, getpid());
        safe_close(listener);
        assert_int_equal(link_connect(path, true), -ECONNREFUSED);
        listener = link_listen(path, 0600);               /* the stale one is replaced */
        assert_true(listener >= 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        memset(longer, 'x', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = 0;
        assert_int_equal(link_connect(longer, true), -ENAMETOOLONG);
        assert_int_equal(link_listen(longer, 0600), -ENAMETOOLONG);
        unlink(path);
        rmdir(dir);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_frames_keep_their_borders, setup, teardown),
                cmocka_unit_test_setup_teardown(test_end_and_gone, setup, teardown),
                cmocka_unit_test_setup_teardown(test_full, setup, teardown),
                cmocka_unit_test_setup_teardown(test_descriptor, setup, teardown),
                cmocka_unit_test_setup_teardown(test_two_descriptors, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_frames, setup, teardown),
                cmocka_unit_test(test_listen_and_connect),
        };
        return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
