/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Disposable children: fork and exec of one of our programs, for one request.
 *
 *   parent ── SEQPACKET (frames: request, reply) ── fd 3 of the child
 *          ── pipe (the secret, if there is one) ─► fd 4 of the child
 *
 * The child has /dev/null as input and output, our standard error, an empty environment and no other descriptor. The
 * parent gives it a deadline: at the deadline SIGKILL; a child in D state is abandoned (its pidfd stays readable for
 * whoever still wants to know) and never waited for. */

#include "util.h"

#define CHILD_SOCKET_FD 3
#define CHILD_SECRET_FD 4

struct child {
        pid_t pid;
        int pidfd;          /* readable when it has exited */
        int sock;           /* our end, non-blocking */
};

/* Starts program with argv (argv[0] first, NULL last). secret_fd: becomes fd 4, or -EBADF; stays the caller's.
 * Returns 0, -ENOMEM, -EAGAIN (no more processes), or what socketpair(2), clone(2) and pidfd_open(2) say. A program
 * that cannot be executed is an exit status of 127. */
int child_spawn(const char *program, char *const argv[], int secret_fd, struct child *ret);

/* In a child that was forked: descriptors 0, 1, 3, 4 as promised, all else closed, signals as at birth; dies with its parent.
 * Async-signal-safe. Exits with status 126 where any of it cannot be had. */
void child_settle(int sock, int secret_fd, pid_t parent);

/* First thing in a program that child_spawn() has started: the kernel forgets what child_settle() asked for where AppArmor gives the
 * program a profile of its own (apparmor_bprm_committing_creds()). Returns 0, -ESRCH (who started it is gone already), or -errno. */
int child_follow_parent(void);

/* SIGKILL, without waiting. Harmless when it has exited already. */
void child_kill(const struct child *c);

/* Reaps without blocking. Returns 1 (it has ended: *ret_status as of waitpid), 0 (still there) or -errno. */
int child_reap(const struct child *c, int *ret_status);

/* Closes our descriptors; the process is left to itself. */
void child_close(struct child *c);
