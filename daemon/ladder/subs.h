/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The mappings that cryptsetup puts below a volume's own while it reencrypts it (reencryption.h). */

#include "dm.h"

#define SUBS_MAX 16u

struct subs {
        struct dm_info d[SUBS_MAX];
        size_t n;
};

/* Those of the volume whose mapping that is, by sysfs; the mapping may be gone. */
void subs_find(const struct mapping *m, struct subs *ret);
