/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tokens of the machine's managed identity, over plain http that never leaves it: GET /metadata/identity/oauth2/token from the
 * instance-metadata endpoint of an Azure VM, or from the agent of Azure Arc, which first wants to hear of a file (arc-key.h).
 *
 * Retries (404, 410, 5xx, no answer) as in identity-http.h: with the caller's deadline far enough off they outlast the 70 s for
 * which the endpoint may say 410. It has a cache of its own which nothing bypasses: "fresh" means asked for again, and claims are
 * not passed on. */

#include "common/config.h"
#include "identity.h"

/* c must outlive the identity. arc_directory: where the agent's files are, outlives it too. Returns 0 or -ENOMEM. */
int identity_imds_new(const struct vault_config *c, const char *arc_directory, struct identity **ret);
