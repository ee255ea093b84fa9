/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "device.h"
#include "live-table.h"
#include "luks.h"
#include "scratch-mark.h"
#include "unlock-key.h"

#include "common/dm-ioctl.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* SCRATCH, in this order, so that a crash leaves a disk that is known as ours or one that is empty:
 *
 *   claim ─► what does it hold? ─► new key ─► (not ours: wipe the head) ─► mark: second copy, first copy ─► discard
 *      ─► mapping, verified ─► both of its ends are zeros */

#define END_SIZE (1u << 20)
#define DATA_MIN (4u << 20)
#define DISCARD_STEP (UINT64_C(1) << 30)
#define DISCARD_MAX_USEC (20 * USEC_PER_SEC)

static bool is_zero(const struct device *d, uint64_t offset, uint8_t *buffer) {
        if (pread(d->fd, buffer, END_SIZE, (off_t) offset) != (ssize_t) END_SIZE)
                return false;
        return !buffer[0] && memcmp(buffer, buffer + 1, END_SIZE - 1) == 0;
}

static int look(const struct device *d, struct scratch_found *f) {
        _cleanup_(freep) uint8_t *buffer = malloc(END_SIZE);
        int r;

        if (!buffer)
                return -ENOMEM;
        r = scratch_mark_read(d->fd, f);
        if (r >= 0)
                r = device_find_signature(d, f->signature, sizeof(f->signature));
        if (r < 0)
                return r;
        f->zeros = is_zero(d, 0, buffer) && is_zero(d, d->size - END_SIZE, buffer);
        return 0;
}

/* Whatever is refused here, nothing was written. */
static int check_contents(const struct device *d, const struct disk_request *q, bool *ret_ours, struct disk_reply *y) {
        struct scratch_found f = {};
        enum scratch_verdict v;
        char what[400];
        int r;

        if (d->size < LUKS_FORMAT_DATA_OFFSET + DATA_MIN)
                return op_fail(y, -ENOSPC, EXIT_CODE_FAILED, "%s is too small: %llu bytes, %u MiB are needed at least",
                               q->device, (unsigned long long) d->size, (LUKS_FORMAT_DATA_OFFSET + DATA_MIN) >> 20);
        r = look(d, &f);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s cannot be examined for what it holds (%s): nothing was written",
                               q->device, strerror(-r));
        v = scratch_judge(&f, q->name);
        *ret_ours = v == SCRATCH_OURS;
        if (v == SCRATCH_ENCRYPTED)
                return op_fail(y, -EEXIST, EXIT_CODE_POLICY, "%s holds an encrypted volume (%s): nothing was written, and nothing will be, "
                               "before wipefs or cryptsetup erase has made an end of it", q->device, f.signature);
        if (v == SCRATCH_OURS || v == SCRATCH_EMPTY || (q->flags & DISK_FLAG_WIPE))
                return 0;
        if (v == SCRATCH_OTHERS)
                snprintf(what, sizeof(what), "the scratch disk %s", f.name);
        else if (v == SCRATCH_HOLDS)
                snprintf(what, sizeof(what), "%s", f.signature);
        else
                snprintf(what, sizeof(what), "data of a kind that is not known");
        return op_fail(y, -EEXIST, EXIT_CODE_POLICY, "%s holds %s: nothing was written (\"cmkctl scratch create --wipe %s\" makes it "
                       "a scratch disk all the same)", q->device, what, q->name);
}

/* What is in clear in the head of a disk that was something else does not stay. */
static int wipe_head(const struct device *d) {
        _cleanup_(freep) uint8_t *zeros = calloc(1, END_SIZE);
        int r;

        if (!zeros)
                return -ENOMEM;
        r = device_wipe_signatures(d);
        for (uint64_t at = 0; r >= 0 && at < LUKS_FORMAT_DATA_OFFSET; at += END_SIZE)
                r = device_write(d, zeros, END_SIZE, at);
        return r;
}

/* Each on the disk before the next; the block that says that there is a first copy is the last. */
static int write_mark(const struct device *d, int image) {
        const uint8_t *p = mmap(NULL, 2 * HEADER_SIZE_MIN, PROT_READ, MAP_SHARED, image, 0);
        int r;

        if (p == MAP_FAILED)
                return -errno;
        r = device_write(d, p + HEADER_SIZE_MIN, HEADER_SIZE_MIN, HEADER_SIZE_MIN);
        if (r >= 0)
                r = device_write(d, p + HEADER_BINARY_SIZE, HEADER_SIZE_MIN - HEADER_BINARY_SIZE, HEADER_BINARY_SIZE);
        if (r >= 0)
                r = device_write(d, p, HEADER_BINARY_SIZE, 0);
        munmap((void *) p, 2 * HEADER_SIZE_MIN);
        return r;
}

/* For the disk's sake, and for what was in clear on one that was wiped: a disk that cannot, or is slow at it, loses nothing. */
static void discard(const struct device *d) {
        uint64_t until = now_boottime_usec() + DISCARD_MAX_USEC, at = LUKS_FORMAT_DATA_OFFSET;

        while (at < d->size && now_boottime_usec() < until) {
                uint64_t range[2] = { at, MIN_OF(d->size - at, DISCARD_STEP) };

                if (ioctl(d->fd, BLKDISCARD, range) < 0)
                        return;
                at += range[1];
        }
}

/* Noise that looks like something is rare, and worse than nothing. */
static int wipe_ends(const char *name, dev_t mapping) {
        _cleanup_(freep) uint8_t *zeros = calloc(1, END_SIZE);
        _cleanup_(device_close) struct device d = DEVICE_NONE;
        char path[sizeof("/dev/mapper/") + 65];
        struct stat st;
        uint64_t size;
        int r;

        snprintf(path, sizeof(path), "/dev/mapper/%s", name);
        d.fd = open(path, O_RDWR|O_CLOEXEC);
        if (!zeros || d.fd < 0)
                return zeros ? -errno : -ENOMEM;
        if (fstat(d.fd, &st) < 0 || !S_ISBLK(st.st_mode) || st.st_rdev != mapping)
                return -ESTALE;
        if (ioctl(d.fd, BLKGETSIZE64, &size) < 0)
                return -errno;
        r = device_write(&d, zeros, END_SIZE, 0);
        return r < 0 ? r : device_write(&d, zeros, END_SIZE, size - END_SIZE);
}

static int verify(const struct disk_request *q, const struct device *below, unsigned sector_size, struct disk_reply *y) {
        const struct live_table_expected e = {
                .name = q->name, .uuid = q->uuid, .major = below->major, .minor = below->minor,
                .sectors = (below->size - LUKS_FORMAT_DATA_OFFSET) / 512, .offset = LUKS_FORMAT_DATA_OFFSET / 512,
                .sector_size = sector_size,
        };
        struct live_table live;
        const char *why;
        int r;

        r = live_table_check(&e, &live, &why);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_POLICY, "The mapping %s is not what was asked for (%s)", q->name, why);
        y->dev_major = live.major;
        y->dev_minor = live.minor;
        y->sectors = live.sectors;
        r = wipe_ends(q->name, makedev(live.major, live.minor));
        return r < 0 ? op_fail(y, r, EXIT_CODE_FAILED, "/dev/mapper/%s cannot be written to: %s", q->name, strerror(-r)) : 0;
}

/* The claim ends before the mapping is made, which makes its own. */
static int prepare(const struct disk_request *q, const struct device *below, struct luks *l, const struct luks_format *f,
                   struct disk_reply *y) {
        _cleanup_(device_close) struct device d = DEVICE_NONE;
        _cleanup_(closep) int image = -EBADF;
        bool ours = false;
        int r;

        r = device_open(q->device, &d, y);
        if (r >= 0)
                r = device_claim(&d, q->device, y);
        if (r >= 0 && (d.major != below->major || d.minor != below->minor))
                r = op_fail(y, -ESTALE, EXIT_CODE_FAILED, "%s is another device now: try again", q->device);
        if (r >= 0)
                r = check_contents(&d, q, &ours, y);
        if (r < 0)
                return r;
        r = luks_scratch_image(l, f, below->path, &image);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The header for %s cannot be made, nothing was written: %s", q->device,
                               l->said[0] ? l->said : strerror(-r));
        if (!ours)
                r = wipe_head(&d);
        if (r >= 0)
                r = write_mark(&d, image);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s cannot be written to: %s", q->device, strerror(-r));
        discard(&d);
        return 0;
}

int op_scratch(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(secret_freep) struct secret *volume_key = NULL;
        _cleanup_(device_close) struct device below = DEVICE_NONE;
        _cleanup_(luks_close) struct luks l = {};
        struct luks_format f = { .uuid = q->uuid, .label = q->name };
        int r;

        if (!q->name[0] || !q->uuid[0])
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "SCRATCH needs a name and a UUID");
        r = device_open(q->device, &below, y);
        if (r < 0)
                return r;
        r = secret_random(VOLUME_KEY_SIZE, &volume_key);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "No key can be made: %s", strerror(-r));
        f.volume_key = volume_key;
        f.sector_size = (below.logical == 4096 || below.physical == 4096) && below.size % 4096 == 0 ? 4096 : 512;
        r = prepare(q, &below, &l, &f, y);
        if (r < 0)
                return r;
        r = luks_activate(&l, q->name, volume_key, 0, false);
        if (r == -EEXIST || r == -EBUSY)
                return op_fail(y, r, EXIT_CODE_BUSY, r == -EEXIST ? "There is a mapping named %s already" : "The disk of %s is in use",
                               q->name);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s cannot be activated as %s: %s", q->device, q->name,
                               l.said[0] ? l.said : strerror(-r));
        r = verify(q, &below, f.sector_size, y);
        if (r < 0 && luks_remove(&l, q->name) < 0)
                snprintf(y->message + strlen(y->message), sizeof(y->message) - strlen(y->message), "; it was NOT removed");
        if (r >= 0)
                memcpy(y->uuid, q->uuid, sizeof(y->uuid));
        return r;
}
