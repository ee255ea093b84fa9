/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads a BPF ring buffer so that a reader that is killed loses nothing: the kernel learns that events were consumed
 * only when the caller says that they are written down (libbpf's own reader says so before it hands them on).
 *
 *   ring_next × n ── write them ── ring_commit      or      ring_rewind: all of them once more
 *
 * The kernel's side of the layout is described in Documentation/bpf/ringbuf.rst: a page with the consumer's position, a
 * page with the producer's, the data (mapped twice in a row); each event has a header of 8 bytes with busy and discard
 * bits in its length. */

#include "common/util.h"

struct ring;

/* map_fd stays the caller's. Returns 0, -EINVAL (not a ring buffer), -ENOMEM, or what mmap(2) says. */
int ring_open(int map_fd, struct ring **ret);
struct ring *ring_free(struct ring *r);
static inline void ring_freep(struct ring **r) { ring_free(*r); }

/* The next event, valid until ring_commit(). position: where it stands; never the same twice in the life of the map.
 * Returns 1, or 0 (nothing more now). */
int ring_next(struct ring *r, const void **ret, size_t *ret_size, uint64_t *ret_position);

/* What was handed out is done with. */
void ring_commit(struct ring *r);

/* The event at that position, and what was handed out after it, comes again. */
void ring_give_back(struct ring *r, uint64_t position);

/* What was handed out since the last commit comes again. */
void ring_rewind(struct ring *r);

/* Steps over the events up to the one at written; ring_commit() or ring_rewind() is next. Returns how many, or -ERANGE: it is not in the
 * ring yet, or there are more than max; then none is. */
int ring_skip(struct ring *r, uint64_t written, unsigned max);

/* Where the next event will be put, and up to where they were taken out: what was there before one's own system call is
 * before ring_produced() as it was after the call. */
uint64_t ring_produced(const struct ring *r);
uint64_t ring_consumed(const struct ring *r);
