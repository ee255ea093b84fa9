/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The socket on which records arrive. Peers of another user than root are turned away, and so is whoever sends a bad
 * frame: the connection is closed, nothing else happens.
 *
 *   connection ── AUDIT_RECORD ──► on_record(…, client, id, record) ... later serve_ack(client, id, …)
 *              ── AUDIT_CHECK ───► on_check(…, client, id) ... serve_ack(client, id, …)
 *              ── gone ──────────► on_gone(…, client): must not be used any more */

#include "common/audit-proto.h"

#include <systemd/sd-event.h>

struct serve;
struct client;

struct serve_handler {
        void (*on_record)(void *user, struct client *c, uint32_t id, const struct audit_message_record *m);
        void (*on_check)(void *user, struct client *c, uint32_t id);
        void (*on_gone)(void *user, struct client *c);
        void *user;
};

/* Listens on the descriptor that systemd handed over, or on path. Returns 0, -ENOMEM, -EINVAL (more than one
 * descriptor), or what the system says. */
int serve_new(sd_event *event, const char *path, const struct serve_handler *handler, struct serve **ret);
struct serve *serve_free(struct serve *s);
static inline void serve_freep(struct serve **s) { serve_free(*s); }

/* Answers a record. A client that does not read its answers is dropped (from the event loop, not at once). */
void serve_ack(struct client *c, uint32_t id, int error, uint64_t sequence);
