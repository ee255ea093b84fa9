/* SPDX-License-Identifier: Apache-2.0 */

/* REENCRYPT_STAGE, _WRAP and _BEGIN: a volume gets another volume key, open or not; ENCRYPT_RUN then does the work (encryption.h).
 *
 *   STAGE: opened by one of its keys ─► image (memfd): the header, a new volume key, and for each keyslot another one of that
 *   WRAP:  the same for one more of its keys, whose W only its own vault has
 *   BEGIN: the image's keyslot opens ─► "under way", sealed by the new key ─► written as any change of a header (edit.h)
 *
 * libcryptsetup has keyslots of both keys then, and takes those of the old one away at the end. A keyslot that is not cmkd's has to be
 * opened to be made again: what opens it is said, or it is said that it may go. Nothing is written before BEGIN. Between the steps the new
 * key is in the image behind a keyslot that the old one opens (the bridge), where there is more than one of them. */

#include "ops.h"

#include "common/keyslot-words.h"
#include "edit.h"
#include "manifest.h"
#include "unlock-key.h"

#include <sys/stat.h>

_Static_assert(KEYSLOT_WORDS == HEADER_KEYSLOTS_MAX, "a word for each keyslot");

static bool is_wrap(const struct header_layout *l, unsigned keyslot) {
        for (unsigned i = 0; i < l->n_wraps; i++)
                if ((unsigned) l->wraps[i].token.keyslot == keyslot)
                        return true;
        return false;
}

/* libcryptsetup makes the area of keyslots as large as can be at the end; where it is not, the header would not be what was sealed. */
static int check_possible(const struct header *h, const struct disk_request *q, struct disk_reply *y) {
        const struct header_layout *l = &h->layout;

        if (h->encryption.under_way)
                return op_fail(y, -EBUSY, EXIT_CODE_BUSY, "%s is being encrypted already", q->name);
        if (l->integrity)
                return op_fail(y, -EOPNOTSUPP, EXIT_CODE_POLICY, "%s has integrity tags, and its volume key cannot be changed where it is: copy what is "
                               "on it to a new volume. Nothing was changed", q->name);
        if (l->keyslots_size != l->data_offset - 2 * h->copy.header_size)
                return op_fail(y, -EOPNOTSUPP, EXIT_CODE_FAILED, "%s: its header leaves room between its keyslots and its data, and its "
                               "volume key cannot be changed then", q->name);
        if ((h->device_size - l->data_offset) % l->sector_size)
                return op_fail(y, -EOPNOTSUPP, EXIT_CODE_FAILED, "%s: %s ends in the middle of a sector of %u bytes", q->name, q->device,
                               l->sector_size);
        return 0;
}

/* ---- STAGE ---- */

static void add_name(char *list, size_t size, const struct header_layout *l, unsigned keyslot) {
        size_t n = strlen(list);

        snprintf(list + n, size - n, "%s%u%s", n > 0 ? ", " : "", keyslot, (int) keyslot == l->recovery_keyslot ? " (recovery key)" : "");
}

/* Every keyslot that is not one of its keys': said what opens it, or that it may go; and nothing of one that there is not. */
static int check_words(const struct header *h, const struct keyslot_words *w, const struct disk_request *q, struct disk_reply *y) {
        const struct header_layout *l = &h->layout;
        char lost[256] = "";

        for (unsigned i = 0; i < HEADER_KEYSLOTS_MAX; i++) {
                bool said = w->slots[i].passphrase || w->slots[i].drop;

                if (said && (!l->areas[i].used || is_wrap(l, i)))
                        return op_fail(y, -EINVAL, EXIT_CODE_USAGE, "%s has no keyslot %u that anything has to be said of", q->name, i);
                if (l->areas[i].used && !said && !is_wrap(l, i))
                        add_name(lost, sizeof(lost), l, i);
        }
        return *lost ? op_fail(y, -ENOKEY, EXIT_CODE_USAGE, "%s: what opens these of its keyslots is not known, and without it they are lost "
                               "with the old volume key: %s. Say for each --keyslot-file=NUMBER:FILE, or --drop-keyslots=NUMBER. Nothing was "
                               "changed", q->name, lost) : 0;
}

/* As it is, or without the newline at the end of its file. */
static int try_passphrase(struct volume *v, unsigned keyslot, struct secret *passphrase) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        size_t n = secret_size(passphrase);
        int r;

        r = luks_unlock(&v->luks, (int) keyslot, passphrase, &key);
        if (r == -ENOKEY && n > 1 && secret_cdata(passphrase)[n - 1] == '\n') {
                secret_shrink(passphrase, n - 1);
                r = luks_unlock(&v->luks, (int) keyslot, passphrase, &key);
        }
        return r < 0 ? r : secret_equal(key, v->volume_key) ? 0 : -EUCLEAN;
}

static int check_passphrases(struct volume *v, const struct keyslot_words *w, const struct disk_request *q, struct disk_reply *y) {
        for (unsigned i = 0; i < HEADER_KEYSLOTS_MAX; i++) {
                int r = w->slots[i].passphrase ? try_passphrase(v, i, w->slots[i].passphrase) : 0;

                if (r == -ENOKEY)
                        return op_fail(y, r, EXIT_CODE_USAGE, "What was given for keyslot %u of %s does not open it. Nothing was changed", i,
                                       q->name);
                if (r < 0)
                        return op_fail(y, r, EXIT_CODE_FAILED, "Keyslot %u of %s cannot be opened: %s", i, q->name, strerror(-r));
        }
        return 0;
}

static int stage(struct volume *v, const struct keyslot_words *w, int *ret_image, struct disk_reply *y) {
        const struct header_layout *l = &v->header->layout;
        const struct token *t = &v->wrap->token;
        _cleanup_(secret_freep) struct secret *new_key = NULL, *bridge = NULL;
        struct luks_rekey k = { .keyslot = t->keyslot, .unlock_key = v->unlock_key };
        _cleanup_(luks_close) struct luks image = {};
        int r;

        r = secret_random(VOLUME_KEY_SIZE, &new_key);
        if (r >= 0 && l->n_wraps > 1)
                r = bridge_key_derive(v->volume_key, &bridge);
        for (unsigned i = 0; i < HEADER_KEYSLOTS_MAX; i++) {
                k.passphrases[i] = w->slots[i].passphrase;
                k.drop[i] = w->slots[i].drop;
        }
        k.new_key = new_key;
        k.bridge = bridge;
        if (r >= 0)
                r = luks_rekey_stage(&image, v->header, v->device.path, &k, ret_image);
        if (r >= 0)
                r = trust_digest_compute(new_key, v->header->copy.uuid, t->name, t->role, y->trust_digest);
        return r < 0 ? op_fail(y, r, EXIT_CODE_FAILED, "A new header for %s cannot be made, nothing was changed: %s", t->name,
                               image.said[0] ? image.said : strerror(-r)) : 0;
}

/* What is foreign would become one's own. */
static int open_strictly(struct volume *v, const struct disk_request *q, struct disk_reply *y) {
        struct disk_request strict = *q;
        int r;

        strict.flags &= ~(uint32_t) DISK_FLAG_FOREIGN_OK;
        r = volume_open(v, &strict, y);
        return r < 0 ? r : check_possible(v->header, q, y);
}

int op_reencrypt_stage(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = { .device = DEVICE_NONE, .keep_unlock_key = true };
        _cleanup_(keyslot_words_done) struct keyslot_words w = {};
        int r;

        if (!q->name[0] || !q->uuid[0] || in_fd < 0)
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "REENCRYPT_STAGE needs a name, a UUID and a pipe");
        r = keyslot_words_read(in_fd, &w);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "What was said of the keyslots of %s cannot be read: %s", q->name, strerror(-r));
        r = open_strictly(&v, q, y);
        if (r >= 0)
                r = check_words(v.header, &w, q, y);
        if (r >= 0)
                r = check_passphrases(&v, &w, q, y);
        return r < 0 ? r : stage(&v, &w, ret_fd, y);
}

/* ---- WRAP ---- */

static int check_image(int fd, const struct header *h, const struct disk_request *q, struct disk_reply *y) {
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != (off_t) (2 * h->copy.header_size + h->layout.keyslots_size))
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "What was made for %s is not a header for it", q->device);
        return 0;
}

int op_reencrypt_wrap(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(volume_done) struct volume v = { .device = DEVICE_NONE, .keep_unlock_key = true };
        _cleanup_(secret_freep) struct secret *bridge = NULL;
        _cleanup_(luks_close) struct luks l = {};
        int r;

        if (!q->name[0] || !q->uuid[0])
                return op_fail(y, -EINVAL, EXIT_CODE_FAILED, "REENCRYPT_WRAP needs a name and a UUID");
        r = open_strictly(&v, q, y);
        if (r >= 0)
                r = check_image(in_fd, v.header, q, y);
        if (r < 0)
                return r;
        r = bridge_key_derive(v.volume_key, &bridge);
        if (r >= 0)
                r = luks_rekey_wrap(&l, in_fd, v.device.path, v.wrap->token.keyslot, v.unlock_key, bridge);
        return r < 0 ? op_fail(y, r, EXIT_CODE_FAILED, "A keyslot for %s cannot be made, nothing was changed: %s", v.wrap->token.key,
                               l.said[0] ? l.said : strerror(-r)) : 0;
}

/* ---- BEGIN ---- */

/* What the image was made of is what is there. */
static bool is_made_of(const struct header *image, const struct header *h) {
        const struct json_object *now = strict_json_get(h->metadata, "keyslots", json_type_object), *was, *slot;

        was = strict_json_get(image->metadata, "keyslots", json_type_object);
        json_object_object_foreach((struct json_object *) now, id, value) {
                slot = strict_json_get(was, id, json_type_object);
                if (!slot || !json_object_equal((struct json_object *) slot, value))
                        return false;
        }
        return streq(image->copy.uuid, h->copy.uuid) && image->layout.n_wraps == h->layout.n_wraps;
}

static int put_token(struct json_object *metadata, int id, const struct token *t) {
        _cleanup_(freep) char *text = NULL;
        struct json_object *token;
        char number[12];
        int r;

        r = token_format(t, &text);
        if (r >= 0)
                r = strict_json_parse(text, strlen(text), &token, NULL);
        if (r < 0)
                return r;
        snprintf(number, sizeof(number), "%d", id);
        return json_object_object_add(strict_json_get(metadata, "tokens", json_type_object), number, token) < 0 ? -ENOMEM : 0;
}

/* Sealed as it will be when it is done, by the key that it has then. */
static int seal(const struct header *h, const struct secret *new_key, int *ret_image) {
        _cleanup_(json_object_putp) struct json_object *metadata = NULL;
        uint8_t mac[TOKEN_MAC_SIZE];
        int r;

        r = manifest_compute(h->settled, h->copy.uuid, new_key, mac);
        if (r >= 0 && json_object_deep_copy(h->metadata, &metadata, NULL) < 0)
                r = -ENOMEM;
        for (unsigned i = 0; r >= 0 && i < h->layout.n_wraps; i++) {
                struct token t = h->layout.wraps[i].token;

                memcpy(t.mac, mac, sizeof(mac));
                r = put_token(metadata, h->layout.wraps[i].token_id, &t);
        }
        if (r >= 0)
                r = *ret_image = header_reworded(h, metadata);
        return MIN_OF(r, 0);
}

/* The image as it is to be on the disk, and the new volume key. */
static int make_header(struct edit *e, int image, struct secret **ret_key, int *ret_image) {
        const struct volume *v = &e->volume;
        _cleanup_(header_freep) struct header *h = NULL;
        _cleanup_(luks_close) struct luks l = {};
        struct header_why why = {};
        const struct header_wrap *w;
        int r;

        r = header_read(image, v->device.size, &h, &why);
        if (r < 0)
                return r;
        w = header_find_wrap(&h->layout, v->wrap->token.key);
        if (!h->encryption.under_way || !h->encryption.rekeys || !w || !is_made_of(h, v->header))
                return -EUCLEAN;
        r = luks_open(&l, h, v->device.path);
        if (r >= 0)
                r = luks_unlock(&l, w->token.keyslot, v->unlock_key, ret_key);
        return r < 0 ? r : seal(h, *ret_key, ret_image);
}

static int begin(struct edit *e, int image, struct disk_reply *y) {
        const struct disk_request *q = e->request;
        const struct header_layout *layout = &e->volume.header->layout;
        const struct token *t = &e->volume.wrap->token;
        _cleanup_(secret_freep) struct secret *bridge = NULL, *new_key = NULL;
        _cleanup_(closep) int sealed = -EBADF;
        _cleanup_(luks_close) struct luks l = {};
        int r;

        r = layout->n_wraps > 1 ? bridge_key_derive(e->volume.volume_key, &bridge) : 0;
        if (r >= 0)
                r = luks_rekey_begin(&l, image, e->volume.device.path, e->volume.wrap->token_id, e->volume.unlock_key, bridge, layout->sector_size);
        if (r >= 0)
                r = make_header(e, image, &new_key, &sealed);
        if (r < 0)
                return edit_fail(r, q, l.said, y);
        e->new_key = new_key;
        r = edit_commit(e, sealed, y);
        e->new_key = NULL;
        if (r < 0)
                return r;
        y->count = 1;
        r = trust_digest_compute(new_key, q->uuid, t->name, t->role, y->trust_digest);
        return r < 0 ? op_fail(y, r, EXIT_CODE_FAILED, "The change of the volume key of %s began, but: %s", q->name, strerror(-r)) : 0;
}

int op_reencrypt_begin(const struct disk_request *q, int in_fd, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        int r;

        r = edit_begin(&e, q, y);
        if (r >= 0)
                r = check_possible(e.volume.header, q, y);
        if (r >= 0)
                r = check_image(in_fd, e.volume.header, q, y);
        return r < 0 ? r : begin(&e, in_fd, y);
}
