/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The operations of cmkd-ladder, one function each; main.c has the table, common/disk-serve.h says how they are called.
 * None sees a key, a header or a library: the program is static, so that it starts at once, also on a machine under load
 * and above a disk that answers no more. */

#include "common/disk-serve.h"

/* step-hold.c, step-kill.c, step-remove.c */
int op_query(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_hold(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_notice(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_no_cores(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_deactivate(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* step-uses.c: who uses it, and waiting until nobody does */
int op_uses(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_await(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* The ladder, in its order: step-*.c */
int op_step_open(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_shut(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_cut(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_thaw(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_flush(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_kill(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_unmount(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_remove(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_verify(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
