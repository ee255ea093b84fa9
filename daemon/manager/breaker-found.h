/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the breaker holds when it is there again, compared with what stands: it may have been told to forget something, or somebody to
 * tell it, while it was away.
 *
 *   of a volume that is open, under that name ─► known as its deadline, set or taken back with the next decision
 *   of a key that was given out                ─► stands, and is taken back with it (given-out.h)
 *   of a mapping that there is not             ─► taken back: one of that name may be opened by somebody else later
 *   of any other mapping that stands           ─► stands */

#include "common/breaker-proto.h"

struct manager;

void breaker_found(struct manager *m, const struct breaker_slot *found, size_t n);
