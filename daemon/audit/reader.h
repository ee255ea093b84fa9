/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads a trail: record by record, following it as it grows, or verifying it as a whole. Never writes. Lines are
 * bounded (RECORD_LINE_MAX); what a file holds is not trusted.
 *
 *   reader_open ── reader_next ... 0 ── reader_wait ── reader_next ...
 *   trail_verify: the chain from the first line to the last, and the head beside the trail (PATH with .head for its
 *   suffix), which tells of records that were cut off the end. */

#include "record.h"

#define TRAIL_DIR "/var/log/cmkd"
#define TRAIL_PATH TRAIL_DIR "/trail.jsonl"
#define TRAIL_PROBLEMS_MAX 64u

struct reader;

/* Opens a trail. Returns 0, -ENOMEM, or what open(2) says (-ENOENT: nothing was ever recorded). */
int reader_open(const char *path, struct reader **ret);
struct reader *reader_free(struct reader *r);
static inline void reader_freep(struct reader **r) { reader_free(*r); }

/* The next record; record_done() is the caller's. Returns 1, 0 (no further complete line now), -EBADMSG or
 * -EPROTONOSUPPORT (this line is not a record: reader_line() says which; the next call goes on behind it), -EIO. */
int reader_next(struct reader *r, struct record *ret);

/* The same without decoding; the text is valid until the next call. -EMSGSIZE: a line over the limit, skipped. */
int reader_next_line(struct reader *r, const char **ret_line, size_t *ret_size);

/* The number of the line that was read last; the first is 1. */
uint64_t reader_line(const struct reader *r);

/* Bytes after the last newline, at the end of the file: a line that is being written, or was torn. */
size_t reader_partial(const struct reader *r);

/* Waits until the file changes, at most timeout_msec (-1: for ever). Returns 1 (changed), 0 (time-out), -EINTR, or
 * what inotify_init1(2) says. */
int reader_wait(struct reader *r, int timeout_msec);

enum trail_problem_kind {
        TRAIL_BROKEN,        /* a line that is not a record */
        TRAIL_CHANGED,       /* content and hash, or hash and the next record, do not agree */
        TRAIL_REMOVED,       /* records are missing before this one */
        TRAIL_INSERTED,      /* a number a second time: inserted, repeated or moved */
        TRAIL_TORN,          /* bytes without an end after the last record */
        TRAIL_TRUNCATED,     /* the head knows of records that are not there, or of another last one */
};

/* "broken", "changed", ... */
const char *trail_problem_to_string(enum trail_problem_kind k);

struct trail_problem {
        enum trail_problem_kind kind;
        uint64_t line;               /* where it was seen; 1 is the first */
        uint64_t first, last;        /* the records that are concerned; 0: not known */
        char text[192];              /* a sentence for people */
};

struct trail_report {
        uint64_t records;
        uint64_t first_sequence, last_sequence;
        uint64_t first_realtime_usec, last_realtime_usec;
        uint64_t early;              /* records that were joined from early trails, and are what stood there */
        uint64_t early_open;         /* number of the last one of an early trail that is not closed; 0: none. At the end
                                      * of the file that is no problem: it is being joined, or will be, in this boot */
        uint64_t gaps, lost;         /* records of that name: said by cmkd-audit itself; not problems of the chain */
        uint8_t head[CHAIN_HASH_SIZE];
        bool head_checked;           /* there was a head file to compare with */
        uint64_t n_problems;         /* all of them; the first TRAIL_PROBLEMS_MAX are described */
        struct trail_problem problems[TRAIL_PROBLEMS_MAX];
};

/* Verifies a whole trail, and the early trails that were joined to it: each such record is written again as it stood
 * there, and has to have the hash and the predecessor that it had there. Returns 0 when it could be read (problems are in the report: n_problems == 0 means that it
 * holds), or -ENOENT, -ENOMEM, -EIO and what open(2) and read(2) say. */
int trail_verify(const char *path, struct trail_report *ret);

/* What trail.head holds: "v1 SEQUENCE HASH\n". Pure. Returns 0 or -EBADMSG. */
int trail_head_parse(const char *text, uint64_t *ret_sequence, uint8_t ret_hash[static CHAIN_HASH_SIZE]);

/* PATH's head file: .jsonl (or nothing) replaced by .head. Returns 0 or -ENAMETOOLONG. */
int trail_head_path(const char *path, char *buf, size_t size);
