/* SPDX-License-Identifier: Apache-2.0 */
#include "sealing.h"

void sealing_open(const char *public_key, bool known, struct sealing *ret) {
        struct seal_public *public = NULL;
        const char *why = "";
        struct keep *keep;
        bool kept;
        int r;

        *ret = (struct sealing) {};
        if (!known)
                snprintf(ret->why, sizeof(ret->why), "the configuration cannot be read");
        r = public_key ? seal_public_load(public_key, &public, &why) : 0;
        if (r < 0)
                snprintf(ret->why, sizeof(ret->why), "PublicKey=%s: %s", public_key, why);
        r = keep_open(public, &keep, &kept);
        if (r == -ENOENT)
                return;
        if (r < 0)
                snprintf(ret->why, sizeof(ret->why), "no place for the key: %s", strerror(-r));
        else if (!kept)
                snprintf(ret->why, sizeof(ret->why), "the service manager does not keep the key: it will not outlive a restart");
        if (r < 0) {
                seal_public_free(public);
                return;
        }
        r = sealer_new(public, keep, &ret->sealer);
        if (r < 0)
                snprintf(ret->why, sizeof(ret->why), "no memory for the key: %s", strerror(-r));
        else
                ret->is_over = known && !public_key;
}
