/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An encryption in place that is under way, as a LUKS2 header says it. Pure: JSON in, a verdict out.
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
 * says is measured against what this node knows to be left (struct disk_request, plain_max). */

#include "header-check.h"

struct header_encryption {
        bool under_way;
        uint64_t shift;               /* D, bytes */
        uint64_t size;                /* bytes that are mapped: P, the file system's part; once nothing is plain, all behind D */
        uint64_t moved;               /* where the first D bytes are */
        uint64_t plain;               /* bytes that are not encrypted yet, or half-way */
};

/* Where nothing is under way: *ret_settled is another reference to metadata. Else *ret_settled is a copy, as the metadata will be when
 * it is done, for header_metadata_check() and the manifest; the caller owns it. Returns 0, -EPERM (another kind of reencryption, or
 * segments that are not where these are), -EBADMSG or -ENOMEM; why is filled on failure. */
int header_settle(struct json_object *metadata, uint64_t device_size, struct json_object **ret_settled,
                  struct header_encryption *ret, struct header_why *why);
