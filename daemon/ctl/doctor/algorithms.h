/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "findings.h"

/* What the configuration below root says of algorithms, and whether this machine can do it. A configuration that cannot be read is
 * "cmkctl config check"'s business. */
void find_algorithms(const char *root, struct findings *l);
