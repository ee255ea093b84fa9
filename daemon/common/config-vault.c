/* SPDX-License-Identifier: Apache-2.0 */
#include "config-vault.h"

#include <stdarg.h>

#include "config-azure.h"
#include "config-lists.h"
#include "pkcs11-uri.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define PATH_CHARACTERS LETTERS "0123456789-_."
#define PATH_MAX_LENGTH 127u
#define SERVERS_MAX 4u
#define PIN_SIZE 44u

struct vault_config *config_vault_new(const char *name) {
        struct vault_config *v = calloc(1, sizeof(*v));

        if (!v)
                return NULL;
        v->timeout_usec = 10 * USEC_PER_SEC;
        if (free_and_strdup(&v->name, name) < 0 || free_and_strdup(&v->provider, "azure") < 0 ||
            free_and_strdup(&v->api_version, "7.4") < 0 || free_and_strdup(&v->mount, "transit") < 0) {
                config_vault_free(v);
                return NULL;
        }
        return v;
}

void config_vault_free(struct vault_config *v) {
        if (!v)
                return;
        char *const texts[] = {
                v->name, v->provider, v->host, v->ca_file, v->pinned_keys, v->crl_file, v->client_id, v->metadata_endpoint,
                v->resource, v->api_version, v->rsa_algorithm,
                v->mount, v->namespace, v->cluster_id, v->auth_mount, v->token_file, v->role_id, v->secret_id_file, v->role,
                v->jwt_file, v->client_certificate, v->client_key, v->object_id, v->resource_id, v->tenant_id, v->authority,
                v->authority_ca_file, v->client_secret_file, v->module, v->pin_file, v->proxy, v->proxy_ca_file, v->proxy_credentials_file,
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                free(texts[i]);
        config_list_free(v->keys);
        config_list_free(v->public_keys);
        config_list_free(v->redirect_hosts);
        config_list_free(v->module_environment);
        config_list_free(v->servers);
        free(v);
}

int config_vault_authority(const char *s, char host[static 254], uint16_t *ret_port) {
        char uri[KEY_URI_MAX];
        struct key_uri u;

        if (strchr(s, '/') || snprintf(uri, sizeof(uri), "https://%s/keys/x", s) >= (int) sizeof(uri) ||
            key_uri_parse(uri, &u, NULL) < 0)
                return -EINVAL;
        memcpy(host, u.host, sizeof(u.host));
        *ret_port = u.port;
        return 0;
}

int config_vault_proxy(const char *value, char **ret) {
        const char *rest = startswith(value, "https://"), *scheme = rest ? "https" : "http";
        char host[254], text[272];
        uint16_t port;

        rest = rest ? rest : startswith(value, "http://");
        if (!rest || !strchr(rest, ':') || config_vault_authority(rest, host, &port) < 0)
                return -EINVAL;
        snprintf(text, sizeof(text), "%s://%s:%u", scheme, host, port);
        return free_and_strdup(ret, text);
}

static int take_authority(const char *word, char **ret) {
        char host[254];
        uint16_t port;

        if (config_vault_authority(word, host, &port) < 0)
                return -EINVAL;
        if (asprintf(ret, "%s:%u", host, port) >= 0)
                return 0;
        *ret = NULL;
        return -ENOMEM;
}

int config_vault_authorities(const char *value, char ***list) {
        return config_list_take(value, " \t", take_authority, list);
}

int config_vault_token(const char *value, struct vault_config *v) {
        char label[PKCS11_LABEL_MAX + 1];

        if (pkcs11_uri_text(value, label, PKCS11_LABEL_MAX) < 0)
                return -EINVAL;
        v->port = 0;
        return free_and_strdup(&v->host, label);
}

static int take_label(const char *word, char **ret) {
        char label[sizeof(((struct key_uri *) NULL)->name)];

        if (pkcs11_uri_text(word, label, sizeof(label) - 1) < 0)
                return -EINVAL;
        *ret = strdup(label);
        return *ret ? 0 : -ENOMEM;
}

int config_vault_labels(const char *value, char ***list) {
        return config_list_take(value, " \t", take_label, list);
}

/* What base64 makes of 32 bytes: 43 characters and one "=". */
static bool is_pin(const char *word) {
        static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *hash = startswith(word, "sha256//");

        return hash && strspn(hash, characters) == PIN_SIZE - 1 && streq(hash + PIN_SIZE - 1, "=");
}

int config_vault_pins(const char *value, char **ret) {
        _cleanup_(freep) char *copy = strdup(value), *pins = calloc(1, strlen(value) + 1);
        char *rest = copy, *word;

        if (!copy || !pins)
                return -ENOMEM;
        while ((word = strsep(&rest, " \t;"))) {
                if (!*word)
                        continue;
                if (!is_pin(word))
                        return -EINVAL;
                if (*pins)
                        strcat(pins, ";");
                strcat(pins, word);
        }
        if (!*pins)
                return -EINVAL;
        free(*ret);
        *ret = TAKE_PTR(pins);
        return 0;
}

bool config_vault_path_is_valid(const char *s) {
        size_t n;

        if (strlen(s) > PATH_MAX_LENGTH)
                return false;
        for (;; s += n + 1) {
                n = strspn(s, PATH_CHARACTERS);
                if (n == 0 || (s[n] && s[n] != '/') || strspn(s, ".") == n)
                        return false;
                if (!s[n])
                        return true;
        }
}

const char *config_vault_login_on_disk(const struct vault_config *v) {
        const struct { const char *value, *setting; } files[] = {
                { v->module, "Module=" }, { v->token_file, "TokenFile=" }, { v->secret_id_file, "SecretIdFile=" }, { v->jwt_file, "JwtFile=" },
                { v->client_secret_file, "ClientSecretFile=" }, { v->client_key, "ClientKey=" },
                { v->proxy_credentials_file, "ProxyCredentialsFile=" },
        };

        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                if (files[i].value)
                        return files[i].setting;
        return streq(v->provider, "azure") && v->identity == AZURE_IDENTITY_ARC ? "Identity=arc" : NULL;
}

static bool is_listed(const char *const *list, const char *key) {
        for (; *list; list++)
                if (streq(*list, key))
                        return true;
        return false;
}

void config_vault_note(struct vault_config *v, const char *key, const char *path, unsigned line) {
        static const char *const azure[] = {
                "Identity", "ClientId", "ObjectId", "ResourceId", "TenantId", "Authority", "AuthorityCAFile", "ClientSecretFile",
                "MetadataEndpoint", "Resource", "ApiVersion", "Algorithm", "FleetSize", NULL,
        };
        static const char *const transit[] = {
                "Mount", "Namespace", "ClusterId", "Servers", "RedirectHosts", "AuthMount", "TokenFile", "RoleId", "SecretIdFile",
                "SecretIdWrapped", "Role", NULL,
        };
        static const char *const pkcs11[] = { "Token", "Objects", NULL };
        static const char *const module[] = { "Module", "PinFile", "ModuleEnvironment", NULL };
        static const char *const host[] = {
                "Host", "Keys", "CAFile", "PinnedKeys", "CRLFile", "StapledStatus", "Proxy", "ProxyCAFile",
                "ProxyCredentialsFile", "KeyVersion", "JwtFile", "ClientCertificate", "ClientKey", NULL,
        };
        struct first_use *f = NULL;

        config_azure_note(v, key, path, line);       /* among them what transit has too */
        if (is_listed(azure, key))
                f = &v->azure_only;
        else if (is_listed(transit, key))
                f = &v->transit_only;
        else if (is_listed(pkcs11, key))
                f = &v->pkcs11_only;
        else if (is_listed(module, key))
                f = &v->module_only;
        else if (is_listed(host, key))
                f = &v->host_only;
        if (!f || *f->key)
                return;
        snprintf(f->key, sizeof(f->key), "%s", key);
        snprintf(f->place, sizeof(f->place), "%s:%u", path, line);
}

char *vault_say(const char *format, ...) {
        char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = strdup("out of memory");
        va_end(ap);
        return text;
}

static char *check_login(const struct vault_config *v) {
        const struct { const char *first, *second; const char *names; } ways[] = {
                { v->token_file, v->token_file, "TokenFile=" },
                { v->role_id, v->secret_id_file, "RoleId= and SecretIdFile=" },
                { v->role, v->jwt_file, "Role= and JwtFile=" },
                { v->client_certificate, v->client_key, "ClientCertificate= and ClientKey=" },
        };
        unsigned n = 0;

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                if (!ways[i].first != !ways[i].second)
                        return vault_say("[Vault %s]: %s go together", v->name, ways[i].names);
                n += ways[i].first != NULL;
        }
        if (v->secret_id_wrapped && !v->secret_id_file)
                return vault_say("[Vault %s]: SecretIdWrapped=yes is about SecretIdFile=, which it has not", v->name);
        if (n == 1)
                return NULL;
        return vault_say("[Vault %s] has %s way to log in: one of TokenFile=, RoleId= and SecretIdFile=, Role= and "
                         "JwtFile=, ClientCertificate= and ClientKey=", v->name, n == 0 ? "no" : "more than one");
}

static char *check_servers(const struct vault_config *v) {
        size_t n = 0;

        while (v->servers && v->servers[n])
                n++;
        if (n > SERVERS_MAX)
                return vault_say("[Vault %s]: Servers= names at most %u", v->name, SERVERS_MAX);
        if (n > 0 && !v->cluster_id)
                return vault_say("[Vault %s]: Servers= needs ClusterId=, by which they are known to be of one cluster", v->name);
        return NULL;
}

/* Identifiers of keys have neither mount nor module: what they mean must be clear without. */
static char *check_alone(const struct vault_config *v) {
        for (const struct vault_config *o = v->next; o; o = o->next) {
                if (!o->host || !o->keys || o->port != v->port || !streq(o->host, v->host) ||
                    (streq(v->provider, "azure") && streq(o->provider, "azure")))
                        continue;
                for (char **k = v->keys; *k; k++)
                        for (char **other = o->keys; *other; other++)
                                if (streq(*k, *other))
                                        return vault_say("[Vault %s] and [Vault %s] both have key %s at %s: which of them is "
                                                         "meant is not clear", v->name, o->name, *k, v->host);
        }
        return NULL;
}

/* The value of NAME where a is NAME=VALUE and b is NAME= and another. */
static bool contradicts(const char *a, const char *b) {
        size_t n = strcspn(a, "=");

        return strncmp(a, b, n + 1) == 0 && !streq(a, b);
}

/* All modules are in one process, with one environment. */
static char *check_environment(const struct vault_config *v) {
        for (char **e = v->module_environment; e && *e; e++)
                for (const struct vault_config *o = v; o; o = o->next)
                        for (char **other = o->module_environment; other && *other; other++)
                                if (contradicts(*e, *other))
                                        return vault_say("[Vault %s]: %s, and [Vault %s] says %s: there is one environment for all",
                                                         v->name, *e, o->name, *other);
        return NULL;
}

static char *check_pkcs11(const struct vault_config *v) {
        if (!v->host)
                return vault_say("[Vault %s] has no Token=: the label of the token", v->name);
        if (!v->keys)
                return vault_say("[Vault %s] has no Objects=: name the keys that may be used there", v->name);
        return v->module ? check_environment(v) : vault_say("[Vault %s] has no Module=: the PKCS#11 module to use", v->name);
}

static char *check_proxy(const struct vault_config *v) {
        if (!v->proxy && (v->proxy_ca_file || v->proxy_credentials_file))
                return vault_say("[Vault %s] has no Proxy=, which ProxyCAFile= and ProxyCredentialsFile= are about", v->name);
        if (v->proxy_ca_file && !startswith(v->proxy, "https:"))
                return vault_say("[Vault %s]: ProxyCAFile= is for an https:// proxy, and %s is none", v->name, v->proxy);
        return NULL;
}

static char *check_host(struct vault_config *v) {
        char *why;

        if (!v->host)
                return vault_say("[Vault %s] has no Host=", v->name);
        if (!v->keys)
                return vault_say("[Vault %s] has no Keys=: name the keys that may be used there", v->name);
        why = check_proxy(v);
        if (why)
                return why;
        if (!streq(v->provider, "transit")) {
                why = config_azure_complete(v);
                return why ? why : check_environment(v);
        }
        if (config_azure_key_is_in_token(v))
                return vault_say("[Vault %s]: ClientKey= is a file with Provider=transit", v->name);
        why = check_login(v);
        return why ? why : check_servers(v);
}

static char *check_foreign(const struct vault_config *v) {
        bool pkcs11 = streq(v->provider, "pkcs11"), azure = streq(v->provider, "azure");
        const struct { const struct first_use *use; bool fits; } uses[] = {
                { &v->azure_only, azure }, { &v->transit_only, streq(v->provider, "transit") }, { &v->pkcs11_only, pkcs11 },
                { &v->host_only, !pkcs11 }, { &v->module_only, pkcs11 || (azure && config_azure_key_is_in_token(v)) },
        };

        for (size_t i = 0; i < ELEMENTSOF(uses); i++)
                if (*uses[i].use->key && !uses[i].fits)
                        return vault_say("%s: there is no %s= with Provider=%s, which [Vault %s] has", uses[i].use->place,
                                         uses[i].use->key, v->provider, v->name);
        return NULL;
}

char *config_vault_check(struct vault_config *v) {
        bool pkcs11 = streq(v->provider, "pkcs11");
        char *why;

        if (!pkcs11 && !streq(v->provider, "azure") && !streq(v->provider, "transit"))
                return vault_say("[Vault %s]: Provider=%s is not known; there are azure, transit and pkcs11", v->name, v->provider);
        why = check_foreign(v);
        if (!why)
                why = pkcs11 ? check_pkcs11(v) : check_host(v);
        return why ? why : check_alone(v);
}
