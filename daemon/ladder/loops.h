/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What of a stack of devices has to be opened to be known: loop devices. */

#include "common/stack.h"

/* Adds loop devices whose file is on one of the set, or is one of it (LOOP_GET_STATUS64). Returns true if there was a new one. */
bool stack_add_loops(struct stack *s);

/* A node of that block device by the name of BLOCK_NODE, in a file system that nobody sees. Returns the descriptor of its root,
 * or what fsopen(2), fsmount(2), mknod(2) say. */
int block_node(uint32_t major, uint32_t minor);
#define BLOCK_NODE "node"

/* Opens the block device of that number, whatever udev calls it and whether or not it has a node. flags: of open(2). Returns the
 * descriptor, or what block_node() and open(2) say. */
int block_open(uint32_t major, uint32_t minor, int flags);
