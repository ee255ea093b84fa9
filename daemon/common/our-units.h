/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The services in which cmkd's own processes run. */

#include "util.h"

/* Whether the n characters at name are one: cmkd.service and its like, or an instance that systemd named after a connection. Whoever may
 * name control groups (a user's manager, a container) can use these names too: the caller looks at where it is. */
bool our_unit(const char *name, size_t n) _pure_;
