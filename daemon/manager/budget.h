/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pure: how often the nodes of a fleet may poll. A vault answers so many requests in 10 s, by the type and size of the key;
 * a fleet takes a quarter of that at most, others use the vault too. The arithmetic is in the README ("What polling costs"). */

#include "common/util.h"

struct budget_calls {
        double key, secret;
};

/* The most that one node asks for one key, and for the secret that it is wrapped in, in a span of time. poll_usec: not 0. followed,
 * stored: as below. */
struct budget_calls budget_calls(uint64_t poll_usec, uint64_t span_usec, bool followed, bool stored);

/* The share of its vault's limit that one node takes for one key, times the span between polls in microseconds. bits: of the RSA
 * key; other sizes than 2048 and 3072 count as 4096. followed: with each poll its newest version is asked for too. stored: and a secret, of which a vault gives out 4000 in 10 s. */
double budget_weight(unsigned bits, bool hsm, bool followed, bool stored);

/* The shortest span between polls at which so many nodes stay within the quarter. weights: the sum over the keys of one vault
 * that a node polls. 0: nodes is 0. */
uint64_t budget_shortest_poll_usec(uint64_t nodes, double weights);

/* What they take of the limit, in per cent, rounded up. */
unsigned budget_percent(uint64_t nodes, double weights, uint64_t poll_usec);
