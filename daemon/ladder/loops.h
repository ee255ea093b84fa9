/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What of a stack of devices has to be opened to be known: loop devices. */

#include "common/stack.h"

/* Adds loop devices whose file is on one of the set, or is one of it (LOOP_GET_STATUS64). Returns true if there was a new one. */
bool stack_add_loops(struct stack *s);

/* Opens the block device of that number, whatever udev calls it and whether or not it has a node: through a node in a
 * file system that nobody sees. flags: of open(2). Returns the descriptor, or what fsopen(2), mknod(2), open(2) say. */
int block_open(uint32_t major, uint32_t minor, int flags);
