/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A volume of ours on its way open; CHECK, ACTIVATE, UNLOCK_KEY, RESUME and the end of FORMAT share the steps:
 *
 *   device_open ─► header_read ─► expected UUID? ─► W ─► unlock key ─► volume key ─► manifest ─► trust digest */

#include "device.h"
#include "header.h"
#include "luks.h"

struct volume {
        struct device device;
        struct header *header;
        struct luks luks;
        struct secret *volume_key;
        bool keep_unlock_key;
        struct secret *unlock_key;     /* if it was to be kept */
        uint8_t trust_digest[DISK_DIGEST_SIZE];
};

#define VOLUME_NONE { .device = DEVICE_NONE }

/* Reads and checks the header of q->device, and that it is of q->uuid where that is given. Fills the header's part of y
 * on success, error and message on failure: errors of device_open() and header_read(), -ESTALE (another UUID). */
int volume_read(struct volume *v, const struct disk_request *q, struct disk_reply *y);

/* Opens the keyslot with what W and the token give and verifies the manifest. Fills y: errors of luks_open() and
 * luks_unlock(), -EUCLEAN (manifest: changed since it was enrolled). */
int volume_unlock(struct volume *v, const struct disk_request *q, const struct secret *w, struct disk_reply *y);

void volume_done(struct volume *v);
