/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/uevent.c
/* Messages of the uevent socket, and dm uuids as sysfs has them: what is taken is bounded, and a dm uuid that is taken
 * is the one that its parts make again. */
#include "common/dm-ioctl.h"
#include "manager/uevent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok) {
        if (!ok)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char uuid[37], mapping[DM_IOCTL_UUID_SIZE], again[DM_IOCTL_UUID_SIZE], *s;
        struct uevent e = {};

        if (size > 65536)
                return 0;
        s = malloc(size + 1);
        check(s != NULL);
        memcpy(s, data, size);
        s[size] = 0;
        if (uevent_parse(s, size, &e) == 0)
                check(e.action <= UEVENT_OTHER && e.major <= 999999999 && e.minor <= 999999999);
        if (dm_crypt_uuid_parse(s, uuid, mapping) == 0) {
                check(uuid_is_valid(uuid) && dm_mapping_name_is_valid(mapping) && !strchr(mapping, '/'));
                check(dm_crypt_uuid(uuid, mapping, again) == 0 && streq(again, s));
        }
        free(s);
        return 0;
}
