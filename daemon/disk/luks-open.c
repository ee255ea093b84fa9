/* SPDX-License-Identifier: Apache-2.0 */
#include "luks.h"
#include "activation.h"
#include "luks-log.h"
#include "unlock-key.h"

#include <libcryptsetup.h>

/* One header, two parsers: they must have read the same. */
int luks_compare(struct luks *l, const struct header *h) {
        _cleanup_(json_object_putp) struct json_object *theirs = NULL;
        const char *text, *uuid = crypt_get_uuid(l->cd);
        int r;

        if (!uuid || !streq(uuid, h->copy.uuid))
                return -EUCLEAN;
        r = crypt_dump_json(l->cd, &text, 0);
        if (r < 0)
                return r;
        r = strict_json_parse(text, strlen(text), &theirs, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EUCLEAN;
        return json_object_equal(theirs, h->metadata) ? 0 : -EUCLEAN;
}

int luks_open(struct luks *l, const struct header *h, const char *device) {
        char path[HEADER_PATH_MAX];
        int r;

        luks_log_init(l);
        /* A sealed file of our own needs no locks against other writers. */
        r = crypt_metadata_locking(NULL, 0);
        if (r < 0)
                return r;
        header_path(h, path);
        r = crypt_init_data_device(&l->cd, path, device);
        if (r < 0)
                return r;
        luks_log_attach(l);
        r = crypt_load(l->cd, CRYPT_LUKS2, NULL);
        if (r < 0)
                return r;
        return luks_compare(l, h);
}

int luks_unlock(struct luks *l, int keyslot, const struct secret *passphrase, struct secret **ret_volume_key) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        int r = crypt_get_volume_key_size(l->cd);
        size_t size = r < 0 ? 0 : (size_t) r;

        if (!volume_key_size_is_valid(size))
                return -EBADMSG;
        r = secret_new(size, &key);
        if (r < 0)
                return r;
        r = crypt_volume_key_get(l->cd, keyslot, (char *) secret_data(key), &size,
                                 (const char *) secret_cdata(passphrase), secret_size(passphrase));
        if (r == -EPERM || r == -ENOENT)
                return -ENOKEY;
        if (r < 0)
                return r;
        if (size != secret_size(key))
                return -EBADMSG;
        *ret_volume_key = TAKE_PTR(key);
        return 0;
}

/* What is asked for is what was checked: libcryptsetup does not add what the header has on its own. */
static uint32_t activation_flags(unsigned activation, bool read_only) {
        static const struct { enum activation flag; uint32_t theirs; } pairs[] = {
                { ACTIVATION_DISCARDS, CRYPT_ACTIVATE_ALLOW_DISCARDS },
                { ACTIVATION_SAME_CPU, CRYPT_ACTIVATE_SAME_CPU_CRYPT },
                { ACTIVATION_SUBMIT_FROM_CRYPT_CPUS, CRYPT_ACTIVATE_SUBMIT_FROM_CRYPT_CPUS },
                { ACTIVATION_NO_READ_WORKQUEUE, CRYPT_ACTIVATE_NO_READ_WORKQUEUE },
                { ACTIVATION_NO_WRITE_WORKQUEUE, CRYPT_ACTIVATE_NO_WRITE_WORKQUEUE },
        };
        uint32_t flags = CRYPT_ACTIVATE_KEYRING_KEY | CRYPT_ACTIVATE_IGNORE_PERSISTENT | (read_only ? CRYPT_ACTIVATE_READONLY : 0);

        for (size_t i = 0; i < ELEMENTSOF(pairs); i++)
                if (activation & pairs[i].flag)
                        flags |= pairs[i].theirs;
        return flags;
}

int luks_activate(struct luks *l, const char *name, const struct secret *volume_key, unsigned activation, bool read_only) {
        if (crypt_status(l->cd, name) != CRYPT_INACTIVE)
                return -EEXIST;
        return crypt_activate_by_volume_key(l->cd, name, (const char *) secret_cdata(volume_key),
                                            secret_size(volume_key), activation_flags(activation, read_only));
}

int luks_resume(struct luks *l, const char *name, const struct secret *volume_key) {
        return crypt_resume_by_volume_key(l->cd, name, (const char *) secret_cdata(volume_key),
                                          secret_size(volume_key));
}

int luks_remove(struct luks *l, const char *name) {
        return crypt_deactivate(l->cd, name);
}

void luks_close(struct luks *l) {
        crypt_free(l->cd);
        l->cd = NULL;
}
