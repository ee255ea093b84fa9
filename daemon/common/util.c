/* SPDX-License-Identifier: Apache-2.0 */
#include "util.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int safe_close(int fd) {
        if (fd >= 0) {
                int saved = errno;

                close(fd);
                errno = saved;
        }
        return -EBADF;
}

size_t control_length(const char *s) {
        const unsigned char *u = (const unsigned char *) s;

        if (u[0] == 0xc2 && u[1] >= 0x80 && u[1] <= 0x9f)
                return 2;
        if (u[0] == 0xe2 && ((u[1] == 0x80 && u[2] >= 0xaa && u[2] <= 0xae) || (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9)))
                return 3;
        return u[0] != 0 && (u[0] < ' ' || u[0] == 127);
}

void replace_controls(char *s) {
        char *to = s;

        while (*s) {
                size_t n = control_length(s);

                *to++ = n > 0 ? '?' : *s;
                s += MAX_OF(n, (size_t) 1);
        }
        *to = 0;
}

void replace_unprintable(char *s) {
        for (; *s; s++)
                if ((unsigned char) *s < ' ' || (unsigned char) *s >= 127)
                        *s = '?';
}

int free_and_strdup(char **p, const char *s) {
        char *copy = NULL;

        if (s) {
                copy = strdup(s);
                if (!copy)
                        return -ENOMEM;
        }
        free(*p);
        *p = copy;
        return 0;
}

int read_exact(int fd, void *buf, size_t size) {
        uint8_t *p = buf;

        while (size > 0) {
                ssize_t n = read(fd, p, size);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (n == 0)
                        return -EPIPE;
                p += n;
                size -= (size_t) n;
        }
        return 0;
}

int pwrite_all(int fd, const void *data, size_t size, uint64_t offset) {
        const uint8_t *p = data;

        while (size > 0) {
                ssize_t n = pwrite(fd, p, size, (off_t) offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                p += n;
                offset += (uint64_t) n;
                size -= (size_t) n;
        }
        return 0;
}

int write_all(int fd, const void *buf, size_t size) {
        const uint8_t *p = buf;

        while (size > 0) {
                ssize_t n = write(fd, p, size);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                p += n;
                size -= (size_t) n;
        }
        return 0;
}

int read_small_file(const char *path, size_t max, char **ret, size_t *ret_size) {
        _cleanup_(freep) char *buf = NULL;
        _cleanup_(closep) int fd = -EBADF;
        size_t n = 0;

        fd = open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY);
        if (fd < 0)
                return -errno;
        buf = malloc(max + 1);
        if (!buf)
                return -ENOMEM;
        for (;;) {
                ssize_t k = read(fd, buf + n, max + 1 - n);

                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (k == 0)
                        break;
                n += (size_t) k;
                if (n > max)
                        return -E2BIG;
        }
        buf[n] = 0;
        *ret = TAKE_PTR(buf);
        if (ret_size)
                *ret_size = n;
        return 0;
}

static int fsync_parent(const char *path) {
        _cleanup_(freep) char *dir = strdup(path);
        _cleanup_(closep) int fd = -EBADF;
        char *slash;

        if (!dir)
                return -ENOMEM;
        slash = strrchr(dir, '/');
        if (slash)
                slash[slash == dir] = 0;
        fd = open(slash ? dir : ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return -errno;
        return 0;
}

int write_file_atomic(const char *path, const void *data, size_t size, mode_t mode) {
        _cleanup_(freep) char *tmp = NULL;
        _cleanup_(closep) int fd = -EBADF;
        int r;

        if (asprintf(&tmp, "%s.XXXXXX", path) < 0) {
                tmp = NULL;
                return -ENOMEM;
        }
        fd = mkostemp(tmp, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = write_all(fd, data, size);
        if (r >= 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(tmp, path) < 0))
                r = -errno;
        if (r < 0) {
                unlink(tmp);
                return r;
        }
        return fsync_parent(path);
}

/* Standard output or error, where it goes to that file; else -EBADF. */
static int standard_fd(const struct stat *file) {
        struct stat st;

        for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
                if (fstat(fd, &st) >= 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino)
                        return fd;
        return -EBADF;
}

int write_output(const char *path, const void *data, size_t size, mode_t mode) {
        _cleanup_(freep) char *real = NULL;
        _cleanup_(closep) int fd = -EBADF;
        int nofollow = O_NOFOLLOW;
        struct stat st;

        if (lstat(path, &st) < 0)
                return write_file_atomic(path, data, size, mode);
        if (S_ISLNK(st.st_mode)) {
                if ((st.st_uid != 0 && st.st_uid != geteuid()) || stat(path, &st) < 0)
                        return write_file_atomic(path, data, size, mode);
                nofollow = 0;
                real = realpath(path, NULL);
        }
        if (S_ISREG(st.st_mode) && standard_fd(&st) >= 0)
                return write_all(standard_fd(&st), data, size);
        if (S_ISREG(st.st_mode) && (real || nofollow))
                return write_file_atomic(real ?: path, data, size, mode);
        if (S_ISBLK(st.st_mode))
                return -ENOTSUP;
        /* what is there now may be another one */
        fd = open(path, O_WRONLY|O_CLOEXEC|O_NOCTTY|nofollow);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (S_ISBLK(st.st_mode) || (S_ISREG(st.st_mode) && (nofollow || ftruncate(fd, 0) < 0)))
                return -ENOTSUP;
        return write_all(fd, data, size);
}

int mkdir_parents(const char *path, mode_t mode) {
        _cleanup_(freep) char *copy = strdup(path);

        if (!copy)
                return -ENOMEM;
        if (mkdir(copy, mode) >= 0 || errno == EEXIST)
                return 0;
        for (char *p = strchr(copy + 1, '/'); ; p = strchr(p + 1, '/')) {
                if (p)
                        *p = 0;
                if (mkdir(copy, mode) < 0 && errno != EEXIST)
                        return -errno;
                if (!p)
                        return 0;
                *p = '/';
        }
}

static uint64_t clock_usec(clockid_t id) {
        struct timespec ts;

        clock_gettime(id, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / NSEC_PER_USEC;
}

struct instant instant_now(void) {
        return (struct instant) {
                .boottime_usec = clock_usec(CLOCK_BOOTTIME),
                .realtime_usec = clock_usec(CLOCK_REALTIME),
        };
}

uint64_t now_boottime_usec(void) {
        return clock_usec(CLOCK_BOOTTIME);
}

uint64_t now_monotonic_usec(void) {
        return clock_usec(CLOCK_MONOTONIC);
}

int parse_u64(const char *s, uint64_t max, uint64_t *ret) {
        uint64_t v = 0;

        if (!*s)
                return -EINVAL;
        for (; *s; s++) {
                if (*s < '0' || *s > '9')
                        return -EINVAL;
                if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t) (*s - '0'), &v))
                        return -ERANGE;
        }
        if (v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}

int parse_span(const char *s, uint64_t *ret_usec) {
        static const struct { const char *unit; uint64_t usec; } units[] = {
                { "ms", USEC_PER_MSEC }, { "min", 60 * USEC_PER_SEC }, { "s", USEC_PER_SEC },
                { "h", 3600 * USEC_PER_SEC }, { "d", 86400 * USEC_PER_SEC }, { "", USEC_PER_SEC },
        };
        uint64_t total = 0;

        s += strspn(s, " ");
        if (!*s)
                return -EINVAL;
        while (*s) {
                size_t digits = strspn(s, "0123456789"), letters, i;
                uint64_t v = 0;

                if (digits == 0)
                        return -EINVAL;
                for (i = 0; i < digits; i++)
                        if (__builtin_mul_overflow(v, 10, &v) ||
                            __builtin_add_overflow(v, (uint64_t) (s[i] - '0'), &v))
                                return -ERANGE;
                s += digits;
                letters = strspn(s, "abcdefghijklmnopqrstuvwxyz");
                for (i = 0; i < ELEMENTSOF(units); i++)
                        if (strlen(units[i].unit) == letters && strncmp(units[i].unit, s, letters) == 0)
                                break;
                if (i == ELEMENTSOF(units))
                        return -EINVAL;
                s += letters;
                s += strspn(s, " ");
                if (__builtin_mul_overflow(v, units[i].usec, &v) || __builtin_add_overflow(total, v, &total))
                        return -ERANGE;
        }
        if (total == USEC_INFINITY)
                return -ERANGE;
        *ret_usec = total;
        return 0;
}

bool volume_name_is_valid(const char *s) {
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
        size_t n;

        if (!s || *s == '.' || *s == '-')
                return false;
        n = strspn(s, allowed);
        return n > 0 && n <= 64 && s[n] == 0;
}

bool uuid_is_valid(const char *s) {
        if (!s || strlen(s) != 36)
                return false;
        for (size_t i = 0; i < 36; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;

                if (dash ? s[i] != '-' : !strchr("0123456789abcdef", s[i]))
                        return false;
        }
        return true;
}

static bool are_swapped(const char *a, const char *b) {
        return tolower((unsigned char) a[0]) == tolower((unsigned char) b[1]) && tolower((unsigned char) a[1]) == tolower((unsigned char) b[0]);
}

size_t word_distance(const char *a, const char *b) {
        size_t n = strlen(b), rows[3][64], *before = rows[0], *above = rows[1], *row = rows[2];

        if (n >= ELEMENTSOF(rows[0]))
                return SIZE_MAX;
        for (size_t j = 0; j <= n; j++)
                above[j] = j;
        for (size_t i = 1; a[i - 1]; i++) {
                size_t *oldest = before;

                row[0] = i;
                for (size_t j = 1; j <= n; j++) {
                        bool differ = tolower((unsigned char) a[i - 1]) != tolower((unsigned char) b[j - 1]);
                        size_t shift = MIN_OF(above[j], row[j - 1]) + 1, same = above[j - 1] + differ;

                        row[j] = MIN_OF(shift, same);
                        if (i > 1 && j > 1 && are_swapped(a + i - 2, b + j - 2))
                                row[j] = MIN_OF(row[j], before[j - 2] + 1);
                }
                before = above;
                above = row;
                row = oldest;
        }
        return above[n];
}

bool words_are_near(const char *a, const char *b) {
        size_t n = strlen(a), m = strlen(b);

        return word_distance(a, b) <= (n > m ? n : m) / 3;
}

void random_bytes(void *buf, size_t size) {
        uint8_t *p = buf;

        while (size > 0) {
                ssize_t n = getrandom(p, size, 0);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        abort();
                }
                p += n;
                size -= (size_t) n;
        }
}

uint64_t random_up_to(uint64_t max) {
        uint32_t r;

        random_bytes(&r, sizeof(r));
        return (uint64_t) (((__uint128_t) max * r + UINT32_MAX / 2) / UINT32_MAX);
}

void random_uuid(char ret[static 37]) {
        uint8_t b[16];

        random_bytes(b, sizeof(b));
        b[6] = (uint8_t) ((b[6] & 0x0f) | 0x40);
        b[8] = (uint8_t) ((b[8] & 0x3f) | 0x80);
        snprintf(ret, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}
