/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The servers of one cluster that answer for a vault's keys: Host= and those of Servers=.
 *
 *   the one that answered last ─ no answer within the head start, or none that counts ─► the next one, beside it ─► ...
 *            │ an answer that counts                                                      │
 *            ▼                                                                            ▼
 *       that is the answer; it is asked first from then on; the others are called off
 *
 * A server is asked for its cluster first (transit-cluster.h): one of another cluster, sealed or not a vault sees no token, no secret id
 * and no key. Host= alone is asked before logins.
 *
 * A login, which the vault counts, goes to no two servers at once: sys/health alone is asked of them as above, and who answers it is asked for
 * the login; another one after it only where its answer does not count. */

#include "transit-verdict.h"
#include "vault.h"

#define TRANSIT_PATH_MAX 512u
#define TRANSIT_SERVERS_MAX 5u               /* Host= and four more */

struct transit_servers;

struct transit_exchange {
        enum transit_call call;
        const char *path;                /* behind /v1/ */
        const void *body;                /* POST, or NULL: GET */
        size_t body_size;
        const struct secret *token;      /* or NULL */
        const char *client_request_id;   /* or NULL */
        bool carries_secret, fresh_connection;
        bool outside;                    /* of the server, not of a namespace: sent without Namespace= */
        unsigned *place;                 /* which one answered, a standby's redirect being followed; NULL: does not matter */
        bool same_place;                 /* the one that *place says, and no other */
        uint64_t deadline_usec;
};

/* c and http must outlive it. Returns 0 or -ENOMEM. */
int transit_servers_new(const struct vault_config *c, struct http_pool *http, struct transit_servers **ret);

/* No exchange may be under way. Accepts NULL, returns NULL. */
struct transit_servers *transit_servers_free(struct transit_servers *s);

/* As http_perform(); -EINVAL also where the URL is too long, -EHOSTUNREACH: no server, or not the one that a standby named, is of the
 * cluster that is meant, -EHOSTDOWN: it is sealed, both with ret->error saying which, -EOPNOTSUPP: a login that wants a second factor. Safe from
 * several threads. */
int transit_exchange(struct transit_servers *s, const struct transit_exchange *x, struct http_response *ret);

/* Whether the one of *x->place is of the cluster of ClusterId=, which there is: asked in any case. The rest of x, but for the id, the
 * deadline and the kind of connection, does not matter. Returns the same. */
int transit_servers_check(struct transit_servers *s, const struct transit_exchange *x, struct http_response *ret);

/* Which one answered last. */
unsigned transit_servers_answered(const struct transit_servers *s);

/* What a negative result of it means. */
void transit_judge_failure(int r, const struct http_response *y, struct judgement *ret);
