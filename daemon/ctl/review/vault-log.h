/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A vault's own log, entry by entry, in bounded memory: a JSON object a line, {"records": [...]} as a storage account has it, or
 * a JSON array. A line that is torn hides none of those after it: reading goes on behind its newline. */

#include "vault-entry.h"

#define VAULT_LOG_ENTRY_MAX (256u * 1024u)

struct vault_log;

/* Opens it ("-": standard input). Returns 0, -ENOMEM or what open(2) says. */
int vault_log_open(const char *path, struct vault_log **ret);
struct vault_log *vault_log_free(struct vault_log *l);
static inline void vault_log_freep(struct vault_log **l) { vault_log_free(*l); }

/* The next entry. Returns 1, 0 (the end), -EBADMSG (something here is no entry: counted; the next call goes on behind it), -E2BIG
 * (so much is unreadable that this is no such log), -ENOMEM or -errno of read(2). */
int vault_log_next(struct vault_log *l, struct vault_entry *ret);

/* The line on which what was read last began; the first is 1. */
uint64_t vault_log_line(const struct vault_log *l);
