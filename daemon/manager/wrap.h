/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The keys of a volume: which of those in its header this node knows, and the tie between each and its struct key.
 *
 *   header (tokens, unauthenticated) ─┬─► wrap-choice.h ─► wraps_bind() ─► struct wrap ─► struct key (key.h)
 *   node's list ──────────────────────┘
 */

#include "lease.h"
#include "volume.h"
#include "wrap-choice.h"

struct vault_config;

/* Ties the volume to those keys of v->header, and to no other. Keys that are known keep their lease. strict: every one must be
 * allowed by the configuration, else those that are not stay silent for ever. Returns 0, or with a sentence's end in why -EPERM
 * (not allowed; nothing was bound or unbound), -EINVAL (a public key is none) or -ENOMEM. */
int wraps_bind(struct volume *v, const struct wrap_choice *c, bool strict, char why[static 600]);

/* Takes a volume from its keys; those without volumes are freed. */
void wraps_unbind(struct volume *v);

/* The floors of its keys' owners, as far as they are known. */
void wraps_tighten(const struct volume *v, struct policy *p);

/* Whether this process has heard a yes of one of its owners. */
bool wraps_have_heard(const struct volume *v);

/* For lease_decide(). */
struct lease_key wrap_lease_key(const struct wrap *w);
void wraps_lease_keys(const struct volume *v, struct lease_keys *ret);

/* From when the volume's lease counts now; zero: there is none. */
struct instant wraps_lease_begin(const struct volume *v);

/* Whether the last answer of one of its owners is yes, and with Revoke=any no other says no. */
bool wraps_are_granted(const struct volume *v);

/* The key whose verdict is the one to tell: with Revoke=any the worst, else the best. NULL: there is none. */
struct key *wraps_telling_key(const struct volume *v);

/* Sets the timers of its keys for whatever comes next: key_schedule(). */
void wraps_schedule(struct volume *v);
