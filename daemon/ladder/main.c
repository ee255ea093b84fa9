/* SPDX-License-Identifier: Apache-2.0 */

/* cmkd-ladder OPERATION: what a mapping needs that is there, up to its end. The argument is for ps and the priority only: the
 * operation itself comes as a request. */

#include "ops.h"

#include <sys/resource.h>

#define NICE_BEHIND 5

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

/* Many volumes may go at once: what cleans up behind one cut gives way to the next volume's. */
static void choose_priority(const char *operation) {
        static const enum disk_op behind[] = {
                DISK_OP_STEP_KILL, DISK_OP_STEP_UNMOUNT, DISK_OP_STEP_REMOVE, DISK_OP_STEP_VERIFY,
        };

        for (size_t i = 0; i < ELEMENTSOF(behind); i++)
                if (streq(operation, disk_op_to_string(behind[i])))
                        (void) setpriority(PRIO_PROCESS, 0, NICE_BEHIND);
}

int main(int argc, char *argv[]) {
        if (argc == 2)
                choose_priority(argv[1]);
        return disk_serve("cmkd-ladder", operations);
}
