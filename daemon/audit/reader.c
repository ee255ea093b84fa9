/* SPDX-License-Identifier: Apache-2.0 */
#include "reader.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/inotify.h>
#include <unistd.h>

#define BUFFER_SIZE (RECORD_LINE_MAX + 1)

/* buf[begin, end) is what was read and not yet handed out. */
struct reader {
        int fd, inotify_fd;
        uint64_t line;
        size_t begin, end, scanned;        /* no newline in [begin, scanned) */
        bool skipping;                     /* inside a line that was too long */
        char buf[BUFFER_SIZE];
};

struct reader *reader_free(struct reader *r) {
        if (!r)
                return NULL;
        safe_close(r->fd);
        safe_close(r->inotify_fd);
        free(r);
        return NULL;
}

int reader_open(const char *path, struct reader **ret) {
        _cleanup_(reader_freep) struct reader *r = malloc(sizeof(*r));

        if (!r)
                return -ENOMEM;
        r->inotify_fd = -EBADF;
        r->line = r->begin = r->end = r->scanned = 0;
        r->skipping = false;
        r->fd = open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY);
        if (r->fd < 0)
                return -errno;
        *ret = TAKE_PTR(r);
        return 0;
}

uint64_t reader_line(const struct reader *r) {
        return r->line;
}

size_t reader_partial(const struct reader *r) {
        return r->end - r->begin;
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

const char *trail_problem_to_string(enum trail_problem_kind k) {
        static const char *const names[] = {
                [TRAIL_BROKEN] = "broken", [TRAIL_CHANGED] = "changed", [TRAIL_REMOVED] = "removed",
                [TRAIL_INSERTED] = "inserted", [TRAIL_TORN] = "torn", [TRAIL_TRUNCATED] = "truncated",
        };

        return (unsigned) k < ELEMENTSOF(names) ? names[k] : NULL;
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

/* What verification knows of the records so far. */
struct walk {
        struct trail_report *report;
        uint64_t line;
        uint64_t sequence;                       /* of the last record; 0: none yet */
        uint8_t hash[CHAIN_HASH_SIZE];           /* the one that it states */
        uint8_t before[CHAIN_HASH_SIZE];         /* its prev */
        bool excused;                            /* a problem just reported explains that the next link does not hold */
        uint64_t unreadable;                     /* broken lines since the last record */
        uint64_t head_sequence;
        uint8_t head_hash[CHAIN_HASH_SIZE];
        bool head_seen, head_empty;
        uint64_t early_sequence;                 /* of the last record from an early trail */
        uint8_t early_hash[CHAIN_HASH_SIZE];
        bool early_open;                         /* it was begun, and no early_joined has closed it */
        struct audit_message_record *message;    /* both allocated with the first such record */
        struct record_line *again;
};

static void _printf_(5, 6) problem(struct walk *w, enum trail_problem_kind kind, uint64_t first, uint64_t last,
                                   const char *format, ...) {
        struct trail_problem *p;
        va_list ap;

        if (w->report->n_problems++ >= TRAIL_PROBLEMS_MAX)
                return;
        p = w->report->problems + w->report->n_problems - 1;
        *p = (struct trail_problem) { .kind = kind, .line = w->line, .first = first, .last = last };
        va_start(ap, format);
        vsnprintf(p->text, sizeof(p->text), format, ap);
        va_end(ap);
}

static void judge_first(struct walk *w, const struct record *r) {
        static const uint8_t zero[CHAIN_HASH_SIZE];

        if (r->sequence > 1 + w->unreadable)
                problem(w, TRAIL_REMOVED, 1, r->sequence - 1, "the trail begins with record %" PRIu64 ": %" PRIu64
                        " records before it are missing", r->sequence, r->sequence - 1 - w->unreadable);
        else if (r->sequence == 1 && memcmp(r->prev, zero, sizeof(zero)) != 0)
                problem(w, TRAIL_CHANGED, 1, 1, "the first record does not begin a chain");
}

/* True if r is to be the last record from now on. */
static bool judge_next(struct walk *w, const struct record *r) {
        uint64_t missing = r->sequence - w->sequence - 1;

        switch (chain_judge(w->sequence, w->hash, r->sequence, r->prev)) {
        case CHAIN_GOOD:
                return true;
        case CHAIN_BROKEN:
                if (!w->excused)
                        problem(w, TRAIL_CHANGED, w->sequence, w->sequence, "record %" PRIu64
                                " is not the one that record %" PRIu64 " was chained to: it was changed and hashed anew", w->sequence, r->sequence);
                return true;
        case CHAIN_MISSING:
                if (missing > w->unreadable)
                        problem(w, TRAIL_REMOVED, w->sequence + 1, r->sequence - 1, "%" PRIu64
                                " records are missing before record %" PRIu64, missing - w->unreadable, r->sequence);
                return true;
        case CHAIN_EXTRA:
                problem(w, TRAIL_INSERTED, r->sequence, r->sequence, "a second record with the number %" PRIu64
                        " (after %" PRIu64 "): inserted, repeated or moved", r->sequence, w->sequence);
                /* A twin with the same predecessor: which of the two is real, the next record says */
                return r->sequence == w->sequence && memcmp(r->prev, w->before, CHAIN_HASH_SIZE) == 0;
        }
        return true;
}

static int allocate(struct walk *w) {
        if (!w->message)
                w->message = malloc(sizeof(*w->message));
        if (!w->again)
                w->again = malloc(sizeof(*w->again));
        return w->message && w->again ? 0 : -ENOMEM;
}

/* A record that was joined from an early trail: a chain inside the chain. Number 1 begins one. */
static int walk_early(struct walk *w, const struct record *r) {
        static const uint8_t zero[CHAIN_HASH_SIZE];
        uint8_t stated[CHAIN_HASH_SIZE];
        uint64_t sequence;
        int e;

        e = record_early(r, &sequence, stated);
        if (e == -ENOENT)
                return 0;
        if (e < 0) {
                problem(w, TRAIL_CHANGED, r->sequence, r->sequence, "record %" PRIu64
                        " does not say where in an early trail it stood", r->sequence);
                return 0;
        }
        if (sequence == 1 && w->early_open)
                problem(w, TRAIL_REMOVED, r->sequence, r->sequence, "an early trail begins with record %" PRIu64
                        ", but the one before it was never closed: what came after its number %" PRIu64 " is missing",
                        r->sequence, w->early_sequence);
        if (sequence != 1 && sequence != w->early_sequence + 1)
                problem(w, TRAIL_REMOVED, r->sequence, r->sequence, "record %" PRIu64 " was number %" PRIu64
                        " of an early trail, the one before it number %" PRIu64, r->sequence, sequence, w->early_sequence);
        else {
                e = allocate(w);
                if (e < 0)
                        return e;
                record_to_message(r, w->message);
                w->message->n_fields--;                  /* "early" is the last */
                e = record_encode(w->message, r->source, sequence, sequence == 1 ? zero : w->early_hash, w->again);
                if (e == -EIO)
                        return e;
                if (e < 0 || memcmp(w->again->hash, stated, sizeof(stated)) != 0)
                        problem(w, TRAIL_CHANGED, r->sequence, r->sequence, "record %" PRIu64
                                " is not what stood in the early trail as number %" PRIu64, r->sequence, sequence);
                else
                        w->report->early++;
        }
        w->early_open = true;
        w->early_sequence = sequence;
        memcpy(w->early_hash, stated, sizeof(stated));
        return 0;
}

/* The end of a join says where the early trail ended. */
static void judge_join(struct walk *w, const struct record *r) {
        const char *last = streq(r->event, "early_joined") ? record_field(r, "last") : NULL;
        uint64_t n;

        if (last)
                w->early_open = false;
        if (last && (parse_u64(last, UINT64_MAX - 1, &n) < 0 || n != w->early_sequence))
                problem(w, TRAIL_REMOVED, r->sequence, r->sequence, "the early trail that record %" PRIu64
                        " closes had %s records, %" PRIu64 " are here", r->sequence, last, w->early_sequence);
}

static int walk_record(struct walk *w, const char *line, size_t size) {
        _cleanup_(record_done) struct record r = {};
        uint8_t stated[CHAIN_HASH_SIZE], computed[CHAIN_HASH_SIZE];
        bool advance = true, changed;
        int e;

        e = record_decode(line, size, &r);
        if (e == -ENOMEM)
                return e;
        if (e >= 0)
                e = chain_hash_line(r.prev, line, size, stated, computed);
        if (e == -EIO)
                return e;
        if (e < 0) {
                problem(w, TRAIL_BROKEN, 0, 0, "line %" PRIu64 " (after record %" PRIu64 ") is not a record%s", w->line,
                        w->sequence, e == -EPROTONOSUPPORT ? " of this version" : "");
                w->unreadable++;
                return 0;
        }
        changed = memcmp(stated, computed, sizeof(stated)) != 0;
        if (changed)
                problem(w, TRAIL_CHANGED, r.sequence, r.sequence, "record %" PRIu64
                        " does not have the hash that it states: it was changed", r.sequence);
        if (w->sequence == 0)
                judge_first(w, &r);
        else
                advance = judge_next(w, &r);
        if (w->report->records++ == 0) {
                w->report->first_sequence = r.sequence;
                w->report->first_realtime_usec = r.realtime_usec;
        }
        e = walk_early(w, &r);
        if (e < 0)
                return e;
        judge_join(w, &r);
        w->report->gaps += streq(r.event, "gap");
        w->report->lost += streq(r.event, "lost");
        if (advance) {
                w->sequence = r.sequence;
                w->excused = changed;
                w->unreadable = 0;
                memcpy(w->hash, stated, sizeof(stated));
                memcpy(w->before, r.prev, sizeof(w->before));
                w->report->last_realtime_usec = r.realtime_usec;
                if (w->report->head_checked && r.sequence == w->head_sequence)
                        w->head_seen = memcmp(w->head_hash, stated, sizeof(stated)) == 0;
        }
        return 0;
}

static void read_head(struct walk *w, const char *path) {
        _cleanup_(freep) char *text = NULL;
        char head[4096];

        if (trail_head_path(path, head, sizeof(head)) < 0 || read_small_file(head, 256, &text, NULL) < 0)
                return;
        w->report->head_checked = true;
        w->head_empty = !*text;
        if (!w->head_empty && trail_head_parse(text, &w->head_sequence, w->head_hash) < 0)
                problem(w, TRAIL_TRUNCATED, 0, 0, "the head beside the trail is not readable");
}

static void judge_end(struct walk *w, struct reader *r) {
        if (r->skipping || reader_partial(r) > 0)
                problem(w, TRAIL_TORN, 0, 0, "%zu bytes without an end follow record %" PRIu64, reader_partial(r),
                        w->sequence);
        if (w->head_empty && w->sequence > 0)
                problem(w, TRAIL_TRUNCATED, 0, 0, "the head beside the trail is empty");
        if (w->head_sequence == 0 || w->head_seen)
                return;
        if (w->head_sequence > w->sequence)
                problem(w, TRAIL_TRUNCATED, w->sequence + 1, w->head_sequence, "the trail ends with record %" PRIu64
                        ", but record %" PRIu64 " was written", w->sequence, w->head_sequence);
        else
                problem(w, TRAIL_TRUNCATED, w->head_sequence, w->head_sequence, "record %" PRIu64
                        " is not the one that was written", w->head_sequence);
}

static void walk_done(struct walk *w) {
        free(w->message);
        free(w->again);
}

int trail_verify(const char *path, struct trail_report *ret) {
        _cleanup_(reader_freep) struct reader *r = NULL;
        _cleanup_(walk_done) struct walk w = { .report = ret };
        int e;

        e = reader_open(path, &r);
        if (e < 0)
                return e;
        memset(ret, 0, sizeof(*ret));
        read_head(&w, path);       /* before the trail: a trail that grows meanwhile still holds the head */
        for (;;) {
                const char *line;
                size_t size;

                e = reader_next_line(r, &line, &size);
                if (e == 0)
                        break;
                w.line = reader_line(r);
                if (e > 0)
                        e = walk_record(&w, line, size);
                else if (e == -EMSGSIZE) {
                        problem(&w, TRAIL_BROKEN, 0, 0, "line %" PRIu64 " is too long to be a record", w.line);
                        w.unreadable++;
                        e = 0;
                }
                if (e < 0)
                        return e;
        }
        w.line++;
        judge_end(&w, r);
        ret->last_sequence = w.sequence;
        ret->early_open = w.early_open ? w.early_sequence : 0;
        memcpy(ret->head, w.hash, sizeof(ret->head));
        return 0;
}
