/* SPDX-License-Identifier: Apache-2.0 */
#include "trail.h"

#include "reader.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_MAX (2 * RECORD_LINE_MAX)     /* of the file: looked at when it is opened */

struct end {
        uint64_t sequence;
        uint8_t hash[CHAIN_HASH_SIZE];
};

struct trail {
        int fd, head_fd, dir_fd;
        int error;                         /* sticky: of fdatasync(2) */
        off_t size;                        /* of the file, whole records */
        struct end end, pending_end;
        bool unsynced;
        size_t n_pending;
        char pending[TRAIL_PENDING_MAX];
        struct record_line line;
};

struct trail *trail_free(struct trail *t) {
        if (!t)
                return NULL;
        safe_close(t->fd);
        safe_close(t->head_fd);
        safe_close(t->dir_fd);
        free(t);
        return NULL;
}

const char *trail_recovery_to_string(enum trail_recovery_kind k) {
        static const char *const names[] = {
                [TRAIL_RECOVERED_TORN] = "torn", [TRAIL_RECOVERED_UNREADABLE] = "unreadable",
                [TRAIL_RECOVERED_TRUNCATED] = "truncated", [TRAIL_RECOVERED_REWRITTEN] = "rewritten",
                [TRAIL_RECOVERED_HEADLESS] = "headless",
        };

        return (unsigned) k < ELEMENTSOF(names) ? names[k] : NULL;
}

/* Fills in the end if the line is a record whose hash holds. */
static bool line_is_good(const char *line, size_t size, struct end *ret, struct trail_recovery *recovery) {
        _cleanup_(record_done) struct record r = {};
        uint8_t stated[CHAIN_HASH_SIZE], computed[CHAIN_HASH_SIZE];
        const char *ring;

        if (record_decode(line, size, &r) < 0 || chain_hash_line(r.prev, line, size, stated, computed) < 0 ||
            memcmp(stated, computed, sizeof(stated)) != 0)
                return false;
        ret->sequence = r.sequence;
        memcpy(ret->hash, stated, sizeof(stated));
        (void) record_early(&r, &recovery->early_sequence, recovery->early_hash);
        ring = r.source == RECORD_KERNEL ? record_field(&r, "ring") : NULL;
        if (ring)
                snprintf(recovery->ring, sizeof(recovery->ring), "%s", ring);
        return true;
}

/* Finds the last good record in the file's last TAIL_MAX bytes; ret_good_end is the offset behind it, 0: none. */
static int scan_tail(int fd, off_t size, struct end *ret, off_t *ret_good_end, struct trail_recovery *recovery) {
        off_t start = size > (off_t) TAIL_MAX ? size - (off_t) TAIL_MAX : 0;
        size_t n = (size_t) (size - start), at = 0;
        _cleanup_(freep) char *buf = malloc(n + 1);
        off_t good = 0;

        if (!buf)
                return -ENOMEM;
        for (size_t done = 0; done < n; ) {
                ssize_t k = pread(fd, buf + done, n - done, start + (off_t) done);

                if (k <= 0)
                        return k < 0 ? -errno : -EIO;
                done += (size_t) k;
        }
        while (at < n) {
                char *newline = memchr(buf + at, '\n', n - at);

                if (!newline)
                        break;
                if (line_is_good(buf + at, (size_t) (newline - buf) - at, ret, recovery))
                        good = start + (newline - buf) + 1;
                at = (size_t) (newline - buf) + 1;
        }
        *ret_good_end = good;
        return 0;
}

/* Copies the bytes behind offset to trail.torn and cuts them off. */
static int set_aside(struct trail *t, off_t offset, off_t size) {
        _cleanup_(closep) int fd = openat(t->dir_fd, "trail.torn", O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0600);
        char buf[65536];

        if (fd < 0)
                return -errno;
        for (off_t at = offset; at < size; ) {
                ssize_t n = pread(t->fd, buf, MIN_OF(sizeof(buf), (size_t) (size - at)), at);
                int r;

                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                r = write_all(fd, buf, (size_t) n);
                if (r < 0)
                        return r;
                at += n;
        }
        if (write_all(fd, "\n", 1) < 0 || fsync(fd) < 0 || ftruncate(t->fd, offset) < 0 || fsync(t->fd) < 0)
                return -errno;
        return 0;
}

static int open_file(struct trail *t) {
        t->fd = openat(t->dir_fd, "trail.jsonl", O_RDWR|O_CREAT|O_APPEND|O_CLOEXEC|O_NOFOLLOW, 0600);
        if (t->fd < 0)
                return -errno;
        if (flock(t->fd, LOCK_EX|LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : -errno;
        return fsync(t->dir_fd) < 0 ? -errno : 0;
}

static int replace_file(struct trail *t) {
        char name[NAME_MAX];

        snprintf(name, sizeof(name), "trail.unreadable-%" PRIu64, instant_now().realtime_usec);
        if (renameat(t->dir_fd, "trail.jsonl", t->dir_fd, name) < 0)
                return -errno;
        t->fd = safe_close(t->fd);
        t->size = 0;
        return open_file(t);
}

static int repair_file(struct trail *t, struct trail_recovery *recovery) {
        struct stat st;
        off_t good = 0;
        int r;

        if (fstat(t->fd, &st) < 0)
                return -errno;
        t->size = st.st_size;
        if (st.st_size == 0)
                return 0;
        r = scan_tail(t->fd, st.st_size, &t->end, &good, recovery);
        if (r < 0 || good == st.st_size)
                return r;
        recovery->bytes = (uint64_t) (st.st_size - good);
        if (good == 0 && st.st_size > (off_t) TAIL_MAX) {
                recovery->kind = TRAIL_RECOVERED_UNREADABLE;
                return replace_file(t);
        }
        recovery->kind = TRAIL_RECOVERED_TORN;
        t->size = good;
        return set_aside(t, good, st.st_size);
}

static void write_head(struct trail *t) {
        char hex[CHAIN_HEX_SIZE + 1], text[128];
        int n;

        chain_to_hex(t->end.hash, hex);
        n = snprintf(text, sizeof(text), "v1 %020" PRIu64 " %s\n", t->end.sequence, hex);
        /* An older head is a weaker one, not a wrong one: no reason to fail a record that is durable */
        (void) !pwrite(t->head_fd, text, (size_t) n, 0);
}

/* A trail that begins has a head from the first moment; later it is missing because somebody took it away. */
static int begin_head(struct trail *t, struct trail_recovery *recovery) {
        if (ftruncate(t->head_fd, 0) < 0)
                return -errno;
        if (t->end.sequence == 0)
                write_head(t);
        else if (recovery->kind == TRAIL_RECOVERED_NOTHING)
                recovery->kind = TRAIL_RECOVERED_HEADLESS;
        return 0;
}

/* Where head and file disagree the chain is hung on the head, so that the file fails verification for ever. */
static int compare_head(struct trail *t, struct trail_recovery *recovery) {
        char text[128] = "";
        struct end head;
        ssize_t n;

        t->head_fd = openat(t->dir_fd, "trail.head", O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);
        if (t->head_fd < 0)
                return -errno;
        n = pread(t->head_fd, text, sizeof(text) - 1, 0);
        if (n < 0)
                return -errno;
        if (trail_head_parse(text, &head.sequence, head.hash) < 0)
                return begin_head(t, recovery);
        if (head.sequence < t->end.sequence)
                return 0;
        if (head.sequence > t->end.sequence) {
                if (recovery->kind == TRAIL_RECOVERED_NOTHING)
                        recovery->kind = TRAIL_RECOVERED_TRUNCATED;
                recovery->first_lost = t->end.sequence + 1;
                recovery->last_lost = head.sequence;
        } else if (memcmp(head.hash, t->end.hash, CHAIN_HASH_SIZE) != 0) {
                recovery->kind = TRAIL_RECOVERED_REWRITTEN;
                recovery->first_lost = recovery->last_lost = head.sequence;
        }
        t->end = head;
        return 0;
}

int trail_open(const char *dir, struct trail **ret, struct trail_recovery *ret_recovery) {
        _cleanup_(trail_freep) struct trail *t = calloc(1, sizeof(*t));
        struct trail_recovery recovery = {};
        int r;

        if (!t)
                return -ENOMEM;
        t->fd = t->head_fd = -EBADF;
        r = mkdir_parents(dir, 0700);
        if (r < 0)
                return r;
        t->dir_fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        if (t->dir_fd < 0)
                return -errno;
        r = open_file(t);
        if (r < 0)
                return r;
        r = repair_file(t, &recovery);
        if (r < 0)
                return r;
        r = compare_head(t, &recovery);
        if (r < 0)
                return r;
        t->pending_end = t->end;
        *ret_recovery = recovery;
        *ret = TAKE_PTR(t);
        return 0;
}

int trail_append(struct trail *t, const struct audit_message_record *m, enum record_source source,
                 const struct record_line **ret_line, uint64_t *ret_sequence) {
        int r;

        r = record_encode(m, source, t->pending_end.sequence + 1, t->pending_end.hash, &t->line);
        if (r < 0)
                return r;
        if (t->line.size > sizeof(t->pending) - t->n_pending)
                return -ENOBUFS;
        memcpy(t->pending + t->n_pending, t->line.text, t->line.size);
        t->n_pending += t->line.size;
        t->pending_end.sequence++;
        memcpy(t->pending_end.hash, t->line.hash, CHAIN_HASH_SIZE);
        if (ret_line)
                *ret_line = &t->line;
        *ret_sequence = t->pending_end.sequence;
        return 0;
}

static int write_pending(struct trail *t) {
        int r;

        r = write_all(t->fd, t->pending, t->n_pending);
        if (r < 0) {
                /* Half a line must not stay: if it cannot be taken back either, nothing more is appended to it */
                if (ftruncate(t->fd, t->size) < 0)
                        t->error = -errno;
                t->pending_end = t->end;
                t->n_pending = 0;
                return r;
        }
        t->size += (off_t) t->n_pending;
        t->end = t->pending_end;
        t->unsynced = true;
        t->n_pending = 0;
        return 0;
}

int trail_commit(struct trail *t, bool sync, bool *ret_kept) {
        int r;

        *ret_kept = true;
        if (t->n_pending > 0) {
                r = t->error < 0 ? t->error : write_pending(t);
                if (r < 0) {
                        t->pending_end = t->end;
                        t->n_pending = 0;
                        *ret_kept = false;
                        return r;
                }
        }
        if (!sync || !t->unsynced)
                return sync ? t->error : 0;
        if (t->error == 0 && fdatasync(t->fd) < 0)
                t->error = -errno;
        if (t->error < 0)
                return t->error;
        t->unsynced = false;
        write_head(t);
        return 0;
}

bool trail_is_dirty(const struct trail *t) {
        return t->unsynced || t->n_pending > 0;
}

int trail_error(const struct trail *t) {
        return t->error;
}

uint64_t trail_sequence(const struct trail *t) {
        return t->end.sequence;
}

const uint8_t *trail_hash(const struct trail *t) {
        return t->end.hash;
}
