/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Brings the early trail into the real one (early.h), and goes on with it later if the trail did not take it: from
 * where it was, which the real trail's end need not show any more by then. That it failed becomes a record ("gap"). */

#include "early.h"
#include "writer.h"

struct join {
        const char *dir;                   /* of the early trail; NULL: nothing is to be joined */
        struct trail_recovery from;        /* early_sequence, early_hash: how much of it is in the real trail */
        uint64_t records;                  /* that were joined by this process */
        uint64_t tried_usec;               /* CLOCK_BOOTTIME */
        bool is_said, is_logged;           /* that it failed: in the trail, in the log */
        struct audit_message_record record;
};

/* from: what trail_open() of the real trail found. */
void join_start(struct join *j, const char *dir, const struct trail_recovery *from);

/* True if there is something to be done, and the last attempt was a while ago. */
bool join_is_due(const struct join *j, uint64_t now_usec) _pure_;

/* Joins what is not joined yet. ret_ring: early_ring of struct trail_recovery, if there was a kernel record. Returns 0 (all is
 * durable, the early trail put aside, or there was none), or -errno: it stays due. */
int join_run(struct join *j, struct writer *w, char ret_ring[static TRAIL_RING_MAX]);
