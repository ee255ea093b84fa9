/* SPDX-License-Identifier: Apache-2.0 */

/* ENCRYPT_STAGE, ENCRYPT_BEGIN and ENCRYPT_RUN: a device whose file system stays, encrypted in place (encryption.h).
 *
 *   STAGE: file system known, large enough, not in use ─► header to be, in a file, durable        nothing written to the device
 *   BEGIN: the file's keyslot opens ─► file system made smaller ─► first part moved to the end
 *             ─► the file says "under way", durable ─► keyslots, second copy, first copy on the device ─► file removed
 *   RUN:   with the mapping in use, part by part
 *
 * Until the header is written the device is a file system like before, and everything can begin anew. A crash while it is being
 * written leaves a beginning that is part header, part file system: the file has the one, the end of the device the other. */

#include "ops.h"

#include "common/algorithm.h"
#include "common/dm-ioctl.h"
#include "encryption-end.h"
#include "filesystem.h"
#include "header-write.h"
#include "live-table.h"
#include "unlock-key.h"
#include "volume.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHIFT LUKS_FORMAT_DATA_OFFSET
#define CHUNK 512u                     /* what a disk writes whole */
#define HEADER ".header"              /* to be */
#define BEGUN ".begun"                /* the first part is moved: the device needs it until it is there */
#define PATH_SIZE (sizeof(ENCRYPT_DIRECTORY "/" HEADER) + 36)

static void file_path(const char *uuid, const char *suffix, char ret[static PATH_SIZE]) {
        snprintf(ret, PATH_SIZE, ENCRYPT_DIRECTORY "/%s%s", uuid, suffix);
}

/* ---- the file ---- */

static int sync_directory(void) {
        _cleanup_(closep) int fd = open(ENCRYPT_DIRECTORY, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

        return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_file(const char *uuid, int image) {
        _cleanup_(closep) int fd = -EBADF;
        char path[PATH_SIZE];
        const void *p;
        int r;

        file_path(uuid, HEADER, path);
        r = mkdir_parents(ENCRYPT_DIRECTORY, 0700);
        if (r < 0)
                return r;
        fd = open(path, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        p = mmap(NULL, SHIFT, PROT_READ, MAP_SHARED, image, 0);
        if (p == MAP_FAILED)
                return -errno;
        r = pwrite_all(fd, p, SHIFT, 0);
        munmap((void *) p, SHIFT);
        /* libcryptsetup wants a device to have data */
        if (r >= 0 && (ftruncate(fd, SHIFT + (1 << 20)) < 0 || fsync(fd) < 0))
                r = -errno;
        return r < 0 ? r : sync_directory();
}

static int read_file(const char *uuid, const char *suffix, uint64_t device_size, struct header **ret, struct header_why *why) {
        _cleanup_(closep) int fd = -EBADF;
        char path[PATH_SIZE];

        file_path(uuid, suffix, path);
        fd = open(path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);
        if (fd < 0) {
                snprintf(why->text, sizeof(why->text), "%s cannot be opened: %s", path, strerror(errno));
                return -errno;
        }
        return header_read(fd, device_size, ret, why);
}

/* From here on nothing else has the beginning of the device and its header together. */
static int note_begun(const char *uuid) {
        char from[PATH_SIZE], to[PATH_SIZE];

        file_path(uuid, HEADER, from);
        file_path(uuid, BEGUN, to);
        return rename(from, to) < 0 ? -errno : sync_directory();
}

static int remove_file(const char *uuid, const char *suffix) {
        char path[PATH_SIZE];

        file_path(uuid, suffix, path);
        return unlink(path) < 0 && errno != ENOENT ? -errno : sync_directory();
}

/* ---- what the beginning of the device is ---- */

enum beginning {
        BEGINNING_PLAIN,              /* the part that was moved, all of it */
        BEGINNING_TORN,               /* that or the header, place by place */
        BEGINNING_OTHER,              /* something else: it was used as a file system meanwhile */
};

static bool chunk_is(int fd, uint64_t offset, const uint8_t *expected, uint8_t *buffer) {
        return pread(fd, buffer, CHUNK, (off_t) offset) == (ssize_t) CHUNK && memcmp(buffer, expected, CHUNK) == 0;
}

static int look_at_beginning(const struct device *d, int file, enum beginning *ret) {
        _cleanup_(freep) uint8_t *b = malloc(3 * (size_t) CHUNK);
        enum beginning found = BEGINNING_PLAIN;

        if (!b)
                return -ENOMEM;
        for (uint64_t at = 0; at < SHIFT; at += CHUNK) {
                if (pread(d->fd, b, CHUNK, (off_t) at) != (ssize_t) CHUNK)
                        return -EIO;
                if (chunk_is(d->fd, d->size - SHIFT + at, b, b + CHUNK))
                        continue;
                found = BEGINNING_TORN;
                if (!chunk_is(file, at, b, b + 2 * (size_t) CHUNK)) {
                        *ret = BEGINNING_OTHER;
                        return 0;
                }
        }
        *ret = found;
        return 0;
}

/* Is this file the beginning of an encryption of this device that was interrupted before its header was there? */
static int judge_file(const struct device *d, const char *uuid, struct header **ret, enum beginning *ret_beginning) {
        _cleanup_(header_freep) struct header *h = NULL;
        _cleanup_(closep) int fd = -EBADF;
        struct header_why why;
        char path[PATH_SIZE];
        int r;

        r = read_file(uuid, BEGUN, d->size, &h, &why);
        if (r < 0 || !h->encryption.under_way)
                return r < 0 ? r : -ENOENT;
        file_path(uuid, BEGUN, path);
        fd = open(path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);
        r = fd < 0 ? -errno : look_at_beginning(d, fd, ret_beginning);
        if (r >= 0)
                *ret = TAKE_PTR(h);
        return r;
}

/* Returns 1 with the header of such a file, or 0. */
static int find_interrupted(const struct device *d, struct header **ret) {
        _cleanup_(closedirp) DIR *dir = opendir(ENCRYPT_DIRECTORY);
        struct dirent *e;

        while (dir && (e = readdir(dir))) {
                enum beginning b;
                char uuid[37];

                if (strlen(e->d_name) != 36 + strlen(BEGUN) || !streq(e->d_name + 36, BEGUN))
                        continue;
                snprintf(uuid, sizeof(uuid), "%.36s", e->d_name);
                if (uuid_is_valid(uuid) && judge_file(d, uuid, ret, &b) >= 0) {
                        if (b != BEGINNING_OTHER)
                                return 1;
                        *ret = header_free(*ret);
                }
        }
        return 0;
}

/* ---- STAGE ---- */

static int check_room(const struct device *d, const struct filesystem *f, const struct disk_request *q, struct disk_reply *y) {
        if (d->size < 4 * (uint64_t) SHIFT || d->size % 4096)
                return op_fail(y, -ENOSPC, EXIT_CODE_FAILED, "%s is too small, or no multiple of 4096 bytes long: nothing was written",
                               q->device);
        if (f->size > d->size - 2 * (uint64_t) SHIFT && !startswith(f->type, "ext"))
                return op_fail(y, -EOPNOTSUPP, EXIT_CODE_FAILED, "%s: %s cannot shrink, and there are not %u MiB free behind it: nothing "
                               "was written. Make the device larger; a detached header is not supported yet", q->device, f->type,
                               2 * SHIFT >> 20);
        return 0;
}

/* From the file, by the way that BEGIN goes; the reply is filled from what is read here. */
static int read_back(const struct device *d, const char *uuid, const struct disk_request *q, const struct secret *w,
                     struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = VOLUME_NONE;
        struct header_why why = {};
        int r;

        r = device_open(q->device, &v.device, y);
        if (r < 0)
                return r;
        r = read_file(uuid, HEADER, d->size, &v.header, &why);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The header for %s cannot be read again: %s", q->device, why.text);
        header_describe(v.header, y);
        return volume_unlock(&v, q, w, y);
}

static int make_file(const struct device *d, const struct disk_request *q, struct disk_reply *y) {
        _cleanup_(secret_freep) struct secret *w = NULL;
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        char uuid[37] = "";
        int r;

        r = op_new_secret(q, &w, y);
        if (r < 0)
                return r;
        /* As the file system was written: one that is used to small sectors has blocks that are smaller than large ones. */
        r = op_make_image(q, d->logical == 4096 ? 4096 : 512, w, uuid, &l, &image);
        if (r >= 0)
                r = write_file(uuid, image);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The header for %s cannot be made, nothing was written to it: %s", q->device,
                               l.said[0] ? l.said : strerror(-r));
        r = read_back(d, uuid, q, w, y);
        if (r < 0)
                (void) remove_file(uuid, HEADER);
        return r;
}

int op_encrypt_stage(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(header_freep) struct header *interrupted = NULL;
        _cleanup_(device_close) struct device d = DEVICE_NONE;
        struct filesystem f;
        int r;

        r = op_check_new_volume(q, y);
        if (r >= 0)
                r = device_open(q->device, &d, y);
        if (r >= 0)
                r = device_claim(&d, q->device, y);
        if (r < 0)
                return r;
        if (d.size > 4 * (uint64_t) SHIFT && find_interrupted(&d, &interrupted) > 0) {
                header_describe(interrupted, y);
                return 0;
        }
        r = filesystem_find(&d, q->device, &f, y);
        if (r >= 0)
                r = check_room(&d, &f, q, y);
        if (r >= 0)
                r = make_file(&d, q, y);
        y->plain = d.size - 2 * (uint64_t) SHIFT;
        return r;
}

/* ---- BEGIN ---- */

/* The end of it is written to next: it is the device that was made smaller, and there is nothing of the file system. */
static int open_again(struct volume *v, const struct device *before, const struct filesystem *f, uint64_t room, const struct disk_request *q,
                      struct disk_reply *y) {
        struct filesystem now;
        int r = device_open(q->device, &v->device, y);

        if (r < 0)
                return r;
        if (v->device.major != before->major || v->device.minor != before->minor || v->device.size != before->size)
                return op_fail(y, -ESTALE, EXIT_CODE_FAILED, "%s is another device now, or of another size: try again", q->device);
        r = filesystem_find(&v->device, q->device, &now, y);
        if (r < 0)
                return r;
        return streq(now.type, f->type) && now.size <= room ? 0
               : op_fail(y, -ESTALE, EXIT_CODE_FAILED, "%s: its file system was changed while its encryption began: nothing was encrypted, try again",
                         q->device);
}

static int shrink(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        uint64_t room = v->header->device_size - 2 * (uint64_t) SHIFT;
        const struct device before = v->device;
        struct filesystem f;
        int r;

        r = device_claim(&v->device, q->device, y);
        if (r >= 0)
                r = filesystem_find(&v->device, q->device, &f, y);
        if (r >= 0)
                r = check_room(&v->device, &f, q, y);
        if (r < 0)
                return r;
        /* e2fsck, resize2fs and libcryptsetup claim it themselves. */
        device_close(&v->device);
        r = filesystem_shrink(&f, q->device, room, y);
        return r < 0 ? r : open_again(v, &before, &f, room, q, y);
}

static int move(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        _cleanup_(luks_close) struct luks l = {};
        struct header_why why = {};
        char path[PATH_SIZE];
        int r;

        file_path(q->uuid, HEADER, path);
        r = luks_encrypt_begin(&l, path, v->device.path, v->wrap->token.keyslot, v->unlock_key, v->header->layout.sector_size);
        if (r < 0)
                return op_fail(y, r, r == -EBUSY ? EXIT_CODE_BUSY : EXIT_CODE_FAILED, "The encryption of %s cannot begin, its file system "
                               "stays as it is: %s", q->device, l.said[0] ? l.said : strerror(-r));
        v->header = header_free(v->header);
        r = read_file(q->uuid, HEADER, v->device.size, &v->header, &why);
        if (r >= 0 && !v->header->encryption.under_way)
                r = -EUCLEAN;
        if (r >= 0)
                r = volume_manifest_verify(v->header, v->volume_key);
        if (r >= 0)
                r = note_begun(q->uuid);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "libcryptsetup made another header for %s than was asked for (%s): its file system "
                               "stays as it is", q->device, *why.text ? why.text : strerror(-r));
        return 0;
}

static int place_header(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        _cleanup_(header_freep) struct header *there = NULL;
        _cleanup_(closep) int file = -EBADF;
        struct header_why why = {};
        char path[PATH_SIZE];
        enum beginning b;
        int r;

        r = device_claim(&v->device, q->device, y);
        if (r < 0)
                return r;
        file_path(q->uuid, BEGUN, path);
        file = open(path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);
        r = file < 0 ? -errno : look_at_beginning(&v->device, file, &b);
        if (r >= 0 && b == BEGINNING_OTHER)
                return op_fail(y, -ESTALE, EXIT_CODE_BUSY, "%s was used while its encryption began: nothing was encrypted, try again",
                               q->device);
        if (r >= 0) {
                y->count = 1;
                r = header_write_image(&v->device, file, HEADER_SIZE_MIN, SHIFT);
        }
        if (r >= 0 && posix_fadvise(v->device.fd, 0, SHIFT, POSIX_FADV_DONTNEED) != 0)
                r = -EIO;
        if (r >= 0)
                r = header_read(v->device.fd, v->device.size, &there, &why);
        if (r >= 0 && !digest_equal(there->digest, v->header->digest))
                r = -EUCLEAN;
        if (r >= 0)
                r = remove_file(q->uuid, BEGUN);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The header cannot be written to %s (%s). Its file system is whole but for its "
                               "beginning, which is at the end of the device: the same command once more goes on from here, and needs %s",
                               q->device, *why.text ? why.text : strerror(-r), path);
        header_describe(there, y);
        return 0;
}

int op_encrypt_begin(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = { .device = DEVICE_NONE, .keep_unlock_key = true };
        struct header_why why = {};
        int r;

        if (!q->name[0] || !q->uuid[0])
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "ENCRYPT_BEGIN needs a name and a UUID");
        r = device_open(q->device, &v.device, y);
        if (r < 0)
                return r;
        r = read_file(q->uuid, BEGUN, v.device.size, &v.header, &why);
        if (r == -ENOENT)
                r = read_file(q->uuid, HEADER, v.device.size, &v.header, &why);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The header for %s is refused: %s", q->device, why.text);
        r = volume_check_unchanged(&v, q, y);
        if (r >= 0)
                r = volume_check_name(&v, q, y);
        if (r >= 0)
                r = volume_unlock_from_pipe(&v, q, y);
        if (r >= 0)
                r = volume_check_trust(&v, q, y);
        if (r >= 0 && !v.header->encryption.under_way) {
                r = shrink(&v, q, y);
                if (r >= 0)
                        r = move(&v, q, y);
        }
        return r < 0 ? r : place_header(&v, q, y);
}

/* ---- RUN ---- */

static volatile sig_atomic_t told_to_stop;

static void on_stop(int sig _unused_) {
        told_to_stop = 1;
}

struct listener {
        int fd;
        char dm_uuid[DM_IOCTL_UUID_SIZE];
};

/* Whoever cut it (the breaker, with cmkd stopped) meant it: libcryptsetup's next table, or its last, would undo that. */
static void end_if_cut(const char *dm_uuid) {
        _cleanup_(closep) int control = dm_open_control();
        struct dm_table t;

        if (control < 0 || dm_query_table(control, (struct dm_id) { .uuid = dm_uuid }, &t) < 0 || t.all_error)
                _exit(EXIT_FAILURE);
}

/* After each part, and before the last table. Where nobody hears of it the manager is gone, and so is who holds the lease. */
static int tell(uint64_t size, uint64_t done, void *user) {
        const struct disk_progress p = { size, done };
        const struct listener *l = user;

        end_if_cut(l->dm_uuid);
        return told_to_stop || (write(l->fd, &p, sizeof(p)) < 0 && errno != EAGAIN);
}

static int check_mapping(const struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        const struct live_table_expected e = {
                .name = q->mapping, .uuid = v->header->copy.uuid, .major = v->device.major, .minor = v->device.minor,
                .offset = v->header->layout.data_offset / 512, .sector_size = v->header->layout.sector_size,
                .digest = v->header->layout.digest, .activation = v->header->layout.activation,
                .encryption = &v->header->encryption,
        };
        struct live_table live;
        const char *why;
        int r = live_table_check(&e, &live, &why);

        return r < 0 ? op_fail(y, r, EXIT_CODE_POLICY, "The mapping %s is not what the header of %s asks for (%s)", q->mapping,
                               q->device, why) : 0;
}

/* What the header says afterwards. */
static int read_again(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        struct header_why why = {};
        int r;

        v->header = header_free(v->header);
        r = header_read(v->device.fd, v->device.size, &v->header, &why);
        if (r >= 0)
                r = volume_manifest_verify(v->header, v->volume_key);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The header of %s is not what it has to be after its encryption: %s", q->device,
                               *why.text ? why.text : "its manifest does not hold");
        header_describe(v->header, y);
        return 0;
}

/* What this process stands on may be on the part that it is at, which waits for it; and it may not die in the middle, where nobody can close
 * the volume. Its manager's end is told to it as SIGTERM is. */
static int be_below_root(const struct disk_request *q, struct disk_reply *y) {
        if (mlockall(MCL_CURRENT|MCL_FUTURE) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
                return op_fail(y, -errno, EXIT_CODE_FAILED, "%s: this process cannot be locked in memory: %s", q->name, strerror(errno));
        return 0;
}

int op_encrypt_run(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = { .device = DEVICE_NONE, .keep_unlock_key = true };
        _cleanup_(header_unlock) struct header_lock lock = HEADER_LOCK_NONE;
        const struct sigaction stop = { .sa_handler = on_stop };
        struct listener listener = { .fd = in_fd };
        _cleanup_(luks_close) struct luks l = {};
        int r;

        if (!q->name[0] || !q->uuid[0] || in_fd < 0)
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "ENCRYPT_RUN needs a name, a UUID and a pipe");
        (void) signal(SIGPIPE, SIG_IGN);
        (void) sigaction(SIGTERM, &stop, NULL);
        (void) fcntl(in_fd, F_SETFL, O_NONBLOCK);
        r = volume_open(&v, q, y);
        if (r < 0)
                return r;
        /* the last step is done before it is opened the next time */
        if (!v.header->encryption.under_way || encryption_has_ended(&v.header->encryption))
                return 0;
        r = check_mapping(&v, q, y);
        if (r >= 0)
                r = header_lock_encryption(q->uuid, q->device, &lock, y);
        if (r >= 0)
                r = dm_crypt_uuid(q->uuid, q->mapping, listener.dm_uuid);
        if (r >= 0 && v.wrap->token.role == ROLE_OS)
                r = be_below_root(q, y);
        if (r < 0)
                return r;
        r = luks_encrypt_run(&l, v.header, v.device.path, q->mapping, v.wrap->token.keyslot, v.unlock_key, tell, &listener);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The encryption of %s stopped: %s", q->device,
                               l.said[0] ? l.said : strerror(-r));
        return read_again(&v, q, y);
}
