/* SPDX-License-Identifier: Apache-2.0 */

/* cmkd-disk OPERATION: what needs a header or a key. The argument is there for ps only, unless it is TEMPLATE_WORD. */

#include "ops.h"

#include "common/child.h"
#include "common/fips.h"
#include "common/log.h"
#include "common/template.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const struct disk_operation operations[_DISK_OP_MAX] = {
        [DISK_OP_INSPECT]    = { op_inspect,    false },
        [DISK_OP_FORMAT]     = { op_format,     true },
        [DISK_OP_CHECK]      = { op_check,      true },
        [DISK_OP_ERASE]      = { op_erase,      false },
        [DISK_OP_ACTIVATE]   = { op_activate,   true },
        [DISK_OP_RESUME]     = { op_resume,     true },
        [DISK_OP_UNLOCK_KEY] = { op_unlock_key, true },
        [DISK_OP_RECOGNIZE]  = { op_recognize,  false },
        [DISK_OP_RECOVERY_ADD]    = { op_recovery_add,    true },
        [DISK_OP_RECOVERY_REMOVE] = { op_recovery_remove, true },
        [DISK_OP_RECOVERY_TEST]   = { op_recovery_test,   true },
        [DISK_OP_WRAP_ADD]        = { op_wrap_add,        true },
        [DISK_OP_WRAP_REMOVE]     = { op_wrap_remove,     true },
        [DISK_OP_RECOVERY_ROTATE] = { op_recovery_rotate, true },
        [DISK_OP_HEADER_BACKUP]   = { op_header_backup,   false },
        [DISK_OP_SCRATCH]         = { op_scratch,         true },
        [DISK_OP_WRAP_ROTATE]     = { op_wrap_rotate,     true },
        [DISK_OP_WRAP_DROP]       = { op_wrap_drop,       true },
        [DISK_OP_HEADER_CANDIDATE] = { op_header_candidate, false },
        [DISK_OP_HEADER_RESTORE]  = { op_header_restore,  true },
        [DISK_OP_TAKE_OVER_LOOK]  = { op_take_over_look,  false },
        [DISK_OP_TAKE_OVER]       = { op_take_over,       true },
        [DISK_OP_KEYSLOTS_REMOVE] = { op_keyslots_remove, true },
        [DISK_OP_HEADER_ACCEPT]   = { op_header_accept,   true },
        [DISK_OP_ENCRYPT_STAGE]   = { op_encrypt_stage,   true },
        [DISK_OP_ENCRYPT_BEGIN]   = { op_encrypt_begin,   true },
        [DISK_OP_ENCRYPT_RUN]     = { op_encrypt_run,     true, 10 },
        [DISK_OP_REENCRYPT_STAGE] = { op_reencrypt_stage, true },
        [DISK_OP_REENCRYPT_WRAP]  = { op_reencrypt_wrap,  true },
        [DISK_OP_REENCRYPT_BEGIN] = { op_reencrypt_begin, true },
        [DISK_OP_PERSONALIZE_STAGE] = { op_personalize_stage, true },
};

/* What OpenSSL does before its first digest: configuration, providers, names. Not libcryptsetup, which opens /dev/urandom and
 * keeps it: a child, whose descriptors are others, would take its random bytes from whatever has that number. */
static int warm_up(const char *word) {
        char why[FIPS_WHY_MAX];
        uint8_t digest[EVP_MAX_MD_SIZE];
        size_t n;

        if (streq(word, FIPS_WORD) && fips_begin(why) < 0) {
                log_error("%s", why);
                return -EIO;
        }
        if (!EVP_Q_digest(NULL, "SHA256", NULL, "", 0, digest, &n) || !EVP_Q_digest(NULL, "SHA512", NULL, "", 0, digest, &n))
                return -EIO;
        EVP_KDF_free(EVP_KDF_fetch(NULL, "HKDF", NULL));
        EVP_MAC_free(EVP_MAC_fetch(NULL, "HMAC", NULL));
        for (int fd = CHILD_SOCKET_FD + 1; fd < 256; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        return -EEXIST;
        return 0;
}

int main(int argc, char *argv[]) {
        int r;

        (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        (void) setpriority(PRIO_PROCESS, 0, 0);     /* cmkd's own (Nice= of its unit) is for what makes volumes unreadable */
        r = argc == 2 && streq(argv[1], TEMPLATE_WORD) ? disk_be_template("cmkd-disk", warm_up, argv[1]) : 0;
        if (r > 0)
                return r - 1;
        return disk_serve("cmkd-disk", operations);
}
