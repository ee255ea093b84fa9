/* SPDX-License-Identifier: Apache-2.0 */
#include "trail.h"

#include "reader.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define STEM "trail"
#define ACTIVE STEM SEGMENT_SUFFIX
#define NEXT "trail.next"
#define UNKEPT_MAX (TRAIL_PENDING_MAX + RECORD_LINE_MAX)   /* of the file: may be written and not known to the sealer */
/* Looked at when it is opened: what one commit may leave unsynced, which a power cut turns into anything, and a good line
 * before it; then further back, for several such commits in a row. */
#define TAIL_MAX ((off_t) UNKEPT_MAX + (off_t) RECORD_LINE_MAX)
#define TAIL_FAR (16 * TAIL_MAX)

struct end {
        uint64_t sequence;
        uint8_t hash[CHAIN_HASH_SIZE];
        bool sealed;                       /* and its epoch goes on */
};

struct trail {
        int fd, head_fd, dir_fd;
        int error;                         /* sticky: of fdatasync(2) */
        off_t size;                        /* of the file, whole records */
        struct end end, pending_end;
        struct end first;                  /* of this file; its hash is of no interest */
        uint64_t first_usec;               /* CLOCK_REALTIME */
        uint64_t max_size, max_age_usec;   /* 0: none */
        struct sealer *sealer;             /* NULL: nothing is sealed */
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
        sealer_free(t->sealer);
        free(t);
        return NULL;
}

const char *trail_recovery_to_string(enum trail_recovery_kind k) {
        static const char *const names[] = {
                [TRAIL_RECOVERED_TORN] = "torn", [TRAIL_RECOVERED_UNREADABLE] = "unreadable",
                [TRAIL_RECOVERED_TRUNCATED] = "truncated", [TRAIL_RECOVERED_REWRITTEN] = "rewritten",
                [TRAIL_RECOVERED_HEADLESS] = "headless", [TRAIL_RECOVERED_FORGED] = "forged",
        };

        return (unsigned) k < ELEMENTSOF(names) ? names[k] : NULL;
}

/* Fills in the end if the line is a record whose hash holds. */
static bool line_is_good(const char *line, size_t size, struct end *ret, struct trail_recovery *recovery) {
        _cleanup_(record_done) struct record r = {};
        uint8_t stated[CHAIN_HASH_SIZE], computed[CHAIN_HASH_SIZE];
        const char *ring;
        char *to;

        if (record_decode(line, size, &r) < 0 || chain_hash_line(r.prev, line, size, stated, computed) < 0 ||
            memcmp(stated, computed, sizeof(stated)) != 0)
                return false;
        ret->sequence = r.sequence;
        memcpy(ret->hash, stated, sizeof(stated));
        ret->sealed = r.sealed && !streq(r.event, EPOCH_END_EVENT);
        to = record_early(&r, &recovery->early_sequence, recovery->early_hash) == -ENOENT ? recovery->ring : recovery->early_ring;
        ring = r.source == RECORD_KERNEL ? record_field(&r, "ring") : NULL;
        if (ring)
                snprintf(to, TRAIL_RING_MAX, "%s", ring);
        return true;
}

static int read_range(int fd, off_t start, size_t n, char **ret) {
        _cleanup_(freep) char *buf = malloc(n + 1);

        if (!buf)
                return -ENOMEM;
        for (size_t done = 0; done < n; ) {
                ssize_t k = pread(fd, buf + done, n - done, start + (off_t) done);

                if (k <= 0)
                        return k < 0 ? -errno : -EIO;
                done += (size_t) k;
        }
        *ret = TAKE_PTR(buf);
        return 0;
}

/* Finds the last good record in the file's last bytes, tail of them; ret_good_end is the offset behind it, 0: none. */
static int scan_tail(int fd, off_t size, off_t tail, struct end *ret, off_t *ret_good_end, struct trail_recovery *recovery) {
        off_t start = size > tail ? size - tail : 0;
        size_t n = (size_t) (size - start), at = 0;
        _cleanup_(freep) char *buf = NULL;
        off_t good = 0;
        int r;

        r = read_range(fd, start, n, &buf);
        if (r < 0)
                return r;
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

static int scan_back(int fd, off_t size, struct end *ret, off_t *ret_good_end, struct trail_recovery *recovery) {
        off_t good = 0;
        int r = 0;

        for (off_t tail = TAIL_MAX; r >= 0 && good == 0; tail *= 4) {
                r = scan_tail(fd, size, tail, ret, &good, recovery);
                if (tail >= size || tail >= TAIL_FAR)
                        break;
        }
        *ret_good_end = good;
        return r;
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
        t->fd = openat(t->dir_fd, ACTIVE, O_RDWR|O_CREAT|O_APPEND|O_CLOEXEC|O_NOFOLLOW, 0600);
        if (t->fd < 0)
                return -errno;
        return fsync(t->dir_fd) < 0 ? -errno : 0;
}

static int replace_file(struct trail *t) {
        char name[NAME_MAX];

        snprintf(name, sizeof(name), "trail.unreadable-%" PRIu64, instant_now().realtime_usec);
        if (renameat(t->dir_fd, ACTIVE, t->dir_fd, name) < 0)
                return -errno;
        t->fd = safe_close(t->fd);
        t->size = 0;
        return open_file(t);
}

/* A trail.jsonl that is short follows on another file: that one's end is looked at first. One that is that very file was
 * being rotated when cmkd-audit was killed, and is no segment yet. */
static int scan_segment(struct trail *t, const struct stat *active, struct trail_recovery *recovery) {
        _cleanup_(closep) int fd = -EBADF;
        _cleanup_(freep) uint64_t *list = NULL;
        char name[SEGMENT_NAME_MAX];
        struct stat st;
        size_t n = 0;
        off_t good;
        int r;

        r = segments_list(t->dir_fd, STEM, 0, &list, &n);
        if (r < 0 || n == 0)
                return r;
        r = segment_name(STEM, list[n - 1], name, sizeof(name));
        if (r < 0)
                return r;
        fd = openat(t->dir_fd, name, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (st.st_dev == active->st_dev && st.st_ino == active->st_ino)
                return unlinkat(t->dir_fd, name, 0) < 0 ? -errno : scan_segment(t, active, recovery);
        return active->st_size < TAIL_MAX ? scan_back(fd, st.st_size, &t->end, &good, recovery) : 0;
}

/* The first record of this file. One that cannot be read lends its place to the last. */
static int read_first(struct trail *t) {
        _cleanup_(freep) char *buf = NULL;
        _cleanup_(record_done) struct record r = {};
        size_t n = (size_t) MIN_OF(t->size, (off_t) RECORD_LINE_MAX);
        char *newline;
        int e;

        t->first.sequence = t->size == 0 ? t->end.sequence + 1 : t->end.sequence;
        t->first_usec = instant_now().realtime_usec;
        if (t->size == 0)
                return 0;
        e = read_range(t->fd, 0, n, &buf);
        if (e < 0)
                return e;
        newline = memchr(buf, '\n', n);
        if (newline && record_decode(buf, (size_t) (newline - buf), &r) >= 0) {
                t->first.sequence = r.sequence;
                t->first_usec = r.realtime_usec;
        }
        return 0;
}

static int repair_file(struct trail *t, struct trail_recovery *recovery) {
        struct stat st;
        off_t good = 0;
        int r;

        if (fstat(t->fd, &st) < 0)
                return -errno;
        r = scan_segment(t, &st, recovery);
        if (r < 0)
                return r;
        t->size = st.st_size;
        if (st.st_size == 0)
                return 0;
        r = scan_back(t->fd, st.st_size, &t->end, &good, recovery);
        if (r < 0 || good == st.st_size)
                return r;
        recovery->bytes = (uint64_t) (st.st_size - good);
        if (good == 0 && st.st_size > TAIL_MAX) {
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

/* A trail that begins has a head from the first moment, on disk before its first record; later it is missing because somebody took it
 * away. Written over in place it needs no other sync. */
static int begin_head(struct trail *t, struct trail_recovery *recovery) {
        if (ftruncate(t->head_fd, 0) < 0)
                return -errno;
        if (t->end.sequence == 0) {
                write_head(t);
                return fsync(t->head_fd) < 0 || fsync(t->dir_fd) < 0 ? -errno : 0;
        }
        if (recovery->kind == TRAIL_RECOVERED_NOTHING)
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
        t->end.sequence = head.sequence;
        memcpy(t->end.hash, head.hash, CHAIN_HASH_SIZE);
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
        if (flock(t->dir_fd, LOCK_EX|LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : -errno;
        r = open_file(t);
        if (r < 0)
                return r;
        r = repair_file(t, &recovery);
        if (r < 0)
                return r;
        r = compare_head(t, &recovery);
        if (r >= 0)
                r = read_first(t);
        if (r < 0)
                return r;
        t->pending_end = t->end;
        *ret_recovery = recovery;
        *ret = TAKE_PTR(t);
        return 0;
}

/* Brings the sealer's key up to the end of the file, over records that were written and not kept. Returns 0, -EBADMSG: they
 * are not what this key sealed; -EKEYEXPIRED: an epoch of theirs ended, or another began: its key is gone. */
static int catch_up(struct trail *t, const struct keep_state *from) {
        off_t start = t->size > (off_t) UNKEPT_MAX ? t->size - (off_t) UNKEPT_MAX : 0;
        struct end at = { .sequence = from->sequence };
        size_t n = (size_t) (t->size - start);
        _cleanup_(freep) char *buf = NULL;
        char *newline;
        int r;

        memcpy(at.hash, from->hash, CHAIN_HASH_SIZE);
        r = read_range(t->fd, start, n, &buf);
        if (r < 0)
                return r;
        for (char *p = buf; (newline = memchr(p, '\n', n - (size_t) (p - buf))); p = newline + 1) {
                _cleanup_(record_done) struct record x = {};

                r = record_decode(p, (size_t) (newline - p), &x);
                if (r == -ENOMEM)
                        return r;
                if (r < 0 || x.sequence <= from->sequence)
                        continue;
                if (x.sequence != at.sequence + 1 || memcmp(x.prev, at.hash, CHAIN_HASH_SIZE) != 0 ||
                    seal_check_line(sealer_key(t->sealer), p, (size_t) (newline - p)) < 0)
                        return -EBADMSG;
                if (streq(x.event, EPOCH_EVENT) || streq(x.event, EPOCH_END_EVENT))
                        return -EKEYEXPIRED;
                r = sealer_advance(t->sealer);
                if (r < 0)
                        return r;
                at.sequence = x.sequence;
                memcpy(at.hash, x.hash, CHAIN_HASH_SIZE);
        }
        if (at.sequence != t->end.sequence || memcmp(at.hash, t->end.hash, CHAIN_HASH_SIZE) != 0)
                return -EBADMSG;
        sealer_keep(t->sealer, at.sequence, at.hash);
        return 0;
}

/* What was kept is right, the file is not. */
static void hang_on_kept(struct trail *t, const struct keep_state *state, struct trail_recovery *recovery) {
        enum trail_recovery_kind kind = TRAIL_RECOVERED_FORGED;

        if (t->end.sequence <= state->sequence) {
                kind = t->end.sequence < state->sequence ? TRAIL_RECOVERED_TRUNCATED : TRAIL_RECOVERED_REWRITTEN;
                if (recovery->first_lost == 0)
                        recovery->first_lost = MIN_OF(t->end.sequence + 1, state->sequence);
                recovery->last_lost = state->sequence;
        } else {
                recovery->first_lost = state->sequence + 1;
                recovery->last_lost = t->end.sequence;
        }
        if (recovery->kind == TRAIL_RECOVERED_NOTHING || recovery->kind == TRAIL_RECOVERED_HEADLESS ||
            kind == TRAIL_RECOVERED_FORGED)
                recovery->kind = kind;
        t->end.sequence = state->sequence;
        memcpy(t->end.hash, state->hash, CHAIN_HASH_SIZE);
        t->pending_end = t->end;
        sealer_take_back(t->sealer);
}

int trail_seal(struct trail *t, struct sealer *sealer, struct trail_recovery *recovery) {
        struct keep_state state;
        int r = 0;

        t->sealer = sealer;
        if (!sealer_state(sealer, &state))
                r = t->end.sealed ? -EKEYEXPIRED : 0;
        else if (t->end.sequence > state.sequence)
                r = catch_up(t, &state);
        else if (t->end.sequence < state.sequence || memcmp(t->end.hash, state.hash, CHAIN_HASH_SIZE) != 0)
                r = -EBADMSG;
        if (r == -EBADMSG)
                hang_on_kept(t, &state, recovery);
        else if (r == -EKEYEXPIRED) {
                sealer_forget(sealer, t->end.sealed);
                recovery->seal_lost = t->end.sealed;
        } else
                return r;
        return 0;
}

bool trail_needs_epoch(const struct trail *t) { return t->sealer && sealer_is_due(t->sealer); }
const struct sealer *trail_sealer(const struct trail *t) { return t->sealer; }

static int append(struct trail *t, const struct audit_message_record *m, enum record_source source,
                  const struct record_line **ret_line, uint64_t *ret_sequence) {
        int r;

        r = record_encode(m, source, t->pending_end.sequence + 1, t->pending_end.hash,
                          t->sealer ? sealer_key(t->sealer) : NULL, &t->line);
        if (r < 0)
                return r;
        if (t->line.size > sizeof(t->pending) - t->n_pending)
                return -ENOBUFS;
        r = t->sealer ? sealer_advance(t->sealer) : 0;
        if (r < 0)
                return t->error = r;           /* the key is spoilt: what waits is taken back, nothing more is taken */
        memcpy(t->pending + t->n_pending, t->line.text, t->line.size);
        t->n_pending += t->line.size;
        t->pending_end.sequence++;
        memcpy(t->pending_end.hash, t->line.hash, CHAIN_HASH_SIZE);
        if (ret_line)
                *ret_line = &t->line;
        *ret_sequence = t->pending_end.sequence;
        return 0;
}

int trail_append(struct trail *t, const struct audit_message_record *m, enum record_source source,
                 const struct record_line **ret_line, uint64_t *ret_sequence) {
        if (streq(m->event, EPOCH_EVENT) || streq(m->event, EPOCH_END_EVENT))
                return -EINVAL;
        return trail_needs_epoch(t) ? -ENOKEY : append(t, m, source, ret_line, ret_sequence);
}

int trail_begin_epoch(struct trail *t, struct audit_message_record *m, const struct record_line **ret_line,
                      uint64_t *ret_sequence) {
        int r = sealer_begin(t->sealer, m);

        return r < 0 ? r : append(t, m, RECORD_DAEMON, ret_line, ret_sequence);
}

int trail_end_epoch(struct trail *t, const char *reason, struct audit_message_record *m,
                    const struct record_line **ret_line, uint64_t *ret_sequence) {
        int r;

        if (!t->sealer || !sealer_is_open(t->sealer))
                return -ENOKEY;
        audit_record_start(m, EPOCH_END_EVENT, LOG_NOTICE, true);
        audit_record_add(m, "epoch", sealer_epoch(t->sealer));
        audit_record_add(m, "reason", reason);
        r = append(t, m, RECORD_DAEMON, ret_line, ret_sequence);
        if (r >= 0)
                sealer_end(t->sealer);
        return r;
}

/* The numbers, and the keys, of what waits are given out again. */
static void take_back(struct trail *t) {
        t->pending_end = t->end;
        t->n_pending = 0;
        if (t->sealer)
                sealer_take_back(t->sealer);
}

static int write_pending(struct trail *t) {
        int r;

        r = write_all(t->fd, t->pending, t->n_pending);
        if (r < 0) {
                /* Half a line must not stay: if it cannot be taken back either, nothing more is appended to it */
                if (ftruncate(t->fd, t->size) < 0)
                        t->error = -errno;
                return r;
        }
        t->size += (off_t) t->n_pending;
        t->end = t->pending_end;
        if (t->sealer)
                sealer_keep(t->sealer, t->end.sequence, t->end.hash);
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
                        take_back(t);
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

void trail_set_limits(struct trail *t, uint64_t max_size, uint64_t max_age_usec) {
        t->max_size = max_size;
        t->max_age_usec = max_age_usec;
}

bool trail_is_full(const struct trail *t) {
        uint64_t now = instant_now().realtime_usec;

        if (t->size == 0 || t->error < 0)
                return false;
        return (t->max_size > 0 && (uint64_t) t->size >= t->max_size) ||
               (t->max_age_usec > 0 && now > t->first_usec && now - t->first_usec >= t->max_age_usec);
}

/* The link is what makes it a segment, the rename what ends it as trail.jsonl; in between it is both, and is known by that. */
int trail_rotate(struct trail *t, char ret_name[static SEGMENT_NAME_MAX]) {
        _cleanup_(closep) int fd = -EBADF;
        int r;

        if (t->n_pending > 0 || t->unsynced)
                return -EBUSY;
        r = segment_name(STEM, t->first.sequence, ret_name, SEGMENT_NAME_MAX);
        if (r < 0)
                return r;
        fd = openat(t->dir_fd, NEXT, O_RDWR|O_CREAT|O_TRUNC|O_APPEND|O_CLOEXEC|O_NOFOLLOW, 0600);
        if (fd < 0 || linkat(t->dir_fd, ACTIVE, t->dir_fd, ret_name, 0) < 0)
                return -errno;
        if (renameat(t->dir_fd, NEXT, t->dir_fd, ACTIVE) < 0) {
                r = -errno;
                (void) unlinkat(t->dir_fd, ret_name, 0);
                return r;
        }
        safe_close(t->fd);
        t->fd = TAKE_FD(fd);
        t->size = 0;
        t->first.sequence = t->end.sequence + 1;
        t->first_usec = instant_now().realtime_usec;
        return fsync(t->dir_fd) < 0 ? -errno : 0;
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
