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

/* Returns its number, or what libcryptsetup says. */
static int add_keyslot(struct luks *l, const struct secret *volume_key, const struct secret *unlock_key) {
        int r;

        r = crypt_set_pbkdf_type(l->cd, &luks_cheap_pbkdf);
        if (r < 0)
                return r;
        return crypt_keyslot_add_by_volume_key(l->cd, CRYPT_ANY_SLOT, (const char *) secret_cdata(volume_key),
                                               secret_size(volume_key), (const char *) secret_cdata(unlock_key),
                                               secret_size(unlock_key));
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
        r = add_keyslot(l, volume_key, unlock_key);
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

/* All but one keyslot, and every token. */
static int drop_others(struct luks *l, int keyslot) {
        int r = 0;

        for (int i = 0; r >= 0 && i < (int) HEADER_TOKENS_MAX; i++)
                if (crypt_token_status(l->cd, i, NULL) >= CRYPT_TOKEN_INTERNAL)
                        r = crypt_token_json_set(l->cd, i, NULL);
        for (int i = 0; r >= 0 && i < (int) HEADER_KEYSLOTS_MAX; i++)
                if (i != keyslot && crypt_keyslot_status(l->cd, i) >= CRYPT_SLOT_ACTIVE)
                        r = crypt_keyslot_destroy(l->cd, i);
        return r;
}

/* The new keyslot is made while the others are there, so that both headers' can be on the disk at once. */
int luks_wrap_only(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                   const struct secret *unlock_key, const char *uuid, struct token *t, int *ret_image) {
        _cleanup_(closep) int image = -EBADF;
        struct header_wrap w = {};
        int r;

        r = luks_open_image(l, h, device, &image);
        if (r < 0)
                return r;
        r = t->keyslot = add_keyslot(l, volume_key, unlock_key);
        if (r >= 0)
                r = drop_others(l, t->keyslot);
        if (r >= 0)
                r = crypt_set_uuid(l->cd, uuid);
        if (r < 0)
                return r;
        w.token = *t;
        r = luks_seal(l, &w, 1, volume_key);
        if (r < 0)
                return r;
        *ret_image = TAKE_FD(image);
        return 0;
}
