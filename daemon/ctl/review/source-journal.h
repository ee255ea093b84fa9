/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Records of many nodes out of the journals that systemd-journal-remote collected in a directory: the mirror that cmkd-audit
 * keeps there (audit/mirror.h), merged by time.
 *
 *   journal-files.h ─► an entry of cmkd-audit.service ─► its node (machine id) ─► number in order? ─► record
 *                                                                          └ no: a record "sequence_gap" comes first
 *
 * What the mirror is: each record's fields, number and hash; its time is when the journal took it. It cannot be verified like a
 * trail. Fields that begin with "_" are journald's own word, the others are the sender's: only entries of that unit count. */

#include "audit/record.h"

#define SEQUENCE_GAP_EVENT "sequence_gap"
#define JOURNAL_NODES_MAX 4096u

struct journal_source;

/* Returns 0, -ENOMEM, or what opendir(3) says. */
int journal_source_open(const char *dir, struct journal_source **ret);
struct journal_source *journal_source_free(struct journal_source *s);

/* As source_next(): 1, 0, -EBADMSG (an entry of that unit that is no record), or another -errno; -E2BIG: more nodes than
 * JOURNAL_NODES_MAX. An entry that is there twice is read once. A record that a hole comes before has event "sequence_gap" before it,
 * with the fields first, last and count; or, where numbers go back, again. */
int journal_source_next(struct journal_source *s, struct record *ret);

/* The name of the record's node: its host name, with its machine id where two nodes have the same. */
const char *journal_source_node(const struct journal_source *s);

uint64_t journal_source_place(const struct journal_source *s);

/* Waits for more. Returns 1 or -errno. */
int journal_source_wait(struct journal_source *s);
