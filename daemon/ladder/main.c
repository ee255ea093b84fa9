/* SPDX-License-Identifier: Apache-2.0 */

/* cmkd-ladder OPERATION: what a mapping needs that is there, up to its end. The argument is for ps only, unless it is
 * TEMPLATE_WORD: the operation itself comes as a request. */

#include "ops.h"

#include "common/template.h"

#include <sys/mman.h>

/* Many volumes may go at once, on a machine that is busy with them. cmkd itself comes first (Nice= of its unit), and a step the
 * sooner the nearer it is to its volume's cut; what cleans up behind one gives way to the next volume's. */
static const struct disk_operation operations[_DISK_OP_MAX] = {
        [DISK_OP_QUERY]        = { op_query,        false, 0 },
        [DISK_OP_HOLD]         = { op_hold,         false, -12 },
        [DISK_OP_NOTICE]       = { op_notice,       false, 0 },
        [DISK_OP_NO_CORES]     = { op_no_cores,     false, 0 },
        [DISK_OP_USES]         = { op_uses,         false, 0 },
        [DISK_OP_AWAIT]        = { op_await,        false, 0 },
        [DISK_OP_STEP_OPEN]    = { op_step_open,    false, -9 },
        [DISK_OP_STEP_SHUT]    = { op_step_shut,    false, -12 },
        [DISK_OP_STEP_CUT]     = { op_step_cut,     false, -15 },
        [DISK_OP_STEP_THAW]    = { op_step_thaw,    false, -6 },
        [DISK_OP_STEP_FLUSH]   = { op_step_flush,   false, -6 },
        [DISK_OP_STEP_KILL]    = { op_step_kill,    false, 0 },
        [DISK_OP_STEP_UNMOUNT] = { op_step_unmount, false, 0 },
        [DISK_OP_STEP_REMOVE]  = { op_step_remove,  false, 0 },
        [DISK_OP_STEP_VERIFY]  = { op_step_verify,  false, 0 },
        [DISK_OP_DEACTIVATE]   = { op_deactivate,   false, 0 },
};

/* What it is copied from stays in memory, also when that is short and the disk is gone. */
static int stay(const char *word _unused_) {
        return mlockall(MCL_CURRENT) < 0 ? -errno : 0;
}

int main(int argc, char *argv[]) {
        int r = argc == 2 && streq(argv[1], TEMPLATE_WORD) ? disk_be_template("cmkd-ladder", stay, argv[1]) : 0;

        if (r > 0)
                return r - 1;
        return disk_serve("cmkd-ladder", operations);
}
