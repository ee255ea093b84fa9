/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where records come from: a trail, or the journals of several nodes that systemd-journal-remote collected.
 *
 *   trail.jsonl ── reader ──┐
 *                           ├─► source_next() ─► struct record, and the node it is of
 *   *.journal ── sd-journal ┘
 *
 * What a record of either holds came from processes and disks: texts are printed clean, whatever they are. */

#include "audit/reader.h"
#include "ctl/ctl.h"

struct source;

/* The one that the command line names: --directory, --file, or this node's trail. As in ctl.h, an exit code; why is said. */
int source_new(const struct invocation *in, struct source **ret);
struct source *source_free(struct source *s);
static inline void source_freep(struct source **s) { source_free(*s); }

/* The next record; record_done() is the caller's. Returns 1, 0 (no more now), -EBADMSG, -EPROTONOSUPPORT or -EMSGSIZE (this one
 * is no record; the next may be: source_is_of_one() is true), or another -errno: there is nothing more to be had. */
int source_next(struct source *s, struct record *ret);

/* True for an error of source_next() that is of one record only. */
static inline bool source_is_of_one(int r) { return r == -EBADMSG || r == -EMSGSIZE || r == -EPROTONOSUPPORT; }

/* Of the record that was read last: its node, "" where there is one only; its place, for messages: the line's number, or the
 * count of records; the line as it stands in a trail (*ret_size bytes, valid until the next call), NULL in a journal. */
const char *source_node(const struct source *s);
uint64_t source_place(const struct source *s);
const char *source_line(const struct source *s, size_t *ret_size);

/* What is read, for messages and titles; and the file of it that the last record stands in. */
const char *source_name(const struct source *s);
const char *source_file(const struct source *s);

/* Waits until there may be more. Returns 1, -EINTR or another -errno. */
int source_wait(struct source *s);
