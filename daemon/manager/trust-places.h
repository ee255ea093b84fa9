/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where the node's list is: TRUST_DIRECTORY, with a copy in /etc that is read while /var is not mounted yet (it may be on a
 * volume that this list is needed for), and the lists that owners signed.
 *
 *   /var/lib/cmkd/trust ──┐ (is it in its place?)
 *   /etc/cmkd/trust ──────┴─► + /etc/cmkd/trust.d/NAME.list + the volume of a drill (drill.h) ─► struct trust_list
 *
 * What is written goes to both; that the copy could not be written is logged and no failure. What a crash left in between is put right at the
 * next start, or as soon as /var is there (trust_places_follow()). */

#include "common/config.h"
#include "trust.h"

#define TRUST_EARLY_DIRECTORY "/etc/cmkd/trust"

/* UUID.conf: what a volume is to be listed as once its header is the copy's (personalize.c). While the disk may have one header or the
 * other such an entry is on the list too (pending, behind the image's), and not in TRUST_DIRECTORY. */
#define TRUST_PENDING_DIRECTORY "/var/lib/cmkd/personalize"

/* *ret_early: the copy was read, to be read anew when /var is there. Returns as trust_load(). */
int trust_places_load(const struct config *c, struct trust_list **ret, bool *ret_early);

/* Whether TRUST_DIRECTORY is in its place. */
bool trust_places_ready(void);

/* Makes the copy what the list is; only where that is in its place. Of an empty list, which may stand below a /var that fstab does not know
 * of, and of a file that is bad there, nothing follows. What only the copy has is kept beside it (trust_set_aside()): a /var that was lost leaves
 * nothing else of it. */
void trust_places_follow(void);

/* As trust_add(), trust_update(), trust_put_back(), trust_remove(); removed from the copy in any case. */
int trust_places_add(const struct trust_entry *e);
int trust_places_update(const struct trust_entry *e);
int trust_places_put_back(const struct trust_entry *e);
int trust_places_remove(const char *uuid);

/* Writes such an entry, whatever there was of its UUID. Returns as trust_add(). */
int trust_places_pend(const struct trust_entry *e);

/* It takes the place of the image's; interrupted, the next list has it as pending, and the same call goes on. Returns as trust_add(). */
int trust_places_settle(const struct trust_entry *e);
