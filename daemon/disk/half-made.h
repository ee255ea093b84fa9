/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is left in the way by whoever was killed while he made a mapping: it has no table, or, where the deadline was reached before he
 * was, that of a cut.
 *
 *   DM_DEV_CREATE ─► no table ─┬─► DM_TABLE_LOAD, resume: a mapping
 *                              └─► (killed) ─► the breaker's error table */

#include "common/dm-ioctl.h"

/* Pure. Whether it is that, of this volume by this name, and nobody has it open nor has loaded a table that is about to be its own.
 * live: what dm_query_table() says of it; NULL: it cannot be asked. */
bool half_made_is(const struct dm_info *i, const struct dm_table *live, const char *uuid, const char *mapping);

/* Takes it away. Returns 0, -EEXIST (it is something else), or what ioctl(2) says (-EBUSY: somebody has it open). */
int half_made_remove(int control, const struct dm_info *i, const char *uuid, const char *mapping);
