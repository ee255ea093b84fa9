/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A second witness of keys set and freed: the kernel's own audit records of dm-crypt (drivers/md/dm-audit.c, CONFIG_DM_AUDIT),
 * which need none of our programs. Each must be known from the ring too; one that is not was made while the programs did not
 * run.
 *
 *   ring ── witness_match_event() ──┐
 *                                   ├── the same device, process and deed: agreed
 *   audit ── witness_match_word() ──┘   only here, and the ring was read to where it stood 2 s later: unseen
 *
 * The other way round says nothing: auditing may be off, and the kernel drops its records where there are too many. Pure. */

#include "event.h"
#include "common/util.h"

#define WITNESS_SEEN 256u
#define WITNESS_PENDING 64u

struct witness_word {
        bool freed, ok;
        uint32_t dev_major, dev_minor;
        uint32_t pid, ppid, uid, loginuid, session;
        uint64_t realtime_usec;
        char comm[CMKD_COMM_SIZE + 1], exe[256];
};

struct witness_match {
        struct { uint64_t boottime_ns; uint32_t dev_major, dev_minor, tgid; bool freed; } seen[WITNESS_SEEN];
        size_t next_seen;
        struct { struct witness_word word; uint64_t heard_ns, position; } pending[WITNESS_PENDING];
        size_t n_pending;
        uint64_t agreed, dropped;          /* dropped: more waited at once than there is room for */
};

/* text: n bytes, the payload of an AUDIT_DM_CTRL record. Returns 0, -ENOMSG (of another target or deed), or -EBADMSG. */
int witness_parse(const char *text, size_t n, struct witness_word *ret);

/* Whether a record of that wall clock time is of the time since *began_usec; what was before was read by another process, if at all. Where
 * the clock stands before that it was set back, and tells nothing any more: all count. */
bool witness_is_since(uint64_t *began_usec, uint64_t now_usec, uint64_t word_usec);

/* An event from the ring. */
void witness_match_event(struct witness_match *m, const struct cmkd_event *e);

/* A record of the audit. now_ns: the boot's clock. */
void witness_match_word(struct witness_match *m, const struct witness_word *word, uint64_t now_ns);

/* Takes out one that the ring does not have. filled, consumed: up to where the ring is filled, and was read. Returns whether there
 * is one. */
bool witness_match_unseen(struct witness_match *m, uint64_t filled, uint64_t consumed, uint64_t now_ns, struct witness_word *ret);
