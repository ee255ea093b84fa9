/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Gives up everything that serving requests does not need. What the unit has given up already is no error, so the
 * worker is the same under systemd and started by cmkd in an initramfs. The order is fixed:
 *
 *   resource limits ─► groups, gid, uid ─► capabilities (all sets) ─► no_new_privs ─► not dumpable ─► seccomp
 *
 * and what was given up is looked at afterwards: a process that still has a capability or can get root back is an
 * error. */

#include "common/util.h"

/* user: a name or a number to become where we are root; NULL: cmkd-vault, or 65534 where there is no such user. By a
 * process with one thread, after sockets and files were opened. Returns 0; -ENOENT: no such user; -EPERM: something
 * could not be given up; or -errno of the call that failed. modules: as seccomp_filter_load() has it. ret_what: which step, a
 * static text. */
int sandbox_enter(const char *user, bool modules, const char **ret_what);
