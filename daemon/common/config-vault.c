/* SPDX-License-Identifier: Apache-2.0 */
#include "config-vault.h"

#include <stdarg.h>

#define PATH_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
#define PATH_MAX_LENGTH 127u
#define SERVERS_MAX 4u

struct vault_config *config_vault_new(const char *name) {
        struct vault_config *v = calloc(1, sizeof(*v));

        if (!v)
                return NULL;
        v->timeout_usec = 10 * USEC_PER_SEC;
        if (free_and_strdup(&v->name, name) < 0 || free_and_strdup(&v->provider, "azure") < 0 ||
            free_and_strdup(&v->metadata_endpoint, "http://169.254.169.254") < 0 ||
            free_and_strdup(&v->resource, "https://vault.azure.net") < 0 ||
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
                v->name, v->provider, v->host, v->ca_file, v->client_id, v->metadata_endpoint, v->resource, v->api_version,
                v->mount, v->namespace, v->cluster_id, v->auth_mount, v->token_file, v->role_id, v->secret_id_file, v->role,
                v->jwt_file, v->client_certificate, v->client_key,
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                free(texts[i]);
        for (char **k = v->keys; k && *k; k++)
                free(*k);
        for (char **h = v->redirect_hosts; h && *h; h++)
                free(*h);
        for (char **h = v->servers; h && *h; h++)
                free(*h);
        free(v->servers);
        free(v->keys);
        free(v->redirect_hosts);
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

int config_vault_authorities(const char *value, char ***ret) {
        _cleanup_(freep) char *copy = strdup(value);
        char *rest = copy, *word, **list;
        size_t n = 0;
        int r = 0;

        list = calloc(strlen(value) / 2 + 2, sizeof(char *));
        if (!copy || !list) {
                free(list);
                return -ENOMEM;
        }
        while (r >= 0 && (word = strsep(&rest, " \t"))) {
                char host[254];
                uint16_t port;

                if (!*word)
                        continue;
                r = config_vault_authority(word, host, &port);
                if (r >= 0 && asprintf(list + n, "%s:%u", host, port) < 0)
                        list[n] = NULL;
                else if (r >= 0)
                        n++;
        }
        if (r >= 0 && n > 0) {
                *ret = list;
                return 0;
        }
        for (char **h = list; *h; h++)
                free(*h);
        free(list);
        return -EINVAL;
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

static bool is_listed(const char *const *list, const char *key) {
        for (; *list; list++)
                if (streq(*list, key))
                        return true;
        return false;
}

void config_vault_note(struct vault_config *v, const char *key, const char *path, unsigned line) {
        static const char *const azure[] = { "ClientId", "MetadataEndpoint", "Resource", "ApiVersion", "FleetSize", NULL };
        static const char *const transit[] = {
                "Mount", "Namespace", "ClusterId", "Servers", "RedirectHosts", "AuthMount", "TokenFile", "RoleId", "SecretIdFile", "Role", "JwtFile",
                "ClientCertificate", "ClientKey", NULL,
        };
        struct first_use *f = NULL;

        if (is_listed(azure, key))
                f = &v->azure_only;
        else if (is_listed(transit, key))
                f = &v->transit_only;
        if (!f || *f->key)
                return;
        snprintf(f->key, sizeof(f->key), "%s", key);
        snprintf(f->place, sizeof(f->place), "%s:%u", path, line);
}

static char *_printf_(1, 2) say(const char *format, ...) {
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
                        return say("[Vault %s]: %s go together", v->name, ways[i].names);
                n += ways[i].first != NULL;
        }
        if (n == 1)
                return NULL;
        return say("[Vault %s] has %s way to log in: one of TokenFile=, RoleId= and SecretIdFile=, Role= and "
                   "JwtFile=, ClientCertificate= and ClientKey=", v->name, n == 0 ? "no" : "more than one");
}

static char *check_servers(const struct vault_config *v) {
        size_t n = 0;

        while (v->servers && v->servers[n])
                n++;
        if (n > SERVERS_MAX)
                return say("[Vault %s]: Servers= names at most %u", v->name, SERVERS_MAX);
        if (n > 0 && !v->cluster_id)
                return say("[Vault %s]: Servers= needs ClusterId=, by which they are known to be of one cluster", v->name);
        return NULL;
}

/* Identifiers of keys have no mount: what they mean must be clear without. */
static char *check_alone(const struct vault_config *v) {
        for (const struct vault_config *o = v->next; o; o = o->next) {
                if (!o->host || !o->keys || o->port != v->port || !streq(o->host, v->host) ||
                    (!streq(v->provider, "transit") && !streq(o->provider, "transit")))
                        continue;
                for (char **k = v->keys; *k; k++)
                        for (char **other = o->keys; *other; other++)
                                if (streq(*k, *other))
                                        return say("[Vault %s] and [Vault %s] both have key %s at %s: which of them is "
                                                   "meant is not clear", v->name, o->name, *k, v->host);
        }
        return NULL;
}

char *config_vault_check(const struct vault_config *v) {
        bool azure = streq(v->provider, "azure"), transit = streq(v->provider, "transit");
        const struct first_use *foreign = transit ? &v->azure_only : &v->transit_only;

        if (!v->host)
                return say("[Vault %s] has no Host=", v->name);
        if (!v->keys)
                return say("[Vault %s] has no Keys=: name the keys that may be used there", v->name);
        if (!azure && !transit)
                return say("[Vault %s]: Provider=%s is not known; there are azure and transit", v->name, v->provider);
        if (*foreign->key)
                return say("%s: there is no %s= with Provider=%s, which [Vault %s] has", foreign->place, foreign->key,
                           v->provider, v->name);
        if (transit) {
                char *why = check_login(v) ?: check_servers(v);

                if (why)
                        return why;
        }
        return check_alone(v);
}
