/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "header-write.h"
#include "manifest.h"
#include "recovery-text.h"
#include "unlock-key.h"
#include "volume.h"

#include <fcntl.h>
#include <signal.h>

/* A volume whose header is about to be changed: open, listed, locked against other programs. */
struct edit {
        struct volume volume;
        struct header *new;
        struct header_lock lock;
};

#define EDIT_NONE { .volume = { .device = DEVICE_NONE, .keep_unlock_key = true }, .lock = HEADER_LOCK_NONE }

static void edit_done(struct edit *e) {
        header_unlock(&e->lock);
        header_free(e->new);
        volume_done(&e->volume);
}

/* The lock comes before the header is read, and the device is the same one in both. */
static int edit_begin(struct edit *e, const struct disk_request *q, struct disk_reply *y) {
        _cleanup_(device_close) struct device d = DEVICE_NONE;
        struct disk_request strict = *q;
        int r;

        /* A new manifest would make what is foreign one's own. */
        strict.flags &= ~(uint32_t) DISK_FLAG_FOREIGN_OK;
        if (!q->name[0] || !q->uuid[0])
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "A recovery key needs a volume's name and UUID");
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

static int fail_change(int error, const struct disk_request *q, const char *said, struct disk_reply *y) {
        return op_fail(y, error, EXIT_CODE_FAILED, "The header of %s cannot be changed: %s", q->device,
                       said && said[0] ? said : strerror(-error));
}

/* What was made opens as it should, the manifest holds. text: of the recovery key, NULL: there must be none. */
static int prove(const struct header *h, const struct edit *e, const struct secret *text) {
        _cleanup_(secret_freep) struct secret *key = NULL, *recovered = NULL;
        _cleanup_(luks_close) struct luks l = {};
        int r;

        r = luks_open(&l, h, e->volume.device.path);
        if (r >= 0)
                r = luks_unlock(&l, h, e->volume.unlock_key, &key);
        if (r >= 0 && !secret_equal(key, e->volume.volume_key))
                r = -EUCLEAN;
        if (r >= 0)
                r = manifest_verify(h->metadata, h->copy.uuid, key, h->layout.token.mac);
        if (r < 0 || !text)
                return r < 0 ? r : h->layout.recovery_keyslot >= 0 ? -EUCLEAN : 0;
        r = luks_recovery_unlock(&l, h, text, &recovered);
        return r < 0 ? r : secret_equal(recovered, e->volume.volume_key) ? 0 : -EUCLEAN;
}

/* From the disk, not from the page cache. */
static int read_back(const struct device *d, struct header **ret) {
        struct header_why why;

        if (posix_fadvise(d->fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
                return -EIO;
        return header_read(d->fd, d->size, ret, &why);
}

static int prove_on_disk(const struct edit *e, const struct secret *text) {
        _cleanup_(header_freep) struct header *h = NULL;
        int r;

        r = read_back(&e->volume.device, &h);
        if (r < 0)
                return r;
        return h->copy.seqid != e->new->copy.seqid ? -EUCLEAN : prove(h, e, text);
}

/* The image becomes the header on the disk. Until it has been proven there the old one is a write away. */
static int commit(struct edit *e, const struct disk_request *q, const struct secret *text, struct disk_reply *y) {
        struct header_change c = { .old = e->volume.header, .new = e->new, .device = &e->volume.device };
        _cleanup_(header_freep) struct header *h = NULL;
        int r;

        r = prove(e->new, e, text);
        if (r < 0)
                return fail_change(r, q, "what was made does not open, nothing was written", y);
        r = header_open_writable(&e->volume.device, q->device, y);
        if (r < 0)
                return r;
        r = header_change_begin(&c);
        if (r == -EUCLEAN)
                return fail_change(r, q, "what was made is not a successor of it, nothing was written", y);
        if (r >= 0)
                r = prove_on_disk(e, text);
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

/* Checks the image as any header on any disk. */
static int take_image(struct edit *e, const struct disk_request *q, int image, struct disk_reply *y) {
        struct header_why why = {};
        int r;

        r = header_read(image, e->volume.device.size, &e->new, &why);
        return r < 0 ? fail_change(r, q, why.text, y) : 0;
}

int op_recovery_add(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        _cleanup_(secret_freep) struct secret *text = NULL;
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        int r;

        (void) ret_fd;
        if (in_fd < 0)
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "There is nowhere to write a recovery key to");
        r = edit_begin(&e, q, y);
        if (r < 0)
                return r;
        if (e.volume.header->layout.recovery_keyslot >= 0)
                return op_fail(y, -EEXIST, EXIT_CODE_FAILED, "%s has a recovery key already (keyslot %d), which cannot "
                               "be shown again: \"cmkctl recovery-key remove %s\" first", q->name,
                               e.volume.header->layout.recovery_keyslot, q->name);
        r = recovery_text_make(&text);
        if (r >= 0)
                r = luks_recovery_add(&l, e.volume.header, e.volume.device.path, e.volume.volume_key, text, &image);
        if (r < 0)
                return fail_change(r, q, l.said, y);
        r = take_image(&e, q, image, y);
        if (r >= 0)
                r = commit(&e, q, text, y);
        if (r < 0)
                return r;
        y->count = 1;
        /* Whoever wanted it may have gone meanwhile: that is an answer, not the end of this process. */
        (void) signal(SIGPIPE, SIG_IGN);
        r = secret_write(in_fd, text);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s has a recovery key now, but it could not be handed over "
                               "(%s): \"cmkctl recovery-key remove %s\"", q->name, strerror(-r), q->name);
        return 0;
}

/* A run that was killed after the new header counted left the keyslot's bytes: they go in the next one. */
int op_recovery_remove(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        const struct header *now;
        int r;

        (void) in_fd;
        (void) ret_fd;
        r = edit_begin(&e, q, y);
        if (r < 0)
                return r;
        now = e.volume.header;
        if (now->layout.recovery_keyslot >= 0) {
                r = luks_recovery_remove(&l, now, e.volume.device.path, e.volume.volume_key, &image);
                if (r < 0)
                        return fail_change(r, q, l.said, y);
                r = take_image(&e, q, image, y);
                if (r >= 0)
                        r = commit(&e, q, NULL, y);
                if (r < 0)
                        return r;
                y->count = 1;
                now = e.new;
        } else {
                r = header_open_writable(&e.volume.device, q->device, y);
                if (r < 0)
                        return r;
        }
        r = header_wipe_free(&e.volume.device, now);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The recovery key of %s is removed, but its bytes could not be "
                               "overwritten: %s", q->name, strerror(-r));
        return 0;
}

static int read_text(int fd, struct secret **ret, struct disk_reply *y) {
        _cleanup_(secret_freep) struct secret *typed = NULL;
        size_t size = 0;
        int r;

        r = secret_new(RECOVERY_TEXT_SIZE + 2, &typed);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "No memory that a key may live in");
        while (size < secret_size(typed)) {
                ssize_t n = read(fd, secret_data(typed) + size, secret_size(typed) - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return op_fail(y, -errno, EXIT_CODE_FAILED, "The key did not arrive: %s", strerror(errno));
                if (n == 0)
                        break;
                size += (size_t) n;
        }
        secret_shrink(typed, size);
        r = recovery_text_normalize(typed, ret);
        return r < 0 ? op_fail(y, r, EXIT_CODE_FAILED, "That is not the text of a recovery key: 64 letters of "
                               "\"cbdefghijklnrtuv\" in groups of eight") : 0;
}

int op_recovery_test(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = VOLUME_NONE;
        _cleanup_(secret_freep) struct secret *text = NULL;
        int r;

        (void) ret_fd;
        if (in_fd < 0 || !q->uuid[0])
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "RECOVERY_TEST needs a UUID and a descriptor");
        r = volume_read(&v, q, y);
        if (r < 0)
                return r;
        if (v.header->layout.recovery_keyslot < 0)
                return op_fail(y, -ENOENT, EXIT_CODE_FAILED, "%s has no recovery key: \"cmkctl recovery-key add %s\"",
                               q->name, q->name);
        r = read_text(in_fd, &text, y);
        if (r < 0)
                return r;
        r = luks_open(&v.luks, v.header, v.device.path);
        if (r >= 0)
                r = luks_recovery_unlock(&v.luks, v.header, text, &v.volume_key);
        if (r == -ENOKEY)
                return op_fail(y, r, EXIT_CODE_FAILED, "That is not the recovery key of %s: keyslot %d does not open "
                               "with it", q->name, v.header->layout.recovery_keyslot);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s cannot be unlocked: %s", q->device,
                               v.luks.said[0] ? v.luks.said : strerror(-r));
        r = volume_verify(&v, q, y);
        return r < 0 ? r : volume_check_trust(&v, q, y);
}
