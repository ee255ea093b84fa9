/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether the trail is sealed, decided once at the start from the configuration and from what was kept (keep.h):
 *
 *   PublicKey=    kept key    what is done
 *   none          none        nothing is sealed
 *   none          there       the epoch is ended, with a record, and nothing is sealed from then on
 *   there         none        an epoch begins with the first record
 *   there         there       the epoch goes on; if it is wrapped to another public key, the next one takes over from it
 *   not known     there       the epoch goes on: a configuration that cannot be read ends nothing
 *   not known, or cannot be used, and no kept key: nothing is sealed, and that is an alarm */

#include "sealer.h"

struct sealing {
        struct sealer *sealer;             /* NULL: none; until the trail has it */
        bool is_over;                      /* the epoch is to be ended */
        char why[256];                     /* what should have been and is not; "": all is as configured */
};

/* public_key: the path, or NULL; known: the configuration could be read. Never fails: what does not work is said. */
void sealing_open(const char *public_key, bool known, struct sealing *ret);
