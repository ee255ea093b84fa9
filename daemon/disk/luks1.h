/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The header of LUKS1 (on-disk format 1.2.3, section 3: "phdr"), as far as it must be known before it is converted. Pure.
 *
 *   0      592      4096                                        payload_offset
 *   | phdr |        | keyslot areas ...                         | data                       (numbers are big endian) */

#include "header-check.h"

#define LUKS1_HEADER_SIZE 592u
#define LUKS1_PAYLOAD_MAX (32u << 20)    /* bytes; cryptsetup makes 2 MiB, Azure Disk Encryption too */

struct luks1 {
        char uuid[37];
        uint64_t payload_offset;         /* bytes */
};

/* p: LUKS1_HEADER_SIZE bytes. Returns 0, -ENODATA (no LUKS1 header), -EPERM (it is one of what is not taken: another cipher, a
 * key of other than 512 bits) or -EBADMSG (impossible); why is filled on failure. */
int luks1_check(const uint8_t *p, struct luks1 *ret, struct header_why *why);

struct device;
struct header;
struct secret;

/* luks1-convert.c: makes it a header of LUKS2 with the same UUID, keyslots and place of data. d is claimed (device_claim()); device:
 * its name for messages. kept: the path of a file that has what was in front of the data before anything is written, and stays; on success it
 * is y->message. Fills y: -ENOKEY (the
 * passphrase opens no keyslot), -EINVAL (there is no room), errors of header_read_plain(), what reading and writing say. */
int luks1_convert(const struct device *d, const char *device, const struct luks1 *l, const char *kept, const struct secret *passphrase,
                  struct header **ret, struct disk_reply *y);
