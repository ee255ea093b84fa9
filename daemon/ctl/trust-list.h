/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The node's list of volumes, as cmkd has it (ListTrust, org.cmkd1(5)). */

#include "bus.h"

struct trust_listed {
        const char *uuid, *name, *role;
        const char *keys;              /* identifiers, divided by spaces */
        uint64_t generation;
        const char *source;            /* "node", or the signed list that it is on */
        const char *serial;            /* of its disk, or empty */
};

/* Asks for it. Returns an exit code; what was wrong has been said. */
int trust_list_begin(struct call *c);

/* The next entry; its texts are c's. Returns 1, 0 (there are no more) or a negative errno: for call_misunderstood(). */
int trust_list_next(struct call *c, struct trust_listed *ret);

/* The first one of that name or UUID, from the beginning, as often as one likes. Returns an exit code: EXIT_CODE_POLICY, and it has been
 * said, where there is none. */
int trust_list_find(struct call *c, const char *what, struct trust_listed *ret);

/* Asks too, and says nothing: whether there is one of that name or UUID. false also where that cannot be known, as by who is not root. */
bool trust_list_has(struct call *c, const char *what);
