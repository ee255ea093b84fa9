/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/luks1.c

/* The first bytes of a disk that somebody wants taken over. What is accepted has a UUID and data at a place that can be. */

#include "disk/luks1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct header_why why = {};
        uint8_t p[LUKS1_HEADER_SIZE];
        struct luks1 l;
        int r;

        if (size < sizeof(p))
                return 0;
        memcpy(p, data, sizeof(p));
        r = luks1_check(p, &l, &why);
        if (r < 0 && !*why.text)
                abort();
        if (r >= 0 && (!uuid_is_valid(l.uuid) || l.payload_offset < 4096 || l.payload_offset > LUKS1_PAYLOAD_MAX))
                abort();
        return 0;
}
