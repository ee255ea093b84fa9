/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmkd-audit: two sources of records, one trail.
 *
 *   /run/cmkd/audit.sock ── serve ──┐                        ┌── mirror (journal)
 *                                   ├── trail_append, commit ┤
 *   kernel ── ring ── describe ─────┘                        └── acks: after fdatasync for durable records
 *
 * Group commit: everything that has arrived is written with one write(2) and made durable with one fdatasync(2); what
 * arrives meanwhile waits for the next. One thread: while the disk is slow the kernel's ring fills up, and past its end
 * losses are counted there.
 *
 * Where an auditor's key is configured the records are sealed (sealing.h, seal.h); the early trail is not. What the trail's end
 * is, once it is durable, is published for cmkd, whose polls take it out of the node (common/anchor.h); not of the early trail.
 *
 * Invariants: an event leaves the ring only when it is in the file (a killed cmkd-audit loses none; "ring" in the last
 * record tells which were written already). A durable record is acknowledged only after fdatasync(2). Whatever is lost,
 * torn, missing or blind becomes a record: events "lost", "gap", "probes", "blind". While the file system of the trail is
 * not mounted the records go to /run; they are joined to it when it comes, without a restart, or by the next start, and
 * again every few seconds while that fails. */

#include "common/paths.h"
#include "common/util.h"

struct audit;

struct audit_options {
        const char *trail_dir;
        const char *socket;                /* used if systemd does not hand one over */
        uint32_t ring_size;                /* bytes, a power of two of pages; 0: CMKD_RING_SIZE */
        bool kernel;                       /* false: records of the daemons only */
        const char *public_key;            /* NULL: records are not sealed; sealing.h */
        struct privacy *privacy;           /* whose pseudonyms are written; NULL: names are; privacy-setup.h */
        bool unmirrored;                   /* names are not for the journal, and there is no key here */
        bool config_known;                 /* the configuration could be read: what it does not say is not wanted */
        uint64_t max_file_size, max_file_age_usec;     /* of the trail's files; 0: no limit */
        bool early;                        /* an initramfs: the real trail is not here and will not come (early.h) */
};

/* Opens trail, probes and socket. options: stay the caller's, and as long as the audit. Without probes it goes on and says so in the status and in a record; without a trail
 * it does not. Returns 0 or -errno (of the trail or the socket). */
int audit_new(const struct audit_options *options, struct audit **ret);
struct audit *audit_free(struct audit *a);
static inline void audit_freep(struct audit **a) { audit_free(*a); }

/* Runs until SIGTERM or SIGINT. Returns 0 or -errno. */
int audit_run(struct audit *a);
