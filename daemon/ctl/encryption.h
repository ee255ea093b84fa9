/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* encrypt.c, for the verbs that begin what goes on in the daemon: looking on, and saying what it came to. */

#include "bus.h"

/* c has the reply to what began it. Looks on until it is done, closed, or somebody wants no more of it (--background: at once), and
 * prints what it came to, with --json into list unless that is NULL. again: it was encrypted before, and gets another volume key.
 * Returns the verb's exit code. */
int encryption_finish(const struct invocation *in, struct call *c, bool again, struct json_object *list);

/* Whether somebody wants no more of it by Ctrl-C. */
bool encryption_was_interrupted(void);
