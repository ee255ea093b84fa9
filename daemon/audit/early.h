/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Records from before the trail can be reached: in an initramfs, and while /var is not mounted. They go to a trail of
 * the same form in /run, with a chain of its own, and are joined to the real one as soon as that is there.
 *
 *   /run/cmkd/early/trail.jsonl   1 ── 2 ── 3                  (its own chain)
 *   /var/log/cmkd/trail.jsonl     ... 70 ── 71 ── 72 ── 73     71: record 1, its own time, field early="1 HASH"
 *                                                      └ event early_joined: records, last, hash, verified
 *
 * Invariants: a record is joined once (a join that was interrupted goes on where it ended); the early trail is verified
 * before; what was joined can be verified again later from the real trail alone (reader.h); what is no record of a trail (trail_refuses())
 * is left out, said, and missing there for ever. */

#include "record.h"
#include "trail.h"

#define EARLY_TRAIL_DIR "/run/cmkd/early"
#define EARLY_OVER_MARK "/run/cmkd/trail"    /* there once the real trail is written to: cmkd-trail.path */

struct early_join {
        uint64_t records;                  /* that were joined now */
        uint64_t last;                     /* number of the early trail's last record; 0: there was nothing to join */
        uint8_t hash[CHAIN_HASH_SIZE];     /* of that one */
        uint64_t n_problems;               /* of the early trail's chain, and records that were left out */
        char problem[192];                 /* the first */
        char ring[TRAIL_RING_MAX];         /* early_ring of struct trail_recovery; or "" */
};

/* Appends one record to the real trail. from: as it stands in the early one. -errno ends the join, unless trail_refuses(). */
typedef int (*early_append)(void *user, const struct audit_message_record *m, const struct record *from);

/* Joins the early trail in dir. from: what trail_open() of the real trail found, or how far an attempt came, so that
 * nothing is joined twice.
 * early_done() is next, when what was appended is durable. Returns 0 (also where there is no early trail), -ENOMEM, what
 * reading says, or what append returned. */
int early_join(const char *dir, const struct trail_recovery *from, early_append append, void *user,
               struct early_join *ret);

/* Up to where the kernel's ring of that name is in the trail. Whoever can write to /run says what the early one has: its word counts only
 * where the trail has nothing of its own of that ring (*ret_early: true). Returns 0 or -ENOENT: nothing of it is known. */
int early_ring_written(const struct trail_recovery *r, const char *name, uint64_t *ret, bool *ret_early);

/* Puts the early trail aside (joined.jsonl, for this boot). Returns 0 or -errno. */
int early_done(const char *dir);

/* Says to systemd that the real trail is open: what it is on has to stay mounted until cmkd-audit ends. */
void early_over(void);
