/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pure: what was last read of a key's attributes, when they are to be read again, and what a reading means.
 *
 * Attributes are the vault's word and the worker's, not proven by a challenge: they may bring a revocation forward and
 * tighten a policy, never extend a lease. A reading that fails changes nothing. */

#include "floors.h"

/* Read again after that many polls of the key, and not before that much time. */
#define ATTRIBUTES_POLLS 10u
#define ATTRIBUTES_MIN_USEC (60 * USEC_PER_SEC)

/* A key that expires within that time is said to: as long before as Key Vault's own event of that name comes. */
#define ATTRIBUTES_SOON_SEC (30u * 24u * 3600u)

struct attributes {
        uint64_t expires;             /* seconds since 1970, 0: never */
        unsigned bits;                /* 0: not known yet */
        bool hsm;
        struct vault_tag tags[VAULT_TAGS_MAX];
        unsigned n_tags;
        struct policy_floors floors;  /* what the tags say */
        struct floors_text text;
        struct instant asked;         /* the last reading; zero: none yet */
        uint64_t polls;               /* of the key, then */
        bool failing;                 /* it failed, and that was said */
        bool expiry_said;
        bool soon_said;               /* that it expires soon */
        bool budget_said;             /* that the fleet polls too often */
        bool unsafe_said;             /* that the key may be destroyed for good, or taken out of the vault */
};

void attributes_init(struct attributes *a);

/* n_polls: how often the key was polled so far. */
bool attributes_due(const struct attributes *a, uint64_t n_polls, struct instant now);

/* A reading was asked for. */
void attributes_asked(struct attributes *a, uint64_t n_polls, struct instant now);

/* Takes over what a reading that is GRANTED brought; others change nothing. True: floors, or what is ignored of them, are
 * others than before. */
bool attributes_take(struct attributes *a, const struct vault_reply *y);

/* By the wall clock. */
bool attributes_expired(const struct attributes *a, struct instant now);

/* Not yet, but within ATTRIBUTES_SOON_SEC. buf: then it is the date. */
bool attributes_expire_soon(const struct attributes *a, struct instant now, char buf[static 32]);

/* Makes the reply to a reading say what it means: REVOKED where the key is not enabled, or expired and expiry_revokes. */
void attributes_judge(struct vault_reply *y, bool expiry_revokes, struct instant now);
