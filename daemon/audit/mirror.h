/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The trail's mirror in the journal: each record with its MESSAGE_ID, number and hash, so that the journal (and whoever
 * receives it) knows the head of the chain. What the trail did not take never goes there. Never waits: what the journal
 * does not take at once is counted.
 * Of the kernel's less urgent events (opens, table reads) at most 100 a second go there, and of its guard_* events.
 * Written to journald's socket in its native protocol, because sd_journal_sendv(3) may block. */

#include "record.h"

struct mirror;

/* Without a journal the mirror stays closed and everything is counted as lost. Returns 0 or -ENOMEM. */
int mirror_new(struct mirror **ret);
struct mirror *mirror_free(struct mirror *m);

/* The mirrored records say CMKD_NODE=node from now on: a pseudonym, where names are not to be told. NULL: nothing is
 * mirrored any more, and nothing counted as lost. */
void mirror_set_node(struct mirror *m, const char *node);

/* Keeps a record until it is known whether the trail has it under that number: then flush, else drop. */
void mirror_queue(struct mirror *m, const struct audit_message_record *r, enum record_source source, uint64_t sequence,
                  const uint8_t hash[static CHAIN_HASH_SIZE]);
void mirror_flush(struct mirror *m);
void mirror_drop(struct mirror *m);

/* Records that the journal did not take. */
uint64_t mirror_lost(const struct mirror *m);

/* The MESSAGE_ID of an event; pure. */
const char *mirror_message_id(const char *event);
