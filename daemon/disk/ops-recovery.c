/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "edit.h"
#include "recovery-text.h"
#include "unlock-key.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define SHOWN_WAIT_MSEC (60 * 1000)

static int opens_with_text(const struct edit *e, struct luks *l, const struct header *h) {
        _cleanup_(secret_freep) struct secret *recovered = NULL;
        int r;

        r = luks_recovery_unlock(l, h, e->also_secret, &recovered);
        return r < 0 ? r : secret_equal(recovered, e->volume.volume_key) ? 0 : -EUCLEAN;
}

static int has_none(const struct edit *e _unused_, struct luks *l _unused_, const struct header *h) {
        return h->layout.recovery_keyslot >= 0 ? -EUCLEAN : 0;
}

/* For somebody else's key, which the volume need not have: nobody here is shown it. */
static int make_escrow(const struct disk_request *q, const struct secret *text, uint8_t wrapped[static DISK_WRAPPED_MAX],
                       struct luks_escrow *ret) {
        size_t size;
        int r = wrap_secret(q->algorithm, q->spki, q->spki_size, text, wrapped, &size);

        if (r >= 0)
                *ret = (struct luks_escrow) { .key = q->key, .algorithm = q->algorithm, .wrapped = wrapped, .wrapped_size = size };
        return r;
}

int op_recovery_add(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        bool escrowed = q->spki_size > 0;
        uint8_t wrapped[DISK_WRAPPED_MAX];
        struct luks_escrow escrow;
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        _cleanup_(secret_freep) struct secret *text = NULL;
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        int r;

        (void) ret_fd;
        if (in_fd < 0 && !escrowed)
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "There is nowhere to write a recovery key to");
        r = escrowed ? op_check_new_key(q, y) : 0;
        if (r >= 0)
                r = edit_begin(&e, q, y);
        if (r < 0)
                return r;
        if (e.volume.header->layout.recovery_keyslot >= 0)
                return op_fail(y, -EEXIST, EXIT_CODE_FAILED, "%s has a recovery key already (keyslot %d), which cannot "
                               "be shown again: \"cmkctl recovery-key rotate %s\" makes another", q->name,
                               e.volume.header->layout.recovery_keyslot, q->name);
        r = recovery_text_make(&text);
        if (r >= 0 && escrowed)
                r = make_escrow(q, text, wrapped, &escrow);
        if (r >= 0)
                r = luks_recovery_add(&l, e.volume.header, e.volume.device.path, e.volume.volume_key, text, escrowed ? &escrow : NULL,
                                      &image);
        if (r < 0)
                return edit_fail(r, q, l.said, y);
        e.also = opens_with_text;
        e.also_secret = text;
        r = edit_commit(&e, image, y);
        if (r < 0)
                return r;
        y->count = 1;
        if (escrowed)
                return 0;
        /* Whoever wanted it may have gone meanwhile: that is an answer, not the end of this process. */
        (void) signal(SIGPIPE, SIG_IGN);
        r = secret_write(in_fd, text);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s has a recovery key now, but it could not be handed over "
                               "(%s): \"cmkctl recovery-key remove %s\"", q->name, strerror(-r), q->name);
        return 0;
}

/* The new key goes out, and whoever takes it says when it is where it can be read: before that the old one stays. */
static int show_first(const struct edit *e, struct disk_reply *y) {
        struct pollfd p = { .fd = e->agree_fd, .events = POLLIN };
        char answer = 0;
        int r;

        /* Whoever wanted it may have gone meanwhile: that is an answer, not the end of this process. */
        (void) signal(SIGPIPE, SIG_IGN);
        r = secret_write(e->agree_fd, e->also_secret);
        while (r >= 0 && (r = poll(&p, 1, SHOWN_WAIT_MSEC)) < 0 && errno == EINTR)
                r = 0;
        if (r > 0 && read(e->agree_fd, &answer, 1) == 1 && answer == RECOVERY_SHOWN)
                return 0;
        return op_fail(y, -ECANCELED, EXIT_CODE_FAILED, "Nobody took the new recovery key of %s: the old one stays as it was",
                       e->request->name);
}

static int another_opens_with_text(const struct edit *e, struct luks *l, const struct header *h) {
        return h->layout.recovery_keyslot == e->volume.header->layout.recovery_keyslot ? -EUCLEAN : opens_with_text(e, l, h);
}

/* As with REMOVE a run that was killed may have left the old keyslot's bytes: they go with the next one's. */
int op_recovery_rotate(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        _cleanup_(secret_freep) struct secret *text = NULL;
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        int r;

        if (in_fd < 0)
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "There is nowhere to write a recovery key to");
        r = edit_begin(&e, q, y);
        if (r < 0)
                return r;
        if (e.volume.header->layout.recovery_keyslot < 0)
                return op_fail(y, -ENOENT, EXIT_CODE_FAILED, "%s has no recovery key: \"cmkctl recovery-key add %s\"", q->name,
                               q->name);
        r = recovery_text_make(&text);
        if (r >= 0)
                r = luks_recovery_rotate(&l, e.volume.header, e.volume.device.path, e.volume.volume_key, text, &image);
        if (r < 0)
                return edit_fail(r, q, l.said, y);
        e.also = another_opens_with_text;
        e.also_secret = text;
        e.agree = show_first;
        e.agree_fd = in_fd;
        r = edit_commit(&e, image, y);
        if (r < 0)
                return r;
        y->count = 1;
        r = header_wipe_free(&e.volume.device, e.new);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s has the new recovery key, but the bytes of the old one could not be "
                               "overwritten: %s", q->name, strerror(-r));
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
                        return edit_fail(r, q, l.said, y);
                e.also = has_none;
                r = edit_commit(&e, image, y);
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
