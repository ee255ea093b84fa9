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

int op_new_secret(const struct disk_request *q, struct secret **ret, struct disk_reply *y) {
        int r;

        if (op_is_given_secret(q))
                return op_read_secret(ret, y);
        r = secret_random(DISK_W_SIZE, ret);
        return r < 0 ? op_fail(y, r, EXIT_CODE_FAILED, "There is no memory that a key may live in: %s", strerror(-r)) : 0;
}
