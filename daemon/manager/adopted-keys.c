/* SPDX-License-Identifier: Apache-2.0 */
#include "adopted-keys.h"

#include "common/log.h"
#include "manager.h"
#include "wrap.h"

const char *adopted_keys_bind(struct volume *v, const struct disk_reply *y, char buf[static 600]) {
        const struct trust_entry *t = trust_find_uuid(v->manager->trust, v->uuid);
        struct wrap_choice c;

        *buf = 0;
        if (y->error < 0 || !streq(y->uuid, v->uuid))
                return "its header cannot be read";
        v->header = *y;
        if (wrap_choose(y, t, v->manager->trust_early, &c, buf) < 0)
                return buf;
        v->opener = c.at[0];
        if (wraps_bind(v, &c, false, buf) < 0)
                return buf;
        if (!volume_has_key(v)) {
                wraps_unbind(v);
                return *buf ? buf : "it has no key";
        }
        if (*buf)
                log_alert("%s: %s; with Revoke=any it is closed as if that key's vault were silent", v->name, buf);
        return NULL;
}
