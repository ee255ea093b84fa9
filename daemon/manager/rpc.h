/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Requests to another program over a SEQPACKET socket: connects when there is something to say, matches replies by id,
 * gives every call a deadline, and forgets a peer that sends a bad frame. Nothing here ever blocks the event loop.
 *
 *   call ─► [connect] ─► send ─► pending ─► reply | deadline | peer gone ─► callback, exactly once, never from rpc_call
 */

#include <systemd/sd-event.h>

#include "common/wire.h"

struct rpc;

/* error: 0 (then c is open on the reply), -ETIMEDOUT, -ECONNRESET (the peer went or sent rubbish), or what connecting
 * said. c is valid during the call only. */
typedef void (*rpc_callback)(int error, struct wire_cursor *c, void *user);

/* path, name (for the log): static texts. Returns 0 or -ENOMEM. Connects at the first call. */
int rpc_new(sd_event *event, const char *path, const char *name, struct rpc **ret);

/* Pending callbacks are dropped, not called. */
struct rpc *rpc_free(struct rpc *r);

/* An id for the next request. */
uint32_t rpc_next_id(struct rpc *r);

/* Sends a finished frame that carries id; fd as in link_send(). Returns 0: the callback will be called; or a negative
 * errno: it will not (cannot connect, -ENOMEM). A peer that does not read for a while gets it later, in order. */
int rpc_call(struct rpc *r, uint32_t id, const struct wire_frame *f, int fd, uint64_t timeout_usec,
             rpc_callback callback, void *user);

/* Connects now, and again when a peer that did answer has ended: one that is started by the connection is there before it is
 * needed. Whether it works nobody hears; a call connects by itself. */
void rpc_keep_connected(struct rpc *r);

bool rpc_is_connected(const struct rpc *r);
