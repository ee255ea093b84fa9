/* SPDX-License-Identifier: Apache-2.0 */
#include "luks.h"
#include "luks-log.h"

#include <libcryptsetup.h>

/* What whoever writes there waits for. Of an encryption it is as much as is shifted. */
#define PART (16u << 20)

/* What the reencryption of libcryptsetup is told: backwards, shifted by the header's size, the first part moved to the end first. */
int luks_encrypt_begin(struct luks *l, const char *header, const char *device, int keyslot, const struct secret *unlock_key,
                       unsigned sector_size) {
        const struct crypt_params_luks2 luks2 = { .sector_size = sector_size };
        const struct crypt_params_reencrypt params = {
                .mode = CRYPT_REENCRYPT_ENCRYPT, .direction = CRYPT_REENCRYPT_BACKWARD, .resilience = "datashift", .hash = "sha256",
                .data_shift = LUKS_FORMAT_DATA_OFFSET / 512, .luks2 = &luks2,
                .flags = CRYPT_REENCRYPT_INITIALIZE_ONLY|CRYPT_REENCRYPT_MOVE_FIRST_SEGMENT,
        };
        int r;

        luks_log_init(l);
        r = crypt_metadata_locking(NULL, 0);
        if (r >= 0)
                r = crypt_init_data_device(&l->cd, header, device);
        if (r < 0)
                return r;
        luks_log_attach(l);
        r = crypt_load(l->cd, CRYPT_LUKS2, NULL);
        if (r >= 0)
                r = crypt_reencrypt_init_by_passphrase(l->cd, NULL, (const char *) secret_cdata(unlock_key), secret_size(unlock_key),
                                                       CRYPT_ANY_SLOT, keyslot, "aes", "xts-plain64", &params);
        return r < 0 ? r : 0;
}

/* The header on the disk, which is written to from here on. libcryptsetup cannot lock it: a process that has once switched its locks off
 * has none any more. The caller holds the lock of reencryptions, and whoever else writes to such a header takes that. */
static int open_on_disk(struct luks *l, const struct header *h, const char *device) {
        int r;

        luks_close(l);
        luks_log_init(l);
        r = crypt_metadata_locking(NULL, 0);
        if (r >= 0)
                r = crypt_init(&l->cd, device);
        if (r < 0)
                return r;
        luks_log_attach(l);
        r = crypt_load(l->cd, CRYPT_LUKS2, NULL);
        return r < 0 ? r : luks_compare(l, h);
}

/* Of a change of the volume key each key has its own, which the same opens. */
static int keyslot_of(const struct header *h, int keyslot) {
        return h->encryption.rekeys ? CRYPT_ANY_SLOT : keyslot;
}

int luks_encrypt_activate(struct luks *l, const struct header *h, const char *device, const char *name, int keyslot,
                          const struct secret *unlock_key) {
        int r = open_on_disk(l, h, device);

        if (r < 0)
                return r;
        if (crypt_status(l->cd, name) != CRYPT_INACTIVE)
                return -EEXIST;
        r = crypt_activate_by_passphrase(l->cd, name, keyslot_of(h, keyslot), (const char *) secret_cdata(unlock_key), secret_size(unlock_key),
                                         CRYPT_ACTIVATE_KEYRING_KEY);
        return r < 0 ? r : 0;
}

struct watcher {
        luks_progress progress;
        void *user;
};

static int on_progress(uint64_t size, uint64_t offset, void *user) {
        const struct watcher *w = user;

        return w->progress(size, offset, w->user);
}

int luks_encrypt_run(struct luks *l, const struct header *h, const char *device, const char *name, int keyslot,
                     const struct secret *unlock_key, luks_progress progress, void *user) {
        const struct crypt_params_reencrypt params = {
                .mode = h->encryption.rekeys ? CRYPT_REENCRYPT_REENCRYPT : CRYPT_REENCRYPT_ENCRYPT, .flags = CRYPT_REENCRYPT_RESUME_ONLY,
                .max_hotzone_size = h->encryption.rekeys ? PART / 512 : 0,
        };
        struct watcher w = { progress, user };
        int r = open_on_disk(l, h, device);

        if (r >= 0)
                r = crypt_reencrypt_init_by_passphrase(l->cd, name, (const char *) secret_cdata(unlock_key), secret_size(unlock_key),
                                                       CRYPT_ANY_SLOT, keyslot, NULL, NULL, &params);
        return r < 0 ? r : crypt_reencrypt_run(l->cd, on_progress, &w);
}
