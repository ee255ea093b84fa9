/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The roots of the file systems on a volume, opened before the cut, since some cannot be opened after it. One descriptor
 * has them all: the end of a socket pair with a single message in it (SCM_RIGHTS), which each step looks at and leaves
 * there. Who closes it closes them.
 *
 *   OPEN ─ roots_pack ─► manager holds one descriptor ─► SHUT, THAW: roots_each */

#include "common/util.h"

#define ROOTS_MAX 128u                   /* the kernel takes 253 in a message */

/* The highest first. Returns the descriptor, or what socketpair(2) and sendmsg(2) say. */
int roots_pack(const int *fds, size_t n);

/* What is in there, duplicated. Returns how many, or what recvmsg(2) says. */
int roots_unpack(int packed, int ret[static ROOTS_MAX]);

/* Calls f for each root in a child of its own, one after the other; one that does not come back in its part of wait_msec is
 * left to itself. f returns 0 or an errno, positive; ret_error[i] is that, or ETIMEDOUT. Returns how many there were, or
 * what recvmsg(2) says. */
int roots_each(int packed, bool lowest_first, int (*f)(int fd), unsigned wait_msec, int ret_error[static ROOTS_MAX]);
