/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a Key Vault says of the tokens that it wants, beside a 401:
 *
 *   WWW-Authenticate: Bearer authorization="https://AUTHORITY/TENANT", resource="https://vault.azure.net"
 *                     [, error="insufficient_claims", claims="BASE64"]
 *
 * Pure. Nobody is ever asked for a token because a challenge names them: authority, tenant and audience are the configuration's.
 * What is taken from it are claims to ask our own authority for, and the tenant, to be compared; and both only where the vault
 * is a name below the resource's host: ".vault.azure.net" with its dot, so that evilvault.azure.net is not. */

#include "common/util.h"

#define AZURE_CLAIMS_MAX 1024u

struct azure_challenge {
        char tenant[37];                   /* lower case; "": none, or no UUID */
        char claims[AZURE_CLAIMS_MAX + 1]; /* JSON; "": none are asked for */
};

/* host: of the vault, lower case. Returns 0; -EBADMSG: not in the form above; -EPERM: the vault is not below its resource. */
int azure_challenge_parse(const char *header, const char *host, struct azure_challenge *ret);
