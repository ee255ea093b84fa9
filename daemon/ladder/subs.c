/* SPDX-License-Identifier: Apache-2.0 */
#include "subs.h"

#include <unistd.h>

#define HEX 32

/* What never had a table is no disk yet, and in no directory of sysfs: one may be loaded into it, with a key. The disks come
 * first. */
static int add_found(const struct dm_info *info, void *userdata) {
        struct subs *s = userdata;
        char path[64];

        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", info->major, info->minor);
        s->d[s->n] = *info;
        if (access(path, F_OK) >= 0) {
                s->d[s->n] = s->d[s->n_disks];
                s->d[s->n_disks++] = *info;
        }
        return ++s->n == SUBS_MAX;
}

void subs_find(const struct mapping *m, struct subs *ret) {
        const char *hex = startswith(m->dm_uuid, DM_CRYPT_UUID_PREFIX);
        char prefix[64];

        ret->n = ret->n_disks = 0;
        if (!hex || strlen(hex) < HEX || m->control < 0)
                return;
        snprintf(prefix, sizeof(prefix), "CRYPT-SUBDEV-%.*s-", HEX, hex);
        (void) dm_list(m->control, prefix, add_found, ret);
}
