/* SPDX-License-Identifier: Apache-2.0 */
#include "secret-file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

static int refuse(const char **ret_why, int r, const char *why) {
        *ret_why = why;
        return r;
}

/* Straight into the secret; the file is small, and may grow meanwhile. */
static int read_into(int fd, struct secret *s, size_t *ret_size) {
        size_t n = 0;
        ssize_t k;

        while (n < secret_size(s)) {
                k = read(fd, secret_data(s) + n, secret_size(s) - n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0) {
                        *ret_size = n;
                        return 0;
                }
                n += (size_t) k;
        }
        return -EBADMSG;
}

int secret_file_read(const char *path, unsigned flags, struct secret **ret, const char **ret_why) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        _cleanup_(closep) int fd = -EBADF;
        struct stat st;
        size_t n = 0;
        int r;

        fd = open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY|O_NONBLOCK|(flags & SECRET_FILE_NO_LINK ? O_NOFOLLOW : 0));
        if (fd < 0 || fstat(fd, &st) < 0)
                return refuse(ret_why, -errno, errno == EACCES ? "the worker's user may not read it" : "it cannot be opened");
        if (!S_ISREG(st.st_mode))
                return refuse(ret_why, -EBADMSG, "it is not a regular file");
        if (flags & SECRET_FILE_PRIVATE && st.st_mode & 0007)
                return refuse(ret_why, -EACCES, "it is open to everybody: chmod o= it");
        r = secret_new(SECRET_MAX, &s);
        if (r < 0)
                return refuse(ret_why, r, "no memory for what stays secret");
        r = read_into(fd, s, &n);
        if (r < 0)
                return refuse(ret_why, r, r == -EBADMSG ? "it is too long" : "it cannot be read");
        while (n > 0 && strchr(" \t\r\n", secret_data(s)[n - 1]) && secret_data(s)[n - 1])
                n--;
        secret_data(s)[n] = 0;
        if (n == 0 || (flags & SECRET_FILE_PEM ? strlen((const char *) secret_cdata(s)) :
                                                 strspn((const char *) secret_cdata(s), CHARACTERS)) != n)
                return refuse(ret_why, -EBADMSG, n == 0 ? "it is empty" : "it has characters that such a value has not");
        secret_shrink(s, n + 1);
        *ret = TAKE_PTR(s);
        return 0;
}
