/* SPDX-License-Identifier: Apache-2.0 */
#include "luks-log.h"
#include "recovery-text.h"

#include "common/base64.h"

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

/* What cmkctl recovery-key add --escrow leaves, for "cryptsetup token export". */
static int add_escrow(struct luks *l, int slot, const struct luks_escrow *e) {
        char wrapped[BASE64_SIZE(DISK_WRAPPED_MAX) + 1], token[sizeof(wrapped) + 768];

        base64_encode(e->wrapped, e->wrapped_size, wrapped);
        snprintf(token, sizeof(token), "{\"type\":\"" LUKS_ESCROW_TYPE "\",\"keyslots\":[\"%d\"],\"key\":\"%s\",\"algorithm\":\"%s\","
                 "\"wrapped\":\"%s\"}", slot, e->key, e->algorithm, wrapped);
        return crypt_token_json_set(l->cd, CRYPT_ANY_TOKEN, token);
}

/* Of a recovery key that goes. */
static int drop_escrow(struct luks *l) {
        int r = 0;

        for (int i = 0; r >= 0 && i < (int) HEADER_TOKENS_MAX; i++) {
                const char *type = NULL;

                if (crypt_token_status(l->cd, i, &type) >= CRYPT_TOKEN_INTERNAL && type && streq(type, LUKS_ESCROW_TYPE))
                        r = crypt_token_json_set(l->cd, i, NULL);
        }
        return MIN_OF(r, 0);
}

int luks_recovery_add(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                      const struct secret *text, const struct luks_escrow *escrow, int *ret_image) {
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
        if (r >= 0 && escrow)
                r = add_escrow(l, slot, escrow);
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
                r = drop_escrow(l);
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
        if (r >= 0)
                r = drop_escrow(l);
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
