/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What seals a trail: the key of the next record, in step with what is in the file.
 *
 *   sealer_begin ── record "epoch" ─┐                          ┌── sealer_keep: the file has them; the key goes to the keep
 *                    sealer_key ── record ── sealer_advance ×n ┤
 *                                                              └── sealer_take_back: it has not; the key is the kept one again
 *
 * Epochs. One begins with a random key, wrapped to the auditor's public key in the record "epoch": fields epoch (its id),
 * reason, previous, digest (which public key), algorithm, wrapped. Where the key of the one before is there, that record is
 * sealed by it ("rotated": another public key was configured): a clean handover. Otherwise it is sealed by its own first key:
 * "first" where nothing was sealed before, "lost" where the key is gone. The record "epoch_end" closes one; what
 * comes after it needs no handover. */

#include "common/audit-proto.h"
#include "keep.h"
#include "seal-rsa.h"

#define EPOCH_EVENT "epoch"
#define EPOCH_END_EVENT "epoch_end"

/* Reasons of an epoch's end: no public key is configured any more, what follows is not sealed; cmkd-audit was stopped, what
 * follows begins with the next epoch. */
#define EPOCH_END_UNCONFIGURED "not configured"
#define EPOCH_END_STOPPED "stopped"

struct sealer;

/* What the record "epoch" says. The texts are the record's. */
struct sealer_epoch {
        const char *id, *reason, *previous, *digest, *wrapped;
};

/* public: whom new epochs are wrapped to; NULL: none begin. Both become the sealer's, also on failure. Returns 0,
 * -ENOMEM, or what secret_new() says. */
int sealer_new(struct seal_public *public, struct keep *keep, struct sealer **ret);
struct sealer *sealer_free(struct sealer *s);
static inline void sealer_freep(struct sealer **s) { sealer_free(*s); }

/* The kept state: false if no epoch is open there. */
bool sealer_state(const struct sealer *s, struct keep_state *ret);

/* No key is left, also not in the keep; lost: of an epoch that did not end, so that the next one says so. */
void sealer_forget(struct sealer *s, bool lost);

/* True when a record "epoch" has to come before any other. */
bool sealer_is_due(const struct sealer *s) _pure_;

/* True while records are sealed. */
bool sealer_is_open(const struct sealer *s) _pure_;

/* The id of the epoch that is open, or "". */
const char *sealer_epoch(const struct sealer *s) _pure_;

/* Draws a key and fills in the record; the next sealer_advance() is for that one. Returns 0, -ENOMEM or -EIO. */
int sealer_begin(struct sealer *s, struct audit_message_record *ret);

/* What the next record is to be sealed with, or NULL: with nothing. */
struct seal_key *sealer_key(struct sealer *s);

/* A record was sealed with it: it is turned into the next. Returns 0 or -EIO. */
int sealer_advance(struct sealer *s);

/* The record that was sealed last was the last of its epoch: no key is left once that is kept. */
void sealer_end(struct sealer *s);

/* What was sealed is in the file, up to that record; or nothing of it is. */
void sealer_keep(struct sealer *s, uint64_t sequence, const uint8_t hash[static CHAIN_HASH_SIZE]);
void sealer_take_back(struct sealer *s);
