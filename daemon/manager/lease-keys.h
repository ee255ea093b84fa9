/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pure: how the verdicts on several keys of one volume add up (tests/unit/test-lease-keys.c walks the table for two and three
 * keys, over every state of each).
 *
 *                     Revoke=any (default)                        Revoke=all
 *   REVOKED           one of them, for sure                       every one, for sure
 *   DENIED            one of them, for sure                       every one says no, and not all REVOKED
 *   lease             until the first that is silent for lease    as long as one has its own that counts; what says no for
 *                     and grace: the oldest grant of all          sure has none, unless all do
 *   undone by         a new grant of one, while none says no      a new grant of one that does not say no
 *                     or has been silent for that long
 *
 * A key that was never granted in this use (its vault was silent when another opened the volume): for any, its silence counts
 * from the opening; for all, it has no lease. Of one key alone both are what its track says. */

#include "lease.h"

struct lease_sum {
        bool revoked, denied;
        bool has_lease;
        struct instant lease;           /* lease and grace count from then */
        bool granted;                   /* what was done to the volume can be undone */
};

/* Whether its owner has said yes, and from when this volume's lease by that key counts. */
bool lease_key_granted(const struct lease_key *k, struct instant *ret);

/* since: what is to be undone began then. */
void lease_keys_add_up(const struct lease_keys *k, struct instant since, const struct policy *p, struct instant now,
                       struct lease_sum *ret);

/* The place of the key whose verdict is the one to tell: for any the worst, for all the best. */
unsigned lease_keys_telling(const struct lease_keys *k, const struct policy *p);

/* A REVOKED that counts, or would once it is confirmed, has been heard. */
bool lease_keys_revocation_pending(const struct lease_keys *k, const struct policy *p);
