/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The bodies of good replies (status 200) of a Key Vault's secrets API, about a secret that holds a wrapped key: no secret of ours.
 * Pure, and as strict as azure-reply.h. Facts: the Key Vault REST API's SecretBundle and DeletedSecretBundle (value, id, attributes;
 * scheduledPurgeDate in seconds since 1970). */

#include "common/vault-proto.h"

struct azure_secret_reply {
        uint8_t value[VAULT_BLOB_MAX];
        size_t value_size;
        bool enabled;
        uint8_t flags;               /* VAULT_KEY_PURGE_PROTECTED */
        char recovery_level[65];
        uint64_t purge;              /* seconds since 1970, 0: not said */
};

/* The body of GET and PUT secret: value, enabled, flags, recovery_level. vault: its host and port; the identifier has to be that of the secret asked for.
 * Returns 0, -EBADMSG with *ret_why, a static text, or -ENOMEM. */
int azure_parse_secret(const char *body, size_t size, const struct key_uri *vault, const char *name, struct azure_secret_reply *ret,
                       const char **ret_why);

/* The body of GET deletedsecrets: purge. Returns as above. */
int azure_parse_deleted_secret(const char *body, size_t size, const struct key_uri *vault, const char *name,
                               struct azure_secret_reply *ret, const char **ret_why);
