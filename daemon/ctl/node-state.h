/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the daemon knows of itself and of its volumes, for cmkctl status and metrics. */

#include "bus.h"

/* The manager's properties; the call is begun, and goes on with node_state_volumes(). The caller owns *ret. Returns an exit code, said. */
int node_state_manager(struct call *c, struct json_object **ret);

/* The properties of each volume, sorted by name. The same. */
int node_state_volumes(struct call *c, struct json_object **ret);
