/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an auditor needs of a node, in a directory of its own, which no command overwrites:
 *
 *   DIR/trail.jsonl, trail.head, ...   the trail's files as they stand, cut at the last whole line
 *   DIR/MANIFEST.json                  where they are from, which records, whether they verified there, what is normal there
 *   DIR/SHA256SUMS                     of all of these, for sha256sum -c; its own is printed, to be sent by another way
 *
 * Of a stretch of time there are the lines from its first record to its last, none left out, so that their chain holds; what the
 * first one follows is in the manifest. The directory appears under its name when all of it is on disk. */

#include "audit/reader.h"
#include "audit/privacy.h"

struct bundle {
        const char *dir, *trail;
        bool own;                          /* the trail is this node's: its name and versions are told */
        const struct trail_report *report; /* of the whole trail */
        uint64_t since_usec, until_usec;   /* 0: no such end */
        bool strict;                       /* its names are pseudonyms (Privacy=strict): the manifest's too */
        struct privacy *privacy;           /* their key; NULL: it cannot be read here, and what has a name is left out */
        char *const *baseline;             /* of the node's configuration; may be NULL */
};

/* Makes it. ret_sum: of SHA256SUMS, in hex. Returns 0, -EEXIST (dir is there), -ENODATA (no record in that stretch), -ENOMEM, -EIO
 * or -errno of the file system. */
int bundle_write(const struct bundle *b, char ret_sum[static CHAIN_HEX_SIZE + 1]);
