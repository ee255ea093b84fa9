/* SPDX-License-Identifier: Apache-2.0 */
#include "subs.h"

#include <unistd.h>

#define HEX 32

/* What never had a table is no disk yet, and in no directory of sysfs: one may be loaded into it, with a key. The disks come
 * first. */
static int add_found(const struct dm_info *info, void *userdata) {
        struct subs *s = userdata;
        char path[64];

        if (dm_integrity_uuid_parse(info->uuid)) {
                s->tags = *info;
                s->has_tags = true;
                return 0;
        }
        if (s->n == SUBS_MAX)
                return 1;
        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", info->major, info->minor);
        s->d[s->n] = *info;
        if (access(path, F_OK) >= 0) {
                s->d[s->n] = s->d[s->n_disks];
                s->d[s->n_disks++] = *info;
        }
        s->n++;
        return 0;
}

void subs_find(const struct mapping *m, struct subs *ret) {
        static const char *const prefixes[] = { DM_SUBDEV_UUID_PREFIX, DM_INTEGRITY_UUID_PREFIX };
        const char *hex = startswith(m->dm_uuid, DM_CRYPT_UUID_PREFIX);
        char prefix[64];

        ret->n = ret->n_disks = 0;
        ret->has_tags = false;
        if (!hex || strlen(hex) < HEX || m->control < 0)
                return;
        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
                snprintf(prefix, sizeof(prefix), "%s%.*s-", prefixes[i], HEX, hex);
                (void) dm_list(m->control, prefix, add_found, ret);
        }
}
