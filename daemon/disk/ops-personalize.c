/* SPDX-License-Identifier: Apache-2.0 */

/* PERSONALIZE_STAGE: the header of a volume that was copied with an image becomes one that no other copy has.
 *
 *   opened by its key ─► the same volume key, behind one keyslot for another W ─► another UUID, by which token, unlock key and manifest
 *   are bound ─► a memfd
 *
 * HEADER_CANDIDATE and HEADER_RESTORE (ops-restore.c) then put it in the place of the image's: one header or the other is whole on the disk
 * at any moment, and the image's keyslots are overwritten afterwards. What opens the image still has the volume key: REENCRYPT_STAGE. */

#include "ops.h"

#include "unlock-key.h"
#include "volume.h"

static bool is_wrap(const struct header_layout *l, size_t keyslot) {
        return l->wraps[0].token.keyslot == (int) keyslot;
}

/* What every copy of the image has and this one loses is said by its number, so that nobody loses the only way in unawares. */
static int check_others(const struct header_layout *l, const struct disk_request *q, struct disk_reply *y) {
        char list[256] = "";
        size_t n = 0;

        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX && n < sizeof(list); i++)
                if (l->areas[i].used && !is_wrap(l, i))
                        n += (size_t) snprintf(list + n, sizeof(list) - n, "%s%zu%s", n > 0 ? ", " : "", i,
                                               (int) i == l->recovery_keyslot ? " (recovery key)" : "");
        if (n == 0 || q->flags & DISK_FLAG_DROP)
                return 0;
        return op_fail(y, -ENOKEY, EXIT_CODE_USAGE, "%s: every copy of the image opens with these of its keyslots, and this one would not any "
                       "more: %s. Say --drop-image-keyslots, and afterwards \"cmkctl recovery-key add\" makes one that is this copy's alone. "
                       "Nothing was changed", q->name, list);
}

static int check_possible(const struct header *h, const struct disk_request *q, struct disk_reply *y) {
        if (h->encryption.under_way)
                return op_fail(y, -EBUSY, EXIT_CODE_BUSY, "%s is being encrypted: that has to end first", q->name);
        if (h->layout.integrity)
                return op_fail(y, -EOPNOTSUPP, EXIT_CODE_POLICY, "%s has integrity tags, and would keep the volume key of its image: make it anew. "
                               "Nothing was changed", q->name);
        if (h->layout.n_wraps != 1)
                return op_fail(y, -EOPNOTSUPP, EXIT_CODE_POLICY, "%s has %u keys, and a copy of an image becomes one of its own with one: take the "
                               "others out (\"cmkctl enroll --remove\"), and enroll them again afterwards", q->name, h->layout.n_wraps);
        return check_others(&h->layout, q, y);
}

/* Checked as one on any disk is. Fills y with what it is. */
static int look_at(int image, const struct volume *v, struct disk_reply *y) {
        _cleanup_(header_freep) struct header *h = NULL;
        struct header_why why;
        int r;

        r = header_read(image, v->device.size, &h, &why);
        if (r < 0)
                return r;
        y->flags = 0;
        header_describe(h, y);
        return 0;
}

static int stage(struct volume *v, const struct disk_request *q, int in_fd, int *ret_image, struct disk_reply *y) {
        _cleanup_(secret_freep) struct secret *unlock_key = NULL;
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        struct token t;
        int r;

        r = op_new_wrap(q, q->other_uuid, in_fd, &t, &unlock_key);
        if (r >= 0)
                r = luks_wrap_only(&l, v->header, v->device.path, v->volume_key, unlock_key, q->other_uuid, &t, &image);
        if (r >= 0)
                r = look_at(image, v, y);
        if (r >= 0)
                r = trust_digest_compute(v->volume_key, q->other_uuid, t.name, t.role, y->trust_digest);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "A header of its own cannot be made for %s, nothing was changed: %s", q->name,
                               l.said[0] ? l.said : strerror(-r));
        *ret_image = TAKE_FD(image);
        return 0;
}

int op_personalize_stage(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = { .device = DEVICE_NONE, .as_enrolled = true };
        struct disk_request strict = *q;
        int r;

        if (!q->name[0] || !q->uuid[0] || !q->other_uuid[0] || streq(q->uuid, q->other_uuid))
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "PERSONALIZE_STAGE needs a name and two UUIDs");
        strict.flags &= ~(uint32_t) DISK_FLAG_FOREIGN_OK;
        r = op_check_new_key(q, y);
        if (r >= 0)
                r = volume_open(&v, &strict, y);
        if (r >= 0)
                r = check_possible(v.header, q, y);
        return r < 0 ? r : stage(&v, q, in_fd, ret_fd, y);
}
