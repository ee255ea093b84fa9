/* SPDX-License-Identifier: Apache-2.0 */
#include "luks-log.h"
#include "recovery-text.h"

#include <libcryptsetup.h>

static int seal(struct luks *l, const struct header *h, const struct secret *volume_key) {
        struct header_layout layout = h->layout;

        return luks_seal(l, layout.wraps, layout.n_wraps, volume_key);
}

int luks_recovery_add(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                      const struct secret *text, int *ret_image) {
        _cleanup_(closep) int image = -EBADF;
        char token[96];
        int r, slot;

        if (h->layout.recovery_keyslot >= 0)
                return -EEXIST;
        r = luks_open_image(l, h, device, &image);
        if (r < 0)
                return r;
        r = crypt_set_pbkdf_type(l->cd, &luks_cheap_pbkdf);
        if (r < 0)
                return r;
        slot = crypt_keyslot_add_by_volume_key(l->cd, CRYPT_ANY_SLOT, (const char *) secret_cdata(volume_key),
                                               secret_size(volume_key), (const char *) secret_cdata(text),
                                               secret_size(text));
        if (slot < 0)
                return slot;
        snprintf(token, sizeof(token), "{\"type\":\"" RECOVERY_TOKEN_TYPE "\",\"keyslots\":[\"%d\"]}", slot);
        r = crypt_token_json_set(l->cd, CRYPT_ANY_TOKEN, token);
        if (r < 0)
                return r;
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
