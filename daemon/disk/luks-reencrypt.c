/* SPDX-License-Identifier: Apache-2.0 */
#include "luks.h"
#include "luks-log.h"

#include <libcryptsetup.h>

static const char *text_of(const struct secret *s) {
        return (const char *) secret_cdata(s);
}

/* One more keyslot of the new key. Its digest is the same for all of them, and no segment's yet. */
static int add_keyslot(struct luks *l, const struct secret *new_key, const struct secret *passphrase, bool first) {
        uint32_t flags = CRYPT_VOLUME_KEY_NO_SEGMENT | (first ? 0 : CRYPT_VOLUME_KEY_DIGEST_REUSE);

        return crypt_keyslot_add_by_key(l->cd, CRYPT_ANY_SLOT, text_of(new_key), secret_size(new_key), text_of(passphrase),
                                        secret_size(passphrase), flags);
}

/* As costly to try as the one it comes after. */
static int set_cost_of(struct luks *l, int keyslot) {
        struct crypt_pbkdf_type cost;
        int r;

        r = crypt_keyslot_get_pbkdf(l->cd, keyslot, &cost);
        if (r < 0)
                return r;
        cost.flags |= CRYPT_PBKDF_NO_BENCHMARK;
        cost.time_ms = 0;
        return crypt_set_pbkdf_type(l->cd, &cost);
}

/* Every token that named the old keyslot names the new one; new: -1: none, and a token that is left without one goes. */
static int move_tokens(struct luks *l, int old, int new) {
        for (int i = 0; i < (int) HEADER_TOKENS_MAX; i++) {
                const char *type;
                bool names = false;
                int r;

                if (crypt_token_status(l->cd, i, &type) < CRYPT_TOKEN_INTERNAL || crypt_token_is_assigned(l->cd, i, old) != 0)
                        continue;
                r = crypt_token_unassign_keyslot(l->cd, i, old);
                if (r >= 0 && new >= 0)
                        r = crypt_token_assign_keyslot(l->cd, i, new);
                for (int k = 0; r >= 0 && k < (int) HEADER_KEYSLOTS_MAX; k++)
                        names |= crypt_token_is_assigned(l->cd, i, k) == 0;
                if (r >= 0 && !names)
                        r = crypt_token_json_set(l->cd, i, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Proven before anything depends on it: the old one goes with the old key. */
static int succeed(struct luks *l, int old, const struct secret *new_key, const struct secret *passphrase, bool first) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        int r, new;

        r = set_cost_of(l, old);
        if (r >= 0)
                r = add_keyslot(l, new_key, passphrase, first);
        if (r < 0)
                return r;
        new = r;
        r = luks_unlock(l, new, passphrase, &key);
        if (r < 0)
                return r;
        return secret_equal(key, new_key) ? move_tokens(l, old, new) : -EUCLEAN;
}

static int add_bridge(struct luks *l, const struct secret *new_key, const struct secret *bridge) {
        int r;

        if (!bridge)
                return 0;
        r = crypt_set_pbkdf_type(l->cd, &luks_cheap_pbkdf);
        if (r >= 0)
                r = add_keyslot(l, new_key, bridge, false);
        return r;
}

int luks_rekey_stage(struct luks *l, const struct header *h, const char *device, const struct luks_rekey *k, int *ret_image) {
        _cleanup_(closep) int image = -EBADF;
        int r;

        r = luks_open_image(l, h, device, &image);
        if (r >= 0)
                r = succeed(l, k->keyslot, k->new_key, k->unlock_key, true);
        for (int i = 0; r >= 0 && i < (int) HEADER_KEYSLOTS_MAX; i++)
                if (k->passphrases[i])
                        r = succeed(l, i, k->new_key, k->passphrases[i], false);
                else if (k->drop[i])
                        r = move_tokens(l, i, -1);
        if (r >= 0)
                r = add_bridge(l, k->new_key, k->bridge);
        if (r < 0)
                return r;
        *ret_image = TAKE_FD(image);
        return 0;
}

/* Keyslots of no segment's key are not found otherwise. Returns its number, or as luks_unlock(). */
static int find_bridge(struct luks *l, const struct secret *bridge) {
        int r = crypt_activate_by_passphrase(l->cd, NULL, CRYPT_ANY_SLOT, text_of(bridge), secret_size(bridge),
                                             CRYPT_ACTIVATE_ALLOW_UNBOUND_KEY);

        return r == -EPERM || r == -ENOENT ? -ENOKEY : r;
}

int luks_rekey_wrap(struct luks *l, int image, const char *device, int keyslot, const struct secret *unlock_key,
                    const struct secret *bridge) {
        _cleanup_(secret_freep) struct secret *new_key = NULL;
        int r;

        r = luks_load_image(l, image, device);
        if (r >= 0)
                r = find_bridge(l, bridge);
        if (r >= 0)
                r = luks_unlock(l, r, bridge, &new_key);
        return r < 0 ? r : succeed(l, keyslot, new_key, unlock_key, false);
}

/* Its token names the new one already. */
static int find_keyslot(struct luks *l, int token) {
        for (int k = 0; k < (int) HEADER_KEYSLOTS_MAX; k++)
                if (crypt_token_is_assigned(l->cd, token, k) == 0)
                        return k;
        return -EUCLEAN;
}

int luks_rekey_begin(struct luks *l, int image, const char *device, int token, const struct secret *unlock_key,
                     const struct secret *bridge, unsigned sector_size) {
        const struct crypt_params_luks2 luks2 = { .sector_size = sector_size };
        const struct crypt_params_reencrypt params = {
                .mode = CRYPT_REENCRYPT_REENCRYPT, .direction = CRYPT_REENCRYPT_FORWARD, .resilience = "checksum", .hash = "sha256",
                .luks2 = &luks2, .flags = CRYPT_REENCRYPT_INITIALIZE_ONLY,
        };
        int r;

        r = luks_load_image(l, image, device);
        if (r < 0)
                return r;
        r = bridge ? find_bridge(l, bridge) : 0;
        if (r >= 0 && bridge)
                r = crypt_keyslot_destroy(l->cd, r);
        if (r >= 0)
                r = find_keyslot(l, token);
        if (r >= 0)
                r = crypt_reencrypt_init_by_passphrase(l->cd, NULL, text_of(unlock_key), secret_size(unlock_key), CRYPT_ANY_SLOT, r,
                                                       "aes", "xts-plain64", &params);
        return r < 0 ? r : 0;
}
