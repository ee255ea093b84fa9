/* SPDX-License-Identifier: Apache-2.0 */

/* Identity= of a [Vault NAME]: which settings go with which, and what a vault's host says of its cloud. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/config-azure.h"
#include "config-file.h"

#define VAULT "[Vault v]\nHost=contoso.vault.azure.net\nKeys=k\n"
#define ID "a8483526-f54d-7d3d-8648-2a745fc2ab8b"
#define TENANT "b8483526-f54d-7d3d-8648-2a745fc2ab8b"
#define RESOURCE_ID "/subscriptions/1/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/n_1"
#define IDS "TenantId=" TENANT "\nClientId=" ID "\n"
#define SECRET VAULT "Identity=secret\n" IDS "ClientSecretFile=/s\n"
#define WORKLOAD VAULT "Identity=workload\n" IDS "JwtFile=/j\n"
#define CERTIFICATE VAULT "Identity=certificate\n" IDS "ClientCertificate=/c\nClientKey=/k\n"

static void accept(const char *text, const char *authority, const char *resource, const char *endpoint) {
        const struct vault_config *v;
        struct config *c;

        put("/etc/cmkd/cmkd.conf", text);
        c = load();
        v = c->vaults;
        if (!streq_ptr(v->authority, authority) || !streq_ptr(v->resource, resource) ||
            !streq_ptr(v->metadata_endpoint, endpoint))
                fail_msg("%s: %s %s %s", text, strempty(v->authority), strempty(v->resource), strempty(v->metadata_endpoint));
        config_free(c);
}

#define PUBLIC "https://login.microsoftonline.com"
#define AKV "https://vault.azure.net"
#define IMDS "http://169.254.169.254"

static void test_each_identity(void **state _unused_) {
        accept(VAULT, NULL, AKV, IMDS);
        accept(VAULT "Identity=managed\nClientId=" ID "\nTenantId=" TENANT "\n", NULL, AKV, IMDS);
        accept(VAULT "ObjectId=" ID "\n", NULL, AKV, IMDS);
        accept(VAULT "ResourceId=" RESOURCE_ID "\nMetadataEndpoint=http://10.0.0.1\n", NULL, AKV, "http://10.0.0.1");
        accept(VAULT "Identity=arc\n", NULL, AKV, "http://localhost:40342");
        accept(WORKLOAD, PUBLIC, AKV, NULL);
        accept(SECRET, PUBLIC, AKV, NULL);
        accept(CERTIFICATE "Resource=https://r.example\nAuthority=https://Login.Example:8443\nAuthorityCAFile=/ca\n",
               "https://login.example:8443", "https://r.example", NULL);
}

static void test_values(void **state _unused_) {
        const struct vault_config *v;
        struct config *c;

        put("/etc/cmkd/cmkd.conf", VAULT "Identity=certificate\nTenantId=B8483526-F54D-7D3D-8648-2A745FC2AB8B\nClientId=" ID
            "\nClientCertificate=/c.pem\nClientKey=/run/credentials/cmkd-vault.service/key\n");
        c = load();
        v = c->vaults;
        assert_int_equal(v->identity, AZURE_IDENTITY_CERTIFICATE);
        assert_string_equal(v->tenant_id, TENANT);
        assert_string_equal(v->client_id, ID);
        assert_string_equal(v->client_certificate, "/c.pem");
        assert_string_equal(v->client_key, "/run/credentials/cmkd-vault.service/key");
        config_free(c);
        REFUSE(VAULT "Identity=mine\n", "cmkd.conf:4: Identity=mine", "managed, arc, workload, secret or certificate");
        REFUSE(VAULT "ClientId=me\n", "cmkd.conf:4: ", "a UUID");
        REFUSE(VAULT "TenantId=contoso.onmicrosoft.com\n", "cmkd.conf:4: ", "a UUID");
        REFUSE(VAULT "ObjectId=" ID "0\n", "a UUID");
        REFUSE(VAULT "ResourceId=subscriptions/1\n", "/subscriptions/...");
        REFUSE(VAULT "ResourceId=/subscriptions/1&client_id=2\n", "/subscriptions/...");
        REFUSE(SECRET "Authority=http://login.example\n", "cmkd.conf:8: ", "https://HOST");
        REFUSE(SECRET "Authority=https://login.example/\n", "https://HOST");
        REFUSE(SECRET "Authority=https://login.example/common\n", "https://HOST");
        REFUSE(SECRET "Authority=https://u@login.example\n", "https://HOST");
        REFUSE(SECRET "AuthorityCAFile=ca.pem\n", "the path of a PEM file");
}

/* Whatever an identity has no use for is a mistake, and so is what it lacks. */
static void test_what_goes_with_what(void **state _unused_) {
        static const struct { const char *setting; const char *with; } foreign[] = {
                { "ObjectId=" ID, "workload secret certificate arc" },
                { "ResourceId=" RESOURCE_ID, "workload secret certificate arc" },
                { "MetadataEndpoint=http://10.0.0.1", "workload secret certificate" },
                { "Authority=https://a", "managed arc" }, { "AuthorityCAFile=/a", "managed arc" },
                { "JwtFile=/a", "managed arc secret certificate" }, { "ClientSecretFile=/a", "managed arc workload certificate" },
                { "ClientCertificate=/a", "managed arc workload secret" }, { "ClientKey=/a", "managed arc workload secret" },
        };
        static const char *const texts[] = {
                VAULT, VAULT "Identity=arc\n", WORKLOAD, SECRET, CERTIFICATE,
        };
        static const char *const needed[] = { "", "", "TenantId ClientId JwtFile", "TenantId ClientId ClientSecretFile",
                                              "TenantId ClientId ClientCertificate ClientKey" };
        char text[1024], wanted[64];

        for (int i = 0; i < _AZURE_IDENTITY_MAX; i++) {
                const char *name = azure_identity_to_string(i);

                assert_int_equal(azure_identity_from_string(name), i);
                for (size_t k = 0; k < ELEMENTSOF(foreign); k++) {
                        bool is_foreign = strstr(foreign[k].with, name);

                        snprintf(text, sizeof(text), "%s%s\n", texts[i], foreign[k].setting);
                        if (!is_foreign)
                                continue;
                        snprintf(wanted, sizeof(wanted), "there is no %.*s= with Identity=%s",
                                 (int) strcspn(foreign[k].setting, "="), foreign[k].setting, name);
                        REFUSE(text, "cmkd.conf:", wanted);
                }
                for (const char *p = needed[i]; *p; p += strcspn(p, " ") + (strchr(p, ' ') != NULL)) {
                        char key[24], *line;

                        snprintf(key, sizeof(key), "%.*s=", (int) strcspn(p, " "), p);
                        snprintf(text, sizeof(text), "%s", texts[i]);
                        line = strstr(text, key);
                        assert_non_null(line);
                        *line = '#';
                        snprintf(wanted, sizeof(wanted), "has no %s, which Identity=%s needs", key, name);
                        REFUSE(text, "cmkd.conf:4: ", wanted);
                }
        }
        REFUSE(VAULT "Identity=arc\nClientId=" ID "\n", "cmkd.conf:5: there is no ClientId= with Identity=arc");
        REFUSE(VAULT "ClientId=" ID "\n\nObjectId=" ID "\n", "cmkd.conf:6: ClientId= and ObjectId= both say");
        REFUSE(VAULT "ObjectId=" ID "\nResourceId=" RESOURCE_ID "\n", "ObjectId= and ResourceId= both say");
        REFUSE("[Vault v]\nHost=v\nKeys=k\nProvider=transit\nTokenFile=/t\nIdentity=arc\n",
               "cmkd.conf:6: there is no Identity= with Provider=transit");
}

#define IN_TOKEN VAULT "Identity=certificate\n" IDS "ClientCertificate=/c\nClientKey=pkcs11:token=t;object=k\n"

static void test_client_key_in_a_token(void **state _unused_) {
        struct config *c;

        put("/etc/cmkd/cmkd.conf", IN_TOKEN "Module=/m.so\nPinFile=/p\nModuleEnvironment=A=b\n");
        c = load();
        assert_true(config_azure_key_is_in_token(c->vaults));
        assert_string_equal(c->vaults->client_key, "pkcs11:token=t;object=k;type=private");
        assert_string_equal(c->vaults->module, "/m.so");
        config_free(c);
        put("/etc/cmkd/cmkd.conf", CERTIFICATE);
        c = load();
        assert_false(config_azure_key_is_in_token(c->vaults));
        config_free(c);
        REFUSE(IN_TOKEN, "has no Module=");
        REFUSE(CERTIFICATE "Module=/m.so\n", "there is no Module= with Provider=azure");
        REFUSE(VAULT "PinFile=/p\n", "there is no PinFile= with Provider=azure");
        REFUSE(VAULT "Identity=certificate\n" IDS "ClientCertificate=/c\nClientKey=key.pem\n", "the path of a file, or pkcs11:");
        REFUSE(VAULT "Identity=certificate\n" IDS "ClientCertificate=/c\nClientKey=pkcs11:token=t\n", "the path of a file, or pkcs11:");
        REFUSE(VAULT "Identity=certificate\n" IDS "ClientCertificate=/c\nClientKey=https://v/keys/k\n", "the path of a file, or pkcs11:");
        REFUSE(VAULT "Identity=certificate\n" IDS "ClientCertificate=/c\nClientKey=pkcs11:token=t;object=k?module-path=/n.so\nModule=/m.so\n",
               "names another module");
        REFUSE("[Vault v]\nHost=v\nKeys=k\nProvider=transit\nClientCertificate=/c\nClientKey=pkcs11:token=t;object=k\n",
               "ClientKey= is a file with Provider=transit");
        REFUSE("[Vault v]\nHost=v\nKeys=k\nProvider=transit\nTokenFile=/t\nModule=/m.so\n", "there is no Module= with Provider=transit");
}

/* SHA-1 is never taken because a token, or a key's type, says so. */
static void test_algorithm(void **state _unused_) {
        static const struct { const char *line; bool sha1; } rows[] = {
                { "", false }, { "Algorithm=RSA-OAEP-256\n", false }, { "Algorithm=RSA-OAEP\n", true },
        };
        static const struct key_uri u = { .host = "localhost", .port = 8443, .name = "k" };
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const char *why = NULL;
                struct config *c;

                snprintf(text, sizeof(text), "[Vault v]\nHost=localhost:8443\nKeys=k\n%s", rows[i].line);
                put("/etc/cmkd/cmkd.conf", text);
                c = load();
                assert_non_null(config_find_vault(c, &u, NULL));
                assert_non_null(config_find_vault_for(c, &u, "RSA-OAEP-256", &why));
                assert_non_null(config_find_vault_for(c, &u, "A256KW", &why));
                assert_null(why);
                assert_int_equal(config_find_vault_for(c, &u, "RSA-OAEP", &why) != NULL, rows[i].sha1);
                assert_int_equal(!why, rows[i].sha1);
                config_free(c);
        }
        REFUSE("[Vault v]\nHost=v\nKeys=k\nAlgorithm=RSA1_5\n", "cmkd.conf:4", "RSA-OAEP-256 or RSA-OAEP");
        REFUSE("[Vault v]\nHost=v\nKeys=k\nAlgorithm=A256KW\n", "cmkd.conf:4");
        REFUSE("[Vault v]\nHost=v\nKeys=k\nProvider=transit\nTokenFile=/t\nAlgorithm=RSA-OAEP\n", "there is no Algorithm= with Provider=transit");
}

static void test_fips(void **state _unused_) {
        static const struct { const char *algorithm; bool plain, fips; } rows[] = {
                { "RSA-OAEP-256", true, true }, { "A256GCM", true, true }, { "A256KW", true, true }, { "C20P", true, false },
                { "RSA-OAEP", false, false },
        };
        static const struct key_uri u = { .host = "localhost", .port = 8443, .name = "k" };

        for (int fips = 0; fips < 2; fips++) {
                struct config *c;

                put("/etc/cmkd/cmkd.conf", fips ? "[Node]\nFips=yes\n[Vault v]\nHost=localhost:8443\nKeys=k\n" :
                                                  "[Vault v]\nHost=localhost:8443\nKeys=k\n");
                c = load();
                assert_int_equal(c->fips, fips);
                for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                        if ((config_find_vault_for(c, &u, rows[i].algorithm, NULL) != NULL) != (fips ? rows[i].fips : rows[i].plain))
                                fail_msg("%s with Fips=%s", rows[i].algorithm, fips ? "yes" : "no");
                config_free(c);
        }
        REFUSE("[Vault v]\nHost=v\nKeys=k\nAlgorithm=RSA-OAEP\n[Node]\nFips=yes\n", "[Vault v]: Algorithm=RSA-OAEP is SHA-1");
        REFUSE("[Node]\nFips=maybe\n", "cmkd.conf:2", "yes or no");
}

static void test_clouds(void **state _unused_) {
        static const struct { const char *host, *authority, *resource; } rows[] = {
                { "a.vault.azure.net", PUBLIC, AKV }, { "A.MANAGEDHSM.azure.net", PUBLIC, "https://managedhsm.azure.net" },
                { "a.vault.azure.cn", "https://login.partner.microsoftonline.cn", "https://vault.azure.cn" },
                { "a.managedhsm.azure.cn", "https://login.partner.microsoftonline.cn", "https://managedhsm.azure.cn" },
                { "a.vault.usgovcloudapi.net", "https://login.microsoftonline.us", "https://vault.usgovcloudapi.net" },
                { "a.managedhsm.usgovcloudapi.net", "https://login.microsoftonline.us", "https://managedhsm.usgovcloudapi.net" },
        };
        static const char *const strangers[] = {
                "vault.azure.net", "evilvault.azure.net", "a.b.vault.azure.net", "a.vault.azure.net.evil.example", "localhost",
        };
        char text[512];

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                snprintf(text, sizeof(text), "[Vault v]\nHost=%s\nKeys=k\nIdentity=secret\n" IDS "ClientSecretFile=/s\n", rows[i].host);
                accept(text, rows[i].authority, rows[i].resource, NULL);
                snprintf(text, sizeof(text), "[Vault v]\nHost=%s:8443\nKeys=k\n", rows[i].host);
                accept(text, NULL, rows[i].resource, IMDS);
        }
        for (size_t i = 0; i < ELEMENTSOF(strangers); i++) {
                snprintf(text, sizeof(text), "[Vault v]\nHost=%s\nKeys=k\n", strangers[i]);
                accept(text, NULL, AKV, IMDS);
                snprintf(text, sizeof(text), "[Vault v]\nHost=%s\nKeys=k\nIdentity=secret\n" IDS "ClientSecretFile=/s\n",
                         strangers[i]);
                REFUSE(text, "cmkd.conf:4: [Vault v] has no Authority=", strangers[i], "is in no cloud");
                strcat(text, "Authority=https://a\n");
                accept(text, "https://a", AKV, NULL);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
                T(test_each_identity), T(test_values), T(test_what_goes_with_what), T(test_clouds), T(test_client_key_in_a_token), T(test_algorithm), T(test_fips),
        };
        return cmocka_run_group_tests_name("config-azure", tests, NULL, NULL);
}
