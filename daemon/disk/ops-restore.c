/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "edit.h"
#include "header-key.h"
#include "unlock-key.h"

#include <endian.h>
#include <sys/stat.h>
#include <unistd.h>

/* A header from a file in the place of the one on a device: of the same volume, proven to open before anything is written, and
 * written so that whichever of the two opens is never gone before the other one does (edit.h). */

/* Checked as one on a device is, and for this device. */
static int read_file(struct volume *v, int file, struct disk_reply *y) {
        struct header_why why = {};
        struct stat st;
        int r;

        if (file < 0 || fstat(file, &st) < 0 || !S_ISREG(st.st_mode))
                return op_fail(y, -EINVAL, EXIT_CODE_USAGE, "A header is restored from a regular file");
        r = header_read(file, v->device.size, &v->header, &why);
        if (r < 0)
                return op_fail(y, r, header_exit_code(r), "The header in the file is refused: %s; nothing was written",
                               *why.text ? why.text : strerror(-r));
        header_describe(v->header, y);
        if (v->header->damaged)
                return op_fail(y, -EUCLEAN, EXIT_CODE_FAILED, "One of the two header copies in the file is damaged or old: nothing "
                               "was written");
        return 0;
}

/* Both copies are damaged: it says who it was all the same, and nothing else is lost. */
static bool is_its_wreck(const struct device *d, const char *uuid) {
        struct luks2_binary b;

        return pread(d->fd, &b, sizeof(b), 0) == sizeof(b) && memcmp(b.magic, "LUKS\xba\xbe", sizeof(b.magic)) == 0 &&
               be16toh(b.version) == 2 && strncmp(b.uuid, uuid, sizeof(b.uuid)) == 0;
}

/* What would be overwritten. Another volume's header never is; what is no header only if that is wanted. */
static int check_place(const struct volume *v, const struct disk_request *q, uint64_t *ret_seqid, struct disk_reply *y) {
        const char *uuid = v->header->copy.uuid;
        struct header_copy there;
        char what[256];
        int r;

        r = header_peek(v->device.fd, v->device.size, &there, NULL);
        if (r == -ENOMEM)
                return r;
        if (r >= 0 && !streq(there.uuid, uuid) && !streq(there.uuid, q->other_uuid))
                return op_fail(y, -EPERM, EXIT_CODE_POLICY, "%s holds another volume, UUID %s; the file is of %s: nothing was written",
                               q->device, there.uuid, uuid);
        if (r >= 0 && there.seqid > INT64_MAX)
                return op_fail(y, -EUCLEAN, EXIT_CODE_FAILED, "The header of %s says that it is newer than any can be", q->device);
        *ret_seqid = r >= 0 ? there.seqid : 0;
        if (r >= 0 || (q->flags & DISK_FLAG_WIPE) || is_its_wreck(&v->device, uuid))
                return 0;
        r = device_find_signature(&v->device, what, sizeof(what));
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s cannot be probed for what it holds: nothing was written", q->device);
        if (r > 0)
                return op_fail(y, -EEXIST, EXIT_CODE_POLICY, "%s has no LUKS2 header but %s: is it the right device? Nothing was "
                               "written (--wipe overwrites its beginning)", q->device, what);
        return 0;
}

/* Claimed: a volume that is open, or being opened, keeps its header. */
static int begin(struct volume *v, struct device *claim, const struct disk_request *q, int file, uint64_t *ret_seqid,
                 struct disk_reply *y) {
        int r;

        r = device_open(q->device, &v->device, y);
        if (r >= 0)
                r = device_open(q->device, claim, y);
        if (r >= 0)
                r = device_claim(claim, q->device, y);
        if (r >= 0)
                r = read_file(v, file, y);
        if (r < 0)
                return r;
        if (claim->major != v->device.major || claim->minor != v->device.minor)
                return op_fail(y, -ESTALE, EXIT_CODE_FAILED, "%s is another device now: try again", q->device);
        y->dev_major = v->device.major;
        y->dev_minor = v->device.minor;
        return check_place(v, q, ret_seqid, y);
}

int op_header_candidate(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = VOLUME_NONE;
        _cleanup_(device_close) struct device claim = DEVICE_NONE;
        uint64_t seqid;

        return begin(&v, &claim, q, in_fd, &seqid, y);
}

/* The header there is; where cmkd would not open it there is nothing to keep. */
static int read_replaced(struct edit *e) {
        struct header_why why;
        int r;

        e->replaces = true;
        r = header_read(e->volume.device.fd, e->volume.device.size, &e->replaced, &why);
        return r == -ENOMEM ? r : 0;
}

/* Of another UUID it may be, but not of another volume. */
static int check_replaced(const struct edit *e, const struct disk_request *q, struct disk_reply *y) {
        const struct header *h = e->replaced;

        if (!q->other_uuid[0] || (h && (!streq(h->copy.uuid, q->other_uuid) || volume_manifest_verify(h, e->volume.volume_key) >= 0)))
                return 0;
        return op_fail(y, -ESTALE, EXIT_CODE_FAILED, "The header of %s is not the one that this was made from any more: try again", q->device);
}

/* What cmkd would not open may be all that there is of a volume key: cryptsetup reencrypt made another one. */
static int check_key_there(const struct edit *e, const struct disk_request *q, struct disk_reply *y) {
        _cleanup_(json_object_putp) struct json_object *metadata = NULL;
        struct header_copy there;
        int r;

        r = header_peek(e->volume.device.fd, e->volume.device.size, &there, &metadata);
        if (r == -ENODATA || (q->flags & DISK_FLAG_WIPE))
                return 0;
        if (r >= 0)
                r = header_key_check(metadata, e->volume.volume_key);
        if (r >= 0 || r == -ENOMEM)
                return r;
        return op_fail(y, r, EXIT_CODE_POLICY, "%s: its data may be encrypted by another volume key: the header there is %s. Nothing was written, "
                       "since nothing else may have that key: \"cryptsetup luksDump\" shows the header; keep it (\"cryptsetup luksHeaderBackup\") "
                       "before --wipe overwrites it", q->device,
                       r == -EPERM ? "says that a reencryption is under way, or asks for what is not known here"
                                   : "not of the volume key that the file opens to (\"cryptsetup reencrypt\"?)");
}

static int make_image(struct edit *e, const struct disk_request *q, uint64_t seqid, int *ret_image, struct disk_reply *y) {
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        int r;

        r = image = header_successor(e->volume.header, e->replaced, seqid);
        if (r == -ENOSPC)
                return edit_fail(r, q, "its keyslots do not fit beside those of the header there is", y);
        if (r >= 0)
                r = luks_reseal(&l, image, e->volume.header, e->volume.device.path, e->volume.volume_key);
        if (r < 0)
                return edit_fail(r, q, l.said, y);
        *ret_image = TAKE_FD(image);
        return 0;
}

static int restore(struct edit *e, const struct disk_request *q, uint64_t seqid, struct disk_reply *y) {
        struct disk_request strict = *q;
        _cleanup_(closep) int image = -EBADF;
        int r;

        /* A new manifest would make what is foreign one's own. */
        strict.flags &= ~(uint32_t) DISK_FLAG_FOREIGN_OK;
        r = volume_check_unchanged(&e->volume, q, y);
        if (r >= 0)
                r = volume_check_name(&e->volume, q, y);
        if (r >= 0)
                r = volume_unlock_from_pipe(&e->volume, &strict, y);
        if (r >= 0)
                r = volume_check_trust(&e->volume, q, y);
        if (r >= 0)
                r = read_replaced(e);
        if (r >= 0)
                r = check_replaced(e, q, y);
        if (r < 0)
                return r;
        if (e->replaced && !e->replaced->damaged && digest_equal(e->replaced->digest, e->volume.header->digest))
                return 0;
        r = check_key_there(e, q, y);
        if (r >= 0)
                r = make_image(e, q, seqid, &image, y);
        if (r >= 0)
                r = edit_commit(e, image, y);
        if (r < 0)
                return r;
        y->count = 1;
        r = header_wipe_free(&e->volume.device, e->new);
        return r < 0 ? op_fail(y, r, EXIT_CODE_FAILED, "The header of %s is restored, but what it had in other keyslots could not be "
                               "overwritten: %s", q->device, strerror(-r)) : 0;
}

int op_header_restore(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        _cleanup_(device_close) struct device claim = DEVICE_NONE, d = DEVICE_NONE;
        uint64_t seqid;
        int r;

        e.request = q;
        e.volume.as_enrolled = true;
        if (!q->name[0] || !q->uuid[0])
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "A header is changed by a volume's name and UUID");
        r = device_open(q->device, &d, y);
        if (r >= 0)
                r = header_lock(&d, q->device, &e.lock, y);
        if (r >= 0)
                r = begin(&e.volume, &claim, q, in_fd, &seqid, y);
        if (r < 0)
                return r;
        if (d.major != claim.major || d.minor != claim.minor)
                return op_fail(y, -ESTALE, EXIT_CODE_FAILED, "%s is another device now: try again", q->device);
        return restore(&e, q, seqid, y);
}
