/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An encryption in place, or a change of the volume key, that is under way, as a LUKS2 header says it. Pure: JSON in, a verdict out.
 *
 *   device   0           D                                     P+D        size-D          size
 *   before   | file system, P bytes long or shorter            | free     | free          |
 *   at first | header    | file system from byte D on          | free     | its first D   |
 *   then     | header    | plain ...        | gap | encrypted, shifted by D |  its first D |
 *   at last  | header    | encrypted, P bytes                             | overwritten   |
 *
 * libcryptsetup goes from the end to the beginning and writes down each step (of D bytes at most): what it reads is not what it
 * writes to, so that a step that did not end is done again. A digest that only the volume key makes covers the geometry, not how far
 * it is: whoever writes to the disk could say "all of it is plain", and the next write to it would be. So that what a header
 * says is measured against what this node knows to be left (struct disk_request, plain_max).
 *
 * A change of the volume key (reencryption.c) goes from the beginning to the end, nothing is moved, and nothing is ever plain: what is not
 * done is encrypted by the old key. Both keys have keyslots until it is done, a digest each; what the tokens name are the new one's. */

#include "header-check.h"

struct header_encryption {
        bool under_way;
        bool rekeys;                  /* from one volume key to another */
        uint64_t shift;               /* D, bytes; rekeys: where the data is, before and after */
        uint64_t size;                /* bytes that are mapped: P, the file system's part; once nothing is plain, all behind D */
        uint64_t moved;               /* where the first D bytes are; rekeys: 0 */
        uint64_t plain;               /* bytes that are not done yet, or half-way; rekeys: encrypted by the old key */
        unsigned old_digest;          /* rekeys: the old key's number, by which the kernel's table names it */
};

/* Where nothing is under way: *ret_settled is another reference to metadata. Else *ret_settled is a copy, as the metadata will be when
 * it is done (as libcryptsetup leaves it, lib/luks2/luks2_reencrypt.c, reencrypt_teardown_ok()), for header_metadata_check() and the manifest; the caller owns it. Returns 0, -EPERM (another kind of reencryption, or
 * segments that are not where these are), -EBADMSG or -ENOMEM; why is filled on failure. */
int header_settle(struct json_object *metadata, uint64_t device_size, struct json_object **ret_settled,
                  struct header_encryption *ret, struct header_why *why);
