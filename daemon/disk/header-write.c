/* SPDX-License-Identifier: Apache-2.0 */
#include "header-write.h"

#include "ops.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_DIRECTORY "/run/cryptsetup"
#define LOCK_TRIES 10
#define CHUNK (1u << 20)
#define SECTOR 512u

/* The LUKS2 on-disk format, section 2.1. */
#define CHECKSUM_OFFSET 448u
#define CHECKSUM_SIZE 64u

/* libcryptsetup, lib/utils_device_locking.c: whoever lets go removes the file, so that a lock on a file that is not the
 * one at the path any more counts for nothing. */
static bool is_at(int fd, const char *path) {
        struct stat ours, theirs;

        return fstat(fd, &ours) >= 0 && stat(path, &theirs) >= 0 && ours.st_ino == theirs.st_ino &&
               ours.st_dev == theirs.st_dev;
}

static int take_lock(const char *path) {
        for (unsigned i = 0; i < LOCK_TRIES; i++) {
                _cleanup_(closep) int fd = open(path, O_RDWR|O_CREAT|O_NOFOLLOW|O_CLOEXEC, 0600);

                if (fd < 0 || flock(fd, LOCK_EX|LOCK_NB) < 0)
                        return errno == EWOULDBLOCK ? -EBUSY : -errno;
                if (is_at(fd, path))
                        return TAKE_FD(fd);
        }
        return -EBUSY;
}

static int lock(struct header_lock *l, const char *path, struct header_lock *ret, struct disk_reply *y) {
        if (mkdir(LOCK_DIRECTORY, 0700) < 0 && errno != EEXIST)
                return op_fail(y, -errno, EXIT_CODE_FAILED, LOCK_DIRECTORY " cannot be made: %s", strerror(errno));
        l->fd = take_lock(l->path);
        if (l->fd == -EBUSY)
                return op_fail(y, l->fd, EXIT_CODE_BUSY, "Another program is changing the header of %s: try again",
                               path);
        if (l->fd < 0)
                return op_fail(y, l->fd, EXIT_CODE_FAILED, "The header of %s cannot be locked (%s): %s", path, l->path,
                               strerror(-l->fd));
        *ret = *l;
        return 0;
}

int header_lock(const struct device *d, const char *path, struct header_lock *ret, struct disk_reply *y) {
        struct header_lock l;

        snprintf(l.path, sizeof(l.path), LOCK_DIRECTORY "/L_%u:%u", d->major, d->minor);
        return lock(&l, path, ret, y);
}

int header_lock_encryption(const char *uuid, const char *path, struct header_lock *ret, struct disk_reply *y) {
        struct header_lock l;

        snprintf(l.path, sizeof(l.path), LOCK_DIRECTORY "/LN_LUKS2-reencryption-%s", uuid);
        return lock(&l, path, ret, y);
}

void header_unlock(struct header_lock *l) {
        if (l->fd < 0)
                return;
        if (is_at(l->fd, l->path))
                (void) unlink(l->path);
        l->fd = safe_close(l->fd);
}

static size_t image_size(const struct header *h) {
        return (size_t) (2 * h->copy.header_size + h->layout.keyslots_size);
}

int header_image(const struct header *h) {
        _cleanup_(closep) int fd = memfd_create("cmkd-header", MFD_CLOEXEC);
        const uint8_t *p;
        int r;

        if (fd < 0 || ftruncate(fd, (off_t) image_size(h)) < 0)
                return -errno;
        p = mmap(NULL, image_size(h), PROT_READ, MAP_SHARED, h->fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        r = pwrite_all(fd, p, 2 * h->copy.header_size, 0);
        for (size_t i = 0; r >= 0 && i < HEADER_KEYSLOTS_MAX; i++)
                if (h->layout.areas[i].used)
                        r = pwrite_all(fd, p + h->layout.areas[i].offset, h->layout.areas[i].size,
                                       h->layout.areas[i].offset);
        munmap((void *) p, image_size(h));
        return r < 0 ? r : TAKE_FD(fd);
}

int header_open_writable(struct device *d, const char *path, struct disk_reply *y) {
        int fd = open(d->path, O_RDWR|O_CLOEXEC);

        if (fd < 0)
                return op_fail(y, -errno, EXIT_CODE_FAILED, "%s cannot be opened for writing: %s", path,
                               strerror(errno));
        safe_close(d->fd);
        d->fd = fd;
        snprintf(d->path, sizeof(d->path), "/proc/self/fd/%d", d->fd);
        return 0;
}

static bool overlaps(const struct header *h, size_t skip, uint64_t offset, uint64_t size) {
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++)
                if (i != skip && h->layout.areas[i].used &&
                    offset < h->layout.areas[i].offset + h->layout.areas[i].size && h->layout.areas[i].offset < offset + size)
                        return true;
        return false;
}

static bool is_kept(const struct header_change *c, size_t i) {
        return c->old && c->old->layout.areas[i].used && c->new->layout.areas[i].used &&
               c->old->layout.areas[i].offset == c->new->layout.areas[i].offset &&
               c->old->layout.areas[i].size == c->new->layout.areas[i].size &&
               header_compare_bytes(c->old->fd, c->new->fd, c->new->layout.areas[i].offset, c->new->layout.areas[i].size) > 0;
}

/* What the old header needs must stay as it is until the new one counts. */
static bool is_possible(const struct header_change *c) {
        const struct header *old = c->old, *new = c->new;

        if (!old)
                return true;
        if (old->copy.header_size != new->copy.header_size || old->copy.seqid >= new->copy.seqid ||
            (!c->renames && !streq(old->copy.uuid, new->copy.uuid)) || old->layout.keyslots_size != new->layout.keyslots_size ||
            old->layout.data_offset != new->layout.data_offset)
                return false;
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++)
                if (new->layout.areas[i].used && !is_kept(c, i) &&
                    overlaps(old, HEADER_KEYSLOTS_MAX, new->layout.areas[i].offset, new->layout.areas[i].size))
                        return false;
        return true;
}

/* From a header's memfd to the same place on the device. */
static int copy_range(const struct device *d, const struct header *h, uint64_t offset, uint64_t size) {
        const uint8_t *p = mmap(NULL, image_size(h), PROT_READ, MAP_SHARED, h->fd, 0);
        int r;

        if (p == MAP_FAILED)
                return -errno;
        r = device_write(d, p + offset, size, offset);
        munmap((void *) p, image_size(h));
        return r;
}

static int write_copy(const struct header_change *c, const struct header *h, bool second) {
        return copy_range(c->device, h, second ? h->copy.header_size : 0, h->copy.header_size);
}

/* In the memfd there are zeros where a copy was not good. */
static bool copy_is_good(const struct header *h, bool second) {
        char magic[4];

        return h && pread(h->fd, magic, sizeof(magic), second ? (off_t) h->copy.header_size : 0) == sizeof(magic) &&
               memcmp(magic, second ? "SKUL" : "LUKS", sizeof(magic)) == 0;
}

int header_change_begin(struct header_change *c) {
        int r;

        if (!is_possible(c))
                return -EUCLEAN;
        /* The copy that is not good, or else the second, is the one to begin with. */
        c->second_first = copy_is_good(c->old, false);
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++) {
                if (!c->new->layout.areas[i].used || is_kept(c, i))
                        continue;
                r = copy_range(c->device, c->new, c->new->layout.areas[i].offset, c->new->layout.areas[i].size);
                if (r < 0)
                        return r;
        }
        return write_copy(c, c->new, c->second_first);
}

int header_change_finish(const struct header_change *c) {
        return write_copy(c, c->new, !c->second_first);
}

/* Where the old copy was not good there is nothing to go back to: a copy that does not count, but is seen to be one. */
static int spoil_copy(const struct header_change *c) {
        static const uint8_t nothing[CHECKSUM_SIZE];

        return device_write(c->device, nothing, sizeof(nothing),
                            (c->second_first ? c->old->copy.header_size : 0) + CHECKSUM_OFFSET);
}

int header_change_undo(const struct header_change *c) {
        return copy_is_good(c->old, c->second_first) ? write_copy(c, c->old, c->second_first) : spoil_copy(c);
}

int header_write_image(const struct device *d, int image, uint64_t copy_size, uint64_t end) {
        const struct { uint64_t from, to; } parts[] = {
                { 2 * copy_size, end }, { copy_size, 2 * copy_size }, { SECTOR, copy_size }, { 0, SECTOR },
        };
        const uint8_t *p = mmap(NULL, end, PROT_READ, MAP_SHARED, image, 0);
        int r = 0;

        if (p == MAP_FAILED)
                return -errno;
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(parts); i++)
                r = device_write(d, p + parts[i].from, parts[i].to - parts[i].from, parts[i].from);
        munmap((void *) p, end);
        return r;
}

static int wipe_range(const struct device *d, uint8_t *buffer, uint64_t from, uint64_t to) {
        int r;

        for (uint64_t at = from; at < to; at += CHUNK) {
                uint64_t n = MIN_OF(to - at, (uint64_t) CHUNK);

                random_bytes(buffer, n);
                r = device_write(d, buffer, n, at);
                if (r < 0)
                        return r;
        }
        return 0;
}

int header_wipe_range(const struct device *d, uint64_t from, uint64_t to) {
        _cleanup_(freep) uint8_t *buffer = malloc(CHUNK);

        return buffer ? wipe_range(d, buffer, from, to) : -ENOMEM;
}

int header_wipe_keyslot(const struct device *d, const struct header *h, int keyslot) {
        uint64_t at = h->layout.areas[keyslot].offset;

        return header_wipe_range(d, at, at + h->layout.areas[keyslot].size);
}

int header_wipe_free(const struct device *d, const struct header *h) {
        _cleanup_(freep) uint8_t *buffer = malloc(CHUNK);
        uint64_t at = 2 * h->copy.header_size, end = at + h->layout.keyslots_size;
        int r;

        if (!buffer)
                return -ENOMEM;
        while (at < end) {
                uint64_t next = end, after = end;

                for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++)
                        if (h->layout.areas[i].used && h->layout.areas[i].offset >= at &&
                            h->layout.areas[i].offset < next) {
                                next = h->layout.areas[i].offset;
                                after = next + h->layout.areas[i].size;
                        }
                r = wipe_range(d, buffer, at, next);
                if (r < 0)
                        return r;
                at = after;
        }
        return 0;
}
