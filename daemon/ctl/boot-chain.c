/* SPDX-License-Identifier: Apache-2.0 */
#include "boot-chain.h"

#include <limits.h>
#include <unistd.h>

#define VARIABLES "/sys/firmware/efi/efivars/"
#define SECURE_BOOT "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
/* Of shim, set while it lets everything pass (mokutil --disable-validation); Secure Boot stays on. */
#define SHIM_STATE "MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23"
#define STUB_INFO "StubInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

/* A variable of one byte: its value, or -ENOENT. */
static int read_byte(const char *root, const char *name) {
        _cleanup_(freep) char *data = NULL;
        char path[PATH_MAX];
        size_t size;

        snprintf(path, sizeof(path), "%s" VARIABLES "%s", root, name);
        if (read_small_file(path, 64, &data, &size) < 0 || size != 5)
                return -ENOENT;
        return (uint8_t) data[4];
}

int boot_chain_secure(const char *root) {
        int on = read_byte(root, SECURE_BOOT);

        if (on == 1 && read_byte(root, SHIM_STATE) == 1)
                return -EKEYREJECTED;
        return on < 0 ? on : on == 1;
}

bool boot_chain_unified(const char *root) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s" VARIABLES STUB_INFO, root);
        return access(path, F_OK) >= 0;
}

const char *boot_chain_text(int secure, bool unified) {
        if (secure == -EKEYREJECTED)
                return "Secure Boot is on, and shim checks nothing (mokutil --enable-validation)";
        if (secure < 0)
                return "no Secure Boot: this machine did not boot by EFI";
        if (secure == 0)
                return "Secure Boot is off";
        return unified ? "Secure Boot is on, kernel and image are one signed file (UKI)"
                       : "Secure Boot is on, the image is a file of its own and is not checked";
}
