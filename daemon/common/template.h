/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A program that is started once, gets itself ready, and from then on is copied for each operation: what its libraries do
 * when they start is done once and not for each.
 *
 *   parent ── SEQPACKET: "a child NAME", with its fd 3 and fd 4 ─► template ── clone(CLONE_PARENT) ─► child
 *          ◄── pid ────────────────────────────────────────────────   │
 *          ◄── exits, is reaped, dies with its parent ────────────────┘
 *
 * The child is the parent's, as one of child.h is: it is killed alone, at its own deadline, and its memory goes with it.
 * The template sees no request and no secret: it passes on descriptors. It ends with its parent, or when the connection is
 * closed. Children of one template have one layout of their address space: who sees a child crash takes a new template. */

#include "util.h"

/* argv[1] of a program that is to be a template; its children show their own name there, cut off at this length. */
#define TEMPLATE_WORD "template (waits)"

/* The template's side of main(): serves until it is not needed any more. shown: argv[1]. Returns 0 in a child, whose fd 3
 * and fd 4 are as after an exec of its own; 1 when it is over; or what recvmsg(2) and sendmsg(2) say. */
int template_serve(char *shown);

/* The parent's side; sock is the template's, non-blocking. Asks for a child called name: child_sock becomes its fd 3,
 * secret_fd (or -EBADF) its fd 4, both stay the caller's. Returns 0 or what sendmsg(2) says, -EAGAIN among it. */
int template_ask(int sock, uint32_t id, const char *name, int child_sock, int secret_fd);

/* Returns 1 (*ret_pid of the child that was asked for as *ret_id, or a negative errno; id 0: the template is ready), 0 (the
 * template is gone), -EAGAIN (nothing there), -EBADMSG, or what recv(2) says. */
int template_hear(int sock, uint32_t *ret_id, int *ret_pid);
