/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which use of a volume a kernel record belongs to: pure, no I/O.
 *
 *   daemon: request, release {uuid, use} ─► uses_note()      a use begins (a release precedes the key in the kernel)
 *   kernel: key_set, volume_open, … {uuid} ─► uses_join()    gets the field "use"
 *   daemon: detached, removed {uuid} ─► uses_note()          it is over (also: refused, verdict); what was before belongs to it
 *
 * Kept in memory only: after a restart of cmkd-audit records of volumes that are open have no "use" until the next one
 * begins; UUID and time join them then. */

#include "common/audit-proto.h"

#define USES_MAX 64u

struct use {
        char uuid[37];
        char id[37];
        uint64_t begin_usec, end_usec;     /* CLOCK_BOOTTIME; end 0: not over */
};

struct uses {
        struct use uses[USES_MAX];
        size_t next;                       /* the oldest, to be replaced */
};

/* Looks at a record of the daemon. */
void uses_note(struct uses *u, const struct audit_message_record *m);

/* Adds "use" to a kernel record whose volume (field "uuid") is in one that covers its time. */
void uses_join(const struct uses *u, struct audit_message_record *m);
