/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One request to a Key Vault and its answer: token, URL, the identifiers that go along, and the verdict of any answer but a good
 * one.
 *
 *   identity ─► token ─► https://HOST/PATH ─► 200: the body is the caller's ─► azure-reply.h
 *                 ▲           │ 401 for a cached token, or claims are asked for: once more
 *                 └───────────┘ else: azure-verdict.h */

#include "azure-verdict.h"
#include "vault.h"

#define AZURE_PATH_MAX 512u

struct azure_request {
        const char *path;               /* behind the host: "/keys/NAME/VERSION/unwrapkey" */
        const char *query;              /* NULL: the API's version alone */
        const char *payload;            /* POST, or PUT of a secret; NULL: GET */
        enum azure_secret secret;       /* what is done with a secret of the vault; AZURE_NO_SECRET: it is about a key */
        bool carries_secret;            /* W is in what goes or comes */
};

/* Token, request, and once more with a new token where a 401 was for a cached one, or for lack of claims that the vault names.
 * True: status 200, the body is in answer; false: y says what it was. */
bool azure_exchange(struct vault *v, const struct vault_call *c, const struct azure_request *x, struct http_response *answer,
                    struct vault_reply *y);
