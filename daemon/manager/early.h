/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmkd --early: what systemd's socket units do in the running system, for an initramfs that has no systemd.
 *
 *   early ── listens on breaker.sock, audit.sock, vault.sock
 *     ├── cmkd-breaker   at once; stays when this process ends: cmkd-breaker.service takes over from it
 *     ├── cmkd-audit     at once, with --early: the trail is in /run until the real one can be reached
 *     └── cmkd-vault     when somebody connects, and again after each exit (it recycles itself after a release)
 *
 * The sockets are handed over by the protocol of sd_listen_fds(3), one each. They stay open here, so that a request
 * that comes while a program is being started waits instead of failing. A program that fails is started again with a
 * delay that grows: 200 ms to 10 s.
 *
 * Invariants: nothing here blocks but early_free(); no child but the breaker outlives this process. */

#include "common/util.h"

#define EARLY_DIRECTORY "/run/cmkd/early"

struct early;

/* Makes /run/cmkd, EARLY_DIRECTORY (with the file "pid" that names this process) and the sockets, and starts the
 * programs, all on the default event loop. Returns 0, -ENOMEM, or what mkdir(2), bind(2), open(2) and epoll_ctl(2)
 * say; a program that cannot be started is logged and tried again. */
int early_new(struct early **ret);

/* Ends worker and audit, in this order (SIGTERM, after 5 s each SIGKILL), and leaves the breaker alone. Accepts NULL. */
struct early *early_free(struct early *e);
static inline void early_freep(struct early **e) { early_free(*e); }
