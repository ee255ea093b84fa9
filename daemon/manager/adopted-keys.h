/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whom to ask about a volume that somebody else made the mapping of, or an earlier manager. */

#include "volume.h"

/* Ties the volume to the keys of its header, which y is, that this node knows. Returns NULL, or why (in buf) nobody can be asked about it. */
const char *adopted_keys_bind(struct volume *v, const struct disk_reply *y, char buf[static 600]);
