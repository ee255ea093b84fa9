/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tokens of the node's identity, kept until they are over; where they come from is a source's business.
 *
 *   identity_get_token ─ kept and good? ─yes─► a copy
 *          │ no, or older than the caller allows
 *          ▼
 *   one thread asks the source (the others wait for its answer) ─► identity-imds, identity-aad, identity-login
 *
 * A token is refreshed ahead of its end, up to an eighth of that time earlier, so that nodes which were started together do not stay
 * together; a refresh that fails while the old one is good is not an error. A source that says when to come back (Retry-After) is not asked
 * before that, whoever wants a token: its refusal is what they get. Only DENIED, which counts by how often it is said, is asked for anew. */

#include "common/secret.h"
#include "judgement.h"

struct identity;

struct token_request {
        uint64_t not_before_usec;    /* CLOCK_BOOTTIME: asked for at or after this; 0: any that is good */
        uint64_t deadline_usec;
        const char *claims;          /* JSON that the vault wants to see met: a new token is asked for with it; NULL: none */
};

struct token_result {
        struct secret *token;        /* NUL-terminated; the caller frees it */
        bool cached;                 /* it was there before the call */
        uint32_t usec;               /* spent here, 0 for a cached one */
        struct judgement note;       /* of the login that it is from: code empty where there is nothing to say */
        struct judgement failure;    /* where there is no token */
        uint32_t retry_after_sec;    /* from now; 0: not said */
};

/* What a source brought. */
struct token_fetched {
        struct secret *token;        /* with its NUL */
        uint64_t lifetime_sec;       /* from when it was asked for */
        uint64_t refresh_sec;        /* the same: when to ask for the next one */
        struct judgement failure;
        struct judgement note;       /* code empty: none */
        uint32_t retry_after_sec;
};

/* What is wanted of a source. */
struct token_wish {
        const struct secret *current;    /* the one kept, where it is good and may be renewed; NULL: a new one */
        const char *claims;              /* NULL: none; a source that cannot pass them on leaves them out */
        uint64_t deadline_usec;
};

/* Asks for a token, within the deadline. One thread at a time. Returns 0, or -EACCES with ret->failure (and
 * ret->retry_after_sec) filled. */
struct token_source {
        int (*fetch)(void *user, const struct token_wish *w, struct token_fetched *ret);
        void (*free)(void *user);
        void *user;
};

/* Takes the source over, also where this fails. Returns 0 or -ENOMEM. */
int identity_new(const struct token_source *source, struct identity **ret);

/* No other thread may be in it. Accepts NULL, returns NULL. */
struct identity *identity_free(struct identity *i);

/* Returns 0, or -EACCES with ret->failure and ret->retry_after_sec filled. */
int identity_get_token(struct identity *i, const struct token_request *q, struct token_result *ret);
