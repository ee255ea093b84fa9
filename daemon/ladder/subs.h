/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The mappings that cryptsetup puts below a volume's own while it reencrypts it (reencryption.h). */

#include "dm.h"

#define SUBS_MAX 16u

struct subs {
        struct dm_info d[SUBS_MAX];
        size_t n;
        size_t n_disks;                  /* the first; those behind them never had a table, and nobody can have opened one */
};

/* Those of the volume whose mapping that is, by device-mapper's own list; the mapping may be gone. */
void subs_find(const struct mapping *m, struct subs *ret);
