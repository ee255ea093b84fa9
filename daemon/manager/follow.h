/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* KeyVersion=latest in [Vault NAME]: the volumes of a key go over to its newest version by themselves.
 *
 *   challenge granted ─► get key, no version ─► another one than this key's, enabled and within its dates?
 *      ─► rotate.h for each attached volume that has the key, one after the other
 *
 * Asked with each poll, once more than a key that is not followed. What could not be rotated is tried again after
 * FOLLOW_RETRY_USEC; the volume goes on with the version that it has.
 *
 * Of a key that is not followed it is asked once, and then every FOLLOW_LOOK_USEC, and that there is a newer version is said once:
 * whoever disables the one before must know who still needs it. */

#include "common/key-uri.h"
#include "common/util.h"

#define FOLLOW_RETRY_USEC (10 * 60 * USEC_PER_SEC)
#define FOLLOW_LOOK_USEC (60 * 60 * USEC_PER_SEC)      /* too rare to count in what polling costs (budget.h) */

struct key;

/* Of a struct key: what its reading is known by. */
struct follow {
        bool asking;
        uint64_t asked_usec;           /* boot clock; 0: never */
        char newest[KEY_URI_MAX];      /* another version than this key's, that could be gone over to; empty: none is known */
};

/* Call after the key was granted. */
void follow_look(struct key *k);

/* Whether the configuration has its keys followed. */
bool follow_wants(const struct key *k);
