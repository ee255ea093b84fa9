/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* At start: what is open already is taken over as it stands. Each entry of the node's list is looked for in
 * device-mapper (QUERY, INSPECT, in children); leases go on from the breaker's deadlines, so that restarting the manager
 * never extends one. */

#include "common/breaker-proto.h"

struct manager;

/* found: the breaker's slots, copied as far as they are needed. When all entries were looked at, m->adopted is set, the
 * bus answers verbs and the service manager hears READY=1. */
void adopt_start(struct manager *m, const struct breaker_slot *found, size_t n);
