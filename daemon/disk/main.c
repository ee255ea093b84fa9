/* SPDX-License-Identifier: Apache-2.0 */

/* cmkd-disk OPERATION: one request on fd 3, one reply, exit. The argument is there for ps only. */

#include "ops.h"

#include "common/child.h"
#include "common/link.h"
#include "common/log.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
        disk_op_function run;
        bool sees_keys;
} operations[_DISK_OP_MAX] = {
        [DISK_OP_INSPECT]      = { op_inspect,      false },
        [DISK_OP_FORMAT]       = { op_format,       true },
        [DISK_OP_CHECK]        = { op_check,        true },
        [DISK_OP_ERASE]        = { op_erase,        false },
        [DISK_OP_ACTIVATE]     = { op_activate,     true },
        [DISK_OP_DEACTIVATE]   = { op_deactivate,   false },
        [DISK_OP_QUERY]        = { op_query,        false },
        [DISK_OP_STEP_OPEN]    = { op_step_open,    false },
        [DISK_OP_STEP_SHUT]    = { op_step_shut,    false },
        [DISK_OP_STEP_CUT]     = { op_step_cut,     false },
        [DISK_OP_STEP_THAW]    = { op_step_thaw,    false },
        [DISK_OP_STEP_FLUSH]   = { op_step_flush,   false },
        [DISK_OP_STEP_KILL]    = { op_step_kill,    false },
        [DISK_OP_STEP_UNMOUNT] = { op_step_unmount, false },
        [DISK_OP_STEP_REMOVE]  = { op_step_remove,  false },
        [DISK_OP_STEP_VERIFY]  = { op_step_verify,  false },
        [DISK_OP_HOLD]         = { op_hold,         false },
        [DISK_OP_RESUME]       = { op_resume,       true },
        [DISK_OP_NOTICE]       = { op_notice,       false },
        [DISK_OP_UNLOCK_KEY]   = { op_unlock_key,   true },
        [DISK_OP_RECOGNIZE]    = { op_recognize,    false },
};

/* Libraries hold copies of keys in buffers of their own: none of this process's pages may go to swap. */
static int lock_memory(void) {
        static const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

        (void) setrlimit(RLIMIT_MEMLOCK, &all);
        return mlockall(MCL_CURRENT|MCL_FUTURE|MCL_ONFAULT) < 0 ? -errno : 0;
}

static void run(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y) {
        disk_op_function f = operations[q->op].run;
        int r;

        if (!f) {
                op_fail(y, -EOPNOTSUPP, EXIT_CODE_FAILED, "Operation %u is not known here", q->op);
                return;
        }
        r = operations[q->op].sees_keys ? lock_memory() : 0;
        if (r < 0) {
                op_fail(y, r, EXIT_CODE_FAILED, "The pages of this process cannot be locked: %s", strerror(-r));
                return;
        }
        r = f(q, in_fd, ret_fd, y);
        if (r < 0 && y->error == 0)
                op_fail(y, r, EXIT_CODE_FAILED, "%s failed: %s", disk_op_to_string(q->op), strerror(-r));
}

int main(void) {
        static struct wire_frame frame;
        _cleanup_(closep) int in_fd = -EBADF, out_fd = -EBADF;
        struct disk_request q = {};
        struct disk_reply y = {};
        struct wire_cursor c;
        int r;

        log_init("cmkd-disk", getenv("CMKD_DEBUG") ? LOG_DEBUG : LOG_INFO);
        umask(077);
        r = secret_process_init();
        if (r < 0) {
                log_error("This process cannot be made undumpable: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        r = link_receive(CHILD_SOCKET_FD, &frame, &c, &in_fd);
        if (r <= 0) {
                log_error("No request on descriptor %d: %s", CHILD_SOCKET_FD, r < 0 ? strerror(-r) : "end of file");
                return EXIT_FAILURE;
        }
        r = disk_request_decode(&c, &q);
        if (r < 0)
                op_fail(&y, r, EXIT_CODE_FAILED, "The request cannot be read");
        else
                run(&q, in_fd, &out_fd, &y);
        r = disk_reply_encode(&y, &frame);
        if (r >= 0)
                r = link_send(CHILD_SOCKET_FD, &frame, out_fd);
        if (r < 0) {
                log_error("The reply of %s cannot be sent: %s", disk_op_to_string(q.op), strerror(-r));
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
