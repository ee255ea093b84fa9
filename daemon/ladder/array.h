/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* md arrays that stand on a volume, by sysfs and ioctl(2). */

#include "common/stack.h"

bool array_is(uint32_t major, uint32_t minor);

/* Has it marked clean on its members as soon as no write is under way, and waits until that is written. May hang: for
 * apart(). d: struct stack_device. Returns 0 (it is clean), EBUSY (it is still written to), or a positive errno of open(2). */
int array_settle(const void *d);

/* Returns 0 (it is stopped, or was), -EBUSY (somebody has it open, after wait_usec too), or what open(2) and ioctl(2) say. */
int array_stop(uint32_t major, uint32_t minor, uint64_t wait_usec);
