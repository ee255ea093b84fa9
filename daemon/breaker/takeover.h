/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One breaker follows another without a gap: the one that was started in the initramfs runs until cmkd-breaker.service
 * has read the same table and armed its own timers, and only then goes.
 *
 *   new: table mapped, timers armed ── who holds the lock on the table's file? ── SIGKILL ── lock is ours
 *
 * Both act on a deadline that passes meanwhile: loading an error table twice does no harm. */

#include "common/util.h"

/* Ends the process that has the file locked, if there is one, waits at most a second for its end and takes the lock,
 * which stays until this process ends. *ret_from is that process or 0. Returns 0, -EBUSY (it does not end: it hangs in
 * the kernel, with its SIGKILL), or what open(2), fcntl(2) and pidfd_send_signal(2) say. */
int takeover(const char *path, pid_t *ret_from);
