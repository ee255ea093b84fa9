/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One call that may hang, in a child of its own. */

#include "common/util.h"

/* f returns 0 or an errno, positive (below 256). Returns that, EINTR (the child was killed), or ETIMEDOUT: it was told to
 * go and is left to itself. */
int apart(int (*f)(const void *user), const void *user, unsigned wait_msec);
