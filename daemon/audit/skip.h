/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What of the kernel's ring is not read, because the trail has it: events that were written, but not taken out of the ring, before a kill.
 *
 *   the trail's own last place ── up to there       none of its own ── the early trail's: up to there, and it is said ("lost")
 *
 * The early trail is in /run: that it has an event is the word of whoever is root. One that ended in order leaves none to be stepped over. */

#include "writer.h"

/* Of no more than one batch is that true. */
#define SKIP_MAX 256u

/* Steps over those of the ring with that name, which is the writer's (writer_set_ring()). record: room for one. Returns how many, or
 * -ERANGE: the trail says of more than can be that it has them, and none is. */
int skip_written(struct ring *ring, const char *name, const struct trail_recovery *trail, struct writer *writer,
                 struct audit_message_record *record);
