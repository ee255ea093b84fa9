/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What must outlive a worker, which is replaced after each release: a few small secrets that can be had only once, or must not be tried
 * again, and when it was that a worker was replaced. systemd keeps them for the next one, each as a socket whose queue has it
 * (sd_pid_notify_with_fds(3): FDSTORE=1): in the kernel's memory, on no disk and in no swap, read by no process but the worker. They are
 * gone with the next boot, or when cmkd-vault.service is stopped.
 *
 *   kept_put ─► socketpair, the secret in its queue ─► systemd ─► LISTEN_FDS of the next worker ─► kept_get (looks, and leaves it there)
 */

#include "common/secret.h"

/* The exit status of a worker for which something is kept: RestartForceExitStatus= of cmkd-vault.service, since a service that is not
 * started again at once keeps nothing. */
#define KEPT_EXIT_STATUS 75

/* Takes NOTIFY_SOCKET and what is in LISTEN_FDS behind the listening socket: call it before either is forgotten, in a process with one
 * thread. */
void kept_open(void);

/* A copy of what was kept by that name last. Returns 0, -ENOENT, -EBADMSG (it cannot be read), -ENOMEM or -EPERM. Safe from several
 * threads, as the next two are. */
int kept_get(const char *name, struct secret **ret);

/* name: printable ASCII without colons, KEPT_NAME_MAX at most. What was kept by it before is not any more. Returns 0, -ENOTCONN (there
 * is nobody to keep it beyond this process), -ENOSPC, or -errno of a socket. */
#define KEPT_NAME_MAX 79u
int kept_put(const char *name, const struct secret *s);

/* The exit status of this process where nothing went wrong. */
int kept_exit_status(void);
