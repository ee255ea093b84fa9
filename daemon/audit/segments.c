/* SPDX-License-Identifier: Apache-2.0 */
#include "segments.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>

#define DIGITS 20u

int segment_name(const char *stem, uint64_t first, char *ret, size_t size) {
        return snprintf(ret, size, "%s-%020" PRIu64 SEGMENT_SUFFIX, stem, first) < (int) size ? 0 : -ENAMETOOLONG;
}

int segment_parse(const char *stem, const char *name, uint64_t *ret_first) {
        const char *p = startswith(name, stem);
        char number[DIGITS + 1];
        uint64_t first;

        if (!p || *p != '-' || strspn(p + 1, "0123456789") != DIGITS || !streq(p + 1 + DIGITS, SEGMENT_SUFFIX))
                return -EINVAL;
        snprintf(number, sizeof(number), "%s", p + 1);
        p = number + strspn(number, "0");
        if (parse_u64(*p ? p : "0", UINT64_MAX - 1, &first) < 0 || first == 0)
                return -EINVAL;
        *ret_first = first;
        return 0;
}

/* Largest: of all; else the smallest above after. */
static int find(int dir_fd, const char *stem, bool largest, uint64_t after, uint64_t *ret_first) {
        int fd = openat(dir_fd, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        struct dirent *e;
        uint64_t best = 0;
        DIR *d;

        if (fd < 0)
                return -errno;
        d = fdopendir(fd);
        if (!d) {
                safe_close(fd);
                return -ENOMEM;
        }
        while ((e = readdir(d))) {
                uint64_t n;

                if (segment_parse(stem, e->d_name, &n) < 0 || n <= after)
                        continue;
                if (best == 0 || (largest ? n > best : n < best))
                        best = n;
        }
        closedir(d);
        if (best == 0)
                return 0;
        *ret_first = best;
        return 1;
}

int segments_next(int dir_fd, const char *stem, uint64_t after, uint64_t *ret_first) {
        return find(dir_fd, stem, false, after, ret_first);
}

int segments_last(int dir_fd, const char *stem, uint64_t *ret_first) {
        return find(dir_fd, stem, true, 0, ret_first);
}
