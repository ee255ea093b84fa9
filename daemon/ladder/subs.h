/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The mappings that cryptsetup puts below a volume's own: while it reencrypts it (reencryption.h), and for integrity tags (disk/integrity.h). */

#include "dm.h"

#define SUBS_MAX 16u

struct subs {
        struct dm_info d[SUBS_MAX];
        size_t n;
        size_t n_disks;                  /* the first; those behind them never had a table, and nobody can have opened one */
        struct dm_info tags;             /* what keeps the volume's integrity tags, which is none of those: it has no key */
        bool has_tags;
};

/* Those of the volume whose mapping that is, by device-mapper's own list; the mapping may be gone. */
void subs_find(const struct mapping *m, struct subs *ret);
