/* SPDX-License-Identifier: Apache-2.0 */
#include "half-made.h"

bool half_made_is(const struct dm_info *i, const struct dm_table *live, const char *uuid, const char *mapping) {
        char dm_uuid[DM_IOCTL_UUID_SIZE];

        if (dm_crypt_uuid(uuid, mapping, dm_uuid) < 0 || !streq(i->uuid, dm_uuid) || i->open_count != 0)
                return false;
        if (!(i->state & DM_STATE_LIVE_TABLE))
                return true;
        return live && live->all_error && !(i->state & DM_STATE_INACTIVE_TABLE);
}

int half_made_remove(int control, const struct dm_info *i, const char *uuid, const char *mapping) {
        struct dm_table live;
        bool known = (i->state & DM_STATE_LIVE_TABLE) && dm_query_table(control, (struct dm_id) { .uuid = i->uuid }, &live) >= 0;

        if (!half_made_is(i, known ? &live : NULL, uuid, mapping))
                return -EEXIST;
        return dm_remove(control, (struct dm_id) { .uuid = i->uuid }, false);
}
