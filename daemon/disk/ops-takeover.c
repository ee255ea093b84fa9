/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "common/algorithm.h"
#include "common/paths.h"
#include "edit.h"
#include "luks1.h"
#include "open-elsewhere.h"
#include "unlock-key.h"

#include <sys/stat.h>
#include <unistd.h>

/* A LUKS volume that somebody else made becomes one of ours: by a passphrase of it, the data stays where it is, and so do its keyslots.
 *
 * One of LUKS2 may be open meanwhile (open-elsewhere.h).
 *
 *   LUKS1: luks1-convert.c ─► LUKS2 ─► checked as a header of ours is, but for the token ─► the passphrase opens it
 *      ─► one keyslot and token more, as for any further key ─► edit_commit(): both open, then written */

#define PASSPHRASE_MAX 4096u

static int fail_taking(int error, const struct disk_request *q, const char *why, struct disk_reply *y) {
        const char *hint = "";

        if (error == -EPERM && strstr(why, "bit"))
                hint = ". What to do: cryptsetup convert --type luks2 (where it is LUKS1), cryptsetup reencrypt --key-size 512, then this "
                       "again";
        else if (error == -EPERM && strstr(why, "integrity"))
                hint = ". What to do: copy what is on it to a volume without, or of hmac-sha256";
        else if (error == -ENODATA)
                hint = ". A header in a file elsewhere (Azure Disk Encryption: /boot/luks, /var/lib/azure_disk_encryption_config) is not "
                       "taken over";
        return op_fail(y, error, header_exit_code(error), "%s is not taken over: %s%s", q->device, why, hint);
}

/* What is there: a header of LUKS2 (*ret), or the phdr of LUKS1 (*ret NULL). */
static int look(const struct device *d, const struct disk_request *q, struct header **ret, struct luks1 *ret_luks1, struct disk_reply *y) {
        uint8_t phdr[LUKS1_HEADER_SIZE];
        struct header_why why = {};
        int r;

        r = pread(d->fd, phdr, sizeof(phdr), 0) == sizeof(phdr) ? luks1_check(phdr, ret_luks1, &why) : -EIO;
        if (r >= 0 && !(q->flags & DISK_FLAG_CONVERT))
                return op_fail(y, -EPERM, EXIT_CODE_USAGE, "%s has a header of LUKS1: --from-ade makes it one of LUKS2", q->device);
        if (r >= 0)
                return 0;
        if (r == -ENODATA) {
                r = header_read_plain(d->fd, d->size, ret, &why);
                if (r >= 0 && (*ret)->damaged)
                        return op_fail(y, -EUCLEAN, EXIT_CODE_FAILED, "One of the two header copies of %s is damaged or old: cryptsetup "
                                       "repair, then try again", q->device);
        }
        return r < 0 ? fail_taking(r, q, *why.text ? why.text : strerror(-r), y) : 0;
}

static int claim(const struct disk_request *q, struct device *d, struct device *claimed, struct disk_reply *y) {
        int r;

        r = device_open(q->device, d, y);
        if (r >= 0)
                r = device_open(q->device, claimed, y);
        if (r < 0)
                return r;
        if (d->major != claimed->major || d->minor != claimed->minor)
                return op_fail(y, -ESTALE, EXIT_CODE_FAILED, "%s is another device now: try again", q->device);
        y->dev_major = d->major;
        y->dev_minor = d->minor;
        return device_claim(claimed, q->device, y);
}

/* claimed: what claim() said, with y. A volume of LUKS2 may be open: its header and the data behind it are written by different parties. */
static int look_at(const struct device *d, const struct disk_request *q, int claimed, struct header **ret, struct luks1 *ret_luks1,
                   struct disk_reply *y) {
        struct disk_reply busy = *y;
        int r;

        if (claimed < 0 && (claimed != -EBUSY || (q->flags & DISK_FLAG_CONVERT)))
                return claimed;
        y->error = y->exit_code = 0;
        *y->message = 0;
        r = look(d, q, ret, ret_luks1, y);
        if (claimed >= 0 || (r < 0 && r != -ENODATA))
                return r;
        r = r == -ENODATA ? -EBUSY : open_elsewhere_check(d, *ret, y);
        if (r == -EBUSY) {
                *y = busy;
                return claimed;
        }
        y->flags |= r < 0 ? 0 : DISK_FLAG_MAPPED;
        return r;
}

int op_take_over_look(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(device_close) struct device d = DEVICE_NONE, claimed = DEVICE_NONE;
        _cleanup_(header_freep) struct header *h = NULL;
        struct luks1 old;
        int r;

        r = claim(q, &d, &claimed, y);
        r = look_at(&d, q, r, &h, &old, y);
        if (r < 0)
                return r;
        memcpy(y->uuid, h ? h->copy.uuid : old.uuid, sizeof(y->uuid));
        return 0;
}

/* As it is in the file, all of it: a passphrase may end in a newline. */
static int read_passphrase(int fd, struct secret **ret, struct disk_reply *y) {
        struct stat st;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > PASSPHRASE_MAX)
                return op_fail(y, -EINVAL, EXIT_CODE_USAGE, "A passphrase is a regular file of 1 to %u bytes", PASSPHRASE_MAX);
        r = secret_read(fd, (size_t) st.st_size, ret);
        return r < 0 ? op_fail(y, r, EXIT_CODE_FAILED, "The passphrase cannot be read: %s", strerror(-r)) : 0;
}

static int open_by(struct volume *v, const struct secret *passphrase, const struct disk_request *q, struct disk_reply *y) {
        int r;

        r = luks_open(&v->luks, v->header, v->device.path);
        if (r >= 0)
                r = luks_unlock(&v->luks, -1, passphrase, &v->volume_key);
        if (r == -ENOKEY)
                return op_fail(y, r, EXIT_CODE_FAILED, "The passphrase opens no keyslot of %s", q->device);
        return r < 0 ? op_fail(y, r, EXIT_CODE_FAILED, "%s cannot be unlocked: %s", q->device,
                               v->luks.said[0] ? v->luks.said : strerror(-r)) : 0;
}

/* The new key's keyslot opens, and the passphrase does as before. */
static int both_open(const struct edit *e, struct luks *l, const struct header *h _unused_) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        int r = luks_unlock(l, -1, e->also_secret, &key);

        return r < 0 ? r : secret_equal(key, e->volume.volume_key) ? 0 : -EUCLEAN;
}

static int add_token(struct edit *e, const struct disk_request *q, const struct secret *passphrase, struct disk_reply *y) {
        _cleanup_(secret_freep) struct secret *w = NULL;
        const struct header *h = e->volume.header;
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        struct header_wrap wrap = {};
        int r;

        r = op_new_secret(q, &w, y);
        if (r < 0)
                return r;
        r = op_fill_token(q, h->copy.uuid, w, &wrap.token);
        if (r >= 0)
                r = unlock_key_derive(w, wrap.token.salt, h->copy.uuid, wrap.token.role, wrap.token.generation, &e->volume.unlock_key);
        if (r >= 0)
                r = luks_wrap_add(&l, h, e->volume.device.path, e->volume.volume_key, e->volume.unlock_key, &wrap.token, &image);
        if (r < 0)
                return edit_fail(r, q, l.said, y);
        e->volume.wrap = &wrap;
        e->also = both_open;
        e->also_secret = passphrase;
        r = edit_commit(e, image, y);
        e->volume.wrap = NULL;
        if (r >= 0)
                y->count = 1;
        return r;
}

/* Of an earlier run that did not get to the list: what it wrote is what is wanted. */
static int check_ours(const struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        const struct header_layout *l = &v->header->layout;
        const struct header_wrap *w = header_find_wrap(l, q->key);
        int r;

        if (l->n_wraps == 0)
                return 0;
        if (!streq(l->wraps[0].token.name, q->name) || l->wraps[0].token.role != (enum role) q->role)
                return op_fail(y, -EEXIST, EXIT_CODE_POLICY, "%s is the volume %s of cmkd already, by its header", q->device,
                               l->wraps[0].token.name);
        r = volume_manifest_verify(v->header, v->volume_key);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_POLICY, "The header of %s has a token of cmkd, and was changed since", q->device);
        return w ? 1 : 0;
}

static int take(struct edit *e, const struct disk_request *q, const struct secret *passphrase, struct disk_reply *y) {
        struct volume *v = &e->volume;
        int r;

        if (q->uuid[0] && !streq(q->uuid, v->header->copy.uuid))
                return op_fail(y, -ESTALE, EXIT_CODE_FAILED, "%s holds another volume now", q->device);
        r = open_by(v, passphrase, q, y);
        if (r >= 0)
                r = check_ours(v, q, y);
        if (r < 0)
                return r;
        if (r > 0)
                header_describe(v->header, y);
        else
                r = add_token(e, q, passphrase, y);
        if (r >= 0)
                r = trust_digest_compute(v->volume_key, v->header->copy.uuid, q->name, (enum role) q->role, y->trust_digest);
        return r < 0 && y->error == 0 ? op_fail(y, r, EXIT_CODE_FAILED, "%s failed: %s", q->device, strerror(-r)) : r < 0 ? r : 0;
}

/* A header of LUKS1 becomes one of LUKS2. */
static int convert(struct edit *e, const struct device *claimed, const struct luks1 *old, const struct secret *passphrase,
                   struct disk_reply *y) {
        char kept[sizeof(BACKUPS_DIRECTORY) + 48];
        int r = mkdir_parents(BACKUPS_DIRECTORY, 0700);

        snprintf(kept, sizeof(kept), BACKUPS_DIRECTORY "/%s.luks1", old->uuid);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, BACKUPS_DIRECTORY " cannot be made: %s", strerror(-r));
        return luks1_convert(claimed, e->request->device, old, kept, passphrase, &e->volume.header, y);
}

int op_take_over(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(device_close) struct device claimed = DEVICE_NONE;
        _cleanup_(secret_freep) struct secret *passphrase = NULL;
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        struct luks1 old;
        int r, k;

        e.request = q;
        if (!q->name[0])
                return op_fail(y, -EINVAL, EXIT_CODE_USAGE, "A volume needs a name");
        r = op_check_new_key(q, y);
        if (r >= 0)
                r = read_passphrase(in_fd, &passphrase, y);
        if (r < 0)
                return r;
        r = k = claim(q, &e.volume.device, &claimed, y);
        if (r >= 0 || r == -EBUSY)
                r = header_lock(&claimed, q->device, &e.lock, y);
        if (r >= 0)
                r = look_at(&e.volume.device, q, k, &e.volume.header, &old, y);
        if (r >= 0 && !e.volume.header)
                r = convert(&e, &claimed, &old, passphrase, y);
        if (r >= 0)
                r = take(&e, q, passphrase, y);
        y->flags |= r >= 0 && k < 0 ? DISK_FLAG_MAPPED : 0;
        return r;
}

/* ---- what was there before ---- */

/* Ours, and the recovery key's. */
static unsigned choose_kept(const struct header_layout *l, bool *keep) {
        unsigned n = 0;

        for (unsigned i = 0; i < l->n_wraps; i++)
                keep[l->wraps[i].token.keyslot] = true;
        if (l->recovery_keyslot >= 0)
                keep[l->recovery_keyslot] = true;
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++)
                n += l->areas[i].used && !keep[i];
        return n;
}

int op_keyslots_remove(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = -EBADF;
        bool keep[HEADER_KEYSLOTS_MAX] = {};
        unsigned n;
        int r;

        r = edit_begin(&e, q, y);
        if (r < 0)
                return r;
        n = q->flags & DISK_FLAG_LOOK ? 0 : choose_kept(&e.volume.header->layout, keep);
        if (n == 0) {
                r = header_open_writable(&e.volume.device, q->device, y);
        } else {
                r = luks_keep_only(&l, e.volume.header, e.volume.device.path, e.volume.volume_key, keep, &image);
                r = r < 0 ? edit_fail(r, q, l.said, y) : edit_commit(&e, image, y);
        }
        if (r < 0)
                return r;
        y->count = n;
        r = header_wipe_free(&e.volume.device, n > 0 ? e.new : e.volume.header);
        return r < 0 ? op_fail(y, r, EXIT_CODE_FAILED, "The old keyslots of %s are taken out, but could not be overwritten: %s", q->name,
                               strerror(-r)) : 0;
}
