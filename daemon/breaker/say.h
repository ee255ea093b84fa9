/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the breaker says, to the journal and to systemd. Nothing here waits: a journal that is stuck loses the line to
 * the kernel's log, which never blocks. */

#include "common/util.h"
#include <syslog.h>

/* Opens what it needs, once. Never fails: what cannot be opened is left out. */
void say_init(void);

/* One line of up to 400 characters. LOG_ALERT and worse go to the kernel's log too. */
void say(int priority, const char *format, ...) _printf_(2, 3);

/* A state line for systemd (sd_notify(3)): "READY=1", "WATCHDOG=1", "STATUS=...". */
void say_to_manager(const char *state);

/* How often systemd wants to hear WATCHDOG=1, 0: not at all. */
uint64_t say_watchdog_usec(void);
