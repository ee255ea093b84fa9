/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tells systemd that the loop goes on turning (WatchdogSec=): a worker that hangs is replaced. Nothing where nobody asked. */

#include "common/util.h"

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and connects. To be called before the sandbox and before the
 * environment is cleared. */
void watchdog_open(void);

/* Says it if it is time; when to call again at the latest (boot clock), USEC_INFINITY: never. */
uint64_t watchdog_look(void);
