/* SPDX-License-Identifier: Apache-2.0 */

/* cmkd-ladder OPERATION: what a mapping needs that is there, up to its end. The argument is for ps and the priority only, unless
 * it is TEMPLATE_WORD: the operation itself comes as a request. */

#include "ops.h"

#include "common/template.h"

#include <sys/mman.h>
#include <sys/resource.h>

static const struct disk_operation operations[_DISK_OP_MAX] = {
        [DISK_OP_QUERY]        = { op_query,        false },
        [DISK_OP_HOLD]         = { op_hold,         false },
        [DISK_OP_NOTICE]       = { op_notice,       false },
        [DISK_OP_NO_CORES]     = { op_no_cores,     false },
        [DISK_OP_USES]         = { op_uses,         false },
        [DISK_OP_AWAIT]        = { op_await,        false },
        [DISK_OP_STEP_OPEN]    = { op_step_open,    false },
        [DISK_OP_STEP_SHUT]    = { op_step_shut,    false },
        [DISK_OP_STEP_CUT]     = { op_step_cut,     false },
        [DISK_OP_STEP_THAW]    = { op_step_thaw,    false },
        [DISK_OP_STEP_FLUSH]   = { op_step_flush,   false },
        [DISK_OP_STEP_KILL]    = { op_step_kill,    false },
        [DISK_OP_STEP_UNMOUNT] = { op_step_unmount, false },
        [DISK_OP_STEP_REMOVE]  = { op_step_remove,  false },
        [DISK_OP_STEP_VERIFY]  = { op_step_verify,  false },
        [DISK_OP_DEACTIVATE]   = { op_deactivate,   false },
};

/* Many volumes may go at once, on a machine that is busy with them. cmkd itself comes first (Nice= of its unit), and a step the
 * sooner the nearer it is to its volume's cut; what cleans up behind one gives way to the next volume's, and what runs beside it
 * to all. Where cmkd has no such priority nothing can be raised, and that is all right. */
static const struct { enum disk_op op; int nice; } priorities[] = {
        { DISK_OP_STEP_CUT, -15 }, { DISK_OP_STEP_SHUT, -12 }, { DISK_OP_STEP_OPEN, -9 }, { DISK_OP_HOLD, -12 },
        { DISK_OP_STEP_THAW, -6 }, { DISK_OP_STEP_FLUSH, -6 }, { DISK_OP_NO_CORES, 19 },
};

static void choose_priority(const char *operation) {
        int nice = 0;

        for (size_t i = 0; i < ELEMENTSOF(priorities); i++)
                if (streq(operation, disk_op_to_string(priorities[i].op)))
                        nice = priorities[i].nice;
        (void) setpriority(PRIO_PROCESS, 0, nice);
}

/* What it is copied from stays in memory, also when that is short and the disk is gone. */
static int stay(void) {
        return mlockall(MCL_CURRENT) < 0 ? -errno : 0;
}

int main(int argc, char *argv[]) {
        int r = argc == 2 && streq(argv[1], TEMPLATE_WORD) ? disk_be_template("cmkd-ladder", stay, argv[1]) : 0;

        if (r > 0)
                return r - 1;
        if (argc == 2)
                choose_priority(argv[1]);
        return disk_serve("cmkd-ladder", operations);
}
