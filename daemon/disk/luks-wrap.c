/* SPDX-License-Identifier: Apache-2.0 */
#include "header-write.h"
#include "luks-log.h"

#include <libcryptsetup.h>

int luks_load_image(struct luks *l, int image, const char *device) {
        char path[HEADER_PATH_MAX];
        int r;

        luks_log_init(l);
        r = crypt_metadata_locking(NULL, 0);
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
        r = crypt_init_data_device(&l->cd, path, device);
        if (r < 0)
                return r;
        luks_log_attach(l);
        return crypt_load(l->cd, CRYPT_LUKS2, NULL);
}

int luks_open_image(struct luks *l, const struct header *h, const char *device, int *ret_image) {
        _cleanup_(closep) int image = header_image(h);
        int r;

        if (image < 0)
                return image;
        r = luks_load_image(l, image, device);
        if (r < 0)
                return r;
        *ret_image = TAKE_FD(image);
        return 0;
}

int luks_reseal(struct luks *l, int image, const struct header *h, const char *device, const struct secret *volume_key) {
        struct header_layout layout = h->layout;
        int r = luks_load_image(l, image, device);

        return r < 0 ? r : luks_seal(l, layout.wraps, layout.n_wraps, volume_key);
}

int luks_wrap_add(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                  const struct secret *unlock_key, struct token *t, int *ret_image) {
        struct header_layout layout = h->layout;
        struct header_wrap *new = layout.wraps + layout.n_wraps;
        _cleanup_(closep) int image = -EBADF;
        _cleanup_(freep) char *text = NULL;
        int r;

        if (layout.n_wraps == DISK_WRAPS_MAX)
                return -ENOSPC;
        r = luks_open_image(l, h, device, &image);
        if (r < 0)
                return r;
        r = crypt_set_pbkdf_type(l->cd, &luks_cheap_pbkdf);
        if (r < 0)
                return r;
        r = crypt_keyslot_add_by_volume_key(l->cd, CRYPT_ANY_SLOT, (const char *) secret_cdata(volume_key),
                                            secret_size(volume_key), (const char *) secret_cdata(unlock_key),
                                            secret_size(unlock_key));
        if (r < 0)
                return r;
        t->keyslot = r;
        r = token_format(t, &text);
        if (r < 0)
                return r;
        r = crypt_token_json_set(l->cd, CRYPT_ANY_TOKEN, text);
        if (r < 0)
                return r;
        *new = (struct header_wrap) { .token_id = r, .token = *t };
        r = luks_seal(l, layout.wraps, layout.n_wraps + 1, volume_key);
        if (r < 0)
                return r;
        *ret_image = TAKE_FD(image);
        return 0;
}

int luks_wrap_remove(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                     const struct header_wrap *w, int *ret_image) {
        struct header_layout layout = h->layout;
        size_t at = (size_t) (w - h->layout.wraps);
        _cleanup_(closep) int image = -EBADF;
        int r;

        if (layout.n_wraps == 1)
                return -ENOSPC;
        r = luks_open_image(l, h, device, &image);
        if (r < 0)
                return r;
        r = crypt_token_json_set(l->cd, w->token_id, NULL);
        if (r < 0)
                return r;
        r = crypt_keyslot_destroy(l->cd, w->token.keyslot);
        if (r < 0)
                return r;
        layout.n_wraps--;
        memmove(layout.wraps + at, layout.wraps + at + 1, (layout.n_wraps - at) * sizeof(*layout.wraps));
        r = luks_seal(l, layout.wraps, layout.n_wraps, volume_key);
        if (r < 0)
                return r;
        *ret_image = TAKE_FD(image);
        return 0;
}
