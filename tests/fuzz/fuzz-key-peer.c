/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/key-peer.c

/* The address and the control group of whoever connects to the key-file socket. A name that comes out is a volume's. */

#include <sys/un.h>

#include "manager/key-peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        char name[65], *text;

        if (size <= sizeof(sa.sun_path)) {
                memcpy(sa.sun_path, data, size);
                if (key_peer_hint(&sa, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + size), name) >= 0 &&
                    !volume_name_is_valid(name))
                        abort();
        }
        text = strndup((const char *) data, size);
        if (text && key_peer_unit(text, name) >= 0 && !volume_name_is_valid(name))
                abort();
        free(text);
        return 0;
}
