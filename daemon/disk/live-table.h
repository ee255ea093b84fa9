/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The table that the kernel runs, compared with the one that the checked header asks for: the last step of an
 * activation. Parameters of dm-crypt (Documentation/admin-guide/device-mapper/dm-crypt.rst):
 *
 *   CIPHER KEY IV_OFFSET DEVICE OFFSET [N OPTIONS...]
 *   aes-xts-plain64 :64:logon:cryptsetup:UUID-d0 0 254:16 32768 1 sector_size:4096
 *   capi:authenc(hmac(sha256),xts(aes))-plain64 :96:logon:cryptsetup:UUID-d0 0 253:0 0 1 integrity:32:aead */

#include "encryption.h"

#define LIVE_TABLE_OPTIONS_SIZE 256u

struct live_table {
        uint32_t major, minor;         /* of the mapping */
        uint64_t sectors;
        char options[LIVE_TABLE_OPTIONS_SIZE];   /* "N OPTIONS...", or "" */
        unsigned activation;           /* enum activation: what of them is such */
};

struct live_table_expected {
        const char *name;
        const char *dm_uuid;           /* NULL: as libcryptsetup makes it of uuid and name */
        const char *uuid;              /* of the volume */
        uint32_t major, minor;         /* of the device below */
        uint64_t sectors;              /* of the mapping, 512 bytes */
        uint64_t offset;               /* of the data on the device, 512-byte sectors */
        unsigned sector_size;
        unsigned digest;               /* the volume key's number in the header */
        unsigned activation;           /* enum activation: the options that it has */
        unsigned integrity;            /* enum activation: its tags, and it stands on integrity.h's mapping; 0: on the device itself */
        bool read_only;
        bool by_others;                /* options that change how it works, not what it is, may be there; sectors may be
                                        * fewer: somebody else made the mapping, with options of theirs */
        bool held;                     /* suspended, and its key may be wiped: zeros take its place then */
        const struct header_encryption *encryption;    /* NULL, or of a volume that is being encrypted: plain parts, and then an
                                        * encrypted one, none plain beyond what it says */
        const struct live_table *before;   /* NULL, or what it was: sectors and options are still the same */
};

/* Compares the parameters of a crypt target. Pure. Returns 0 (*ret_options: into params) or -EUCLEAN (*ret_why is a static
 * text). */
int live_table_check_params(const char *params, const struct live_table_expected *e, const char **ret_options,
                            const char **ret_why);

/* Asks the kernel for the mapping: name, dm uuid, one target of type crypt that covers it (or the parts of an encryption), live, suspended only where it
 * is held, its parameters; and for what keeps its integrity tags. Returns 0, -EUCLEAN (*ret_why says what differs), -ENXIO (no such mapping) or what open(2) and
 * ioctl(2) say. */
int live_table_check(const struct live_table_expected *e, struct live_table *ret, const char **ret_why);
