/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmkctl audit verify --vault-log: what the vault's own log says of the trail (anchor-log.h), read and told. As in ctl.h, what
 * returns int returns an exit code and has said why. */

#include "anchor-log.h"
#include "ctl/ctl.h"

struct verify_log {
        const char *path;                  /* NULL: no log was named, and nothing here does anything */
        struct anchor_log log;
        uint64_t unreadable, unreadable_line;
};

/* What the options say; and this machine's own tag, where the trail is this node's. */
int verify_log_prepare(const struct invocation *in, struct verify_log *ret);

/* A trail_each, user: the struct verify_log. */
int verify_log_record(const struct record *r, const uint8_t hash[static CHAIN_HASH_SIZE], void *user);

/* Reads the log, after the trail. */
int verify_log_read(struct verify_log *v);

/* whole: the chain of the trail holds. */
void verify_log_to_people(const struct verify_log *v, bool whole);

/* Adds a member "anchors". */
void verify_log_to_json(const struct verify_log *v, struct json_object *o);

/* True if no log was named, or it was read as a whole, says something of the trail and contradicts it nowhere. */
bool verify_log_holds(const struct verify_log *v) _pure_;

/* What the log is worth: TRAIL if it contradicts the trail, FAILED if it was not read as a whole or says nothing of it. */
int verify_log_judge(const struct verify_log *v, const char *trail);

void verify_log_done(struct verify_log *v);
