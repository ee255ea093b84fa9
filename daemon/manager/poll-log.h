/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The polls of one key since its last record "polls": the ids that went to the vault with them. Each poll has the vault unwrap
 * something, and the vault's log has each of them: without the ids an auditor could not tell them from what somebody else has
 * unwrapped (cmkctl audit reconcile). One record for many, so that the trail does not grow by a line a poll. Pure. */

#include "common/audit-proto.h"

#define POLL_LOG_MAX 27u                   /* ids in a field: 36 characters and a space each */
#define POLL_LOG_USEC (15 * 60 * USEC_PER_SEC)   /* so long may the oldest wait: what a crash may take along */

struct poll_log {
        char ids[POLL_LOG_MAX][37];
        bool granted[POLL_LOG_MAX];
        size_t n;
        uint64_t first_usec;               /* CLOCK_BOOTTIME */
};

/* Another one was asked. Of a log that is full (poll_log_is_due()) and could not be recorded, the oldest goes. */
void poll_log_asked(struct poll_log *l, const char id[static 37], uint64_t boottime_usec);

/* The vault unwrapped for the one that was asked last. */
void poll_log_granted(struct poll_log *l);

/* Whether they are to be recorded before another one is asked. */
bool poll_log_is_due(const struct poll_log *l, uint64_t boottime_usec) _pure_;

/* Makes the record, and the log is empty. Fields: key, count, ids (for which the vault unwrapped), ids_other (refused, unanswered). */
void poll_log_take(struct poll_log *l, const char *key, struct audit_message_record *ret);
