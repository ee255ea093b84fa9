/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the kernel does not record or refuse on this node, from the status of cmkd-audit below a root ("" for the system's
 * own). */

#include "findings.h"

/* Adds what there is. Without the file cmkd-audit does not run here: nothing is said. */
void find_blindness(const char *root, struct findings *l);
