/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "activation.h"
#include "encryption-end.h"
#include "half-made.h"
#include "header-write.h"
#include "integrity.h"
#include "live-table.h"
#include "unlock-key.h"
#include "volume.h"

#include "common/dm-ioctl.h"

#include <signal.h>

int op_check(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = VOLUME_NONE;
        int r;

        (void) in_fd;
        (void) ret_fd;
        r = volume_read(&v, q, y);
        return r < 0 ? r : volume_unlock_from_pipe(&v, q, y);
}

static int fail_activate(int error, const struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        if (error == -EEXIST)
                return op_fail(y, error, EXIT_CODE_BUSY, "There is a mapping named %s already", q->mapping);
        if (error == -EBUSY)
                return op_fail(y, error, EXIT_CODE_BUSY, "%s is in use", q->device);
        return op_fail(y, error, EXIT_CODE_FAILED, "%s cannot be activated as %s: %s", q->device, q->mapping,
                       v->luks.said[0] ? v->luks.said : strerror(-error));
}

static struct live_table_expected expect(const struct volume *v, const struct disk_request *q, uint64_t sectors,
                                         bool read_only) {
        return (struct live_table_expected) {
                .name = q->mapping, .uuid = v->header->copy.uuid, .major = v->device.major, .minor = v->device.minor,
                .sectors = sectors, .offset = v->header->layout.data_offset / 512,
                .sector_size = v->header->layout.sector_size, .digest = v->header->layout.digest,
                .activation = v->activation, .integrity = v->header->layout.integrity, .read_only = read_only,
                .encryption = v->header->encryption.under_way ? &v->header->encryption : NULL,
        };
}

/* A mapping that is not what was checked must not stay for anybody to use. */
static int verify_mapping(struct volume *v, const struct disk_request *q, bool read_only, struct disk_reply *y) {
        const struct live_table_expected e = expect(v, q, y->sectors, read_only);
        struct live_table live;
        const char *why;
        int r;

        r = live_table_check(&e, &live, &why);
        if (r < 0) {
                op_fail(y, r, EXIT_CODE_POLICY, "The mapping %s is not what the header of %s asks for (%s) and was %s",
                        q->mapping, q->device, why,
                        luks_remove(&v->luks, q->mapping) < 0 ? "NOT removed: cut it" : "removed");
                return r;
        }
        y->dev_major = live.major;
        y->dev_minor = live.minor;
        y->sectors = live.sectors;
        activation_to_text(live.activation, y->activation);
        return 0;
}

/* Before W is asked for: what cannot succeed needs no key. */
static int check_name_is_free(const struct disk_request *q, struct disk_reply *y) {
        _cleanup_(closep) int control = dm_open_control();
        struct dm_info info;
        int r;

        r = control < 0 ? control : dm_query(control, (struct dm_id) { .name = q->mapping }, &info);
        if (r == -ENXIO)
                return 0;
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "Device-mapper cannot be asked: %s", strerror(-r));
        if (half_made_remove(control, &info, q->uuid, q->mapping) >= 0)
                return 0;
        return op_fail(y, -EEXIST, EXIT_CODE_BUSY, "There is a mapping named %s already (%.60s)", q->mapping, info.uuid);
}

/* A part that was half-way has been finished by it: the header is another one now, and no more of it may be plain. */
static int read_after_recovery(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        uint64_t plain = v->header->encryption.plain;
        struct header_why why = {};
        int r;

        v->header = header_free(v->header);
        r = header_read(v->device.fd, v->device.size, &v->header, &why);
        if (r >= 0)
                r = v->header->encryption.plain > plain ? -EUCLEAN : volume_manifest_verify(v->header, v->volume_key);
        if (r >= 0) {
                header_describe(v->header, y);
                y->sectors = volume_sectors(v);
                return 0;
        }
        return op_fail(y, r, EXIT_CODE_POLICY, "The header of %s changed while it was activated (%s), and the mapping was %s", q->device,
                       *why.text ? why.text : "its manifest does not hold",
                       luks_remove(&v->luks, q->mapping) < 0 ? "NOT removed: cut it" : "removed");
}

/* libcryptsetup has read the header of before. */
static int end_encryption(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        int r;

        r = encryption_end(v, q, y);
        if (r < 0)
                return r;
        luks_close(&v->luks);
        r = luks_open(&v->luks, v->header, v->device.path);
        return r < 0 ? fail_activate(r, v, q, y) : 0;
}

/* Whoever took the mapping away and not what it stood on (dmsetup remove) has left it in the way. */
static int remove_left_over(const struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        _cleanup_(closep) int control = dm_open_control();
        int r;

        r = control < 0 ? control : integrity_remove_left_over(control, q->mapping, v->header->copy.uuid);
        return r < 0 ? op_fail(y, r, r == -EBUSY ? EXIT_CODE_BUSY : EXIT_CODE_FAILED, "What keeps the integrity tags of %s is there already, "
                               "as %s" DM_INTEGRITY_SUFFIX ", and cannot be removed: %s", q->name, q->mapping, strerror(-r)) : 0;
}

static int activate(struct volume *v, const struct disk_request *q, bool read_only, struct disk_reply *y) {
        _cleanup_(header_unlock) struct header_lock lock = HEADER_LOCK_NONE;
        int r;

        if (read_only && v->header->encryption.under_way)
                return op_fail(y, -EROFS, EXIT_CODE_BUSY, "%s is being encrypted, and what was half-way has to be finished: it cannot be "
                               "attached read-only", q->name);
        if (encryption_has_ended(&v->header->encryption)) {
                r = end_encryption(v, q, y);
                if (r < 0)
                        return r;
        }
        if (v->header->layout.integrity) {
                r = remove_left_over(v, q, y);
                if (r < 0)
                        return r;
        }
        if (!v->header->encryption.under_way) {
                r = luks_activate(&v->luks, q->mapping, v->volume_key, v->activation, read_only);
                return r < 0 ? fail_activate(r, v, q, y) : 0;
        }
        r = header_lock_encryption(v->header->copy.uuid, q->device, &lock, y);
        if (r < 0)
                return r;
        r = luks_encrypt_activate(&v->luks, v->header, v->device.path, q->mapping, v->wrap->token.keyslot, v->unlock_key);
        return r < 0 ? fail_activate(r, v, q, y) : read_after_recovery(v, q, y);
}

int op_activate(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = { .device = DEVICE_NONE, .keep_unlock_key = q->plain_max > 0 };
        bool read_only = q->flags & DISK_FLAG_READ_ONLY;
        int r;

        (void) in_fd;
        (void) ret_fd;
        if (!q->name[0] || !q->uuid[0])
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "ACTIVATE needs a name and a UUID");
        r = check_name_is_free(q, y);
        if (r >= 0)
                r = volume_open(&v, q, y);
        if (r < 0)
                return r;
        r = activate(&v, q, read_only, y);
        return r < 0 ? r : verify_mapping(&v, q, read_only, y);
}

int op_unlock_key(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = { .device = DEVICE_NONE, .keep_unlock_key = true };
        int r;

        (void) ret_fd;
        if (!q->name[0] || !q->uuid[0] || in_fd < 0)
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "UNLOCK_KEY needs a name, a UUID and a descriptor to write to");
        r = volume_open(&v, q, y);
        if (r < 0)
                return r;
        /* Whoever wanted it may have gone meanwhile: that is an answer, not the end of this process. */
        (void) signal(SIGPIPE, SIG_IGN);
        r = secret_write(in_fd, v.unlock_key);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The unlock key of %s could not be handed over: %s", q->device,
                               strerror(-r));
        return 0;
}

/* Only a mapping of this volume, held and not cut, gets its key back. It may have been made by others and adopted, with
 * options of theirs: what RECOGNIZE takes is right here. */
static int check_held(const struct volume *v, const struct disk_request *q, struct live_table_expected *ret_expected,
                      struct live_table *ret, struct disk_reply *y) {
        _cleanup_(closep) int control = -EBADF;
        char dm_uuid[DM_IOCTL_UUID_SIZE];
        struct dm_info info;
        const char *why;
        int r;

        control = dm_open_control();
        r = control < 0 ? control : dm_crypt_uuid(v->header->copy.uuid, q->mapping, dm_uuid);
        if (r >= 0)
                r = dm_query(control, (struct dm_id) { .uuid = dm_uuid }, &info);
        if (r == -ENXIO)
                return op_fail(y, r, EXIT_CODE_FAILED, "There is no mapping of volume %s", q->name);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The mapping %s cannot be examined: %s", q->mapping, strerror(-r));
        if (!(info.state & DM_STATE_SUSPENDED))
                return op_fail(y, -EALREADY, EXIT_CODE_FAILED, "The volume %s is not held", q->name);
        *ret_expected = expect(v, q, y->sectors, info.state & DM_STATE_READ_ONLY);
        ret_expected->by_others = ret_expected->held = true;
        r = live_table_check(ret_expected, ret, &why);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_POLICY, "The mapping %s is not what the header of %s asks for (%s)",
                               q->mapping, q->device, why);
        return 0;
}

static int hold_again(const struct disk_request *q, const char *uuid) {
        _cleanup_(closep) int control = dm_open_control();
        char dm_uuid[DM_IOCTL_UUID_SIZE];
        int r;

        r = control < 0 ? control : dm_crypt_uuid(uuid, q->mapping, dm_uuid);
        if (r >= 0)
                r = dm_suspend(control, (struct dm_id) { .uuid = dm_uuid }, 0);
        return r < 0 ? r : dm_message(control, (struct dm_id) { .uuid = dm_uuid }, "key wipe");
}

/* The table that was checked before the key went in is the one that has it. */
static int verify_resumed(const struct volume *v, const struct disk_request *q, struct live_table_expected *e,
                          const struct live_table *before, struct disk_reply *y) {
        struct live_table live;
        const char *why;
        int r;

        e->held = false;
        e->before = before;
        r = live_table_check(e, &live, &why);
        if (r < 0) {
                op_fail(y, r, EXIT_CODE_POLICY, "The mapping %s changed while it was resumed (%s) and was %s", q->mapping,
                        why, hold_again(q, v->header->copy.uuid) < 0 ? "NOT held again: cut it" : "held again");
                return r;
        }
        y->dev_major = live.major;
        y->dev_minor = live.minor;
        activation_to_text(live.activation, y->activation);
        y->sectors = live.sectors;
        return 0;
}

int op_resume(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = VOLUME_NONE;
        struct live_table_expected expected;
        struct live_table before;
        int r;

        (void) in_fd;
        (void) ret_fd;
        if (!q->name[0] || !q->uuid[0])
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "RESUME needs a name and a UUID");
        r = volume_read(&v, q, y);
        if (r >= 0)
                r = volume_check_name(&v, q, y);
        if (r >= 0)
                r = check_held(&v, q, &expected, &before, y);
        if (r >= 0)
                r = volume_unlock_from_pipe(&v, q, y);
        /* Another header under this UUID would bring another volume key, and every write would be garbage. */
        if (r >= 0)
                r = volume_check_trust(&v, q, y);
        if (r < 0)
                return r;
        r = luks_resume(&v.luks, q->mapping, v.volume_key);
        if (r < 0)
                return fail_activate(r, &v, q, y);
        return verify_resumed(&v, q, &expected, &before, y);
}
