/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The children's side of disk-proto.h, shared by cmkd-disk (headers and keys) and cmkd-ladder (mappings): one request on
 * fd 3, one reply, exit; with DISK_FLAG_STAY one request more, and as many as are asked that way where no key is seen.
 *
 *   frame on fd 3 ─► disk_serve: decode, look up ─► op_NAME(q, in_fd, ret_fd, y) ─► encode, send, exit
 *
 * in_fd: descriptor that came with the request, or -EBADF; stays disk_serve's. ret_fd: set by an operation that sends
 * one back (disk_serve owns it afterwards), else left alone. q was checked by disk_request_decode() for lengths and
 * characters; which fields must be there is each operation's business. An operation returns 0 or a negative errno; on
 * failure it has filled y->error, y->exit_code and y->message, best by op_fail(). The reply is sent in both cases. */

#include "disk-proto.h"

typedef int (*disk_op_function)(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

struct disk_operation {
        disk_op_function run;            /* NULL: not one of this program's */
        bool sees_keys;                  /* no page of the process may go to swap */
        int nice;                        /* setpriority(2): taken where the process may */
};

/* All of main(): operations has _DISK_OP_MAX entries, program is what log lines begin with. Returns the exit status. */
int disk_serve(const char *program, const struct disk_operation *operations);

/* Before that, where argv[1] is TEMPLATE_WORD (template.h): warm_up() does what is to be done once for all children, and
 * returns 0 or -errno; word: what the manager says beside (FIPS_WORD), or "". shown: argv[1]. Returns 0 in a child, which goes on to disk_serve(); else the exit status, plus 1. */
int disk_be_template(const char *program, int (*warm_up)(const char *word), char *shown);

/* Fills error, exit code and message (control characters replaced, cut off to fit). error: negative errno. Returns
 * error, so that "return op_fail(...)" reads well. */
int op_fail(struct disk_reply *y, int error, enum exit_code code, const char *format, ...) _printf_(4, 5);
