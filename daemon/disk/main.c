/* SPDX-License-Identifier: Apache-2.0 */

/* cmkd-disk OPERATION: what needs a header or a key. The argument is there for ps only. */

#include "ops.h"

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
};

int main(void) {
        return disk_serve("cmkd-disk", operations);
}
