/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One request to one server of OpenBao or HashiCorp Vault: https://HOST:PORT/v1/PATH with the headers that all requests have. No redirect
 * is followed: transit-cluster.h does that. */

#include "transit-servers.h"

/* authority: HOST:PORT. called_off (or NULL): as in struct http_request. Returns as http_perform(); -EINVAL also where the URL is too
 * long. */
int transit_send(const struct vault_config *c, struct http_pool *http, const char *authority, const struct transit_exchange *x,
                 const _Atomic bool *called_off, struct http_response *ret);
