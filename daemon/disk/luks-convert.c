/* SPDX-License-Identifier: Apache-2.0 */
#include "luks-log.h"
#include "unlock-key.h"

#include <libcryptsetup.h>

int luks_convert_image(struct luks *l, int image, const struct secret *passphrase, struct secret **ret_volume_key) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        char path[HEADER_PATH_MAX];
        int r;

        luks_log_init(l);
        r = crypt_metadata_locking(NULL, 0);
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
        r = crypt_init(&l->cd, path);
        if (r < 0)
                return r;
        luks_log_attach(l);
        r = crypt_load(l->cd, CRYPT_LUKS1, NULL);
        if (r >= 0)
                r = luks_unlock(l, CRYPT_ANY_SLOT, passphrase, &key);
        if (r >= 0)
                r = crypt_convert(l->cd, CRYPT_LUKS2, NULL);
        if (r < 0)
                return r;
        *ret_volume_key = TAKE_PTR(key);
        return 0;
}

int luks_keep_only(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key, const bool *keep,
                   int *ret_image) {
        struct header_layout layout = h->layout;
        _cleanup_(closep) int image = -EBADF;
        int r;

        r = luks_open_image(l, h, device, &image);
        for (int i = 0; r >= 0 && i < (int) HEADER_KEYSLOTS_MAX; i++)
                if (layout.areas[i].used && !keep[i])
                        r = crypt_keyslot_destroy(l->cd, i);
        /* a token that names no keyslot any more opens nothing */
        for (int i = 0; r >= 0 && i < (int) HEADER_TOKENS_MAX; i++) {
                const char *type = NULL;
                bool names = false;

                if (crypt_token_status(l->cd, i, &type) < CRYPT_TOKEN_INTERNAL)
                        continue;
                for (int k = 0; k < (int) HEADER_KEYSLOTS_MAX; k++)
                        names |= crypt_token_is_assigned(l->cd, i, k) == 0;
                if (!names)
                        r = crypt_token_json_set(l->cd, i, NULL);
        }
        if (r >= 0)
                r = luks_seal(l, layout.wraps, layout.n_wraps, volume_key);
        if (r < 0)
                return r;
        *ret_image = TAKE_FD(image);
        return 0;
}
