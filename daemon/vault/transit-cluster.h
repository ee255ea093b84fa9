/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The places that a vault's requests may go to: Host=, those of Servers=, and where a standby may redirect to (RedirectHosts=). With
 * ClusterId= each is asked for its cluster (sys/health, which needs no token) unless that was done within the last minute,
 * before a login within the last second:
 *
 *   Servers=, or a login? ─ yes ─► is it of the cluster? ─ yes ─► the request ─ 307 to a place ─► is that of the cluster? ─ yes ─► there, once
 *        │ no                            │ no                        ▲                                 │ no
 *        │                               └─► -EHOSTUNREACH           │                                 └─► -EHOSTUNREACH
 *        └───────────────────────────────────────────────────────────┘
 *
 * One of another cluster, sealed or no vault, so sees no secret id and no token. Where Host= is alone only a login, which it needs for
 * the first question, is worth that: the answers to others count where transit_cluster_check() says so afterwards. */

#include "transit-servers.h"

struct transit_cluster;

/* c and http must outlive it. Returns 0 or -ENOMEM. */
int transit_cluster_new(const struct vault_config *c, struct http_pool *http, struct transit_cluster **ret);

/* No exchange may be under way. Accepts NULL, returns NULL. */
struct transit_cluster *transit_cluster_free(struct transit_cluster *c);

/* Host= and those of Servers=: the first so many of the places. */
unsigned transit_cluster_servers(const struct transit_cluster *c);

/* *place: which one is asked; which one answered, at its return. called_off (or NULL): as in struct http_request. Returns as transit_exchange(). */
int transit_cluster_exchange(struct transit_cluster *c, unsigned *place, const struct transit_exchange *x, const _Atomic bool *called_off,
                             struct http_response *ret);

/* Asks one place in any case, with the id, the deadline and the kind of connection of x. Returns the same. */
int transit_cluster_check(struct transit_cluster *c, unsigned place, const struct transit_exchange *x, const _Atomic bool *called_off,
                          struct http_response *ret);

/* It is to be asked before it is spoken to again. */
void transit_cluster_forget(struct transit_cluster *c, unsigned place);
