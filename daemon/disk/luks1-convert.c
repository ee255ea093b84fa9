/* SPDX-License-Identifier: Apache-2.0 */
#include "luks1.h"

#include "header-write.h"
#include "ops.h"
#include "volume.h"

#include <sys/mman.h>
#include <unistd.h>

/* LUKS1 to LUKS2 in place. The headers of the two stand in each other's way, so that at some moment neither is on the disk: what was
 * there is in a file first, and durable.
 *
 *   disk, or that file of an earlier run ─► memfd ─► crypt_convert() ─► checked, opens to the same volume key ─► file
 *      ─► keyslots ─► second copy ─► first copy but for its first sector ─► that sector
 *
 * The first sector says LUKS1 until all else is on the disk: an interrupted run is known by it, and by a file that begins with that
 * sector, which has the keyslots that the disk lacks by then. */

#define SECTOR 512u
#define ROOM (1u << 20)            /* libcryptsetup wants a device to have data */

static int read_disk(const struct device *d, uint8_t *buf, size_t size) {
        size_t at = 0;

        while (at < size) {
                ssize_t n = pread(d->fd, buf + at, size - at, (off_t) at);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -ENODATA;
                at += (size_t) n;
        }
        return 0;
}

/* Everything in front of the data, as it was before. Returns 1 where it is an earlier run's file, 0 where it is the disk's, or -errno. */
static int read_old(const struct device *d, const struct luks1 *l, const char *kept, uint8_t *buf) {
        _cleanup_(freep) char *text = NULL;
        size_t size;
        int r;

        r = read_disk(d, buf, l->payload_offset);
        if (r < 0)
                return r;
        r = read_small_file(kept, l->payload_offset + 1, &text, &size);
        if (r == -ENOENT || r == -E2BIG)
                return 0;
        if (r < 0)
                return r;
        if (size != l->payload_offset || memcmp(text, buf, SECTOR) != 0)
                return 0;
        memcpy(buf, text, size);
        return 1;
}

static int make_image(const uint8_t *old, size_t size) {
        _cleanup_(closep) int image = memfd_create("cmkd-convert", MFD_CLOEXEC);
        int r;

        if (image < 0 || ftruncate(image, (off_t) (size + ROOM)) < 0)
                return -errno;
        r = pwrite_all(image, old, size, 0);
        return r < 0 ? r : TAKE_FD(image);
}

static int opens_to(const struct header *h, const struct device *d, const struct secret *passphrase, const struct secret *volume_key) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        _cleanup_(luks_close) struct luks l = {};
        int r;

        r = luks_open(&l, h, d->path);
        if (r >= 0)
                r = luks_unlock(&l, -1, passphrase, &key);
        return r < 0 ? r : secret_equal(key, volume_key) ? 0 : -EUCLEAN;
}

static int fail_conversion(int error, const char *device, const char *why, struct disk_reply *y) {
        if (error == -ENOKEY)
                return op_fail(y, error, EXIT_CODE_FAILED, "The passphrase opens no keyslot of %s", device);
        return op_fail(y, error, header_exit_code(error), "The LUKS1 header of %s cannot be made one of LUKS2, nothing was written: %s", device,
                       why && *why ? why : strerror(-error));
}

int luks1_convert(const struct device *d, const char *device, const struct luks1 *l, const char *kept, const struct secret *passphrase,
                  struct header **ret, struct disk_reply *y) {
        _cleanup_(freep) uint8_t *old = malloc(l->payload_offset);
        _cleanup_(secret_freep) struct secret *volume_key = NULL;
        _cleanup_(header_freep) struct header *h = NULL, *there = NULL;
        _cleanup_(luks_close) struct luks luks = {};
        _cleanup_(closep) int image = -EBADF;
        struct header_why why = {};
        int r;

        if (!old)
                return -ENOMEM;
        if (d->size < l->payload_offset + ROOM)
                return fail_conversion(-EBADMSG, device, "its data is beyond its end", y);
        r = read_old(d, l, kept, old);
        if (r >= 0)
                r = image = make_image(old, l->payload_offset);
        if (r >= 0)
                r = luks_convert_image(&luks, image, passphrase, &volume_key);
        if (r < 0)
                return fail_conversion(r, device, luks.said, y);
        r = header_read_plain(image, d->size, &h, &why);
        if (r >= 0 && h->layout.data_offset != l->payload_offset)
                r = -EUCLEAN;
        if (r >= 0)
                r = opens_to(h, d, passphrase, volume_key);
        if (r < 0)
                return fail_conversion(r, device, why.text, y);
        r = write_file_atomic(kept, old, l->payload_offset, 0600);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "What is in front of the data of %s cannot be saved in %s, nothing was written: %s",
                               device, kept, strerror(-r));
        r = header_write_image(d, image, h->copy.header_size, l->payload_offset);
        if (r >= 0)
                r = header_read_plain(d->fd, d->size, &there, &why);
        if (r >= 0)
                r = there->damaged ? -EIO : opens_to(there, d, passphrase, volume_key);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The header of %s could not be converted (%s). What was there is in %s: try again, or "
                               "dd if=%s of=%s conv=notrunc,fsync", device, strerror(-r), kept, kept, device);
        snprintf(y->message, sizeof(y->message), "%s", kept);
        *ret = TAKE_PTR(there);
        return 0;
}
