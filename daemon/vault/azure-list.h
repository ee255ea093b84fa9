/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One page of a Key Vault's list of keys, or of a key's versions. Pure.
 *
 *   {"value":[{"kid":..., "attributes":{...}}, ...], "nextLink":"https://HOST/keys?...&$skiptoken=..."}
 *
 * The next page is asked for at the host and path of this one, whatever nextLink says: only its query is taken over, and only where it
 * names the same host, port and path. So no token goes elsewhere. */

#include "common/vault-proto.h"

#define AZURE_QUERY_MAX 1000u

struct azure_page {
        const struct key_uri *vault;     /* host and port that are asked */
        const char *path;                /* "/keys" or "/keys/NAME/versions" */
        bool versions;                   /* identifiers have one, and are of the key in vault */
};

/* A query that may be sent: of characters that a URL has, with an api-version. */
bool azure_query_is_valid(const char *query);

/* ret_query: of the next page, "" where this is the last. Returns 0, -EBADMSG with *ret_why, or -ENOMEM. */
int azure_parse_list(const char *body, size_t size, const struct azure_page *asked, struct vault_list *ret,
                     char ret_query[static AZURE_QUERY_MAX + 1], const char **ret_why);
