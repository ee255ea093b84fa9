/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tokens of the node's managed identity: GET /metadata/identity/oauth2/token from the instance-metadata endpoint, plain
 * http, link-local.
 *
 * Retries (404, 410, 5xx, no answer: 0.8 s, doubling, at most four tries) stay within the caller's deadline. The
 * endpoint has a cache of its own which nothing bypasses: "fresh" means asked for again. */

#include "common/config.h"
#include "identity.h"

/* c must outlive the identity. Returns 0 or -ENOMEM. */
int identity_imds_new(const struct vault_config *c, struct identity **ret);
