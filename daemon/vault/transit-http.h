/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One exchange with OpenBao or HashiCorp Vault: https://HOST:PORT/v1/PATH with the headers that all requests have. A standby's
 * redirect is followed once, to where the configuration allows. */

#include "vault.h"

#define TRANSIT_PATH_MAX 512u

struct transit_exchange {
        const char *path;                /* behind /v1/ */
        const void *body;                /* POST, or NULL: GET */
        size_t body_size;
        const struct secret *token;      /* or NULL */
        const char *client_request_id;   /* or NULL */
        bool carries_secret, fresh_connection;
        bool outside;                    /* of the server, not of a namespace: sent without Namespace= */
        uint64_t deadline_usec;
};

/* As http_perform(); -EINVAL also where the URL is too long. */
int transit_exchange(const struct vault_config *c, struct http_pool *http, const struct transit_exchange *x,
                     struct http_response *ret);
