/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "common/key-uri.h"
#include "unlock-key.h"
#include "volume.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a volume needs beside its header, for a file system to make any sense. */
#define DATA_MIN (1u << 20)
#define SECOND_COPY HEADER_SIZE_MIN

int op_check_new_volume(const struct disk_request *q, struct disk_reply *y) {
        if (!q->name[0])
                return op_fail(y, -EINVAL, EXIT_CODE_USAGE, "A volume needs a name");
        if (op_is_given_secret(q) && !q->uuid[0])
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "The volume to which its secret is bound has no UUID");
        return op_check_new_key(q, y);
}

/* A volume of ours is never overwritten by repeating the command that made it, whatever the flags say. */
static int check_existing(const struct header *h, const struct disk_request *q, struct disk_reply *y) {
        const struct token *t = &h->layout.wraps[0].token;
        struct key_uri wanted;
        bool same;

        if (key_uri_parse(q->key, &wanted, NULL) < 0)
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "The key of %s cannot be compared", q->device);
        same = streq(t->name, q->name) && t->role == (enum role) q->role && header_find_same_key(&h->layout, &wanted);
        if (!same && (q->flags & DISK_FLAG_WIPE))
                return 0;
        header_describe(h, y);
        return op_fail(y, -EALREADY, EXIT_CODE_FAILED, "%s is a volume of cmkd already: %s, UUID %s, key %s", q->device,
                       t->name, h->copy.uuid, t->key);
}

static int check_contents(const struct device *d, const struct disk_request *q, struct disk_reply *y) {
        _cleanup_(header_freep) struct header *h = NULL;
        struct header_why why = {};
        char what[256];
        int r;

        if (d->size < LUKS_FORMAT_DATA_OFFSET + DATA_MIN)
                return op_fail(y, -ENOSPC, EXIT_CODE_FAILED, "%s is too small: %llu bytes, %u MiB are needed at least",
                               q->device, (unsigned long long) d->size, (LUKS_FORMAT_DATA_OFFSET + DATA_MIN) >> 20);
        if (header_read(d->fd, d->size, &h, &why) >= 0) {
                r = check_existing(h, q, y);
                if (r < 0)
                        return r;
        }
        if (q->flags & DISK_FLAG_WIPE)
                return 0;
        r = device_find_signature(d, what, sizeof(what));
        if (r > 0)
                return op_fail(y, -EEXIST, EXIT_CODE_FAILED, "%s holds %s: nothing was written (format --wipe "
                               "overwrites it)", q->device, what);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s cannot be probed for what it holds: nothing was written",
                               q->device);
        return 0;
}

static unsigned choose_sector_size(const struct device *d) {
        return (d->logical == 4096 || d->physical == 4096) && d->size % 4096 == 0 ? 4096 : 512;
}

int op_make_image(const struct disk_request *q, unsigned sector_size, const struct secret *w, char uuid[static 37], struct luks *l,
                  int *ret_fd) {
        _cleanup_(secret_freep) struct secret *volume_key = NULL, *unlock_key = NULL;
        char label[48];
        struct token token;
        struct luks_format f = { .uuid = uuid, .label = label, .token = &token, .sector_size = sector_size };
        int r;

        if (q->uuid[0])
                memcpy(uuid, q->uuid, sizeof(q->uuid));
        else
                random_uuid(uuid);
        snprintf(label, sizeof(label), "%s", q->name);
        r = op_fill_token(q, uuid, w, &token);
        if (r >= 0)
                r = unlock_key_derive(w, token.salt, uuid, token.role, token.generation, &unlock_key);
        if (r >= 0)
                r = secret_random(VOLUME_KEY_SIZE, &volume_key);
        if (r < 0)
                return r;
        f.volume_key = volume_key;
        f.unlock_key = unlock_key;
        return luks_format_image(l, &f, ret_fd);
}

/* Keyslots, second copy, first copy, each on the disk before the next: a crash leaves no header or a whole one. */
static int write_image(const struct device *d, int image) {
        static const uint8_t zeros[2 * SECOND_COPY];
        const uint8_t *p;
        int r;

        r = device_wipe_signatures(d);
        if (r >= 0)
                r = device_write(d, zeros, sizeof(zeros), 0);
        if (r < 0)
                return r;
        p = mmap(NULL, LUKS_FORMAT_DATA_OFFSET, PROT_READ, MAP_SHARED, image, 0);
        if (p == MAP_FAILED)
                return -errno;
        r = device_write(d, p + sizeof(zeros), LUKS_FORMAT_DATA_OFFSET - sizeof(zeros), sizeof(zeros));
        if (r >= 0)
                r = device_write(d, p + SECOND_COPY, SECOND_COPY, SECOND_COPY);
        if (r >= 0)
                r = device_write(d, p, SECOND_COPY, 0);
        munmap((void *) p, LUKS_FORMAT_DATA_OFFSET);
        return r;
}

/* From the disk, by the way that every later attach goes; the reply is filled from what is read here. */
static int read_back(const struct disk_request *q, const struct secret *w, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = VOLUME_NONE;
        struct disk_request again = *q;
        int r;

        again.uuid[0] = 0;
        r = volume_read(&v, &again, y);
        return r < 0 ? r : volume_unlock(&v, &again, w, y);
}

int op_format(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        _cleanup_(secret_freep) struct secret *w = NULL;
        _cleanup_(device_close) struct device d = DEVICE_NONE;
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        char uuid[37];
        int r;

        (void) in_fd;
        (void) ret_fd;
        r = op_check_new_volume(q, y);
        if (r >= 0)
                r = device_open(q->device, &d, y);
        if (r >= 0)
                r = device_claim(&d, q->device, y);
        if (r >= 0)
                r = check_contents(&d, q, y);
        if (r < 0)
                return r;
        r = op_new_secret(q, &w, y);
        if (r < 0)
                return r;
        r = op_make_image(q, choose_sector_size(&d), w, uuid, &l, &image);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The header for %s cannot be made, nothing was written: %s",
                               q->device, l.said[0] ? l.said : strerror(-r));
        r = write_image(&d, image);
        if (r >= 0 && posix_fadvise(d.fd, 0, LUKS_FORMAT_DATA_OFFSET, POSIX_FADV_DONTNEED) != 0)
                r = -EIO;
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The header cannot be written to %s: %s", q->device,
                               strerror(-r));
        return read_back(q, w, y);
}
