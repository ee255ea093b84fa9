/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A change of a volume's header by whoever opens the volume: the recovery key and further keys share it.
 *
 *   edit_begin(): lock ─► header_read ─► W ─► volume key, manifest, trust ─► (luks-*.c makes a new header in a memfd)
 *      ─► edit_commit(): checked as any header ─► proven there ─► written ─► read back, proven again ─► second copy
 *
 * Nothing is written before the new header has been proven to open by the same W as the old one. */

#include "header-write.h"
#include "ops.h"
#include "volume.h"

struct edit {
        struct volume volume;
        struct header *new;
        bool replaces;                         /* the header in `volume` is a candidate */
        struct header *replaced;               /* ... for the place of this, the one on the disk; NULL: none there opens */
        struct header_lock lock;
        /* What else must hold for the new header, opened as l. Returns 0 or a negative errno; NULL: nothing. */
        int (*also)(const struct edit *e, struct luks *l, const struct header *h);
        /* Asked when the new header was proven, and nothing is written yet. Returns 0, or a negative errno and fills y; NULL: yes. */
        int (*agree)(const struct edit *e, struct disk_reply *y);
        int agree_fd;                          /* its business */
        const struct secret *also_secret;      /* its business */
        const char *also_key;
        const struct secret *new_key;          /* NULL: the volume key stays; else what the new header has */
        const struct disk_request *request;
};

#define EDIT_NONE { .volume = { .device = DEVICE_NONE, .keep_unlock_key = true }, .lock = HEADER_LOCK_NONE }

void edit_done(struct edit *e);

/* q must stay as long as e. Fills y: errors of header_lock() and volume_open(); foreign keyslots or tokens are an error: the new
 * manifest would cover, and so enrol, them. -ESTALE: the device is another one now. */
int edit_begin(struct edit *e, const struct disk_request *q, struct disk_reply *y);

/* The image becomes the header on the disk, and y says what it is. Until it has been proven there the old one is a write
 * away. Fills y: errors of header_read(), luks_open(), luks_unlock(), header_change_begin(), -EUCLEAN (it is not what
 * was to be made), -EIO (only one of its copies is in order), and those of agree(). */
int edit_commit(struct edit *e, int image, struct disk_reply *y);

/* Fills y, for a change that could not be made. said: why, empty: error says it. */
int edit_fail(int error, const struct disk_request *q, const char *said, struct disk_reply *y);
