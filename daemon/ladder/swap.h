/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "common/util.h"

/* swapoff(2), which reads everything back and may hang: in a child. Returns 0, EINVAL (it is none), EIO (a file on a file
 * system that is shut down), ETIMEDOUT, or what it says, positive. */
int swap_switch_off(const char *path, unsigned wait_msec);
