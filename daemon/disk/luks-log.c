/* SPDX-License-Identifier: Apache-2.0 */
#include "luks-log.h"

#include "common/log.h"

#include <libcryptsetup.h>

static void on_message(int level, const char *text, void *userdata) {
        struct luks *l = userdata;
        int n = (int) strcspn(text, "\n");

        log_debug("libcryptsetup: %.*s", n, text);
        if (level == CRYPT_LOG_ERROR)
                snprintf(l->said, sizeof(l->said), "%.*s", n, text);
}

void luks_log_init(struct luks *l) {
        l->cd = NULL;
        l->said[0] = 0;
        crypt_set_log_callback(NULL, on_message, l);
        /* No code from plugins, ours or others', in a process that holds keys. */
        crypt_token_external_disable();
}

void luks_log_attach(struct luks *l) {
        crypt_set_log_callback(l->cd, on_message, l);
}
