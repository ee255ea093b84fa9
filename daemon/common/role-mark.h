/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What role the open volumes have, for processes that do not know the node's list: a file a volume in /run/cmkd/roles, named
 * by its UUID, with the role's name. There from before its key is used until it is closed or cut. */

#include "policy-values.h"

/* A failure is logged. */
void role_mark_write(const char *uuid, enum role role);
void role_mark_remove(const char *uuid);

/* Returns 0, -EINVAL (no role), or what open(2) says: -ENOENT: no open volume, or one of an older cmkd. */
int role_mark_read(const char *uuid, enum role *ret);
