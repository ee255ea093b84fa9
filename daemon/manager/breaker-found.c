/* SPDX-License-Identifier: Apache-2.0 */
#include "breaker-found.h"

#include "common/log.h"
#include "given-out.h"
#include "manager.h"
#include "mapping-sysfs.h"

static bool is_known(const struct volume *v, const char *mapping) {
        return v && v->state != VOLUME_CLOSED && v->state != VOLUME_CUT && streq(v->mapping, mapping);
}

static int is_it(const struct mapping_seen *s, void *user) {
        const struct mapping_seen *wanted = user;

        return streq(s->uuid, wanted->uuid) && streq(s->mapping, wanted->mapping);
}

static void look_at(struct manager *m, const struct breaker_slot *s) {
        struct mapping_seen of;
        struct volume *v;

        if (dm_crypt_uuid_parse(s->dm_uuid, of.uuid, of.mapping) < 0)
                return;
        v = manager_volume_by_uuid(m, of.uuid);
        if (is_known(v, of.mapping))
                v->breaker_set = true;
        else if (!given_out_has_slot(m, of.uuid, s) && mapping_sysfs_for_each(is_it, &of) == 0) {
                log_notice("%s: the breaker had a deadline of it that is nobody's any more", of.mapping);
                (void) breaker_clear(m->breaker, s->dm_uuid);
        }
}

void breaker_found(struct manager *m, const struct breaker_slot *found, size_t n) {
        for (size_t i = 0; i < n; i++)
                look_at(m, found + i);
}
