/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Persistent activation flags of a LUKS2 header (on-disk format 1.1, section 3.6, "flags" of the config object; "cryptsetup refresh
 * --persistent" writes them), and the options of dm-crypt that they stand for
 * (Documentation/admin-guide/device-mapper/dm-crypt.rst):
 *
 *   header  ["allow-discards", "no-read-workqueue"] ─► bits ─► "2 allow_discards no_read_workqueue"  table
 *
 * None of them changes what is encrypted with what. ACTIVATION_DISCARDS tells the device which blocks are free: whoever sees it learns
 * that, and so a flag counts only under the manifest's MAC. */

#include "common/util.h"

struct json_object;

enum activation {
        ACTIVATION_DISCARDS = 1 << 0,
        ACTIVATION_SAME_CPU = 1 << 1,
        ACTIVATION_SUBMIT_FROM_CRYPT_CPUS = 1 << 2,
        ACTIVATION_NO_READ_WORKQUEUE = 1 << 3,
        ACTIVATION_NO_WRITE_WORKQUEUE = 1 << 4,
        ACTIVATION_ALL = (1 << 5) - 1,
        /* Not a flag: integrity tags of the segment (section 3.3), which dm-crypt's table says in the same place. Their device is
         * integrity.h's. */
        ACTIVATION_HMAC_SHA256 = 1 << 5,
        ACTIVATION_HMAC_SHA512 = 1 << 6,
};

#define ACTIVATION_TEXT_SIZE 97u
#define ACTIVATION_OPTIONS_SIZE 128u

/* "hmac(sha256)": the bit. 0: not one of those. */
unsigned activation_from_integrity(const char *type);

/* The bytes of a tag, 0 where there are none. As many bytes the volume key has more than its cipher's 64: the tags' key. */
unsigned activation_tag_size(unsigned flags);

/* What dm-crypt's table begins with: the cipher, and that of the tags. */
const char *activation_to_cipher(unsigned flags);

/* Reads a header's array. Returns 0, -EBADMSG (no array of different strings), -EPERM (no-journal, which is of integrity tags),
 * -EPROTONOSUPPORT (a flag that is not known); *ret_name then points at what it is about, into the array (NULL: -EBADMSG). */
int activation_parse(struct json_object *array, unsigned *ret, const char **ret_name);

/* The array as libcryptsetup writes it, its order included, for bits below ACTIVATION_ALL. The caller owns it; NULL: no memory. */
struct json_object *activation_to_json(unsigned flags);

/* "no-read-workqueue integrity:hmac-sha256", or "". */
void activation_to_text(unsigned flags, char ret[static ACTIVATION_TEXT_SIZE]);

/* What follows the device and offset in a table, as the kernel shows it: "2 allow_discards sector_size:4096", or "". */
void activation_to_options(unsigned flags, unsigned sector_size, char ret[static ACTIVATION_OPTIONS_SIZE]);

/* The other way round, for options in any order. Returns 0, or -EUCLEAN: an option that is none of these, another sector size, or a number
 * that is not theirs. */
int activation_from_options(const char *options, unsigned sector_size, unsigned *ret);
