/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Records on their way into the trail: appended, written in groups, mirrored, answered.
 *
 *   writer_receive ─┐                                     ┌── kept: those who wait are answered, the ring's events are done with
 *   writer_say ─────┼── privacy, trail_append, commit ────┤
 *   writer_append ──┘   (group commit: audit.h)           └── not kept: errors for those who wait, the ring's events come again
 *
 * Invariants: a durable record is acknowledged only after fdatasync(2); a record that nobody waits for and that the
 * trail did not take is counted (writer_dropped) until that stands in the trail. */

#include "mirror.h"
#include "privacy.h"
#include "ring.h"
#include "serve.h"
#include "trail.h"

#define WRITER_ACKS_MAX 1024u              /* durable records that wait for one fdatasync(2) */

struct writer;

/* trail: becomes the writer's, also on failure. early: it is the one in /run, whose records get a mark when they are
 * joined. Returns 0, -ENOMEM, or what sd_event_add_defer(3) says. */
int writer_new(sd_event *event, struct trail *trail, bool early, struct writer **ret);
struct writer *writer_free(struct writer *w);
static inline void writer_freep(struct writer **w) { writer_free(*w); }

/* Goes over to another trail (the writer's from now on); what waits is written to the old one before. */
void writer_set_trail(struct writer *w, struct trail *trail, bool early);

/* Names become pseudonyms in all that is appended from now on, in the trail and in the mirror; p stays the caller's. node:
 * this machine's, for the mirror; NULL: nothing is mirrored. */
void writer_set_privacy(struct writer *w, struct privacy *p, const char *node);
const struct trail *writer_trail(const struct writer *w);

/* From now on who wants a record to be durable is told error (0: as ever); it is written all the same. */
void writer_refuse(struct writer *w, int error);

/* Whose events a commit consumes; the ring stays the caller's. NULL: none. */
void writer_set_ring(struct writer *w, struct ring *ring);

/* Appends m, which may lose its last field if there is no room for the mark of early records. Returns 0, -ENOBUFS
 * (commit first), or what trail_append() says. */
int writer_append(struct writer *w, struct audit_message_record *m, enum record_source source);

/* The same for a record that was written before: its names are what they are to be. */
int writer_append_joined(struct writer *w, struct audit_message_record *m, enum record_source source);

/* A client's record: appended and answered, if it is durable after the next sync. */
void writer_receive(struct writer *w, struct client *c, uint32_t id, struct audit_message_record *m);

/* Answers whether durable records can be written: with what the last commit said, or what writer_refuse() was told. */
void writer_check(const struct writer *w, struct client *c, uint32_t id);

/* What the last commit said that had something to write: 0 or -errno. */
int writer_error(const struct writer *w);

/* The client is gone: nobody is answered. */
void writer_forget(struct writer *w, const struct client *c);

/* Ends the epoch that is open (sealer.h), durably; without one it does nothing. Returns 0 or -errno: it goes on. */
int writer_end_epoch(struct writer *w, const char *reason);

/* Begins the trail's next file if this one has had enough, and says so in it. m: room for the record. That it failed is
 * logged once; the trail goes on in the old one. */
void writer_rotate(struct writer *w, struct audit_message_record *m);

/* What cmkd-audit itself has to say. Returns 0, or -errno: it is not kept, which is counted and logged. */
int writer_say(struct writer *w, struct audit_message_record *m);

/* Writes what waits. sync: and makes it durable, and answers. A trail that did not take it: those who wait are told,
 * the ring keeps its events. Returns 0, or -errno: sync: it is not known to be durable; else: it is not in the file. */
int writer_commit(struct writer *w, bool sync);

/* Records that nobody waits for and that are not kept. */
uint64_t writer_dropped(const struct writer *w);

/* Says how many records were dropped, if there are any. m: room for the record. */
void writer_report_dropped(struct writer *w, struct audit_message_record *m);

/* Records that the journal did not take. */
uint64_t writer_mirror_lost(const struct writer *w);
