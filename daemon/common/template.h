/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A program that is started once, gets itself ready, and from then on is copied for each operation: what its libraries do
 * when they start is done once and not for each.
 *
 *   manager ── SEQPACKET: its settings, then "a child NAME" with its fd 3 and fd 4 ─► template ── clone ─► child
 *           ◄── a pidfd of each ───────────────────────────────────────────────────      ◄── is reaped, dies with it ──┘
 *
 * Who starts it: systemd, in a unit of its own with the connection as descriptor 3 (cmkd-disk@.service, cmkd-ladder@.service), so that
 * the manager itself need not be allowed what its children are; in an initramfs the manager (child.h). It ends when the connection is
 * closed, and all its children with it, but for one that asked for another signal than SIGKILL (PR_SET_PDEATHSIG).
 *
 * A child is killed alone, at its own deadline, and its memory goes with it. The template sees no request and no secret: it passes on
 * descriptors. Children of one template have one layout of their address space: after one crashed a new template is to be taken. */

#include "util.h"

/* argv[1] of a program that is to be a template; its children show their own name there, cut off at this length. */
#define TEMPLATE_WORD "template (waits)"

enum template_news {
        TEMPLATE_READY,             /* number: none; fd: the template itself */
        TEMPLATE_STARTED,           /* number: of what was asked for; fd: of the child */
        TEMPLATE_NOT_STARTED,       /* number: of what was asked for; error */
        TEMPLATE_CHILD_CRASHED,     /* no further child gets the same layout of memory */
};

struct template_answer {
        uint32_t news, number;
        int32_t error;
};

/* The template's side of main(). template_settings() is the first thing that comes: a word for warming up, or "". Returns 1; 0 (nobody is
 * there any more), or what recvmsg(2) says. */
int template_settings(char ret_word[static sizeof(TEMPLATE_WORD)]);

/* Serves until it is not needed any more. shown: argv[1]. Returns 0 in a child, whose fd 3 and fd 4 are as after an exec of its own; 1
 * when it is over; or what signalfd(2), poll(2), recvmsg(2) and sendmsg(2) say. */
int template_serve(char *shown);

/* The manager's side; sock is the template's, non-blocking. All of these return 0 or what sendmsg(2) says, -EAGAIN among it: it does not
 * answer, and much was asked already. Nobody need wait for TEMPLATE_READY before. */
int template_set_up(int sock, const char *word);

/* Asks for a child called name, by a number that is not 0: child_sock becomes its fd 3, secret_fd (or -EBADF) its fd 4, both stay the
 * caller's. */
int template_ask(int sock, uint32_t number, const char *name, int child_sock, int secret_fd);

/* Returns 1 (ret_fd: a pidfd, which is the caller's, where the news have one, else -EBADF), 0 (the template is gone), -EAGAIN (nothing
 * there), -EBADMSG, or what recvmsg(2) says. */
int template_hear(int sock, struct template_answer *ret, int *ret_fd);
