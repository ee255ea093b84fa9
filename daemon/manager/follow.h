/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* KeyVersion=latest in [Vault NAME]: the volumes of a key go over to its newest version by themselves.
 *
 *   challenge granted ─► get key, no version ─► another one than this key's, enabled and within its dates?
 *      ─► rotate.h for each attached volume that has the key, one after the other
 *
 * Asked with each poll, once more than a key that is not followed. What could not be rotated is tried again after
 * FOLLOW_RETRY_USEC; the volume goes on with the version that it has. */

#include "common/util.h"

#define FOLLOW_RETRY_USEC (10 * 60 * USEC_PER_SEC)

struct key;

/* Of a struct key: what its reading is known by. */
struct follow {
        bool asking;
};

/* Call after the key was granted. */
void follow_look(struct key *k);

/* Whether the configuration has its keys followed. */
bool follow_wants(const struct key *k);
