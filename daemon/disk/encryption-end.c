/* SPDX-License-Identifier: Apache-2.0 */
#include "encryption-end.h"

#include "filesystem.h"
#include "header-write.h"
#include "ops.h"
#include "unlock-key.h"

#include <endian.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where libblkid and filesystem_find() look for what tells a file system and its size. */
#define BEGINNING (256u << 10)

static void cipher_freep(EVP_CIPHER_CTX **p) { EVP_CIPHER_CTX_free(*p); }

bool encryption_has_ended(const struct header_encryption *x) {
        return x->under_way && x->plain == 0;
}

/* aes-xts-plain64: the tweak is the number of 512-byte sectors before it, little endian. */
static int decrypt(const struct volume *v, uint8_t *data, size_t size) {
        _cleanup_(cipher_freep) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
        size_t sector = v->header->layout.sector_size;
        int n;

        if (!c)
                return -ENOMEM;
        for (size_t at = 0; at < size; at += sector) {
                const uint64_t tweak[2] = { htole64(at / 512) };

                if (!EVP_DecryptInit_ex(c, EVP_aes_256_xts(), NULL, secret_cdata(v->volume_key), (const uint8_t *) tweak) ||
                    !EVP_DecryptUpdate(c, data + at, &n, data + at, (int) sector) || n != (int) sector)
                        return -EIO;
        }
        return 0;
}

/* The beginning of what is encrypted, in a file as large as that. It is the file system's description of itself. */
static int read_beginning(const struct volume *v, struct device *ret) {
        const struct header_layout *l = &v->header->layout;
        _cleanup_(freep) uint8_t *data = malloc(BEGINNING);
        _cleanup_(closep) int fd = -EBADF;
        int r;

        if (!data)
                return -ENOMEM;
        if (pread(v->device.fd, data, BEGINNING, (off_t) l->data_offset) != (ssize_t) BEGINNING)
                return -EIO;
        r = decrypt(v, data, BEGINNING);
        if (r < 0)
                return r;
        fd = memfd_create("cmkd-beginning", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, (off_t) (v->device.size - l->data_offset)) < 0)
                return -errno;
        r = pwrite_all(fd, data, BEGINNING, 0);
        if (r < 0)
                return r;
        *ret = (struct device) { .fd = TAKE_FD(fd), .size = v->device.size - l->data_offset };
        return 0;
}

/* Who opened it like this before could let its file system grow over what was moved. */
static bool is_free(const struct volume *v, const struct disk_request *q) {
        _cleanup_(device_close) struct device d = DEVICE_NONE;
        struct disk_reply unused = {};
        struct filesystem f;

        return read_beginning(v, &d) >= 0 && filesystem_find(&d, q->device, &f, &unused) >= 0 &&
               v->header->layout.data_offset + f.size <= v->header->encryption.moved;
}

/* Reads the header from the disk, not from the page cache. */
static int read_again(struct volume *v, struct disk_reply *y) {
        _cleanup_(header_freep) struct header *h = NULL;
        struct header_why why = {};
        int r;

        if (posix_fadvise(v->device.fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
                return -EIO;
        r = header_read(v->device.fd, v->device.size, &h, &why);
        if (r >= 0)
                r = h->encryption.under_way ? -EUCLEAN : volume_manifest_verify(h, v->volume_key);
        if (r < 0)
                return r;
        v->wrap = header_find_wrap(&h->layout, v->wrap->token.key);      /* by the text of the old one */
        if (!v->wrap)
                return -EUCLEAN;
        header_free(v->header);
        v->header = TAKE_PTR(h);
        header_describe(v->header, y);
        y->sectors = volume_sectors(v);
        return 0;
}

static int write_header(const struct device *d, const struct header *h) {
        _cleanup_(header_freep) struct header *new = NULL;
        struct header_change c = { .old = h, .device = d };
        _cleanup_(closep) int image = header_settled(h);
        struct header_why why;
        int r;

        r = image < 0 ? image : header_read(image, h->device_size, &new, &why);
        if (r < 0)
                return r;
        c.new = new;
        r = header_change_begin(&c);
        return r < 0 ? r : header_change_finish(&c);
}

/* Now that nobody else can write to it: the device, and what was checked. */
static bool is_unchanged(const struct volume *v, const struct device *d) {
        _cleanup_(header_freep) struct header *h = NULL;
        struct header_why why;

        return d->major == v->device.major && d->minor == v->device.minor && header_read(d->fd, d->size, &h, &why) >= 0 &&
               digest_equal(h->digest, v->header->digest);
}

int encryption_end(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        _cleanup_(header_unlock) struct header_lock lock = HEADER_LOCK_NONE, header = HEADER_LOCK_NONE;
        _cleanup_(device_close) struct device d = DEVICE_NONE;
        int r;

        r = header_lock_encryption(v->header->copy.uuid, q->device, &lock, y);
        if (r >= 0)
                r = header_lock(&v->device, q->device, &header, y);
        if (r >= 0)
                r = device_open(q->device, &d, y);
        if (r >= 0)
                r = device_claim(&d, q->device, y);
        if (r < 0)
                return r;
        if (!is_unchanged(v, &d))
                return op_fail(y, -ESTALE, EXIT_CODE_FAILED, "The header of %s changed meanwhile: try again", q->device);
        if (!v->header->encryption.rekeys && is_free(v, q))
                r = header_wipe_range(&d, v->header->encryption.moved, d.size);
        if (r >= 0)
                r = header_wipe_free(&d, v->header);
        if (r >= 0)
                r = write_header(&d, v->header);
        if (r >= 0)
                r = read_again(v, y);
        return r < 0 ? op_fail(y, r, EXIT_CODE_FAILED, "All of %s is encrypted, but its header cannot be made to say so: %s", q->device,
                               strerror(-r)) : 0;
}
