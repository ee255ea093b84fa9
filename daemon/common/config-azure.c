/* SPDX-License-Identifier: Apache-2.0 */
#include "config-azure.h"

#include <ctype.h>

#include "algorithm.h"
#include "config-vault.h"
#include "pkcs11-uri.h"

#define RESOURCE_ID_MAX 511u
#define RESOURCE_ID_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.()/"

static const char *const names[_AZURE_IDENTITY_MAX] = {
        [AZURE_IDENTITY_MANAGED] = "managed",
        [AZURE_IDENTITY_ARC] = "arc",
        [AZURE_IDENTITY_WORKLOAD] = "workload",
        [AZURE_IDENTITY_SECRET] = "secret",
        [AZURE_IDENTITY_CERTIFICATE] = "certificate",
};

/* use: with each identity in turn: r must be there, o may, - must not. */
static const struct rule {
        const char *key;
        size_t offset;
        const char use[_AZURE_IDENTITY_MAX + 1];
} rules[] = {
        { "Identity", SIZE_MAX, "ooooo" },
        { "ClientId", offsetof(struct vault_config, client_id), "o-rrr" },
        { "ObjectId", offsetof(struct vault_config, object_id), "o----" },
        { "ResourceId", offsetof(struct vault_config, resource_id), "o----" },
        { "MetadataEndpoint", offsetof(struct vault_config, metadata_endpoint), "oo---" },
        { "TenantId", offsetof(struct vault_config, tenant_id), "oorrr" },
        { "Authority", offsetof(struct vault_config, authority), "--ooo" },
        { "AuthorityCAFile", offsetof(struct vault_config, authority_ca_file), "--ooo" },
        { "JwtFile", offsetof(struct vault_config, jwt_file), "--r--" },
        { "ClientSecretFile", offsetof(struct vault_config, client_secret_file), "---r-" },
        { "ClientCertificate", offsetof(struct vault_config, client_certificate), "----r" },
        { "ClientKey", offsetof(struct vault_config, client_key), "----r" },
};
_Static_assert(ELEMENTSOF(rules) == AZURE_SETTINGS, "room for each setting's place");

/* Vaults of a cloud are NAME.HOST, HOST being that of its audience. */
static const struct { const char *resource, *authority; } clouds[] = {
        { "https://vault.azure.net", "https://login.microsoftonline.com" },
        { "https://managedhsm.azure.net", "https://login.microsoftonline.com" },
        { "https://vault.azure.cn", "https://login.partner.microsoftonline.cn" },
        { "https://managedhsm.azure.cn", "https://login.partner.microsoftonline.cn" },
        { "https://vault.usgovcloudapi.net", "https://login.microsoftonline.us" },
        { "https://managedhsm.usgovcloudapi.net", "https://login.microsoftonline.us" },
};

const char *azure_identity_to_string(int i) {
        return (unsigned) i < _AZURE_IDENTITY_MAX ? names[i] : "unknown";
}

int azure_identity_from_string(const char *s) {
        for (int i = 0; i < _AZURE_IDENTITY_MAX; i++)
                if (streq(names[i], s))
                        return i;
        return -EINVAL;
}

int config_azure_uuid(const char *value, char **to) {
        char text[37];
        size_t n = strlen(value);

        if (n != sizeof(text) - 1)
                return -EINVAL;
        for (size_t i = 0; i <= n; i++)
                text[i] = (char) tolower((unsigned char) value[i]);
        return uuid_is_valid(text) ? free_and_strdup(to, text) : -EINVAL;
}

int config_azure_resource_id(const char *value, char **to) {
        if (!startswith(value, "/subscriptions/") || strlen(value) > RESOURCE_ID_MAX ||
            value[strspn(value, RESOURCE_ID_CHARACTERS)])
                return -EINVAL;
        return free_and_strdup(to, value);
}

int config_azure_authority(const char *value, char **to) {
        const char *rest = startswith(value, "https://");
        char host[254], text[272];
        uint16_t port;

        if (!rest || config_vault_authority(rest, host, &port) < 0)
                return -EINVAL;
        snprintf(text, sizeof(text), port == 443 ? "https://%s" : "https://%s:%u", host, port);
        return free_and_strdup(to, text);
}

int config_azure_algorithm(const char *value, char **to) {
        return algorithm_is_rsa(value) ? free_and_strdup(to, value) : -EINVAL;
}

bool config_allows_algorithm(const struct vault_config *v, const char *algorithm) {
        return !streq(algorithm, ALGORITHM_RSA_SHA1) || (v->rsa_algorithm && streq(v->rsa_algorithm, algorithm));
}

const struct vault_config *config_find_vault_for(const struct config *c, const struct key_uri *u, const char *algorithm,
                                                 const char **ret_why) {
        const struct vault_config *v = config_find_vault(c, u, ret_why);
        const char *why = NULL;

        if (v && !config_allows_algorithm(v, algorithm))
                why = "it wraps with " ALGORITHM_RSA_SHA1 ", which Algorithm= of its vault does not say";
        else if (v && c->fips && !algorithm_is_approved(algorithm))
                why = "Fips=yes allows " ALGORITHM_RSA " and AES of 256 bits only";
        if (!why)
                return v;
        if (ret_why)
                *ret_why = why;
        return NULL;
}

bool config_azure_key_is_in_token(const struct vault_config *v) {
        return v->client_key && *v->client_key != '/';
}

int config_azure_client_key(const char *value, char **to) {
        char text[KEY_URI_MAX];
        struct key_uri u;

        if (*value == '/')
                return free_and_strdup(to, value);
        if (key_uri_parse(value, &u, NULL) < 0 || !key_uri_is_pkcs11(&u) || *u.version)
                return -EINVAL;
        key_uri_format(&u, text, sizeof(text));
        return free_and_strdup(to, text);
}

static char *check_token(const struct vault_config *v) {
        struct key_uri u;

        if (!config_azure_key_is_in_token(v))
                return NULL;
        if (!v->module)
                return vault_say("[Vault %s] has no Module=: the PKCS#11 module that reaches ClientKey=", v->name);
        if (key_uri_parse(v->client_key, &u, NULL) < 0 || !pkcs11_uri_takes_module(&u, v->module))
                return vault_say("[Vault %s]: ClientKey= names another module than Module=", v->name);
        return NULL;
}

char *config_azure_check_fips(const struct vault_config *v) {
        if (!config_allows_algorithm(v, ALGORITHM_RSA_SHA1))
                return NULL;
        return vault_say("[Vault %s]: Algorithm=" ALGORITHM_RSA_SHA1 " is SHA-1, which Fips=yes of [Node] does not allow", v->name);
}

void config_azure_note(struct vault_config *v, const char *key, const char *path, unsigned line) {
        for (size_t i = 0; i < ELEMENTSOF(rules); i++)
                if (streq(rules[i].key, key)) {
                        snprintf(v->said[i].key, sizeof(v->said[i].key), "%s", key);
                        snprintf(v->said[i].place, sizeof(v->said[i].place), "%s:%u", path, line);
                        return;
                }
}

static bool is_set(const struct vault_config *v, const struct rule *r) {
        return r->offset != SIZE_MAX && *(char *const *) ((const uint8_t *) v + r->offset);
}

static char *check_settings(const struct vault_config *v) {
        const char *name = azure_identity_to_string(v->identity);

        for (size_t i = 0; i < ELEMENTSOF(rules); i++) {
                const struct rule *r = rules + i;
                char use = r->use[v->identity];

                if (use == '-' && is_set(v, r))
                        return vault_say("%s: there is no %s= with Identity=%s, which [Vault %s] has", v->said[i].place, r->key, name,
                                         v->name);
                if (use == 'r' && !is_set(v, r))
                        return vault_say("%s: [Vault %s] has no %s=, which Identity=%s needs", v->said[0].place, v->name, r->key, name);
        }
        return NULL;
}

static char *check_selectors(const struct vault_config *v) {
        size_t last = 0;

        for (size_t i = 1; i <= 3; i++) {            /* ClientId, ObjectId, ResourceId */
                if (!is_set(v, rules + i))
                        continue;
                if (last > 0)
                        return vault_say("%s: %s= and %s= both say which managed identity [Vault %s] means: one is enough",
                                         v->said[i].place, rules[last].key, rules[i].key, v->name);
                last = i;
        }
        return NULL;
}

/* Index of the cloud, or negative. A vault's name has no dots. */
static int find_cloud(const char *host) {
        const char *dot = strchr(host, '.');

        for (size_t i = 0; dot && i < ELEMENTSOF(clouds); i++)
                if (streq(clouds[i].resource + strlen("https://"), dot + 1))
                        return (int) i;
        return -1;
}

bool config_azure_is_managed_hsm(const struct vault_config *v) {
        return v->resource && startswith(v->resource, "https://managedhsm.");
}

static int set_default(char **p, const char *value) {
        return *p || !value ? 0 : free_and_strdup(p, value);
}

char *config_azure_complete(struct vault_config *v) {
        int cloud = find_cloud(v->host), r;
        bool asks_authority = v->identity >= AZURE_IDENTITY_WORKLOAD;
        char *why;

        why = check_settings(v);
        if (!why && v->identity == AZURE_IDENTITY_MANAGED)
                why = check_selectors(v);
        if (!why)
                why = check_token(v);
        if (why)
                return why;
        r = set_default(&v->resource, clouds[MAX_OF(cloud, 0)].resource);
        if (r >= 0 && asks_authority)
                r = set_default(&v->authority, cloud >= 0 ? clouds[cloud].authority : NULL);
        else if (r >= 0)
                r = set_default(&v->metadata_endpoint, v->identity == AZURE_IDENTITY_ARC ? "http://localhost:40342" :
                                                                                            "http://169.254.169.254");
        if (r < 0)
                return vault_say("out of memory");
        if (asks_authority && !v->authority)
                return vault_say("%s: [Vault %s] has no Authority=, and %s is in no cloud whose authority is known", v->said[0].place,
                                 v->name, v->host);
        return NULL;
}
