/* SPDX-License-Identifier: Apache-2.0 */
#include "luks-log.h"
#include "recovery-text.h"

#include <libcryptsetup.h>

static int seal(struct luks *l, const struct header *h, const struct secret *volume_key) {
        struct header_layout layout = h->layout;

        return luks_seal(l, layout.wraps, layout.n_wraps, volume_key);
}

/* A keyslot for that text. Returns its number, or what libcryptsetup says. */
static int add_keyslot(struct luks *l, const struct secret *volume_key, const struct secret *text) {
        int r = crypt_set_pbkdf_type(l->cd, &luks_cheap_pbkdf);

        return r < 0 ? r : crypt_keyslot_add_by_volume_key(l->cd, CRYPT_ANY_SLOT, (const char *) secret_cdata(volume_key),
                                                           secret_size(volume_key), (const char *) secret_cdata(text),
                                                           secret_size(text));
}

static int set_token(struct luks *l, int id, int slot) {
        char token[96];

        snprintf(token, sizeof(token), "{\"type\":\"" RECOVERY_TOKEN_TYPE "\",\"keyslots\":[\"%d\"]}", slot);
        return crypt_token_json_set(l->cd, id, token);
}

int luks_recovery_add(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                      const struct secret *text, int *ret_image) {
        _cleanup_(closep) int image = -EBADF;
        int r, slot;

        if (h->layout.recovery_keyslot >= 0)
                return -EEXIST;
        r = luks_open_image(l, h, device, &image);
        if (r < 0)
                return r;
        slot = add_keyslot(l, volume_key, text);
        if (slot < 0)
                return slot;
        r = set_token(l, CRYPT_ANY_TOKEN, slot);
        if (r < 0)
                return r;
        r = seal(l, h, volume_key);
        if (r < 0)
                return r;
        *ret_image = TAKE_FD(image);
        return 0;
}

/* The new keyslot's area is one that the old header does not use: on the disk both can be there at once. */
int luks_recovery_rotate(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                         const struct secret *text, int *ret_image) {
        _cleanup_(closep) int image = -EBADF;
        int r, slot;

        if (h->layout.recovery_keyslot < 0)
                return -ENOENT;
        r = luks_open_image(l, h, device, &image);
        if (r < 0)
                return r;
        slot = add_keyslot(l, volume_key, text);
        if (slot < 0)
                return slot;
        r = set_token(l, h->layout.recovery_token_id, slot);
        if (r >= 0)
                r = crypt_keyslot_destroy(l->cd, h->layout.recovery_keyslot);
        if (r >= 0)
                r = seal(l, h, volume_key);
        if (r < 0)
                return r;
        *ret_image = TAKE_FD(image);
        return 0;
}

int luks_recovery_remove(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                         int *ret_image) {
        _cleanup_(closep) int image = -EBADF;
        int r;

        if (h->layout.recovery_keyslot < 0)
                return -ENOENT;
        r = luks_open_image(l, h, device, &image);
        if (r < 0)
                return r;
        r = crypt_token_json_set(l->cd, h->layout.recovery_token_id, NULL);
        if (r < 0)
                return r;
        r = crypt_keyslot_destroy(l->cd, h->layout.recovery_keyslot);
        if (r < 0)
                return r;
        r = seal(l, h, volume_key);
        if (r < 0)
                return r;
        *ret_image = TAKE_FD(image);
        return 0;
}

int luks_recovery_unlock(struct luks *l, const struct header *h, const struct secret *text,
                         struct secret **ret_volume_key) {
        if (h->layout.recovery_keyslot < 0)
                return -ENOENT;
        return luks_unlock(l, h->layout.recovery_keyslot, text, ret_volume_key);
}
