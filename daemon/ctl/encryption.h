/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* encrypt.c, for the verbs that begin what goes on in the daemon: looking on, and saying what it came to. */

#include "bus.h"

/* How it stands when it is not looked at any more. */
struct encryption_seen {
        char name[80], encryption[16], state[32], cause[64];
        uint64_t size, done;
};

/* Until it is done, closed, or somebody wants no more of it (not wait: at once). Returns an exit code. */
int encryption_follow(struct call *c, const char *uuid, bool wait, struct encryption_seen *ret);

/* Prints it. again: it was encrypted before, and gets another volume key. Returns the verb's exit code. */
int encryption_conclude(const struct invocation *in, const char *uuid, bool changed, bool again, const struct encryption_seen *s);
