/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/witness-match.c

/* A record of the kernel's audit, in which programs choose their names. */

#include "audit/witness-match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct witness_word w;
        int r = witness_parse((const char *) data, size, &w);

        if (r == 0 && (!memchr(w.comm, 0, sizeof(w.comm)) || !memchr(w.exe, 0, sizeof(w.exe))))
                abort();
        if (r != 0 && r != -ENOMSG && r != -EBADMSG)
                abort();
        return 0;
}
