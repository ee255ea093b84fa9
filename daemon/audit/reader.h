/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads a trail: record by record, following it as it grows. Never writes. Lines are bounded (RECORD_LINE_MAX); what a
 * file holds is not trusted.
 *
 *   reader_open ── reader_next ... 0 ── reader_wait ── reader_next ...
 *
 * A path STEM.jsonl stands for all files of that trail: the older ones beside it (segments.h) are read before it, in
 * their order. Any other path is that file alone. */

#include "record.h"

#define TRAIL_DIR "/var/log/cmkd"
#define TRAIL_PATH TRAIL_DIR "/trail.jsonl"

struct reader;

/* Opens a trail. Returns 0, -ENOMEM, or what open(2) says (-ENOENT: nothing was ever recorded). */
int reader_open(const char *path, struct reader **ret);
struct reader *reader_free(struct reader *r);
static inline void reader_freep(struct reader **r) { reader_free(*r); }

/* The next record; record_done() is the caller's. Returns 1, 0 (no further complete line now), -EBADMSG or
 * -EPROTONOSUPPORT (this line is not a record: reader_line() says which; the next call goes on behind it), -EIO. */
int reader_next(struct reader *r, struct record *ret);

/* The same without decoding; the text is valid until the next call. -EMSGSIZE: a line over the limit, or without an end
 * although another file follows, skipped. */
int reader_next_line(struct reader *r, const char **ret_line, size_t *ret_size);

/* The number of the line that was read last, in its file; the first is 1. */
uint64_t reader_line(const struct reader *r);

/* The file that it is in: its name; the number in that name, 0 if it has none; how many files were begun so far. */
const char *reader_file(const struct reader *r);
uint64_t reader_segment(const struct reader *r);
unsigned reader_files(const struct reader *r);

/* Bytes after the last newline, at the end of the file: a line that is being written, or was torn; at least so many,
 * where it is longer than a line may be. */
size_t reader_partial(const struct reader *r);

/* Waits until the file changes, at most timeout_msec (-1: for ever). Returns 1 (changed), 0 (time-out), -EINTR, or
 * what inotify_init1(2) says. */
int reader_wait(struct reader *r, int timeout_msec);

/* What trail.head holds: "v1 SEQUENCE HASH\n". Pure. Returns 0 or -EBADMSG. */
int trail_head_parse(const char *text, uint64_t *ret_sequence, uint8_t ret_hash[static CHAIN_HASH_SIZE]);

/* PATH's head file: .jsonl (or nothing) replaced by .head. Returns 0 or -ENAMETOOLONG. */
int trail_head_path(const char *path, char *buf, size_t size);
