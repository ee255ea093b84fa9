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
#include "identity.h"

/* c must outlive the identity. ca_pem: the only authorities that its certificate may be of (copied), NULL: the system's. Returns 0 or
 * -ENOMEM. */
int identity_aad_new(const struct vault_config *c, const char *ca_pem, struct identity **ret);
