/* SPDX-License-Identifier: Apache-2.0 */
#include "volume.h"

#include "foreign.h"
#include "manifest.h"
#include "ops.h"
#include "unlock-key.h"

static struct header *inspected;       /* by the request before: a process has one volume */

void volume_done(struct volume *v) {
        luks_close(&v->luks);
        v->header = header_free(v->header);
        v->volume_key = secret_free(v->volume_key);
        v->unlock_key = secret_free(v->unlock_key);
        device_close(&v->device);
}

static int fail_header(int error, const char *device, const struct header_why *why, struct disk_reply *y) {
        const char *hint = "";

        if (error == -EPROTONOSUPPORT)
                hint = "; a newer cmkd can open it";
        else if (error == -ENOENT)
                hint = "; cmkctl enroll makes it a volume of cmkd's";
        else if (error == -EBADMSG)
                hint = "; compare it with a backup of the header";
        return op_fail(y, error, header_exit_code(error), "The header of %s is refused: %s%s", device, why->text, hint);
}

void volume_keep_header(struct volume *v) {
        header_free(inspected);
        inspected = TAKE_PTR(v->header);
}

static int read_header(struct volume *v, struct header_why *why) {
        struct header *before = TAKE_PTR(inspected);

        if (before && header_is_same(before, v->device.fd, v->device.size)) {
                v->header = before;
                return 0;
        }
        header_free(before);
        return header_read(v->device.fd, v->device.size, &v->header, why);
}

uint64_t volume_sectors(const struct volume *v) {
        uint64_t sectors = (v->device.size - v->header->layout.data_offset) / 512;

        if (v->header->encryption.under_way)
                return v->header->encryption.size / 512;
        return sectors - sectors % (v->header->layout.sector_size / 512);
}

int volume_read(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        struct header_why why = {};
        int r;

        r = device_open(q->device, &v->device, y);
        if (r < 0)
                return r;
        y->dev_major = v->device.major;
        y->dev_minor = v->device.minor;
        r = read_header(v, &why);
        if (r < 0) {
                if (!why.text[0])
                        snprintf(why.text, sizeof(why.text), "it cannot be read: %s", strerror(-r));
                return fail_header(r, q->device, &why, y);
        }
        header_describe(v->header, y);
        y->sectors = volume_sectors(v);
        if (q->uuid[0] && !streq(q->uuid, v->header->copy.uuid))
                return op_fail(y, -ESTALE, EXIT_CODE_FAILED, "%s holds another volume now: UUID %s, expected %s",
                               q->device, v->header->copy.uuid, q->uuid);
        return 0;
}

/* Whoever can write to the disk can say that more of it is plain than is: what is written there would not be encrypted. */
static int check_plain(const struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        const struct header_encryption *x = &v->header->encryption;

        if (x->under_way && x->rekeys != !!(q->flags & DISK_FLAG_REKEYING))
                return op_fail(y, -EPERM, EXIT_CODE_POLICY, "The header of %s says that it is being encrypted in another way than this node "
                               "knows of: it is an older header, or forged", q->device);
        if (!x->under_way || (q->plain_max > 0 && x->plain <= q->plain_max))
                return 0;
        if (q->plain_max == 0)
                return op_fail(y, -EPERM, EXIT_CODE_POLICY, "The header of %s says that it is being encrypted in place: as far as this "
                               "node knows it is not, or this cannot be done meanwhile", q->device);
        return op_fail(y, -EPERM, EXIT_CODE_POLICY, "The header of %s says that %llu bytes are not done yet, where %llu were left: "
                       "it is an older header, or forged", q->device, (unsigned long long) x->plain,
                       (unsigned long long) q->plain_max);
}

static int fail_unlock(int error, const struct disk_request *q, const struct volume *v, struct disk_reply *y) {
        if (error == -ENOKEY)
                return op_fail(y, error, EXIT_CODE_FAILED, "Keyslot %d of %s does not open with what the vault "
                               "unwrapped: its token and its keyslot do not belong together",
                               v->wrap->token.keyslot, q->device);
        return op_fail(y, error, EXIT_CODE_FAILED, "%s cannot be unlocked: %s", q->device,
                       v->luks.said[0] ? v->luks.said : strerror(-error));
}

/* The manifest does not hold: because of something that was added, which may be let through, or for another reason. */
static int judge_change(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        static const char hint[] = "\"cmkctl header accept\" looks at it with its key and makes it what is enrolled";
        struct foreign f = {};
        int r;

        r = foreign_find(v->header->settled, v->header->copy.uuid, v->volume_key, &v->header->layout, v->wrap, &f);
        if (v->as_it_is && (r >= 0 || r == -EUCLEAN)) {
                y->flags |= DISK_FLAG_FOREIGN;
                snprintf(y->message, sizeof(y->message), "%s", r == -EUCLEAN ? "a keyslot, a token or something else is gone or not as it was" :
                         *f.what.text ? f.what.text : "the flags, written in another way");
                return 0;
        }
        if (r == -EUCLEAN)
                return op_fail(y, r, EXIT_CODE_POLICY, "The header of %s was changed since it was enrolled: another "
                               "cipher, name or generation, or a keyslot or token that is gone or not as it was. Look with \"cryptsetup "
                               "luksDump\"; %s", q->device, hint);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The manifest of %s cannot be computed: %s", q->device,
                               strerror(-r));
        v->activation = f.activation;
        if (!f.what.text[0])
                return 0;
        if (v->as_enrolled || (!f.only_flags && !(q->flags & DISK_FLAG_FOREIGN_OK)))
                return op_fail(y, -EUCLEAN, EXIT_CODE_POLICY, "The header of %s was changed since it was enrolled: %s "
                               "added by somebody else. Look with \"cryptsetup luksDump\", take it out with "
                               "luksKillSlot, token remove or refresh --persistent; %s; OnForeignKeyslot=report attaches it all the same",
                               q->device, f.what.text, hint);
        y->flags |= DISK_FLAG_FOREIGN;
        snprintf(y->message, sizeof(y->message), "%s%s", f.what.text,
                 f.activation != v->header->layout.activation ? " (flags are as they were enrolled)" : "");
        return 0;
}

int volume_manifest_verify(const struct header *h, const struct secret *volume_key) {
        const struct header_layout *l = &h->layout;

        /* The MAC is over everything but itself: one that was changed in one of the tokens is nobody's. */
        for (unsigned i = 1; i < l->n_wraps; i++)
                if (!digest_equal(l->wraps[i].token.mac, l->wraps[0].token.mac))
                        return -EUCLEAN;
        return manifest_verify(h->settled, h->copy.uuid, volume_key, l->wraps[0].token.mac);
}

int volume_verify(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        const struct token *t = &v->header->layout.wraps[0].token;
        int r;

        v->activation = v->header->layout.activation;
        r = volume_manifest_verify(v->header, v->volume_key);
        if (r == -EUCLEAN) {
                r = judge_change(v, q, y);
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                r = trust_digest_compute(v->volume_key, v->header->copy.uuid, t->name, t->role, v->trust_digest);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The manifest of %s cannot be computed: %s", q->device,
                               strerror(-r));
        memcpy(y->trust_digest, v->trust_digest, sizeof(y->trust_digest));
        return 0;
}

int volume_unlock(struct volume *v, const struct disk_request *q, const struct secret *w, struct disk_reply *y) {
        _cleanup_(secret_freep) struct secret *unlock_key = NULL;
        const struct token *t;
        int r;

        v->wrap = header_find_wrap(&v->header->layout, q->opener);
        if (!v->wrap)
                return op_fail(y, -ENOENT, EXIT_CODE_FAILED, "No token of %s is of key %s: try again", q->device, q->opener);
        r = check_plain(v, q, y);
        if (r < 0)
                return r;
        t = &v->wrap->token;
        r = unlock_key_derive(w, t->salt, v->header->copy.uuid, t->role, t->generation, &unlock_key);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The unlock key of %s cannot be derived: %s", q->device,
                               strerror(-r));
        r = luks_open(&v->luks, v->header, v->device.path);
        if (r >= 0)
                r = luks_unlock(&v->luks, t->keyslot, unlock_key, &v->volume_key);
        if (r < 0)
                return fail_unlock(r, q, v, y);
        r = volume_verify(v, q, y);
        if (r < 0)
                return r;
        if (v->keep_unlock_key)
                v->unlock_key = TAKE_PTR(unlock_key);
        return 0;
}

int volume_unlock_from_pipe(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        _cleanup_(secret_freep) struct secret *w = NULL;
        int r;

        r = op_read_secret(&w, y);
        return r < 0 ? r : volume_unlock(v, q, w, y);
}

int volume_check_unchanged(const struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        if (digest_equal(v->header->digest, q->header_digest))
                return 0;
        return op_fail(y, -ESTALE, EXIT_CODE_POLICY, "The header of %s changed after it was inspected: try again",
                       q->device);
}

int volume_check_name(const struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        if (streq(q->name, v->header->layout.wraps[0].token.name))
                return 0;
        return op_fail(y, -EKEYREJECTED, EXIT_CODE_POLICY, "The volume on %s is named %s, not %s", q->device,
                       v->header->layout.wraps[0].token.name, q->name);
}

int volume_check_trust(const struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        if ((q->flags & DISK_FLAG_UNTRUSTED_OK) || digest_equal(v->trust_digest, q->trust_digest))
                return 0;
        return op_fail(y, -EKEYREJECTED, EXIT_CODE_POLICY, "The volume on %s is not the one that this node trusts "
                       "under UUID %s: forged, or formatted elsewhere (cmkctl trust list)", q->device, v->header->copy.uuid);
}

int volume_open(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        int r;

        r = volume_read(v, q, y);
        if (r >= 0)
                r = volume_check_unchanged(v, q, y);
        if (r >= 0)
                r = volume_check_name(v, q, y);
        if (r >= 0)
                r = volume_unlock_from_pipe(v, q, y);
        return r < 0 ? r : volume_check_trust(v, q, y);
}
