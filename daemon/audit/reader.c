/* SPDX-License-Identifier: Apache-2.0 */
#include "reader.h"

#include "segments.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_SIZE (RECORD_LINE_MAX + 1)

/* buf[begin, end) is what was read and not yet handed out. */
struct reader {
        int fd, dir_fd, inotify_fd;
        char stem[SEGMENT_NAME_MAX];       /* of the files' names; "": there is one file only */
        char name[SEGMENT_NAME_MAX];       /* of the file that is read */
        uint64_t first;                    /* in the name of the last segment that was begun; 0: none */
        bool active;                       /* fd is the file that is written to */
        uint64_t *segments;                /* after it, as the directory had them when it was read last */
        size_t n_segments, next_segment;
        unsigned files;
        uint64_t line;
        size_t begin, end, scanned;        /* no newline in [begin, scanned) */
        bool skipping;                     /* inside a line that was too long */
        char buf[BUFFER_SIZE];
};

struct reader *reader_free(struct reader *r) {
        if (!r)
                return NULL;
        safe_close(r->fd);
        safe_close(r->dir_fd);
        safe_close(r->inotify_fd);
        free(r->segments);
        free(r);
        return NULL;
}

static void active_name(const struct reader *r, char *ret) {
        snprintf(ret, SEGMENT_NAME_MAX, "%s" SEGMENT_SUFFIX, r->stem);
}

/* True if a name in the trail's directory is this file. */
static bool is_same(const struct reader *r, const char *name, int fd) {
        struct stat a, b;

        return fstatat(r->dir_fd, name, &a, AT_SYMLINK_NOFOLLOW) >= 0 && fstat(fd, &b) >= 0 && a.st_dev == b.st_dev &&
               a.st_ino == b.st_ino;
}

static void begin_file(struct reader *r, int fd, const char *name, uint64_t first) {
        safe_close(r->fd);
        r->inotify_fd = safe_close(r->inotify_fd);
        r->fd = fd;
        snprintf(r->name, sizeof(r->name), "%s", name);
        r->active = first == 0;
        if (first > 0)
                r->first = first;
        r->files++;
        r->line = r->begin = r->end = r->scanned = 0;
        r->skipping = false;
}

/* A trail's directory may be anybody's: no link, which could lead in a circle, and nothing that waits. Returns a descriptor, -EBADMSG (it is no
 * file) or -errno. */
static int open_file(const struct reader *r, const char *name) {
        _cleanup_(closep) int fd = openat(r->dir_fd, name, O_RDONLY|O_CLOEXEC|O_NOCTTY|O_NOFOLLOW|O_NONBLOCK);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        return S_ISREG(st.st_mode) ? TAKE_FD(fd) : -EBADMSG;
}

static int read_directory(struct reader *r) {
        free(TAKE_PTR(r->segments));
        r->n_segments = r->next_segment = 0;
        return segments_list(r->dir_fd, r->stem, r->first, &r->segments, &r->n_segments);
}

/* The segment after the one that was read last. The directory is read when those of its last reading are through, and when one of them
 * is not there any more. Returns 1, 0 (there is none), -errno. */
static int open_segment(struct reader *r, char name[static SEGMENT_NAME_MAX], uint64_t *ret_first, int *ret_fd) {
        bool fresh = false;

        for (;;) {
                uint64_t first;
                int k;

                if (r->next_segment == r->n_segments) {
                        k = read_directory(r);
                        if (k < 0 || r->n_segments == 0)
                                return k;
                        fresh = true;
                }
                first = r->segments[r->next_segment];
                k = segment_name(r->stem, first, name, SEGMENT_NAME_MAX);
                if (k < 0)
                        return k;
                k = open_file(r, name);
                if (k == -ENOENT && !fresh) {
                        r->next_segment = r->n_segments;
                        continue;
                }
                if (k < 0)
                        return k;
                *ret_first = first;
                *ret_fd = k;
                return 1;
        }
}

/* Opens the segment after the one that was read last; the file that is written to after all of them. What becomes a
 * segment meanwhile is one when it is looked for again; what has both names is the file that is written to. Returns 1, 0
 * (there is none), -errno. */
static int open_next(struct reader *r) {
        for (;;) {
                _cleanup_(closep) int fd = -EBADF, active = -EBADF;
                char name[SEGMENT_NAME_MAX], last[SEGMENT_NAME_MAX];
                uint64_t first = 0;
                int k;

                active_name(r, last);
                active = open_file(r, last);
                if (active < 0 && active != -ENOENT)
                        return active;
                k = open_segment(r, name, &first, &fd);
                if (k < 0)
                        return k;
                if (k > 0) {
                        if (active < 0 || !is_same(r, name, active)) {
                                begin_file(r, TAKE_FD(fd), name, first);
                                r->next_segment++;
                                return 1;
                        }
                        if (!is_same(r, last, active))
                                continue;          /* it has become one just now */
                }
                if (active < 0)
                        return 0;
                begin_file(r, TAKE_FD(active), last, 0);
                return 1;
        }
}

int reader_open(const char *path, struct reader **ret) {
        _cleanup_(reader_freep) struct reader *r = calloc(1, sizeof(*r));
        const char *base = strrchr(path, '/');
        char dir[PATH_MAX];
        size_t n;
        int k;

        if (!r)
                return -ENOMEM;
        r->fd = r->dir_fd = r->inotify_fd = -EBADF;
        base = base ? base + 1 : path;
        n = strlen(base);
        if (n <= strlen(SEGMENT_SUFFIX) || n >= SEGMENT_NAME_MAX - 32 ||
            !streq(base + n - strlen(SEGMENT_SUFFIX), SEGMENT_SUFFIX)) {
                k = open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY);
                if (k < 0)
                        return -errno;
                begin_file(r, k, base, 0);
                *ret = TAKE_PTR(r);
                return 0;
        }
        snprintf(r->stem, sizeof(r->stem), "%.*s", (int) (n - strlen(SEGMENT_SUFFIX)), base);
        if (snprintf(dir, sizeof(dir), "%.*s.", (int) (base - path), path) >= (int) sizeof(dir))
                return -ENAMETOOLONG;
        r->dir_fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        if (r->dir_fd < 0)
                return -errno;
        k = open_next(r);
        if (k <= 0)
                return k < 0 ? k : -ENOENT;
        *ret = TAKE_PTR(r);
        return 0;
}

uint64_t reader_line(const struct reader *r) {
        return r->line;
}

const char *reader_file(const struct reader *r) { return r->name; }
unsigned reader_files(const struct reader *r) { return r->files; }
uint64_t reader_segment(const struct reader *r) { return r->active ? 0 : r->first; }

size_t reader_partial(const struct reader *r) {
        return r->end - r->begin + (r->skipping ? BUFFER_SIZE : 0);
}

/* Moves what is left to the front and reads more. Returns 1, 0 at the end of the file, -ENOBUFS, -errno. */
static int fill(struct reader *r) {
        ssize_t n;

        if (r->begin > 0) {
                memmove(r->buf, r->buf + r->begin, r->end - r->begin);
                r->end -= r->begin;
                r->scanned -= r->begin;
                r->begin = 0;
        }
        if (r->end == sizeof(r->buf))
                return -ENOBUFS;
        do
                n = read(r->fd, r->buf + r->end, sizeof(r->buf) - r->end);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        r->end += (size_t) n;
        return n > 0;
}

/* At the end of the file that is written to: true if it has become a segment. */
static bool was_rotated(struct reader *r) {
        char name[SEGMENT_NAME_MAX];

        active_name(r, name);
        if (is_same(r, name, r->fd) || read_directory(r) < 0)
                return false;
        for (size_t i = 0; i < r->n_segments; i++)
                if (segment_name(r->stem, r->segments[i], name, sizeof(name)) >= 0 && is_same(r, name, r->fd)) {
                        r->first = r->segments[i];
                        r->next_segment = i + 1;
                        r->active = false;
                        snprintf(r->name, sizeof(r->name), "%s", name);
                        return true;
                }
        return false;
}

/* Goes on after the end of a file. Returns 1, 0 (not now), -errno; -EMSGSIZE: the file's last line has no end. */
static int next_file(struct reader *r) {
        if (!*r->stem || (r->active && !was_rotated(r)))
                return 0;
        if (fill(r) > 0)
                return 1;                          /* written after its end was seen and before it was rotated */
        if (!r->active && (r->skipping || reader_partial(r) > 0)) {
                r->begin = r->end = r->scanned = 0;
                r->skipping = false;
                r->line++;
                return -EMSGSIZE;
        }
        return open_next(r);
}

int reader_next_line(struct reader *r, const char **ret_line, size_t *ret_size) {
        for (;;) {
                char *newline = memchr(r->buf + r->scanned, '\n', r->end - r->scanned);
                int e;

                if (newline) {
                        size_t start = r->begin;

                        r->begin = r->scanned = (size_t) (newline - r->buf) + 1;
                        r->line++;
                        if (r->skipping) {
                                r->skipping = false;
                                return -EMSGSIZE;
                        }
                        *ret_line = r->buf + start;
                        *ret_size = (size_t) (newline - r->buf) - start;
                        return 1;
                }
                r->scanned = r->end;
                e = fill(r);
                if (e == -ENOBUFS) {
                        r->skipping = true;
                        r->begin = r->end = r->scanned = 0;
                        continue;
                }
                if (e == 0)
                        e = next_file(r);
                if (e <= 0)
                        return e;
        }
}

int reader_next(struct reader *r, struct record *ret) {
        const char *line;
        size_t size;
        int e;

        e = reader_next_line(r, &line, &size);
        if (e == -EMSGSIZE)
                return -EBADMSG;
        if (e <= 0)
                return e;
        e = record_decode(line, size, ret);
        return e < 0 ? e : 1;
}

int reader_wait(struct reader *r, int timeout_msec) {
        char path[64], buf[4096];
        struct pollfd p;

        if (r->inotify_fd < 0) {
                snprintf(path, sizeof(path), "/proc/self/fd/%d", r->fd);
                r->inotify_fd = inotify_init1(IN_CLOEXEC|IN_NONBLOCK);
                if (r->inotify_fd < 0)
                        return -errno;
                if (inotify_add_watch(r->inotify_fd, path, IN_MODIFY|IN_MOVE_SELF|IN_DELETE_SELF|IN_ATTRIB) < 0)
                        return -errno;
                return 1;          /* what was written before the watch was there is read first */
        }
        p = (struct pollfd) { .fd = r->inotify_fd, .events = POLLIN };
        if (poll(&p, 1, timeout_msec) < 0)
                return -errno;
        if (!p.revents)
                return 0;
        while (read(r->inotify_fd, buf, sizeof(buf)) > 0)
                ;
        return 1;
}

int trail_head_path(const char *path, char *buf, size_t size) {
        size_t n = strlen(path);

        if (n > 6 && streq(path + n - 6, ".jsonl"))
                n -= 6;
        return snprintf(buf, size, "%.*s.head", (int) n, path) < (int) size ? 0 : -ENAMETOOLONG;
}

int trail_head_parse(const char *text, uint64_t *ret_sequence, uint8_t ret_hash[static CHAIN_HASH_SIZE]) {
        char number[24];
        uint64_t sequence;
        const char *space;

        text = startswith(text, "v1 ");
        space = text ? strchr(text, ' ') : NULL;
        if (!space || (size_t) (space - text) >= sizeof(number))
                return -EBADMSG;
        snprintf(number, sizeof(number), "%.*s", (int) (space - text), text);
        if (parse_u64(number, UINT64_MAX - 1, &sequence) < 0 || strlen(space + 1) != CHAIN_HEX_SIZE + 1 ||
            space[1 + CHAIN_HEX_SIZE] != '\n' || chain_from_hex(space + 1, CHAIN_HEX_SIZE, ret_hash) < 0)
                return -EBADMSG;
        *ret_sequence = sequence;
        return 0;
}
