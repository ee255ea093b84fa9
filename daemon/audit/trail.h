/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The trail on disk: DIR/trail.jsonl, appended to, and DIR/trail.head, which says where it ended. trail.jsonl becomes
 * DIR/trail-FIRST.jsonl (segments.h) when it is large or old enough, and the next one goes on: numbers and chain run
 * through all of them. Nothing is ever deleted here.
 *
 *   trail_append × n ── trail_commit(sync) ── write(2) of all ── fdatasync(2) ── head
 *
 * Invariants: what was appended is in the file as a whole or not at all (a write that fails is taken back, and so are
 * the numbers); the head is never ahead of what is durable; one process writes (flock). Once fdatasync(2) failed
 * nothing can be said to be durable any more: every further durable commit fails with that error until the trail is opened
 * anew. After a crash bytes behind the last good record are kept in DIR/trail.torn and the chain goes on. The sealer's key
 * is in step with the file: kept right after write(2), and one that is behind is brought up from the file when it is opened.
 * There is a trail.jsonl at each moment of a rotation (link, then rename over it). */

#include "record.h"
#include "sealer.h"
#include "segments.h"

#define TRAIL_PENDING_MAX (1024u * 1024u)
#define TRAIL_RING_MAX 64u

struct trail;

enum trail_recovery_kind {
        TRAIL_RECOVERED_NOTHING,
        TRAIL_RECOVERED_TORN,          /* bytes behind the last good record were set aside */
        TRAIL_RECOVERED_UNREADABLE,    /* no good record near the end: the whole file was set aside */
        TRAIL_RECOVERED_TRUNCATED,     /* the head knows of later records: numbers go on after those */
        TRAIL_RECOVERED_REWRITTEN,     /* the last record is not the one that the head knows */
        TRAIL_RECOVERED_HEADLESS,      /* records, and no head that can be read: what was cut off would not show */
        TRAIL_RECOVERED_FORGED,        /* the last records are not what was sealed: numbers go on after the last that was */
};

struct trail_recovery {
        enum trail_recovery_kind kind;
        uint64_t bytes;                    /* that were set aside */
        uint64_t first_lost, last_lost;    /* numbers, where they are known */
        char ring[TRAIL_RING_MAX];         /* field "ring" of the last kernel record of its own: where its event stood; or "" */
        char early_ring[TRAIL_RING_MAX];   /* of the last that was joined from an early trail */
        bool seal_lost;                    /* sealed records, and the key of the next one is gone */
        uint64_t early_sequence;           /* of the last record that was joined from an early trail; 0: none near the end */
        uint8_t early_hash[CHAIN_HASH_SIZE];
};

/* "torn", "unreadable", ..., NULL for nothing. */
const char *trail_recovery_to_string(enum trail_recovery_kind k);

/* Opens or begins the trail in dir (made with mode 0700) and repairs its end. Returns 0, -EBUSY (another process has
 * it), -ENOMEM, or -errno of the file system. */
int trail_open(const char *dir, struct trail **ret, struct trail_recovery *ret_recovery);
struct trail *trail_free(struct trail *t);

/* Seals what is appended from now on; the sealer becomes the trail's, also on failure. What is in the file is compared
 * with what it kept: a file that ends too early, or otherwise, is a recovery of its kind, and the chain is hung on what
 * was kept, so that it fails verification for ever. Returns 0, -ENOMEM, -EIO. */
int trail_seal(struct trail *t, struct sealer *sealer, struct trail_recovery *recovery);

/* True if a record "epoch" has to be appended before the next one; what it is (NULL: not sealed). */
bool trail_needs_epoch(const struct trail *t) _pure_;
const struct sealer *trail_sealer(const struct trail *t) _pure_;

/* Appends the record that begins an epoch, or that ends it (reason: why). m: room for it. Otherwise as trail_append(); and
 * -ENOKEY: none is open that could end. */
int trail_begin_epoch(struct trail *t, struct audit_message_record *m, const struct record_line **ret_line,
                      uint64_t *ret_sequence);
int trail_end_epoch(struct trail *t, const char *reason, struct audit_message_record *m,
                    const struct record_line **ret_line, uint64_t *ret_sequence);

/* When trail.jsonl has had enough: bytes, and microseconds since its first record. 0: never. */
void trail_set_limits(struct trail *t, uint64_t max_size, uint64_t max_age_usec);

/* True when trail.jsonl is to be followed by another; what waits is committed before. */
bool trail_is_full(const struct trail *t);

/* Begins the next file. ret_name: what the old one is called now. Returns 0, -EBUSY (something waits), -EEXIST (there
 * is a file of that name) or what the file system says; then all goes on in the old one. */
int trail_rotate(struct trail *t, char ret_name[static SEGMENT_NAME_MAX]);
static inline void trail_freep(struct trail **t) { trail_free(*t); }

/* Of what trail_append() returned: the record is none that any trail takes. */
static inline bool trail_refuses(int error) { return error == -EINVAL || error == -EMSGSIZE || error == -ERANGE; }

/* Encodes a record behind those that wait. ret_line (may be NULL): the line, valid until the next call. Returns 0,
 * -ENOBUFS (commit first), -ENOKEY (an epoch has to begin first), -EINVAL (an event that only the trail itself writes), or what record_encode() says. */
int trail_append(struct trail *t, const struct audit_message_record *m, enum record_source source,
                 const struct record_line **ret_line, uint64_t *ret_sequence);

/* Writes what waits; sync: and everything written before becomes durable. Returns 0 or -errno. *ret_kept: false when
 * the records are not in the file (a full disk: their numbers are given out again), true when they are, durable or
 * not. */
int trail_commit(struct trail *t, bool sync, bool *ret_kept);

/* True if something was written since the last sync, or waits. */
bool trail_is_dirty(const struct trail *t);

/* The error that keeps the trail from being durable, or 0. */
int trail_error(const struct trail *t);

/* The last record in the file. hash: CHAIN_HASH_SIZE bytes. */
uint64_t trail_sequence(const struct trail *t);
const uint8_t *trail_hash(const struct trail *t);
