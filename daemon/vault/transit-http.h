/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One exchange with one server of OpenBao or HashiCorp Vault: https://HOST:PORT/v1/PATH with the headers that all requests have. A
 * standby's redirect is followed once, to where the configuration allows. */

#include "transit-servers.h"

/* authority: HOST:PORT. called_off (or NULL): as in struct http_request. Returns as transit_exchange(). */
int transit_exchange_with(const struct vault_config *c, struct http_pool *http, const char *authority, const struct transit_exchange *x,
                          const _Atomic bool *called_off, struct http_response *ret);
