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

static int set_tokens(struct luks *l, const struct header_wrap *wraps, unsigned n) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < n; i++) {
                _cleanup_(freep) char *text = NULL;

                r = token_format(&wraps[i].token, &text);
                if (r >= 0)
                        r = crypt_token_json_set(l->cd, wraps[i].token_id, text);
        }
        return r < 0 ? r : 0;
}

/* The MAC is over the metadata with the tokens in it, less the MAC: set, compute, set again. */
int luks_seal(struct luks *l, struct header_wrap *wraps, unsigned n, const struct secret *volume_key) {
        _cleanup_(json_object_putp) struct json_object *metadata = NULL;
        uint8_t mac[TOKEN_MAC_SIZE];
        const char *text;
        int r;

        r = set_tokens(l, wraps, n);
        if (r < 0)
                return r;
        r = crypt_dump_json(l->cd, &text, 0);
        if (r < 0)
                return r;
        r = strict_json_parse(text, strlen(text), &metadata, NULL);
        if (r < 0)
                return r;
        r = manifest_compute(metadata, wraps[0].token.uuid, volume_key, mac);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < n; i++)
                memcpy(wraps[i].token.mac, mac, sizeof(mac));
        return set_tokens(l, wraps, n);
}

static int format(struct luks *l, const struct luks_format *f) {
        struct crypt_params_luks2 params = {
                .pbkdf = &luks_cheap_pbkdf, .sector_size = f->sector_size, .label = f->label, .subsystem = "cmkd",
        };
        struct header_wrap w = { .token_id = TOKEN_ID };
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
        w.token = *f->token;
        w.token.keyslot = KEYSLOT;
        r = luks_seal(l, &w, 1, f->volume_key);
        if (r >= 0)
                *f->token = w.token;
        return r;
}

int luks_new_image(struct luks *l, const char *name, off_t size, char ret_path[static HEADER_PATH_MAX]) {
        _cleanup_(closep) int fd = -EBADF;
        int r;

        luks_log_init(l);
        r = crypt_metadata_locking(NULL, 0);
        if (r < 0)
                return r;
        fd = memfd_create(name, MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, size) < 0)
                return -errno;
        snprintf(ret_path, HEADER_PATH_MAX, "/proc/self/fd/%d", fd);
        return TAKE_FD(fd);
}

int luks_format_image(struct luks *l, const struct luks_format *f, int *ret_fd) {
        _cleanup_(closep) int fd = -EBADF;
        char path[HEADER_PATH_MAX];
        int r;

        /* Some room behind the header, since libcryptsetup wants a device to have data. */
        r = fd = luks_new_image(l, "cmkd-format", LUKS_FORMAT_DATA_OFFSET + (1 << 20), path);
        if (r >= 0)
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
