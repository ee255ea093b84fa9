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
        const struct header_wrap *wrap;   /* the one that opened it; NULL: none has yet */
        struct luks luks;
        struct secret *volume_key;
        unsigned activation;              /* enum activation: the flags that were enrolled; valid once it was verified */
        bool as_enrolled;                 /* nothing may have been added, no flag either: a new manifest would make it one's own */
        bool as_it_is;                    /* whatever was changed, it is said, and no error: a new manifest is what is wanted */
        bool keep_unlock_key;
        struct secret *unlock_key;     /* if it was to be kept */
        uint8_t trust_digest[DISK_DIGEST_SIZE];
};

#define VOLUME_NONE { .device = DEVICE_NONE }

/* Reads and checks the header of q->device, and that it is of q->uuid where that is given. Fills the header's part of y
 * on success, error and message on failure: errors of device_open() and header_read(), -ESTALE (another UUID). */
int volume_read(struct volume *v, const struct disk_request *q, struct disk_reply *y);

/* Of the mapping that its header asks for, 512 bytes each. */
uint64_t volume_sectors(const struct volume *v);

/* For the next request to this process: where the device then reads as it did, the header is not parsed anew. */
void volume_keep_header(struct volume *v);

/* That the manifest holds over a header, and that all its tokens of ours bear it. Returns as manifest_verify(). */
int volume_manifest_verify(const struct header *h, const struct secret *volume_key);

/* Verifies the manifest by the volume key and computes the trust digest. Fills y: -EUCLEAN (changed since it was
 * enrolled). With DISK_FLAG_FOREIGN_OK foreign keyslots and tokens are no error: DISK_FLAG_FOREIGN is set then, and
 * y->message names them. Flags that nobody enrolled are said in the same way, and are not an error even without: they do not count. */
int volume_verify(struct volume *v, const struct disk_request *q, struct disk_reply *y);

/* Opens the keyslot of q->opener with what W and its token give, and verifies. Fills y: -ENOENT (no token is of that key),
 * errors of luks_open(), luks_unlock() and volume_verify(). */
int volume_unlock(struct volume *v, const struct disk_request *q, const struct secret *w, struct disk_reply *y);

/* The same with the W of this child's pipe, read as late as can be and forgotten as soon as can be. Also the errors of
 * op_read_secret(). */
int volume_unlock_from_pipe(struct volume *v, const struct disk_request *q, struct disk_reply *y);

/* Is it what the request speaks of? -ESTALE (the header changed after it was inspected); -EKEYREJECTED (another name;
 * after the unlock: not the volume that this node trusts). */
int volume_check_unchanged(const struct volume *v, const struct disk_request *q, struct disk_reply *y);
int volume_check_name(const struct volume *v, const struct disk_request *q, struct disk_reply *y);
int volume_check_trust(const struct volume *v, const struct disk_request *q, struct disk_reply *y);

/* All of it, from the device to the volume key. */
int volume_open(struct volume *v, const struct disk_request *q, struct disk_reply *y);

void volume_done(struct volume *v);
