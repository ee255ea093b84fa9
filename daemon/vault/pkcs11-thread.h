/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A module's calls run in a thread of their own, one after the other; who asks waits for its answer until his deadline and no
 * longer.
 *
 *   a job's thread ── task, waits ──► this thread ── C_... ──► the module
 *          ◄── answer, or "hangs" ──        │ comes back too late, or never: the task is its own, the answer is thrown away
 *
 * A call that hangs cannot be ended: from then on every question is answered at once, and the worker is to end when nothing else
 * is under way. */

#include "pkcs11-session.h"

struct pkcs11_thread;

/* Takes the session over, also where this fails. The thread begins with the first question. Returns 0 or -ENOMEM. */
int pkcs11_thread_new(struct pkcs11_session *s, struct pkcs11_thread **ret);

/* As pkcs11_session_ask(), from any thread. deadline_usec: CLOCK_BOOTTIME. */
void pkcs11_thread_ask(struct pkcs11_thread *t, const struct pkcs11_question *q, uint64_t deadline_usec, struct vault_reply *y,
                       struct secret **ret_value);

/* Nobody may be asking. A thread that hangs is left behind, with all it has. Accepts NULL, returns NULL. */
struct pkcs11_thread *pkcs11_thread_free(struct pkcs11_thread *t);
