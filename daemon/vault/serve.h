/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The worker's loop: frames in, jobs, frames out.
 *
 * Peers are root, or whoever the worker itself was started as when that is not root (tests). A bad frame, or a peer
 * that does not read its replies, costs the connection and nothing else. Each request gets exactly one reply as long
 * as its connection lives; too many at once get UNREACHABLE "busy".
 *
 * After it released a secret W the worker ends (exit status 0, or KEPT_EXIT_STATUS of kept.h) as soon as nothing is under way and RECYCLE_USEC have
 * passed: nothing that was in its memory outlives that. The same after SIGHUP (a changed configuration). Where something always is under
 * way, as with a vault that hangs and is asked for many keys, it takes no more requests from RECYCLE_LATEST_USEC after the reason to end,
 * and ends when those that run are answered, or the last of their deadlines is over. The others, and what was sent to it meanwhile, wait for
 * the next worker, which a socket that systemd listens on does not start beside it. At once it ends
 * upon SIGTERM or a request made from a configuration that was read after the worker's own (a manager that was started
 * again, while the socket's backlog had kept the worker of the one before alive). Socket activation, or cmkd, starts it
 * again; a client whose connection ends without a reply asks once more. The same again, without the RECYCLE_USEC, where a PKCS#11
 * module was of no use (vaults_are_over()): the next worker loads it anew. */

#include "vault.h"

#define RECYCLE_USEC (2 * USEC_PER_SEC)
#define RECYCLE_LATEST_USEC (30 * USEC_PER_SEC)

struct serve_options {
        int socket_fd;           /* listening, or connected to the one peer */
        uid_t allowed_uid;       /* beside root */
        uint64_t configured_usec;   /* when the configuration was read, CLOCK_BOOTTIME */
        uint64_t latest_usec;       /* in the place of RECYCLE_LATEST_USEC, for tests; 0: that */
};

/* Serves until there is reason to end. Takes over the descriptor. SIGTERM, SIGINT and SIGHUP must be blocked. Returns
 * 0, or -errno of what the loop needs and did not get. */
int serve(struct vaults *v, const struct serve_options *o);

/* To be called before the sandbox, by a process with one thread: blocks the signals that serve() reads. */
int serve_block_signals(void);
