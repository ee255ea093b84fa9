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

static int compare(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return (x > y) - (x < y);
}

static int append(uint64_t **list, size_t *n, uint64_t first) {
        uint64_t *bigger;

        if ((*n & (*n - 1)) == 0) {                /* full: its size is a power of two */
                bigger = reallocarray(*list, *n > 0 ? 2 * *n : 1, sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                *list = bigger;
        }
        (*list)[(*n)++] = first;
        return 0;
}

int segments_list(int dir_fd, const char *stem, uint64_t after, uint64_t **ret, size_t *ret_n) {
        _cleanup_(closedirp) DIR *d = NULL;
        _cleanup_(freep) uint64_t *list = NULL;
        int fd = openat(dir_fd, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC), r = 0;
        struct dirent *e;
        size_t n = 0;

        if (fd < 0)
                return -errno;
        d = fdopendir(fd);
        if (!d) {
                safe_close(fd);
                return -ENOMEM;
        }
        while (r >= 0 && (e = readdir(d))) {
                uint64_t first;

                if (segment_parse(stem, e->d_name, &first) >= 0 && first > after)
                        r = append(&list, &n, first);
        }
        if (r < 0)
                return r;
        if (n > 1)
                qsort(list, n, sizeof(*list), compare);
        *ret = TAKE_PTR(list);
        *ret_n = n;
        return 0;
}
