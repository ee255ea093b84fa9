/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From when the lease of a volume counts that was open before this manager was. Reads the clocks, and nothing else.
 *
 *   its mark's yes           ─► the key's (key_track_adopt()): what its owner has said is the same for all its volumes
 *   its slot's deadline ─┬───► this volume's own lease: a restart never extends it, and another policy than the one that the
 *   its mark's yes      ─┘     deadline was made by may shorten it, of this volume alone */

#include "open-mark.h"
#include "volume.h"

/* When an earlier manager heard the last yes that it wrote down; zero: not known. */
struct instant adopted_lease_yes(const struct open_mark_text *mark);

/* When the lease of the volume, ATTACHED or HELD, began. slot: NULL: the breaker has no deadline that says that. */
struct instant adopted_lease_began(const struct volume *v, const struct open_mark_text *mark, const struct breaker_slot *slot);
