/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who the node is to an Azure Key Vault or Managed HSM: Identity= of a [Vault NAME], which of its settings there are with each
 * identity and which must be, and what its cloud has for those that were not said.
 *
 *   HOST of the vault ─► its cloud ─► Resource= (audience of tokens), Authority= (who gives them out)
 *
 * A host of no known cloud (a private name, a test) has the public cloud's audience, and no authority but the one said. */

#include "config.h"

enum azure_identity {
        AZURE_IDENTITY_MANAGED,          /* from the metadata endpoint of an Azure VM */
        AZURE_IDENTITY_ARC,              /* from the agent of a machine elsewhere */
        AZURE_IDENTITY_WORKLOAD,         /* a token of another issuer, in a file, that the authority trusts */
        AZURE_IDENTITY_SECRET,           /* a service principal's secret */
        AZURE_IDENTITY_CERTIFICATE,      /* a service principal's certificate */
        _AZURE_IDENTITY_MAX,
};

/* Returns a static text, or -EINVAL. */
const char *azure_identity_to_string(int i);
int azure_identity_from_string(const char *s);

/* Parsers of values. Each replaces *to and returns 0, -EINVAL or -ENOMEM: a UUID, made lower case; a resource id of a managed
 * identity; https://HOST[:PORT], made lower case; an algorithm of RSA keys. */
int config_azure_uuid(const char *value, char **to);
int config_azure_resource_id(const char *value, char **to);
int config_azure_authority(const char *value, char **to);
int config_azure_algorithm(const char *value, char **to);

/* Whether ClientKey= is a key in a token, pkcs11:..., which Module= and PinFile= then lead to. */
bool config_azure_key_is_in_token(const struct vault_config *v);

/* A path, or the identifier of a key in a token, without a version. As the parsers above. */
int config_azure_client_key(const char *value, char **to);

/* What of that vault does not go with Fips=yes: as config_azure_complete(). */
char *config_azure_check_fips(const struct vault_config *v);

/* Whether keys of that vault may wrap with it: SHA-1 only where Algorithm= says so. Any provider's vault. */
bool config_allows_algorithm(const struct vault_config *v, const char *algorithm);

/* As config_find_vault(), of a key that wrapped with it: whether Algorithm= and Fips= allow that. */
const struct vault_config *config_find_vault_for(const struct config *c, const struct key_uri *u, const char *algorithm,
                                                 const char **ret_why);

/* Whether it is a Managed HSM, by the audience of its tokens. v is complete. */
bool config_azure_is_managed_hsm(const struct vault_config *v);

/* A setting was read there: kept if it depends on Identity=. */
void config_azure_note(struct vault_config *v, const char *key, const char *path, unsigned line);

/* Fills in what was not said, then returns NULL, or what is wrong, with its place: for people; the caller frees it. v has a
 * host. */
char *config_azure_complete(struct vault_config *v);
