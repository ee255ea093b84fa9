/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The operations of cmkd-disk, one function each; main.c has the table.
 *
 *   frame on fd 3 ─► main: decode, look up ─► op_NAME(q, in_fd, ret_fd, y) ─► main: encode, send, exit
 *
 * in_fd: descriptor that came with the request, or -EBADF; stays main's. ret_fd: set by an operation that sends one
 * back (main owns it afterwards), else left alone. q was checked by disk_request_decode() for lengths and characters;
 * which fields must be there is each operation's business. An operation returns 0 or a negative errno; on failure it
 * has filled y->error, y->exit_code and y->message, best by op_fail(). The reply is sent in both cases. */

#include "common/disk-proto.h"
#include "common/secret.h"

typedef int (*disk_op_function)(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* Fills error, exit code and message (control characters replaced, cut off to fit). error: negative errno. Returns
 * error, so that "return op_fail(...)" reads well. */
int op_fail(struct disk_reply *y, int error, enum exit_code code, const char *format, ...) _printf_(4, 5);

/* Reads secret W from the child's pipe. Returns 0, or an error as of op_fail(): -EBADF (there is no pipe), -EPIPE (it
 * ended early: the worker gave nothing), -EPERM or -ENOMEM (no memory that a key may live in). */
int op_read_secret(struct secret **ret, struct disk_reply *y);

/* Headers: ops-inspect.c, ops-format.c, ops-open.c */
int op_inspect(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_format(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_check(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_erase(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_activate(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_unlock_key(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_resume(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* Mappings and the ladder: step-*.c and others */
int op_deactivate(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_query(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_hold(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_recognize(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_notice(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_open(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_shut(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_cut(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_thaw(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_flush(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_kill(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_unmount(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_remove(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_step_verify(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
