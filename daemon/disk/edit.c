/* SPDX-License-Identifier: Apache-2.0 */
#include "edit.h"

#include "unlock-key.h"

#include <fcntl.h>

void edit_done(struct edit *e) {
        header_unlock(&e->lock);
        header_free(e->new);
        header_free(e->replaced);
        volume_done(&e->volume);
}

/* The lock comes before the header is read, and the device is the same one in both. */
int edit_begin(struct edit *e, const struct disk_request *q, struct disk_reply *y) {
        _cleanup_(device_close) struct device d = DEVICE_NONE;
        struct disk_request strict = *q;
        int r;

        e->request = q;
        strict.flags &= ~(uint32_t) DISK_FLAG_FOREIGN_OK;
        e->volume.as_enrolled = !e->volume.as_it_is;
        if (!q->name[0] || !q->uuid[0])
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "A header is changed by a volume's name and UUID");
        r = device_open(q->device, &d, y);
        if (r >= 0)
                r = header_lock(&d, q->device, &e->lock, y);
        if (r >= 0)
                r = volume_open(&e->volume, &strict, y);
        if (r < 0)
                return r;
        if (d.major != e->volume.device.major || d.minor != e->volume.device.minor)
                return op_fail(y, -ESTALE, EXIT_CODE_FAILED, "%s is another device now: try again", q->device);
        return 0;
}

int edit_fail(int error, const struct disk_request *q, const char *said, struct disk_reply *y) {
        return op_fail(y, error, EXIT_CODE_FAILED, "The header of %s cannot be changed: %s", q->device,
                       said && said[0] ? said : strerror(-error));
}

/* What was made opens as it did, the manifest holds. */
static int prove(const struct edit *e, const struct header *h) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        _cleanup_(luks_close) struct luks l = {};
        const struct header_wrap *w = header_find_wrap(&h->layout, e->volume.wrap->token.key);
        int r;

        if (!w)
                return -EUCLEAN;
        r = luks_open(&l, h, e->volume.device.path);
        if (r >= 0)
                r = luks_unlock(&l, w->token.keyslot, e->volume.unlock_key, &key);
        if (r >= 0 && !secret_equal(key, e->new_key ?: e->volume.volume_key))
                r = -EUCLEAN;
        if (r >= 0)
                r = volume_manifest_verify(h, key);
        return r >= 0 && e->also ? e->also(e, &l, h) : r;
}

/* From the disk, not from the page cache. */
static int read_back(const struct device *d, struct header **ret) {
        struct header_why why;

        if (posix_fadvise(d->fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
                return -EIO;
        return header_read(d->fd, d->size, ret, &why);
}

static int prove_on_disk(const struct edit *e) {
        _cleanup_(header_freep) struct header *h = NULL;
        int r;

        r = read_back(&e->volume.device, &h);
        if (r < 0)
                return r;
        return h->copy.seqid != e->new->copy.seqid ? -EUCLEAN : prove(e, h);
}

int edit_commit(struct edit *e, int image, struct disk_reply *y) {
        const struct disk_request *q = e->request;
        struct header_change c = { .old = e->replaces ? e->replaced : e->volume.header, .device = &e->volume.device,
                                   .renames = e->replaces && q->other_uuid[0] };
        _cleanup_(header_freep) struct header *h = NULL;
        struct header_why why = {};
        int r;

        /* The image is checked as any header on any disk. */
        r = header_read(image, e->volume.device.size, &e->new, &why);
        if (r < 0)
                return edit_fail(r, q, why.text, y);
        c.new = e->new;
        r = prove(e, e->new);
        if (r < 0)
                return edit_fail(r, q, "what was made does not open, nothing was written", y);
        r = e->agree ? e->agree(e, y) : 0;
        if (r >= 0)
                r = header_open_writable(&e->volume.device, q->device, y);
        if (r < 0)
                return r;
        r = header_change_begin(&c);
        if (r == -EUCLEAN)
                return edit_fail(r, q, "what was made is not a successor of it, nothing was written", y);
        if (r >= 0)
                r = prove_on_disk(e);
        if (r < 0) {
                bool back = header_change_undo(&c) >= 0;

                return op_fail(y, r, EXIT_CODE_FAILED, "The header of %s cannot be changed: what was written does not "
                               "open (%s); %s", q->device, strerror(-r),
                               back ? "it is as it was" : "one copy is damaged");
        }
        r = header_change_finish(&c);
        if (r >= 0)
                r = read_back(&e->volume.device, &h);
        if (r >= 0 && (h->damaged || !digest_equal(h->digest, e->new->digest)))
                r = -EIO;
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The header of %s was changed, but only one of its copies is in "
                               "order: %s", q->device, strerror(-r));
        y->flags = 0;
        header_describe(h, y);
        return 0;
}
