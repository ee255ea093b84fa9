/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The early trail where names are not to be told: an initramfs has no key of pseudonyms, its records have names, in /run. Before
 * anything is added to that trail or taken out of it, it is written anew:
 *
 *   raw:  1 ── 2 ── 3          verified
 *   new:  1 ── 2 ── 3 ── 4     1: event privacy, which key, and what the verification said; a chain of its own
 *
 * so that what is joined later can be verified like any other early trail. One that begins with that event is left as it is.
 * The raw one is overwritten by a rename, then its head by another: who is killed between them is followed by one who does
 * the second. */

#include "privacy.h"
#include "record.h"

/* Begins the record that says whose pseudonyms follow. */
void privacy_early_record(const struct privacy *p, struct audit_message_record *m);

/* Rewrites DIR/trail.jsonl, if it is there. Returns 1 (done), 0 (nothing to do), or -errno: it is as it was, and must not be
 * joined. */
int privacy_early(struct privacy *p, const char *dir);
