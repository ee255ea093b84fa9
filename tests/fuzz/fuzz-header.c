/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/encryption.c daemon/disk/reencryption.c daemon/disk/header-check.c daemon/disk/header-key.c daemon/disk/token.c daemon/disk/strict-json.c daemon/disk/unlock-key.c daemon/disk/manifest.c daemon/disk/foreign.c tests/unit/header-image.c daemon/disk/activation.c
// libs: json-c

/* Input that begins with "LUKS" or "SKUL" is a copy of a header, its checksum to be put right; all other input is its
 * metadata. Whatever is accepted lies within the device and gives a manifest. */

#include "../unit/header-image.h"
#include "disk/encryption.h"
#include "disk/foreign.h"
#include "disk/header-key.h"
#include "disk/manifest.h"

#include <openssl/evp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_layout(const struct header_layout *l) {
        if (l->data_offset >= IMAGE_DEVICE_SIZE || (l->sector_size != 512 && l->sector_size != 4096))
                abort();
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++)
                if (l->areas[i].used && (l->areas[i].offset < 2 * HEADER_SIZE_MIN ||
                                         l->areas[i].offset + l->areas[i].size > l->data_offset))
                        abort();
        if (l->n_wraps == 0 || l->n_wraps > DISK_WRAPS_MAX)
                abort();
        for (unsigned i = 0; i < l->n_wraps; i++)
                if (!l->areas[l->wraps[i].token.keyslot].used || l->recovery_keyslot == l->wraps[i].token.keyslot ||
                    (i > 0 && l->wraps[i].token_id <= l->wraps[i - 1].token_id))
                        abort();
        if (l->recovery_keyslot >= 0 && (!l->areas[l->recovery_keyslot].used || l->recovery_token_id < 0))
                abort();
}

/* Of one that is being encrypted (on a larger device): nothing is plain but what was to be encrypted. */
#define ENCRYPTED_DEVICE_SIZE (96u << 20)

static void check_encryption(const struct header_encryption *x) {
        if (!x->under_way)
                return;
        if (x->plain > x->size)
                abort();
        if (x->rekeys ? x->size + x->shift != ENCRYPTED_DEVICE_SIZE || x->moved != 0
                      : x->size + (x->plain > 0 ? 2 : 1) * x->shift != ENCRYPTED_DEVICE_SIZE || x->moved + x->shift != ENCRYPTED_DEVICE_SIZE)
                abort();
}

static void check_metadata(const uint8_t *copy, const struct header_copy *c) {
        _cleanup_(json_object_putp) struct json_object *raw = NULL, *o = NULL;
        struct header_encryption x;
        _cleanup_(secret_freep) struct secret *key = NULL;
        struct header_layout l;
        struct header_why why;
        struct foreign f;
        uint8_t mac[TOKEN_MAC_SIZE];

        if (header_json_parse(copy, c->header_size, &raw, &why) < 0)
                return;
        if (secret_new(64, &key) < 0 || header_key_check(raw, key) == 0)     /* nobody finds the digest of that key */
                abort();
        if (header_settle(raw, ENCRYPTED_DEVICE_SIZE, &o, &x, &why) < 0)
                return;
        check_encryption(&x);
        if (manifest_compute(o, c->uuid, key, mac) < 0)
                abort();
        if (header_metadata_check(o, c, IMAGE_DEVICE_SIZE, &l, &why) < 0)
                return;
        check_layout(&l);
        /* Where all of it was enrolled, nothing that could be left out is foreign. */
        for (unsigned i = 0; i < l.n_wraps; i++)
                memcpy(l.wraps[i].token.mac, mac, sizeof(mac));
        if (foreign_find(o, c->uuid, key, &l, NULL, &f) != -EUCLEAN)
                abort();
}

static void check_copy(uint8_t *copy, size_t size, bool secondary) {
        struct header_copy c;
        struct header_why why;

        memset(copy + 448, 0, 64);
        (void) EVP_Digest(copy, size, copy + 448, NULL, EVP_sha256(), NULL);
        if (header_copy_check(copy, size, secondary ? HEADER_SIZE_MIN : 0, &c, &why) == 0)
                check_metadata(copy, &c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t copy[HEADER_SIZE_MIN] = {};
        bool binary = size >= 512 && (memcmp(data, "LUKS", 4) == 0 || memcmp(data, "SKUL", 4) == 0);

        if (binary)
                memcpy(copy, data, MIN_OF(size, sizeof(copy)));
        else
                image_copy(copy, false, 1, IMAGE_UUID, (const char *) data, size);
        check_copy(copy, sizeof(copy), binary && data[0] == 'S');
        return 0;
}
