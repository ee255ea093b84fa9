/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include "common/config-azure.h"
#include "common/config-origin.h"
#include "common/config.h"
#include "common/fips.h"
#include "common/pkcs11-uri.h"

/* cmkctl config: what the files say, read here and not asked from the daemon, so that a mistake is found before cmkd is
 * restarted. The effective policy of a volume, with the defaults of its role, is in `cmkctl status NAME`. */

static int load(const struct invocation *in, struct config **ret) {
        _cleanup_(freep) char *why = NULL;
        int r = config_load(strempty(in->values[OPTION_ROOT]), ret, &why);

        return r < 0 ? fail(EXIT_CODE_FAILED, "%s", why ? why : strerror(-r)) : EXIT_CODE_DONE;
}

/* A section, as an object of texts in the order of cmkd.conf(5). Memory that runs out shows as a missing member. */
static void put_text(struct json_object *o, const char *key, const char *value) {
        if (value)
                json_object_object_add(o, key, json_object_new_string(value));
}

static void put_span(struct json_object *o, const char *key, uint64_t usec) {
        char text[32];

        if (usec == USEC_INFINITY)
                return;
        if (usec % USEC_PER_SEC == 0)
                snprintf(text, sizeof(text), "%llus", (unsigned long long) (usec / USEC_PER_SEC));
        else
                snprintf(text, sizeof(text), "%llums", (unsigned long long) (usec / USEC_PER_MSEC));
        put_text(o, key, text);
}

static struct json_object *policy_section(const struct policy_settings *p) {
        struct json_object *o = json_object_new_object();

        put_text(o, "OnRevoked", p->on_revoked < 0 ? NULL : action_to_string(p->on_revoked));
        put_text(o, "OnDenied", p->on_denied < 0 ? NULL : action_to_string(p->on_denied));
        put_text(o, "OnUnreachable", p->on_unreachable < 0 ? NULL : action_to_string(p->on_unreachable));
        put_text(o, "OnForeignKeyslot", p->on_foreign < 0 ? NULL : foreign_keyslot_to_string(p->on_foreign));
        put_text(o, "OnKeyExpiry", p->on_key_expiry < 0 ? NULL : key_expiry_to_string(p->on_key_expiry));
        put_text(o, "Revoke", p->revoke < 0 ? NULL : revoke_to_string(p->revoke));
        put_text(o, "Recovery", p->recovery < 0 ? NULL : recovery_to_string(p->recovery));
        put_text(o, "OnReenable", p->on_reenable < 0 ? NULL : reenable_to_string(p->on_reenable));
        put_span(o, "NoticeSec", p->notice_usec);
        put_span(o, "PollSec", p->poll_usec);
        put_span(o, "LeaseSec", p->lease_usec);
        put_span(o, "GraceSec", p->grace_usec);
        put_span(o, "HoldSec", p->hold_usec);
        put_span(o, "ConfirmSec", p->confirm_usec);
        put_span(o, "DeniedConfirmSec", p->denied_confirm_usec);
        return o;
}

static void put_keys(struct json_object *o, const char *name, char *const *keys) {
        char text[4096] = "";
        size_t n = 0;

        for (; keys && *keys && n < sizeof(text); keys++)
                n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%s", n ? " " : "", *keys);
        put_text(o, name, *text ? text : NULL);
}

static void put_azure(struct json_object *o, const struct vault_config *v) {
        char number[24];

        put_text(o, "Identity", azure_identity_to_string(v->identity));
        put_text(o, "ClientId", v->client_id);
        put_text(o, "ObjectId", v->object_id);
        put_text(o, "ResourceId", v->resource_id);
        put_text(o, "TenantId", v->tenant_id);
        put_text(o, "Authority", v->authority);
        put_text(o, "AuthorityCAFile", v->authority_ca_file);
        put_text(o, "JwtFile", v->jwt_file);
        put_text(o, "ClientSecretFile", v->client_secret_file);
        put_text(o, "ClientCertificate", v->client_certificate);
        put_text(o, "ClientKey", v->client_key);
        put_text(o, "MetadataEndpoint", v->metadata_endpoint);
        put_text(o, "Resource", v->resource);
        put_text(o, "ApiVersion", v->api_version);
        put_text(o, "Algorithm", v->rsa_algorithm);
        snprintf(number, sizeof(number), "%llu", (unsigned long long) v->fleet_size);
        put_text(o, "FleetSize", v->fleet_size > 0 ? number : NULL);
}

static void put_transit(struct json_object *o, const struct vault_config *v) {
        put_text(o, "Mount", v->mount);
        put_text(o, "Namespace", v->namespace);
        put_text(o, "ClusterId", v->cluster_id);
        put_keys(o, "Servers", v->servers);
        put_keys(o, "RedirectHosts", v->redirect_hosts);
        put_text(o, "AuthMount", v->auth_mount);
        put_text(o, "TokenFile", v->token_file);
        put_text(o, "RoleId", v->role_id);
        put_text(o, "SecretIdFile", v->secret_id_file);
        put_text(o, "SecretIdWrapped", v->secret_id_wrapped ? "yes" : "no");
        put_text(o, "Role", v->role);
        put_text(o, "JwtFile", v->jwt_file);
        put_text(o, "ClientCertificate", v->client_certificate);
        put_text(o, "ClientKey", v->client_key);
}

static void put_module(struct json_object *o, const struct vault_config *v) {
        put_text(o, "Module", v->module);
        put_text(o, "PinFile", v->pin_file);
        put_keys(o, "ModuleEnvironment", v->module_environment);
}

/* Labels as they stand in the file: a blank between two is none in one. */
static void put_pkcs11(struct json_object *o, const struct vault_config *v) {
        char token[3 * PKCS11_LABEL_MAX + 1], label[KEY_URI_MAX], text[8192] = "";
        size_t n = 0;

        pkcs11_uri_escape(v->host, token, sizeof(token));
        put_text(o, "Token", token);
        for (char **k = v->keys; *k && n < sizeof(text); k++) {
                pkcs11_uri_escape(*k, label, sizeof(label));
                n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%s", n ? " " : "", label);
        }
        put_text(o, "Objects", text);
        put_module(o, v);
}

static void put_host(struct json_object *o, const struct vault_config *v) {
        char host[272];

        snprintf(host, sizeof(host), v->port == 443 ? "%s" : "%s:%u", v->host, v->port);
        put_text(o, "Host", host);
        put_keys(o, "Keys", v->keys);
        put_text(o, "CAFile", v->ca_file);
        put_text(o, "PinnedKeys", v->pinned_keys);
        put_text(o, "CRLFile", v->crl_file);
        put_text(o, "Proxy", v->proxy);
        put_text(o, "ProxyCAFile", v->proxy_ca_file);
        put_text(o, "ProxyCredentialsFile", v->proxy_credentials_file);
        put_text(o, "StapledStatus", v->stapled_status ? "yes" : "no");
        if (streq(v->provider, "transit"))
                put_transit(o, v);
        else {
                put_azure(o, v);
                put_module(o, v);
        }
}

static struct json_object *vault_section(const struct vault_config *v) {
        struct json_object *o = json_object_new_object();

        put_text(o, "Provider", v->provider);
        if (streq(v->provider, "pkcs11"))
                put_pkcs11(o, v);
        else
                put_host(o, v);
        put_keys(o, "ExpectPublicKeys", v->public_keys);
        put_span(o, "TimeoutSec", v->timeout_usec);
        if (!streq(v->provider, "pkcs11"))
                put_text(o, "KeyVersion", key_version_to_string((enum key_version) v->key_version));
        put_text(o, "AcceptUnsafeVault", v->accept_unsafe ? "yes" : "no");
        return o;
}

static struct json_object *scratch_section(const struct scratch_config *s) {
        struct json_object *o = json_object_new_object();

        put_text(o, "Device", s->device);
        put_text(o, "FileSystem", s->file_system);
        put_text(o, "Wipe", s->wipe ? "yes" : "no");
        return o;
}

static struct json_object *audit_section(const struct audit_config *a) {
        struct json_object *o = json_object_new_object();
        char size[24];

        snprintf(size, sizeof(size), "%llu", (unsigned long long) a->max_file_size);
        put_text(o, "PublicKey", a->public_key);
        put_text(o, "Privacy", privacy_mode_to_string(a->privacy));
        put_text(o, "PrivacyKey", a->privacy_key);
        put_text(o, "MaxFileSize", size);
        put_span(o, "MaxFileAge", a->max_file_age_usec);
        return o;
}

static struct json_object *to_json(const struct config *c) {
        struct json_object *o = json_object_new_object(), *node = json_object_new_object(), *audit;
        struct json_object *guard = json_object_new_object();
        char title[80];

        put_text(node, "Trust", trust_mode_to_string(c->trust));
        put_text(node, "OnTrailFailure", trail_failure_to_string(c->on_trail_failure));
        put_keys(node, "OwnerKeys", c->owner_keys);
        put_text(node, "AllowRemovable", c->allow_removable ? "yes" : "no");
        put_text(node, "Fips", c->fips ? "yes" : "no");
        json_object_object_add(o, "Node", node);
        put_text(guard, "Mode", guard_mode_to_string(c->guard.mode));
        put_span(guard, "ArmAfterSec", c->guard.arm_after_usec);
        put_span(guard, "ConfirmWithinSec", c->guard.confirm_usec);
        put_keys(guard, "Allow", c->guard.allow);
        put_keys(guard, "AllowMetadata", c->guard.allow_metadata);
        json_object_object_add(o, "Guard", guard);
        json_object_object_add(o, "Policy", policy_section(&c->policy));
        audit = audit_section(&c->audit);
        put_keys(audit, "Baseline", c->baseline);
        json_object_object_add(o, "Audit", audit);
        for (const struct volume_config *v = c->volumes; v; v = v->next) {
                snprintf(title, sizeof(title), "Volume %s", v->name);
                json_object_object_add(o, title, policy_section(&v->policy));
        }
        for (const struct vault_config *v = c->vaults; v; v = v->next) {
                snprintf(title, sizeof(title), "Vault %s", v->name);
                json_object_object_add(o, title, vault_section(v));
        }
        for (const struct scratch_config *s = c->scratches; s; s = s->next) {
                snprintf(title, sizeof(title), "Scratch %s", s->name);
                json_object_object_add(o, title, scratch_section(s));
        }
        return o;
}

/* The same sections and keys, with who said it; what nobody said is left out. */
static struct json_object *origins(const struct config *c, const struct json_object *shown) {
        struct json_object *all = json_object_new_object();

        json_object_object_foreach((struct json_object *) shown, section, settings) {
                struct json_object *o = json_object_new_object();

                json_object_object_foreach(settings, key, value) {
                        (void) value;
                        put_text(o, key, config_origin_find(c, section, key));
                }
                json_object_object_add(all, section, o);
        }
        return all;
}

/* What can be read again, with comments. */
static void print_sections(const struct config *c, const struct json_object *shown) {
        json_object_object_foreach((struct json_object *) shown, section, settings) {
                printf("[%s]\n", section);
                json_object_object_foreach(settings, key, value) {
                        const char *origin = config_origin_find(c, section, key);

                        if (origin)
                                printf("# %s\n", origin);
                        printf("%s=%s\n", key, json_object_get_string(value));
                }
                putchar('\n');
        }
}

int verb_config_show(const struct invocation *in) {
        _cleanup_(config_freep) struct config *c = NULL;
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        int code;

        code = load(in, &c);
        if (code != EXIT_CODE_DONE)
                return code;
        o = to_json(c);
        if (has_option(in, OPTION_JSON)) {
                json_object_object_add(o, "Origins", origins(c, o));
                return print_json(o);
        }
        print_sections(c, o);
        return EXIT_CODE_DONE;
}

int verb_config_check(const struct invocation *in) {
        _cleanup_(config_freep) struct config *c = NULL;
        char why[FIPS_WHY_MAX];
        size_t vaults = 0;
        int code;

        code = load(in, &c);
        if (code != EXIT_CODE_DONE)
                return code;
        if (c->fips && fips_probe(why) < 0)
                return fail(EXIT_CODE_FAILED, "%s", why);
        for (const struct vault_config *v = c->vaults; v; v = v->next)
                vaults++;
        if (has_option(in, OPTION_JSON))
                return print_json_done("ok");
        printf("the configuration is in order, %zu vault%s allowed%s\n", vaults, vaults == 1 ? "" : "s",
               vaults ? "" : ": no volume can be opened");
        return EXIT_CODE_DONE;
}
