/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where the last backup of a volume's header went, when, and of which header: /var/lib/cmkd/backups/UUID. Kept for people only. */

#include "common/disk-proto.h"

struct backup_mark {
        uint64_t realtime_usec;
        uint8_t digest[DISK_DIGEST_SIZE];      /* of the header */
        char path[257];                        /* on this node, as it was then */
};

/* "USEC DIGEST PATH\n". Parsing returns 0 or -EBADMSG. */
int backup_mark_parse(const char *text, struct backup_mark *ret);

/* Return 0, or a negative errno: -ENOENT: none was made here. */
int backup_mark_read(const char *uuid, struct backup_mark *ret);
int backup_mark_write(const char *uuid, const struct backup_mark *b);

/* Where the file of a descriptor is. Who passed it on says a name; it is the kernel who is believed. */
void backup_mark_place(int fd, char *buf, size_t size);

/* For people: "/root/data1.header, 2026-01-31 12:00:00 UTC, of the header as it is". digest: of the header there is; NULL: not
 * known. */
void backup_mark_describe(const struct backup_mark *b, const uint8_t *digest, char *buf, size_t size);
