/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <unistd.h>

#include "config-azure.h"
#include "config-lists.h"
#include "config-origin.h"
#include "config-scratch.h"
#include "config-vault.h"
#include "ini-reader.h"
#include "pkcs11-uri.h"

#define CONFIG_FILE_MAX (1024u * 1024u)

static const char *const directories[] = { "/etc/cmkd", "/run/cmkd", "/usr/lib/cmkd" };

enum section { SECTION_NODE, SECTION_GUARD, SECTION_POLICY, SECTION_VAULT, SECTION_AUDIT, SECTION_SCRATCH };   /* a [Volume] has [Policy]'s keys */

typedef int (*word_parser)(const char *);

/* A parser writes the value to its place and returns 0 or a negative errno; words: for parse_word. */
struct setting {
        enum section section;
        const char *key;
        int (*parse)(const char *value, void *to, word_parser words);
        size_t offset;
        word_parser words;
        const char *allowed;
};

static int parse_word(const char *value, void *to, word_parser words) {
        int v = words(value);

        if (v < 0)
                return v;
        *(int *) to = v;
        return 0;
}

static int parse_time(const char *value, void *to, word_parser words _unused_) {
        return parse_span(value, to);
}

static int parse_text(const char *value, void *to, word_parser words _unused_) {
        return *value ? free_and_strdup(to, value) : -EINVAL;
}

static int parse_bool(const char *value, void *to, word_parser words _unused_) {
        if (streq(value, "yes") || streq(value, "true"))
                *(bool *) to = true;
        else if (streq(value, "no") || streq(value, "false"))
                *(bool *) to = false;
        else
                return -EINVAL;
        return 0;
}

static int parse_count(const char *value, void *to, word_parser words _unused_) {
        uint64_t n;

        if (parse_u64(value, 1000000, &n) < 0 || n == 0)
                return -EINVAL;
        *(uint64_t *) to = n;
        return 0;
}

/* Bytes, or with K, M or G. */
static int parse_size(const char *value, void *to, word_parser words _unused_) {
        static const char units[] = "KMG";
        char number[24];
        size_t n = strspn(value, "0123456789");
        const char *unit = value[n] ? strchr(units, value[n]) : NULL;
        uint64_t size;

        if (n >= sizeof(number) || (value[n] && (!unit || value[n + 1])))
                return -EINVAL;
        snprintf(number, sizeof(number), "%.*s", (int) n, value);
        if (parse_u64(number, UINT64_MAX >> 32, &size) < 0)
                return -EINVAL;
        *(uint64_t *) to = unit ? size << (10 * (unit - units + 1)) : size;
        return 0;
}

static int parse_path(const char *value, void *to, word_parser words _unused_) {
        return *value == '/' ? free_and_strdup(to, value) : -EINVAL;
}

/* Of values that a file of their own knows. */
#define PARSER(name, of) \
        static int name(const char *value, void *to, word_parser words _unused_) { return of(value, to); }

PARSER(parse_pins, config_vault_pins)
PARSER(parse_proxy, config_vault_proxy)
PARSER(parse_uuid, config_azure_uuid)
PARSER(parse_resource_id, config_azure_resource_id)
PARSER(parse_client_key, config_azure_client_key)
PARSER(parse_algorithm, config_azure_algorithm)
PARSER(parse_authority, config_azure_authority)
PARSER(parse_authorities, config_vault_authorities)
PARSER(parse_token, config_vault_token)
PARSER(parse_objects, config_vault_labels)
PARSER(parse_device, config_scratch_device)
PARSER(parse_file_system, config_scratch_file_system)
PARSER(parse_keys, config_list_keys)
PARSER(parse_digests, config_list_digests)
PARSER(parse_paths, config_list_paths)
PARSER(parse_environment, config_list_environment)
PARSER(parse_baseline, config_list_programs)
PARSER(parse_askers, config_list_askers)

static int parse_mount(const char *value, void *to, word_parser words _unused_) {
        return config_vault_path_is_valid(value) ? free_and_strdup(to, value) : -EINVAL;
}

static int parse_cluster(const char *value, void *to, word_parser words _unused_) {
        return uuid_is_valid(value) ? free_and_strdup(to, value) : -EINVAL;
}

/* What goes into a request as it is. */
static int parse_word_text(const char *value, void *to, word_parser words _unused_) {
        return config_vault_path_is_valid(value) && !strchr(value, '/') ? free_and_strdup(to, value) : -EINVAL;
}

/* HOST or HOST:PORT, exactly as it stands in the keys' identifiers. Fills the vault, not one field. */
static int parse_host(const char *value, void *to, word_parser words _unused_) {
        struct vault_config *v = to;
        char host[254];

        return config_vault_authority(value, host, &v->port) < 0 ? -EINVAL : free_and_strdup(&v->host, host);
}

#define ACTIONS "report, hold, cut, poweroff or reboot"
#define SPAN "a time span such as 30, 500ms or 1h 30min"
#define IN_POLICY(key, parse, field, words, allowed) \
        { SECTION_POLICY, key, parse, offsetof(struct policy_settings, field), words, allowed }
#define IN_VAULT(key, parse, field, allowed) \
        { SECTION_VAULT, key, parse, offsetof(struct vault_config, field), NULL, allowed }
#define MOUNT "a path such as transit or team/transit"
#define FILE_PATH "the path of a file"

static const struct setting settings[] = {
        { SECTION_NODE, "Trust", parse_word, offsetof(struct config, trust), trust_mode_from_string,
          "listed or allowed-keys" },
        { SECTION_NODE, "OnTrailFailure", parse_word, offsetof(struct config, on_trail_failure),
          trail_failure_from_string, "deny-new, stop or continue" },
        { SECTION_NODE, "OwnerKeys", parse_paths, offsetof(struct config, owner_keys), NULL,
          "paths of PEM files, separated by spaces" },
        { SECTION_NODE, "AllowRemovable", parse_bool, offsetof(struct config, allow_removable), NULL, "yes or no" },
        { SECTION_NODE, "Fips", parse_bool, offsetof(struct config, fips), NULL, "yes or no" },
        { SECTION_AUDIT, "PublicKey", parse_path, offsetof(struct config, audit.public_key), NULL,
          "the path of a PEM file" },
        { SECTION_AUDIT, "Privacy", parse_word, offsetof(struct config, audit.privacy), privacy_mode_from_string, "off or strict" },
        { SECTION_AUDIT, "PrivacyKey", parse_path, offsetof(struct config, audit.privacy_key), NULL,
          "the path of a file with 32 random bytes or more" },
        { SECTION_AUDIT, "MaxFileSize", parse_size, offsetof(struct config, audit.max_file_size), NULL,
          "a number of bytes, or with K, M or G; 0 is no limit" },
        { SECTION_AUDIT, "MaxFileAge", parse_time, offsetof(struct config, audit.max_file_age_usec), NULL, SPAN },
        { SECTION_AUDIT, "Baseline", parse_baseline, offsetof(struct config, baseline), NULL,
          "paths of programs and names of units, separated by spaces" },
        { SECTION_GUARD, "Mode", parse_word, offsetof(struct config, guard.mode), guard_mode_from_string,
          "off, audit or enforce" },
        { SECTION_GUARD, "ArmAfterSec", parse_time, offsetof(struct config, guard.arm_after_usec), NULL, SPAN },
        { SECTION_GUARD, "ConfirmWithinSec", parse_time, offsetof(struct config, guard.confirm_usec), NULL, SPAN },
        { SECTION_GUARD, "Allow", parse_paths, offsetof(struct config, guard.allow), NULL,
          "paths of programs, separated by spaces" },
        { SECTION_GUARD, "AllowMetadata", parse_askers, offsetof(struct config, guard.allow_metadata), NULL,
          "paths of programs and names of units (up to 63 characters), separated by spaces" },
        IN_POLICY("OnRevoked", parse_word, on_revoked, action_from_string, ACTIONS),
        IN_POLICY("OnDenied", parse_word, on_denied, action_from_string, ACTIONS),
        IN_POLICY("OnUnreachable", parse_word, on_unreachable, action_from_string, ACTIONS),
        IN_POLICY("OnReenable", parse_word, on_reenable, reenable_from_string, "nothing or attach"),
        IN_POLICY("OnForeignKeyslot", parse_word, on_foreign, foreign_keyslot_from_string, "report or refuse"),
        IN_POLICY("OnKeyExpiry", parse_word, on_key_expiry, key_expiry_from_string, "report or revoke"),
        IN_POLICY("Recovery", parse_word, recovery, recovery_from_string, "allow or never"),
        IN_POLICY("Revoke", parse_word, revoke, revoke_from_string, "any or all"),
        IN_POLICY("NoticeSec", parse_time, notice_usec, NULL, SPAN),
        IN_POLICY("PollSec", parse_time, poll_usec, NULL, SPAN),
        IN_POLICY("LeaseSec", parse_time, lease_usec, NULL, SPAN),
        IN_POLICY("GraceSec", parse_time, grace_usec, NULL, SPAN),
        IN_POLICY("HoldSec", parse_time, hold_usec, NULL, SPAN),
        IN_POLICY("ConfirmSec", parse_time, confirm_usec, NULL, SPAN),
        IN_POLICY("DeniedConfirmSec", parse_time, denied_confirm_usec, NULL, SPAN),
        { SECTION_SCRATCH, "Device", parse_device, offsetof(struct scratch_config, device), NULL, "the path of a disk below /dev" },
        { SECTION_SCRATCH, "FileSystem", parse_file_system, offsetof(struct scratch_config, file_system), NULL,
          CONFIG_SCRATCH_FILE_SYSTEMS },
        { SECTION_SCRATCH, "Wipe", parse_bool, offsetof(struct scratch_config, wipe), NULL, "yes or no" },
        { SECTION_VAULT, "Host", parse_host, 0, NULL, "HOST or HOST:PORT, without wildcards" },
        IN_VAULT("Keys", parse_keys, keys, "names of keys, separated by spaces"),
        IN_VAULT("Provider", parse_text, provider, "azure, transit or pkcs11"),
        IN_VAULT("CAFile", parse_text, ca_file, "the path of a PEM file"),
        IN_VAULT("ExpectPublicKeys", parse_digests, public_keys, "sha256:HEX of the keys' public halves, separated by spaces"),
        IN_VAULT("PinnedKeys", parse_pins, pinned_keys, "sha256//BASE64 of public keys, separated by spaces"),
        IN_VAULT("CRLFile", parse_path, crl_file, "the path of a PEM file"),
        IN_VAULT("Proxy", parse_proxy, proxy, "http://HOST:PORT or https://HOST:PORT; a password goes into ProxyCredentialsFile="),
        IN_VAULT("ProxyCAFile", parse_path, proxy_ca_file, "the path of a PEM file"),
        IN_VAULT("ProxyCredentialsFile", parse_path, proxy_credentials_file, FILE_PATH),
        IN_VAULT("StapledStatus", parse_bool, stapled_status, "yes or no"),
        { SECTION_VAULT, "Identity", parse_word, offsetof(struct vault_config, identity), azure_identity_from_string,
          "managed, arc, workload, secret or certificate" },
        IN_VAULT("ClientId", parse_uuid, client_id, "the client id of an identity, a UUID"),
        IN_VAULT("ObjectId", parse_uuid, object_id, "the object id of a user-assigned identity, a UUID"),
        IN_VAULT("ResourceId", parse_resource_id, resource_id, "the resource id of a user-assigned identity, /subscriptions/..."),
        IN_VAULT("TenantId", parse_uuid, tenant_id, "the tenant's id, a UUID"),
        IN_VAULT("Authority", parse_authority, authority, "https://HOST or https://HOST:PORT"),
        IN_VAULT("AuthorityCAFile", parse_path, authority_ca_file, "the path of a PEM file"),
        IN_VAULT("ClientSecretFile", parse_path, client_secret_file, FILE_PATH),
        IN_VAULT("MetadataEndpoint", parse_text, metadata_endpoint, "an http:// URL without a path"),
        IN_VAULT("Resource", parse_text, resource, "the audience of tokens, an https:// URL"),
        IN_VAULT("ApiVersion", parse_text, api_version, "a version of the vault's API"),
        IN_VAULT("Algorithm", parse_algorithm, rsa_algorithm, "RSA-OAEP-256 or RSA-OAEP"),
        IN_VAULT("TimeoutSec", parse_time, timeout_usec, SPAN),
        IN_VAULT("FleetSize", parse_count, fleet_size, "a number of nodes, 1 to 1000000"),
        IN_VAULT("AcceptUnsafeVault", parse_bool, accept_unsafe, "yes or no"),
        { SECTION_VAULT, "KeyVersion", parse_word, offsetof(struct vault_config, key_version), key_version_from_string,
          "pinned or latest" },
        IN_VAULT("Mount", parse_mount, mount, MOUNT),
        IN_VAULT("Namespace", parse_mount, namespace, "a path such as team or team/sub"),
        IN_VAULT("ClusterId", parse_cluster, cluster_id, "a UUID, lower case, as in the vault's sys/health"),
        IN_VAULT("Servers", parse_authorities, servers, "HOST or HOST:PORT, without wildcards, separated by spaces"),
        IN_VAULT("RedirectHosts", parse_authorities, redirect_hosts, "HOST or HOST:PORT, without wildcards, separated by spaces"),
        IN_VAULT("AuthMount", parse_mount, auth_mount, MOUNT),
        IN_VAULT("TokenFile", parse_path, token_file, FILE_PATH),
        IN_VAULT("RoleId", parse_word_text, role_id, "the role's id"),
        IN_VAULT("SecretIdFile", parse_path, secret_id_file, FILE_PATH),
        IN_VAULT("SecretIdWrapped", parse_bool, secret_id_wrapped, "yes or no"),
        IN_VAULT("Role", parse_word_text, role, "the name of a role"),
        IN_VAULT("JwtFile", parse_path, jwt_file, FILE_PATH),
        IN_VAULT("ClientCertificate", parse_path, client_certificate, FILE_PATH),
        IN_VAULT("ClientKey", parse_client_key, client_key, "the path of a file, or pkcs11:token=...;object=..."),
        { SECTION_VAULT, "Token", parse_token, 0, NULL, "the label of a token, 1 to 32 characters, escaped as in pkcs11:token=..." },
        IN_VAULT("Objects", parse_objects, keys, "labels of private keys, escaped as in pkcs11:object=..., separated by spaces"),
        IN_VAULT("Module", parse_path, module, "the path of a PKCS#11 module"),
        IN_VAULT("PinFile", parse_path, pin_file, FILE_PATH),
        IN_VAULT("ModuleEnvironment", parse_environment, module_environment,
                 "NAME=VALUE, separated by spaces; not PATH, nor what begins with LD_ or GLIBC_"),
};

/* The state of one load: handed through the reader. */
struct loader {
        struct config *config;
        char *why;              /* of the first error */
        const char *path;       /* what is being read */
        unsigned line;
};

void policy_settings_init(struct policy_settings *p) {
        *p = (struct policy_settings) {
                .on_revoked = -1, .on_denied = -1, .on_unreachable = -1, .on_reenable = -1, .recovery = -1,
                .on_foreign = -1, .on_key_expiry = -1, .revoke = -1,
                .notice_usec = USEC_INFINITY, .poll_usec = USEC_INFINITY, .lease_usec = USEC_INFINITY,
                .grace_usec = USEC_INFINITY, .hold_usec = USEC_INFINITY, .confirm_usec = USEC_INFINITY,
                .denied_confirm_usec = USEC_INFINITY,
        };
}

static struct volume_config *get_volume(struct config *c, const char *name) {
        struct volume_config *v;

        for (v = c->volumes; v; v = v->next)
                if (streq(v->name, name))
                        return v;
        v = calloc(1, sizeof(*v));
        if (!v || !(v->name = strdup(name))) {
                free(v);
                return NULL;
        }
        policy_settings_init(&v->policy);
        v->next = c->volumes;
        return c->volumes = v;
}

static struct vault_config *get_vault(struct config *c, const char *name) {
        struct vault_config *v, **tail = &c->vaults;

        for (v = c->vaults; v; tail = &v->next, v = v->next)
                if (streq(v->name, name))
                        return v;
        return *tail = config_vault_new(name);
}

static void _printf_(2, 3) complain(struct loader *l, const char *format, ...) {
        va_list ap;

        if (l->why)
                return;
        va_start(ap, format);
        if (vasprintf(&l->why, format, ap) < 0)
                l->why = NULL;
        va_end(ap);
}

/* Where a section's settings go, and which keys it may have. NULL: there is no such section (already said). */
static void *find_target(struct loader *l, const char *section, enum section *ret) {
        const char *name;

        if (streq(section, "Node")) {
                *ret = SECTION_NODE;
                return l->config;
        }
        if (streq(section, "Audit")) {
                *ret = SECTION_AUDIT;
                return l->config;
        }
        if (streq(section, "Guard")) {
                *ret = SECTION_GUARD;
                return l->config;
        }
        if (streq(section, "Policy")) {
                *ret = SECTION_POLICY;
                return &l->config->policy;
        }
        name = startswith(section, "Volume ");
        if (name && volume_name_is_valid(name)) {
                struct volume_config *v = get_volume(l->config, name);

                *ret = SECTION_POLICY;
                return v ? &v->policy : NULL;
        }
        name = startswith(section, "Vault ");
        if (name && volume_name_is_valid(name)) {
                *ret = SECTION_VAULT;
                return get_vault(l->config, name);
        }
        name = startswith(section, "Scratch ");
        if (name && volume_name_is_valid(name)) {
                *ret = SECTION_SCRATCH;
                return config_scratch_get(l->config, name);
        }
        complain(l, "[%s] is no section; there are [Node], [Guard], [Policy], [Audit], [Volume NAME], [Vault NAME] and "
                 "[Scratch NAME]", section);
        return NULL;
}

/* NULL: none is near. */
static const char *nearest_key(enum section section, const char *key) {
        const char *best = NULL;
        size_t least = SIZE_MAX;

        for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                size_t d = word_distance(key, settings[i].key);

                if (settings[i].section == section && d < least && words_are_near(key, settings[i].key)) {
                        least = d;
                        best = settings[i].key;
                }
        }
        return best;
}

/* No setting's value has one: who writes it means a comment, and would get a path or a list with more in it than is to be seen. */
static bool has_comment(const char *value) {
        for (const char *p = strchr(value, '#'); p; p = strchr(p + 1, '#'))
                if (p > value && (p[-1] == ' ' || p[-1] == '\t'))
                        return true;
        return false;
}

static int handle(void *user, const char *section, const char *key, const char *value) {
        struct loader *l = user;
        enum section kind;
        const char *near;
        void *target;

        target = find_target(l, section, &kind);
        if (!target)
                return -EINVAL;
        if (has_comment(value)) {
                complain(l, "%s=: there are no comments behind a value; give it a line of its own, that begins with #", key);
                return -EINVAL;
        }
        for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                const struct setting *s = settings + i;

                if (s->section != kind || !streq(s->key, key))
                        continue;
                if (s->parse(value, (uint8_t *) target + s->offset, s->words) >= 0) {
                        if (kind == SECTION_VAULT)
                                config_vault_note(target, s->key, l->path, l->line);
                        return config_origin_note(l->config, section, s->key, l->path, l->line);
                }
                /* who puts a password into a URL does not want it in the journal */
                complain(l, "%s=%s: allowed is %s", key, strstr(value, "://") && strchr(value, '@') ? "..." : value, s->allowed);
                return -EINVAL;
        }
        near = nearest_key(kind, key);
        if (near)
                complain(l, "there is no %s= in [%s]; did you mean %s=?", key, section, near);
        else
                complain(l, "there is no %s= in [%s]; see cmkd.conf(5)", key, section);
        return -EINVAL;
}

static int load_file(struct loader *l, const char *path) {
        _cleanup_(freep) char *text = NULL;
        _cleanup_(freep) char *why = NULL;
        size_t size;
        int r;

        l->path = path;
        r = read_small_file(path, CONFIG_FILE_MAX, &text, &size);
        if (r == -ENOENT)
                return 0;
        if (r < 0) {
                complain(l, "%s: %s", path, strerror(-r));
                return r;
        }
        r = ini_read(text, size, handle, l, &l->line);
        if (r >= 0)
                return 0;
        why = TAKE_PTR(l->why);
        complain(l, "%s:%u: %s", path, l->line, why ? why : "neither a [Section], nor Key=value, nor a comment");
        return r;
}

static bool is_drop_in(const struct dirent *d) {
        size_t n = strlen(d->d_name);

        return n > 5 && d->d_name[0] != '.' && streq(d->d_name + n - 5, ".conf");
}

struct drop_in {
        char name[NAME_MAX + 1];
        char path[PATH_MAX];
};

static int compare_drop_ins(const void *a, const void *b) {
        return strcmp(((const struct drop_in *) a)->name, ((const struct drop_in *) b)->name);
}

/* Appends the drop-ins of one directory whose names are new. */
static int collect_drop_ins(const char *dir, struct drop_in **list, size_t *n) {
        DIR *d = opendir(dir);
        struct dirent *e;

        if (!d)
                return errno == ENOENT ? 0 : -errno;
        while ((e = readdir(d))) {
                struct drop_in *bigger, *new;
                size_t i;

                for (i = 0; i < *n; i++)
                        if (streq((*list)[i].name, e->d_name))
                                break;
                if (!is_drop_in(e) || i < *n)
                        continue;
                bigger = reallocarray(*list, *n + 1, sizeof(**list));
                if (!bigger)
                        break;
                *list = bigger;
                new = bigger + (*n)++;
                snprintf(new->name, sizeof(new->name), "%s", e->d_name);
                snprintf(new->path, sizeof(new->path), "%s/%s", dir, e->d_name);
        }
        closedir(d);
        return e ? -ENOMEM : 0;
}

static int load_all(struct loader *l, const char *root) {
        _cleanup_(freep) struct drop_in *list = NULL;
        char path[PATH_MAX - NAME_MAX - 1];
        size_t n = 0;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                snprintf(path, sizeof(path), "%s%s/cmkd.conf", root, directories[i]);
                if (access(path, F_OK) < 0)
                        continue;
                r = load_file(l, path);
                if (r < 0)
                        return r;
                break;
        }
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                snprintf(path, sizeof(path), "%s%s/cmkd.conf.d", root, directories[i]);
                r = collect_drop_ins(path, &list, &n);
                if (r < 0) {
                        complain(l, "%s: %s", path, strerror(-r));
                        return r;
                }
        }
        if (n > 0)
                qsort(list, n, sizeof(*list), compare_drop_ins);
        for (size_t i = 0; i < n; i++) {
                r = load_file(l, list[i].path);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_vaults(struct loader *l) {
        for (struct vault_config *v = l->config->vaults; v && !l->why; v = v->next) {
                l->why = config_vault_check(v);
                if (!l->why && l->config->fips)
                        l->why = config_azure_check_fips(v);
        }
        if (!l->why)
                l->why = config_scratch_check(l->config);
        return l->why ? -EINVAL : 0;
}

int config_load(const char *root, struct config **ret, char **ret_why) {
        _cleanup_(config_freep) struct config *c = NULL;
        struct loader l = {};
        int r;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        policy_settings_init(&c->policy);
        c->audit.max_file_size = UINT64_C(64) << 20;
        c->audit.max_file_age_usec = 30 * 86400 * USEC_PER_SEC;
        c->guard.arm_after_usec = 24 * 3600 * USEC_PER_SEC;
        c->guard.confirm_usec = 600 * USEC_PER_SEC;
        c->read_usec = now_boottime_usec();
        l.config = c;
        r = load_all(&l, root);
        if (r >= 0)
                r = check_vaults(&l);
        if (r < 0) {
                if (ret_why)
                        *ret_why = TAKE_PTR(l.why);
                free(l.why);
                return r;
        }
        *ret = TAKE_PTR(c);
        return 0;
}

struct config *config_free(struct config *c) {
        if (!c)
                return NULL;
        for (struct volume_config *v = c->volumes, *next; v; v = next) {
                next = v->next;
                free(v->name);
                free(v);
        }
        for (struct vault_config *v = c->vaults, *next; v; v = next) {
                next = v->next;
                config_vault_free(v);
        }
        config_scratch_free(c->scratches);
        config_origin_free(c->origins);
        config_list_free(c->owner_keys);
        free(c->audit.public_key);
        free(c->audit.privacy_key);
        config_list_free(c->baseline);
        config_list_free(c->guard.allow);
        config_list_free(c->guard.allow_metadata);
        free(c);
        return NULL;
}

const struct vault_config *config_find_vault(const struct config *c, const struct key_uri *u, const char **ret_why) {
        const char *why = "its host and port are not among the allowed vaults";

        for (const struct vault_config *v = c->vaults; v; v = v->next) {
                if (v->port != u->port || !streq(v->host, u->host))
                        continue;
                why = "the vault is allowed, this key is not on its list";
                if (v->module && !pkcs11_uri_takes_module(u, v->module)) {
                        why = "the token is allowed by another module only: leave module-path and module-name out";
                        continue;
                }
                for (char **k = v->keys; *k; k++)
                        if (streq(*k, u->name))
                                return v;
        }
        if (ret_why)
                *ret_why = why;
        return NULL;
}

const struct vault_config *config_vault_by_name(const struct config *c, const char *name) {
        for (const struct vault_config *v = c->vaults; v; v = v->next)
                if (streq(v->name, name))
                        return v;
        return NULL;
}

const struct volume_config *config_find_volume(const struct config *c, const char *name) {
        for (const struct volume_config *v = c->volumes; v; v = v->next)
                if (streq(v->name, name))
                        return v;
        return NULL;
}
