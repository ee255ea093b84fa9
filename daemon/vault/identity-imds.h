/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tokens of the node's managed identity, from the instance-metadata endpoint.
 *
 *   identity_get_token ─ cached and good? ─yes─► a copy
 *          │ no, or older than the caller allows
 *          ▼
 *   one thread asks (the others wait for its answer) ─► GET /metadata/identity/oauth2/token, plain http, link-local
 *
 * Retries (404, 410, 5xx, no answer: 0.8 s, doubling, at most four tries) stay within the caller's deadline. A token is
 * refreshed ahead of its end; a refresh that fails while the old one is good is not an error. The endpoint has a
 * cache of its own which nothing bypasses: "fresh" means asked for again. */

#include "azure-verdict.h"
#include "common/config.h"
#include "http.h"

struct identity;

/* c must outlive the identity. Returns 0 or -ENOMEM. */
int identity_new(const struct vault_config *c, struct identity **ret);

/* No other thread may be in it. Accepts NULL, returns NULL. */
struct identity *identity_free(struct identity *i);

struct token_request {
        uint64_t not_before_usec;    /* CLOCK_BOOTTIME: asked for at or after this; 0: any that is good */
        uint64_t deadline_usec;
};

struct token_result {
        struct secret *token;        /* NUL-terminated; the caller frees it */
        bool cached;                 /* it was there before the call */
        uint32_t usec;               /* spent here, 0 for a cached one */
        struct judgement failure;    /* where there is no token */
        uint32_t retry_after_sec;
};

/* Returns 0, or -EACCES with ret->failure and ret->retry_after_sec filled. */
int identity_get_token(struct identity *i, const struct token_request *q, struct token_result *ret);
