/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "common/child.h"

int op_read_secret(struct secret **ret, struct disk_reply *y) {
        int r;

        r = secret_read(CHILD_SECRET_FD, DISK_W_SIZE, ret);
        if (r == -EPERM || r == -ENOMEM)
                return op_fail(y, r, EXIT_CODE_FAILED, "No memory that a key may live in: neither memfd_secret nor "
                                                       "locked pages are to be had (RLIMIT_MEMLOCK)");
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "The unwrapped secret did not arrive: %s", strerror(-r));
        return 0;
}
