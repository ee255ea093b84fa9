/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bus.h"

/* Shows the state until standard output or cmkd goes away: at first, after each change of a volume's state, and on a terminal
 * each second, on a screen that is cleared. show: asks cmkd on c, whose connection it makes where there is none, and prints;
 * returns an exit code. On a terminal a cmkd that is away is waited for; elsewhere its exit code is returned. */
int status_watch(struct call *c, int (*show)(struct call *c, void *user), void *user);
