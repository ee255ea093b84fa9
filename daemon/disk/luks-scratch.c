/* SPDX-License-Identifier: Apache-2.0 */
#include "luks.h"
#include "luks-log.h"
#include "scratch-mark.h"

#include <libcryptsetup.h>

static int format(struct luks *l, const struct luks_format *f) {
        struct crypt_params_luks2 params = {
                .pbkdf = &luks_cheap_pbkdf, .sector_size = f->sector_size, .label = f->label, .subsystem = "cmkd-scratch",
        };
        _cleanup_(freep) char *token = NULL;
        int r;

        r = crypt_set_data_offset(l->cd, LUKS_FORMAT_DATA_OFFSET / 512);
        if (r >= 0)
                r = crypt_format(l->cd, CRYPT_LUKS2, "aes", "xts-plain64", f->uuid, (const char *) secret_cdata(f->volume_key),
                                 secret_size(f->volume_key), &params);
        if (r >= 0)
                r = scratch_mark_format(f->label, &token);
        return r < 0 ? r : crypt_token_json_set(l->cd, CRYPT_ANY_TOKEN, token);
}

int luks_scratch_image(struct luks *l, const struct luks_format *f, const char *device, int *ret_fd) {
        _cleanup_(closep) int fd = -EBADF;
        char path[HEADER_PATH_MAX];
        int r;

        r = fd = luks_new_image(l, "cmkd-scratch", LUKS_FORMAT_DATA_OFFSET, path);
        if (r >= 0)
                r = crypt_init_data_device(&l->cd, path, device);
        if (r < 0)
                return r;
        luks_log_attach(l);
        r = format(l, f);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}
