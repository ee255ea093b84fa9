/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Volumes that have something in common above them: an md array, a logical volume, a btrfs. They go together and come back
 * together, so that none of them is written to while another is gone: the array would come back degraded.
 *
 *   the first that is cut ─► fellows_take_along(): the others are cut for its sake (CAUSE_STACK), their steps CUT meet
 *                            (common/batch.h)
 *   a key is enabled again ─► fellows_are_ready(): all of them may be attached, or are? then attach; else wait
 *
 * A volume's fellows are known from its cut until it is open again, over a restart of the manager too (cut-mark.h). Not
 * taken along: one of role os, one in recovery (nothing is done to either), and nobody where a disk was pulled. */

#include "volume.h"

/* The cut of that volume begins (it is CUTTING): finds its fellows and begins theirs. Nothing happens where that was done
 * already. */
void fellows_take_along(struct volume *v);

/* "a stack stands on it and on data2, data3: they are cut together", as it is now. Empty: nobody would be taken along. */
void fellows_describe(struct volume *v, char *buf, size_t size);

/* True while another of them is cut from the held state: what is shut down first would hang. */
bool fellows_are_held(const struct volume *v);

/* May a volume that is closed be attached by itself? The name of the first one that keeps it, or NULL. */
const char *fellows_missing(const struct volume *v);

/* That volume is open again: those that wait for it are asked anew. */
void fellows_look(const struct volume *v);
