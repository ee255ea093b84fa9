/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Changing the header of a volume, open or not, so that a crash between any two bytes leaves one that opens.
 *
 *   sealed copy (old) ─► image in a memfd ─► libcryptsetup changes that ─► header_read() checks it (new)
 *      ─► areas that only the new one uses ─► the copy that may be lost ─► proof ─► the other copy
 *
 * libcryptsetup never writes to the disk. Until the first copy of the new header is whole on the disk the old one
 * counts; from then on the new one does, by its sequence number. Each write waits until the device has it. Writers in
 * other programs are kept out by libcryptsetup's own lock. */

#include "device.h"
#include "header.h"

/* The lock by which libcryptsetup guards the header of a block device: /run/cryptsetup/L_MAJOR:MINOR. */
struct header_lock {
        int fd;
        char path[96];
};

#define HEADER_LOCK_NONE { .fd = -EBADF }

/* Takes it. Fills y on failure: -EBUSY (somebody has it), or what open(2) and flock(2) say. */
int header_lock(const struct device *d, const char *path, struct header_lock *ret, struct disk_reply *y);

/* The same for the lock by which libcryptsetup keeps two reencryptions of one volume, and its activation meanwhile, apart. */
int header_lock_encryption(const char *uuid, const char *path, struct header_lock *ret, struct disk_reply *y);

/* Gives it back, as libcryptsetup does: the file goes. */
void header_unlock(struct header_lock *l);

/* A memfd with the bytes of h, to be changed. Returns a descriptor or -errno. */
int header_image(const struct header *h);

/* header-successor.c: the same for a header that is to take the place of another one, old (NULL: of none): its sequence number is
 * seqid at least, and no keyslot of it is where old has other bytes, so that both can be there at once. Moved keyslots make another
 * manifest: luks_reseal(). Returns a descriptor, -ENOSPC (no room for that), -ENOMEM, or -errno of memfd_create(2) and write(2). */
int header_successor(const struct header *h, const struct header *old, uint64_t seqid);

/* header-successor.c: the next header, with the same keyslots and other metadata. Returns as header_successor(). */
int header_reworded(const struct header *h, struct json_object *metadata);

/* header-successor.c: the next header of a volume whose encryption has ended but for the header's word: as it will be then. Returns as
 * header_successor(). */
int header_settled(const struct header *h);

/* A change on its way to the disk. */
struct header_change {
        const struct header *old, *new;   /* old: NULL: there is none that opens, and nothing to go back to */
        const struct device *device;      /* writable */
        bool renames;                     /* new is of another UUID */
        bool second_first;                /* which copy is the one that may be lost */
};

/* Opens d anew for writing; not exclusive, since the volume may be open: a header and the data behind it are written by
 * different parties. Fills y on failure. */
int header_open_writable(struct device *d, const char *path, struct disk_reply *y);

/* Writes the keyslots that are new, and one copy. Returns 0, -EUCLEAN (new has other sizes, another place for its data,
 * an older sequence number, or a keyslot on top of one of old; nothing was written), -ENOMEM, or what writing says. */
int header_change_begin(struct header_change *c);

/* Writes the other copy. */
int header_change_finish(const struct header_change *c);

/* Puts the copy that header_change_begin() wrote back to what it was, or makes it one that does not count. */
int header_change_undo(const struct header_change *c);

/* Writes the first header that is where there was none, from an image of end bytes with copies of copy_size: keyslots, the second copy,
 * the first, and of that its first sector last; each on the disk before the next. Until then what stood in that sector stays.
 * Returns 0, or what mmap(2) and writing say. */
int header_write_image(const struct device *d, int image, uint64_t copy_size, uint64_t end);

/* Overwrites a part of the device with random bytes. Returns 0, -ENOMEM or what writing says. */
int header_wipe_range(const struct device *d, uint64_t from, uint64_t to);

/* Overwrites one keyslot of h with random bytes, for good: its token opens nothing any more. Returns as below. */
int header_wipe_keyslot(const struct device *d, const struct header *h, int keyslot);

/* Overwrites with random bytes what no keyslot of h uses. Returns 0, -ENOMEM or what writing says. */
int header_wipe_free(const struct device *d, const struct header *h);
