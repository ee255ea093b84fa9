/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tokens from the authority of a tenant (Microsoft Entra ID): POST AUTHORITY/TENANT/oauth2/v2.0/token, as client_credentials with
 *
 *   workload      the token in JwtFile=, of an issuer that the application trusts
 *   secret        ClientSecretFile=
 *   certificate   an assertion signed with ClientKey= (client-assertion.h)
 *
 * Files are read anew before each request. Authority and tenant are the configuration's, never a challenge's. */

#include "common/config.h"
#include "http.h"
#include "identity.h"

/* c must outlive the identity. Takes http, the pool for its host, over, also where this fails. Returns 0 or -ENOMEM. */
int identity_aad_new(const struct vault_config *c, struct http_pool *http, struct identity **ret);
