/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Keys that were given out shortly before this manager began, whose mappings nobody has seen yet: whoever got one (cryptsetup, a child
 * that outlives its manager) may make the mapping any moment. It is ours then, with the lease of that release, and the deadline that the
 * breaker has of it stands until then.
 *
 *   mark "released", no mapping ─► kept ─┬─ a mapping appears ─► adopt_found(): ours
 *                                        └─ none in RELEASE_UNUSED_USEC ─► mark and deadline go
 *
 * By UUID and beside the volumes: one that is closed may be attached, fail, and be forgotten meanwhile. Mark and deadline stay for the
 * next manager as long as it is kept here, whatever becomes of the volume. */

#include "common/breaker-proto.h"
#include "open-mark.h"

struct manager;
struct volume;

/* slot: NULL: the breaker has none. Returns 0, or -ENOMEM (logged): a mapping that appears is taken for somebody else's. */
int given_out_keep(struct manager *m, const char *uuid, const struct open_mark_text *mark, const struct breaker_slot *slot);

/* Returns whether there is one: its mark, and the deadline that the breaker has of it (without a dm_uuid: none). */
bool given_out_find(struct manager *m, const char *uuid, struct open_mark_text *ret, struct breaker_slot *ret_slot);

/* The breaker has this deadline of the volume, and it is not that of a mapping that is there: it is of what is kept, and goes with it.
 * Returns false where nothing is kept, or something by another deadline. */
bool given_out_has_slot(struct manager *m, const char *uuid, const struct breaker_slot *slot);

/* The same of the volume's own deadline, where there is one: it is closed again, and its key was not used. Returns whether it is taken. */
bool given_out_takes_deadline(struct volume *v);

/* Its mapping has come; harmless where nothing is kept. The deadline is the volume's from now on. */
void given_out_seen(struct manager *m, const char *uuid);

void given_out_clear(struct manager *m);
