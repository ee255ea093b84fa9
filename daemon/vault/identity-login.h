/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tokens of OpenBao and HashiCorp Vault by logging in: AppRole (RoleId=, SecretIdFile=),
 * JWT and Kubernetes (Role=, JwtFile=), or with the TLS certificate of the connection (ClientCertificate=, ClientKey=).
 *
 *   two thirds of a token's life are over ─► renew-self ─► longer? keep it
 *                                               │ refused, or it grows no more
 *                                               ▼
 *                                            log in again: files are read anew, each time
 *
 * A response-wrapped secret id, and one for a limited number of uses, will not do: the worker is started anew after each
 * release and logs in again. */

#include "common/config.h"
#include "http.h"
#include "identity.h"

struct transit_servers;

/* c, http and servers (of the vault) must outlive the identity. Returns 0 or -ENOMEM. */
int identity_login_new(const struct vault_config *c, struct http_pool *http, struct transit_servers *servers, struct identity **ret);
