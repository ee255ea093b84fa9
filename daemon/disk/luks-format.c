/* SPDX-License-Identifier: Apache-2.0 */
#include "luks.h"
#include "luks-log.h"
#include "manifest.h"
#include "unlock-key.h"

#include <fcntl.h>
#include <libcryptsetup.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEYSLOT 0
#define TOKEN_ID 0

const struct crypt_pbkdf_type luks_cheap_pbkdf = {
        .type = CRYPT_KDF_PBKDF2, .hash = "sha512", .iterations = 1000, .flags = CRYPT_PBKDF_NO_BENCHMARK,
};

static int set_token(struct luks *l, int token_id, const struct token *t) {
        _cleanup_(freep) char *text = NULL;
        int r;

        r = token_format(t, &text);
        if (r < 0)
                return r;
        r = crypt_token_json_set(l->cd, token_id, text);
        return r < 0 ? r : 0;
}

/* The MAC is over the metadata with the token in it, less the MAC: set, compute, set again. */
int luks_seal(struct luks *l, int token_id, struct token *t, const struct secret *volume_key) {
        _cleanup_(json_object_putp) struct json_object *metadata = NULL;
        const char *text;
        int r;

        r = set_token(l, token_id, t);
        if (r < 0)
                return r;
        r = crypt_dump_json(l->cd, &text, 0);
        if (r < 0)
                return r;
        r = strict_json_parse(text, strlen(text), &metadata, NULL);
        if (r < 0)
                return r;
        r = manifest_compute(metadata, t->uuid, volume_key, t->mac);
        return r < 0 ? r : set_token(l, token_id, t);
}

static int format(struct luks *l, const struct luks_format *f) {
        struct crypt_params_luks2 params = {
                .pbkdf = &luks_cheap_pbkdf, .sector_size = f->sector_size, .label = f->label, .subsystem = "cmkd",
        };
        int r;

        r = crypt_set_data_offset(l->cd, LUKS_FORMAT_DATA_OFFSET / 512);
        if (r < 0)
                return r;
        r = crypt_format(l->cd, CRYPT_LUKS2, "aes", "xts-plain64", f->uuid, (const char *) secret_cdata(f->volume_key),
                         secret_size(f->volume_key), &params);
        if (r < 0)
                return r;
        r = crypt_keyslot_add_by_volume_key(l->cd, KEYSLOT, (const char *) secret_cdata(f->volume_key),
                                            secret_size(f->volume_key), (const char *) secret_cdata(f->unlock_key),
                                            secret_size(f->unlock_key));
        if (r < 0)
                return r;
        f->token->keyslot = KEYSLOT;
        return luks_seal(l, TOKEN_ID, f->token, f->volume_key);
}

int luks_format_image(struct luks *l, const struct luks_format *f, int *ret_fd) {
        _cleanup_(closep) int fd = -EBADF;
        char path[HEADER_PATH_MAX];
        int r;

        luks_log_init(l);
        r = crypt_metadata_locking(NULL, 0);
        if (r < 0)
                return r;
        fd = memfd_create("cmkd-format", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        /* Some room behind the header, since libcryptsetup wants a device to have data. */
        if (ftruncate(fd, LUKS_FORMAT_DATA_OFFSET + (1 << 20)) < 0)
                return -errno;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        r = crypt_init(&l->cd, path);
        if (r < 0)
                return r;
        luks_log_attach(l);
        r = format(l, f);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}
