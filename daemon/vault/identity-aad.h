/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tokens from the authority of a tenant (Microsoft Entra ID): POST AUTHORITY/TENANT/oauth2/v2.0/token, as client_credentials with
 *
 *   workload      the token in JwtFile=, of an issuer that the application trusts
 *   secret        ClientSecretFile=
 *   certificate   an assertion signed with ClientKey= (client-assertion.h, client-key.h)
 *
 * Files are read anew before each request. Authority and tenant are the configuration's, never a challenge's. */

#include "common/config.h"
#include "http.h"
#include "identity.h"

/* Signs with a ClientKey= that is no file, as client_key_sign(). */
struct token_signer {
        int (*sign)(void *user, const uint8_t digest[static 32], const uint8_t *spki, size_t spki_size, uint64_t deadline_usec,
                    struct secret **ret, struct judgement *why);
        void *user;
};

/* c, and what the signer has, must outlive the identity. Takes http, the pool for its host, over, also where this fails. Returns 0 or
 * -ENOMEM. */
int identity_aad_new(const struct vault_config *c, struct http_pool *http, const struct token_signer *signer, struct identity **ret);
