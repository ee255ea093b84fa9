/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What commands left that were interrupted, and old ways into a volume: from the node's list, the headers of the disks that are here, and
 * what cmkd keeps below /var/lib/cmkd.
 *
 *   trust/UUID.conf ─┬─► header of /dev/disk/by-uuid/UUID (root; by cryptsetup) ─► tokens and keyslots, one by one
 *                    ├─► encrypt/UUID.header, .begun
 *   other disks ─────┴─► backups/UUID.luks1
 *
 * What the vault keeps that nobody needs any more nobody here can see: records of the trail name it (old_secret). */

#include "common/trust-entry.h"
#include "findings.h"

struct json_object;

/* Pure: the metadata of a LUKS2 header. v: NULL: it is not on the list, and device is what it is known as. */
void judge_header(const struct json_object *metadata, const struct trust_entry *v, const char *device, struct findings *l);

/* All of it, below a root ("" for the system's own: only there headers are read, and only by root). */
void find_leftovers(const char *root, struct findings *l);
