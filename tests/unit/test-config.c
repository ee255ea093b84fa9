/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/config-vault.h"
#include "config-file.h"

static void test_nothing_is_an_empty_one(void **state _unused_) {
        struct config *c = load();

        assert_int_equal(c->trust, TRUST_LISTED);
        assert_int_equal(c->on_trail_failure, TRAIL_DENY_NEW);
        assert_int_equal(c->policy.on_revoked, -1);
        assert_true(c->policy.poll_usec == USEC_INFINITY);
        assert_null(c->volumes);
        assert_null(c->vaults);
        config_free(c);
        assert_null(config_free(NULL));
}

static void test_every_key(void **state _unused_) {
        const struct policy_settings *p;
        const struct vault_config *v;
        struct config *c;

        put("/etc/cmkd/cmkd.conf",
            "# comment\n[Node]\nTrust=allowed-keys\nOnTrailFailure=stop\n"
            "[Policy]\nOnRevoked=poweroff\nOnDenied=cut\nOnUnreachable=report\nOnReenable=nothing\n"
            "OnKeyExpiry=revoke\n"
            "[Audit]\nPublicKey=/etc/cmkd/auditor.pem\nMaxFileSize=3K\nMaxFileAge=2h\n"
            "[Guard]\nMode=enforce\nAllow=/usr/bin/qemu /opt/db\nAllowMetadata=kubelet.service /opt/agent\n[Policy]\n"
            "NoticeSec=1\nPollSec=2\nLeaseSec=3min\nGraceSec=4h\nHoldSec=5d\nConfirmSec=600ms\nDeniedConfirmSec=7s\n"
            "[Volume a.b-c_d]\nPollSec=8\n"
            "[Vault prod]\nHost=V.Example:8443\nKeys=One two,three\nProvider=azure\nCAFile=/ca.pem\nClientId=0123ABCD-f54d-7d3d-8648-2a745fc2ab8b\n"
            "MetadataEndpoint=http://127.0.0.1:1\nResource=https://r\nApiVersion=7.5\n"
            "TimeoutSec=9\nFleetSize=500\nAcceptUnsafeVault=yes\n");
        c = load();
        p = &c->policy;
        assert_int_equal(c->trust, TRUST_ALLOWED_KEYS);
        assert_int_equal(c->on_trail_failure, TRAIL_STOP);
        assert_string_equal(c->audit.public_key, "/etc/cmkd/auditor.pem");
        assert_int_equal(c->audit.max_file_size, 3072);
        assert_int_equal(c->audit.max_file_age_usec, 7200 * USEC_PER_SEC);
        assert_int_equal(c->guard.mode, GUARD_ENFORCE);
        assert_string_equal(c->guard.allow[1], "/opt/db");
        assert_string_equal(c->guard.allow_metadata[0], "kubelet.service");
        assert_string_equal(c->guard.allow_metadata[1], "/opt/agent");
        assert_null(c->guard.allow_metadata[2]);
        assert_int_equal(p->on_revoked, ACTION_POWEROFF);
        assert_int_equal(p->on_denied, ACTION_CUT);
        assert_int_equal(p->on_unreachable, ACTION_REPORT);
        assert_int_equal(p->on_reenable, REENABLE_NOTHING);
        assert_int_equal(p->on_key_expiry, KEY_EXPIRY_REVOKE);
        assert_int_equal(p->notice_usec, USEC_PER_SEC);
        assert_int_equal(p->poll_usec, 2 * USEC_PER_SEC);
        assert_int_equal(p->lease_usec, 180 * USEC_PER_SEC);
        assert_int_equal(p->grace_usec, 14400 * USEC_PER_SEC);
        assert_int_equal(p->hold_usec, 432000 * USEC_PER_SEC);
        assert_int_equal(p->confirm_usec, 600 * USEC_PER_MSEC);
        assert_int_equal(p->denied_confirm_usec, 7 * USEC_PER_SEC);
        assert_null(config_find_volume(c, "other"));
        p = &config_find_volume(c, "a.b-c_d")->policy;
        assert_int_equal(p->poll_usec, 8 * USEC_PER_SEC);
        assert_int_equal(p->on_revoked, -1);
        v = config_vault_by_name(c, "prod");
        assert_string_equal(v->host, "v.example");
        assert_int_equal(v->port, 8443);
        assert_string_equal(v->keys[0], "one");
        assert_string_equal(v->keys[2], "three");
        assert_null(v->keys[3]);
        assert_string_equal(v->ca_file, "/ca.pem");
        assert_string_equal(v->client_id, "0123abcd-f54d-7d3d-8648-2a745fc2ab8b");
        assert_string_equal(v->metadata_endpoint, "http://127.0.0.1:1");
        assert_string_equal(v->resource, "https://r");
        assert_string_equal(v->api_version, "7.5");
        assert_int_equal(v->timeout_usec, 9 * USEC_PER_SEC);
        assert_int_equal(v->fleet_size, 500);
        assert_true(v->accept_unsafe);
        assert_null(config_vault_by_name(c, "Prod"));
        config_free(c);
}

static void test_vault_defaults(void **state _unused_) {
        const struct vault_config *v;
        struct config *c;

        put("/etc/cmkd/cmkd.conf", "[Vault v]\nHost=v.example\nKeys=k\n");
        c = load();
        v = c->vaults;
        assert_null(c->audit.public_key);
        assert_int_equal(c->audit.max_file_size, 64u << 20);
        assert_int_equal(v->port, 443);
        assert_string_equal(v->provider, "azure");
        assert_string_equal(v->metadata_endpoint, "http://169.254.169.254");
        assert_string_equal(v->resource, "https://vault.azure.net");
        assert_null(v->ca_file);
        assert_false(v->accept_unsafe);
        config_free(c);
}

#define TRANSIT "[Vault v]\nHost=v:8200\nKeys=k\nProvider=transit\n"

static void test_transit(void **state _unused_) {
        const struct vault_config *v;
        struct config *c;

        put("/etc/cmkd/cmkd.conf", TRANSIT "Mount=team/transit\nNamespace=a/b\nAuthMount=approle-2\nRedirectHosts=B.example:8200 c\nRoleId=r\n"
            "Servers=D:8200\nSecretIdFile=/s\nClusterId=a8483526-f54d-7d3d-8648-2a745fc2ab8b\n");
        c = load();
        v = c->vaults;
        assert_string_equal(v->provider, "transit");
        assert_string_equal(v->mount, "team/transit");
        assert_string_equal(v->namespace, "a/b");
        assert_string_equal(v->redirect_hosts[0], "b.example:8200");
        assert_string_equal(v->redirect_hosts[1], "c:443");
        assert_null(v->redirect_hosts[2]);
        assert_string_equal(v->servers[0], "d:8200");
        assert_null(v->servers[1]);
        assert_string_equal(v->auth_mount, "approle-2");
        assert_string_equal(v->role_id, "r");
        assert_string_equal(v->secret_id_file, "/s");
        assert_string_equal(v->cluster_id, "a8483526-f54d-7d3d-8648-2a745fc2ab8b");
        config_free(c);
        put("/etc/cmkd/cmkd.conf", TRANSIT "TokenFile=/t\n");
        c = load();
        assert_string_equal(c->vaults->mount, "transit");
        assert_null(c->vaults->namespace);
        config_free(c);
        /* one way to log in, whole */
        REFUSE(TRANSIT, "[Vault v] has no way to log in");
        REFUSE(TRANSIT "RoleId=r\n", "RoleId= and SecretIdFile= go together");
        REFUSE(TRANSIT "JwtFile=/j\n", "Role= and JwtFile= go together");
        REFUSE(TRANSIT "ClientKey=/j\n", "ClientCertificate= and ClientKey= go together");
        REFUSE(TRANSIT "TokenFile=/t\nRole=r\nJwtFile=/j\n", "more than one way to log in");
        /* what goes into a path or a request */
        REFUSE(TRANSIT "Mount=/transit\n", "cmkd.conf:5:", "a path such as transit");
        REFUSE(TRANSIT "Mount=a//b\n", "a path such as");
        REFUSE(TRANSIT "Mount=a/../b\n", "a path such as");
        REFUSE(TRANSIT "Mount=a?b\n", "a path such as");
        REFUSE(TRANSIT "RedirectHosts=a b/c\n", "HOST or HOST:PORT");
        REFUSE(TRANSIT "Servers=*.example\n", "HOST or HOST:PORT");
        REFUSE(TRANSIT "TokenFile=/t\nServers=a\n", "Servers= needs ClusterId=");
        REFUSE(TRANSIT "TokenFile=/t\nClusterId=a8483526-f54d-7d3d-8648-2a745fc2ab8b\nServers=a b c d e\n", "at most 4");
        REFUSE(TRANSIT "RedirectHosts=\n", "HOST or HOST:PORT");
        REFUSE(TRANSIT "Namespace=a b\n", "a path such as");
        REFUSE(TRANSIT "RoleId=a\"b\n", "the role's id");
        REFUSE(TRANSIT "ClusterId=1\n", "a UUID");
        REFUSE(TRANSIT "TokenFile=t\n", "the path of a file");
        /* settings of one provider with another, wherever Provider= stands */
        REFUSE("[Vault v]\nHost=v\nKeys=k\nTokenFile=/t\n", "cmkd.conf:4: there is no TokenFile= with Provider=azure");
        REFUSE("[Vault v]\nClientId=0123abcd-f54d-7d3d-8648-2a745fc2ab8b\nHost=v\nKeys=k\nProvider=transit\nTokenFile=/t\n",
               "cmkd.conf:2: there is no ClientId= with Provider=transit, which [Vault v] has");
        REFUSE(TRANSIT "TokenFile=/t\nFleetSize=3\n", "cmkd.conf:6: there is no FleetSize=");
        /* which vault an identifier means */
        REFUSE(TRANSIT "TokenFile=/t\n[Vault w]\nHost=v:8200\nKeys=x k\nProvider=transit\nTokenFile=/t\nMount=other\n",
               "[Vault v] and [Vault w] both have key k at v");
        put("/etc/cmkd/cmkd.conf", TRANSIT "TokenFile=/t\n[Vault w]\nHost=v:8200\nKeys=x\nProvider=transit\nTokenFile=/t\n");
        config_free(load());
}

#define PKCS11 "[Vault h]\nProvider=pkcs11\nToken=t\nObjects=k\nModule=/m.so\n"

static const struct vault_config *find(const struct config *c, const char *key, const char **ret_why) {
        struct key_uri u;

        assert_int_equal(key_uri_parse(key, &u, NULL), 0);
        return config_find_vault(c, &u, ret_why);
}

static void test_pkcs11(void **state _unused_) {
        const struct vault_config *v;
        const char *why = "";
        struct config *c;

        put("/etc/cmkd/cmkd.conf", "[Vault h]\nToken=My%20Token\nObjects=K1  two%20words\nModule=/lib/libm.so\nPinFile=/p\n"
            "ModuleEnvironment=A=1 B_2=x=y\nProvider=pkcs11\n[Vault w]\nHost=t\nKeys=k\n");
        c = load();
        v = c->vaults;
        assert_string_equal(v->host, "My Token");
        assert_int_equal(v->port, 0);
        assert_string_equal(v->keys[0], "K1");
        assert_string_equal(v->keys[1], "two words");
        assert_null(v->keys[2]);
        assert_string_equal(v->module, "/lib/libm.so");
        assert_string_equal(v->pin_file, "/p");
        assert_string_equal(v->module_environment[1], "B_2=x=y");
        assert_ptr_equal(find(c, "pkcs11:token=My%20Token;object=two%20words", NULL), v);
        assert_ptr_equal(find(c, "pkcs11:token=My%20Token;serial=1;object=K1;id=%01?module-path=/lib/libm.so", NULL), v);
        assert_ptr_equal(find(c, "pkcs11:token=My%20Token;object=K1?module-name=m", NULL), v);
        assert_null(find(c, "pkcs11:token=My%20Token;object=k1", &why));
        assert_non_null(strstr(why, "not on its list"));
        assert_null(find(c, "pkcs11:token=my%20token;object=K1", &why));
        assert_non_null(strstr(why, "not among the allowed"));
        assert_null(find(c, "pkcs11:token=My%20Token;object=K1?module-path=/tmp/libm.so", &why));
        assert_non_null(strstr(why, "by another module only"));
        assert_null(find(c, "pkcs11:token=t;object=k", NULL));
        assert_null(find(c, "https://t:444/keys/k", NULL));
        config_free(c);
        REFUSE("[Vault h]\nProvider=pkcs11\nObjects=k\nModule=/m\n", "[Vault h] has no Token=");
        REFUSE("[Vault h]\nProvider=pkcs11\nToken=t\nModule=/m\n", "[Vault h] has no Objects=");
        REFUSE("[Vault h]\nProvider=pkcs11\nToken=t\nObjects=k\n", "[Vault h] has no Module=");
        REFUSE(PKCS11 "Host=v\n", "cmkd.conf:6: there is no Host= with Provider=pkcs11, which [Vault h] has");
        REFUSE(PKCS11 "Keys=k\n", "cmkd.conf:6: there is no Keys= with Provider=pkcs11");
        REFUSE(PKCS11 "CAFile=/c\n", "cmkd.conf:6: there is no CAFile= with Provider=pkcs11");
        REFUSE(PKCS11 "ClientId=0123abcd-f54d-7d3d-8648-2a745fc2ab8b\n", "cmkd.conf:6: there is no ClientId= with Provider=pkcs11");
        REFUSE(PKCS11 "TokenFile=/t\n", "cmkd.conf:6: there is no TokenFile= with Provider=pkcs11");
        REFUSE("[Vault v]\nHost=v\nKeys=k\nModule=/m\n", "cmkd.conf:4: there is no Module= with Provider=azure");
        REFUSE(TRANSIT "TokenFile=/t\nPinFile=/p\n", "cmkd.conf:6: there is no PinFile= with Provider=transit");
        REFUSE("[Vault h]\nToken=a b\n", "cmkd.conf:2:", "the label of a token");
        REFUSE("[Vault h]\n# fine\n ; too\nPinFile=/p  # not fine\n", "cmkd.conf:4: PinFile=: there are no comments behind a value");
        REFUSE("[Vault v]\nHost=v\nKeys=k\t#all\n", "cmkd.conf:3: Keys=: there are no comments");
        REFUSE("[Vault h]\nToken=123456789012345678901234567890123\n", "1 to 32 characters");
        REFUSE("[Vault h]\nObjects=%0a\n", "labels of private keys");
        REFUSE("[Vault h]\nObjects=\n", "labels of private keys");
        REFUSE("[Vault h]\nModule=m.so\n", "the path of a PKCS#11 module");
        REFUSE("[Vault h]\nModuleEnvironment=LD_PRELOAD=/x\n", "NAME=VALUE");
        REFUSE("[Vault h]\nModuleEnvironment=GLIBC_TUNABLES=/x\n", "NAME=VALUE");
        REFUSE("[Vault h]\nModuleEnvironment=PATH=/x\n", "NAME=VALUE");
        REFUSE("[Vault h]\nModuleEnvironment=A=\n", "NAME=VALUE");
        REFUSE("[Vault h]\nModuleEnvironment=a=1\n", "NAME=VALUE");
        REFUSE(PKCS11 "ModuleEnvironment=A=1\n[Vault g]\nProvider=pkcs11\nToken=u\nObjects=k\nModule=/m\nModuleEnvironment=A=2\n",
               "[Vault h]: A=1, and [Vault g] says A=2");
        REFUSE(PKCS11 "[Vault g]\nProvider=pkcs11\nToken=t\nObjects=x k\nModule=/n.so\n", "[Vault h] and [Vault g] both have key k at t");
}

#define PIN_A "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define PIN_B "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+/="
#define PINNED "[Vault v]\nHost=v\nKeys=k\nPinnedKeys="

static void test_what_a_certificate_must_be(void **state _unused_) {
        struct config *c;

        put("/etc/cmkd/cmkd.conf", PINNED PIN_A " \t" PIN_B "\nCRLFile=/crl\nStapledStatus=yes\n");
        c = load();
        assert_string_equal(c->vaults->pinned_keys, PIN_A ";" PIN_B);
        assert_string_equal(c->vaults->crl_file, "/crl");
        assert_true(c->vaults->stapled_status);
        config_free(c);
        put("/etc/cmkd/cmkd.conf", PINNED PIN_A ";" PIN_B "\nPinnedKeys=" PIN_B "\n");       /* as it is shown; the later wins */
        c = load();
        assert_string_equal(c->vaults->pinned_keys, PIN_B);
        assert_false(c->vaults->stapled_status);
        config_free(c);
        REFUSE(PINNED "\n", "cmkd.conf:4:", "sha256//BASE64");
        REFUSE(PINNED PIN_A " AAAA\n", "sha256//BASE64");
        REFUSE(PINNED "sha1//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "sha256//BASE64");
        REFUSE(PINNED PIN_A "A\n", "sha256//BASE64");
        REFUSE(PINNED "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-_=\n", "sha256//BASE64");
        REFUSE("[Vault v]\nHost=v\nKeys=k\nCRLFile=crl\n", "the path of a PEM file");
}

#define EXPECTED "[Vault v]\nHost=v\nKeys=k\nExpectPublicKeys="
#define DIGEST_A "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define DIGEST_B "sha256:0000000000000000000000000000000000000000000000000000000000000000"

static void test_public_keys_that_are_expected(void **state _unused_) {
        struct config *c;

        put("/etc/cmkd/cmkd.conf", EXPECTED "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD, \t" DIGEST_B "\n");
        c = load();
        assert_string_equal(c->vaults->public_keys[0], DIGEST_A);
        assert_string_equal(c->vaults->public_keys[1], DIGEST_B);
        assert_null(c->vaults->public_keys[2]);
        config_free(c);
        put("/etc/cmkd/cmkd.conf", "[Vault v]\nProvider=pkcs11\nToken=t\nObjects=k\nModule=/m.so\nExpectPublicKeys=" DIGEST_A "\n");
        c = load();
        assert_string_equal(c->vaults->public_keys[0], DIGEST_A);
        config_free(c);
        REFUSE(EXPECTED "\n", "cmkd.conf:4:", "sha256:HEX");
        REFUSE(EXPECTED DIGEST_A "0\n", "sha256:HEX");
        REFUSE(EXPECTED DIGEST_A " sha256:ab\n", "sha256:HEX");
        REFUSE(EXPECTED "sha256//ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\n", "sha256:HEX");
}

/* In the order in which they stand. */
static void test_logins_that_an_initramfs_has_not(void **state _unused_) {
        static const char *const wanted[] = {
                NULL, NULL, "Identity=arc", "ClientSecretFile=", "JwtFile=", "ClientKey=", "ProxyCredentialsFile=", "TokenFile=", "SecretIdFile=",
                "JwtFile=", "ClientKey=", "Module=",
        };
        const struct vault_config *v;
        struct config *c;

#define AZURE(i) "[Vault a" #i "]\nHost=a" #i ".vault.azure.net\nKeys=k\n"
#define BAO(i) "[Vault b" #i "]\nProvider=transit\nHost=b" #i "\nKeys=k\n"
#define WHO "TenantId=b8483526-f54d-7d3d-8648-2a745fc2ab8b\nClientId=b8483526-f54d-7d3d-8648-2a745fc2ab8b\n"
        put("/etc/cmkd/cmkd.conf", AZURE(1) AZURE(2) "Proxy=http://p:1\nCAFile=/ca\n" AZURE(3) "Identity=arc\n"
            AZURE(4) "Identity=secret\n" WHO "ClientSecretFile=/s\n" AZURE(5) "Identity=workload\n" WHO "JwtFile=/s\n"
            AZURE(6) "Identity=certificate\n" WHO "ClientCertificate=/c\nClientKey=/k\n"
            AZURE(7) "Proxy=http://p:1\nProxyCredentialsFile=/p\n"
            BAO(1) "TokenFile=/t\n" BAO(2) "RoleId=r\nSecretIdFile=/s\n" BAO(3) "Role=r\nJwtFile=/j\n"
            BAO(4) "ClientCertificate=/c\nClientKey=/k\n" PKCS11);
        c = load();
        v = c->vaults;
        for (size_t i = 0; i < ELEMENTSOF(wanted); i++, v = v->next) {
                const char *found;

                assert_non_null(v);
                found = config_vault_login_on_disk(v);
                if (!streq_ptr(found, wanted[i]))
                        fail_msg("[Vault %s]: %s, not %s", v->name, strempty(found), strempty(wanted[i]));
        }
        assert_null(v);
        config_free(c);
}

#define PROXIED "[Vault v]\nHost=v\nKeys=k\nProxy="

static void test_proxies(void **state _unused_) {
        static const char *const wrong[] = {
                "proxy.example:3128", "http://proxy.example", "socks5://proxy.example:1080", "https://proxy.example:3128/", "http://",
                "http://:3128", "http://*.example:3128", "http://proxy.example:0", "http://proxy.example:65536",
        };
        struct config *c;
        char text[256];

        put("/etc/cmkd/cmkd.conf", PROXIED "https://Proxy.Example:3128\nProxyCAFile=/ca\nProxyCredentialsFile=/login\n");
        c = load();
        assert_string_equal(c->vaults->proxy, "https://proxy.example:3128");
        assert_string_equal(c->vaults->proxy_ca_file, "/ca");
        assert_string_equal(c->vaults->proxy_credentials_file, "/login");
        config_free(c);
        put("/etc/cmkd/cmkd.conf", PROXIED "http://proxy:443\n[Vault w]\nProvider=transit\nHost=w\nKeys=k\nTokenFile=/t\nProxy=http://p:1\n");
        c = load();
        assert_string_equal(c->vaults->proxy, "http://proxy:443");
        assert_string_equal(c->vaults->next->proxy, "http://p:1");
        config_free(c);
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                snprintf(text, sizeof(text), PROXIED "%s\n", wrong[i]);
                REFUSE(text, "cmkd.conf:4: Proxy=", wrong[i], "https://HOST:PORT");
        }
        REFUSE(PROXIED "http://p:1\nProxyCAFile=/ca\n", "ProxyCAFile= is for an https:// proxy");
        REFUSE("[Vault v]\nHost=v\nKeys=k\nProxyCredentialsFile=/c\n", "has no Proxy=");
        REFUSE("[Vault v]\nHost=v\nKeys=k\nProxyCAFile=/c\n", "has no Proxy=");
        REFUSE(PKCS11 "Proxy=http://p:1\n", "there is no Proxy= with Provider=pkcs11");
}

/* Whoever reads the journal may read what is wrong with a configuration. */
static void test_a_password_is_not_shown(void **state _unused_) {
        _cleanup_(freep) char *why = NULL;
        struct config *c;

        put("/etc/cmkd/cmkd.conf", PROXIED "http://user:hunter2@proxy:3128\n");
        assert_int_equal(config_load(root, &c, &why), -EINVAL);
        assert_non_null(strstr(why, "Proxy=...: allowed is http://HOST:PORT"));
        assert_null(strstr(why, "hunter2"));
}

static void test_wrapped_secret_ids(void **state _unused_) {
        struct config *c;

#define BAO_ONE "[Vault b]\nProvider=transit\nHost=b\nKeys=k\n"
        put("/etc/cmkd/cmkd.conf", BAO_ONE "RoleId=r\nSecretIdFile=/s\nSecretIdWrapped=yes\n");
        c = load();
        assert_true(c->vaults->secret_id_wrapped);
        config_free(c);
        REFUSE(BAO_ONE "TokenFile=/t\nSecretIdWrapped=yes\n", "SecretIdWrapped=yes is about SecretIdFile=");
        REFUSE(BAO_ONE "RoleId=r\nSecretIdFile=/s\nSecretIdWrapped=maybe\n", "cmkd.conf:7:", "yes or no");
        REFUSE("[Vault v]\nHost=v\nKeys=k\nSecretIdWrapped=yes\n", "there is no SecretIdWrapped= with Provider=azure");
}

static void test_errors_say_where_and_what(void **state _unused_) {
        REFUSE("[Policy]\n\nOnRevoked=explode\n", "/etc/cmkd/cmkd.conf:3:", "OnRevoked=explode", "report, hold, cut");
        REFUSE("[Policy]\nPollSex=3\n", "cmkd.conf:2:", "no PollSex=", "did you mean PollSec=");
        REFUSE("[Policy]\npollsec=3\n", "no pollsec=", "did you mean PollSec=");
        REFUSE("[Vault v]\nHosts=v\n", "cmkd.conf:2:", "did you mean Host=");
        REFUSE("[Vault v]\nHots=v\n", "did you mean Host=");
        REFUSE("[Scratch s]\nHots=v\n", "cmkd.conf:2: there is no Hots= in [Scratch s]; see cmkd.conf(5)");
        REFUSE("[Node]\nPollSec=3\n", "no PollSec= in [Node]");
        REFUSE("[Guard]\nAllowMetadata=curl\n", "AllowMetadata=curl", "names of units");
        REFUSE("[Guard]\nAllowMetadata=" "a-unit-with-a-name-that-is-longer-than-what-the-kernel-keeps.service" "\n", "up to 63");
        REFUSE("[Polizy]\nPollSec=3\n", "[Polizy] is no section", "[Volume NAME]");
        REFUSE("[Volume]\nPollSec=3\n", "[Volume] is no section");
        REFUSE("[Volume ../x]\nPollSec=3\n", "is no section");
        REFUSE("[Volume a b]\nPollSec=3\n", "is no section");
        REFUSE("[Policy]\nPollSec=3 parsecs\n", "PollSec=3 parsecs", "a time span");
        REFUSE("[Policy]\nPollSec=\n", "a time span");
        REFUSE("[Node]\nTrust=everyone\n", "listed or allowed-keys");
        REFUSE("[Audit]\nPublicKey=auditor.pem\n", "PublicKey=auditor.pem", "the path of a PEM file");
        REFUSE("[Audit]\nMaxFileSize=\n", "a number of bytes");
        REFUSE("[Audit]\nMaxFileSize=M\n", "a number of bytes");
        REFUSE("[Audit]\nMaxFileSize=1MB\n", "a number of bytes");
        REFUSE("[Audit]\nMaxFileSize=-1\n", "a number of bytes");
        REFUSE("[Audit]\nMaxFileSize=99999999999999999999G\n", "a number of bytes");
        REFUSE("[Audit]\nPollSec=3\n", "no PollSec= in [Audit]");
        REFUSE("[Vault v]\nHost=*.example\nKeys=k\n", "without wildcards");
        REFUSE("[Vault v]\nHost=v/keys\nKeys=k\n", "HOST:PORT");
        REFUSE("[Vault v]\nHost=v:0\nKeys=k\n", "HOST:PORT");
        REFUSE("[Vault v]\nHost=user@v\nKeys=k\n", "HOST:PORT");
        REFUSE("[Vault v]\nHost=v\nKeys=a/b\n", "names of keys");
        REFUSE("[Vault v]\nHost=v\nKeys=*\n", "names of keys");
        REFUSE("[Vault v]\nHost=v\nKeys= , \n", "names of keys");
        REFUSE("[Vault v]\nHost=v\nKeys=k\nAcceptUnsafeVault=maybe\n", "yes or no");
        REFUSE("[Vault v]\nHost=v\n", "[Vault v] has no Keys=");
        REFUSE("[Vault v]\nKeys=k\n", "[Vault v] has no Host=");
        REFUSE("[Vault v]\nHost=v\nKeys=k\nProvider=clay\n", "Provider=clay is not known");
        REFUSE("just words\n", "cmkd.conf:1:", "neither a [Section]");
        REFUSE("[Policy]\nPollSec=3\njust words\n", "cmkd.conf:3:", "neither a [Section]");
        REFUSE("[Policy\nPollSec=3\n", "cmkd.conf:1:");
        REFUSE("PollSec=3\n", "cmkd.conf:1:");
}

/* Longer than the reader that was used before could take: it would have spoken to another volume. */
static void test_long_lines_and_names(void **state _unused_) {
        char text[4096], name[65] = "";
        struct config *c;
        size_t n;

        memset(name, 'n', 64);
        n = (size_t) snprintf(text, sizeof(text), "[Volume %s]\nPollSec=7\n[Vault %s]\nHost=v\nKeys=", name, name);
        for (int i = 0; i < 100; i++)
                n += (size_t) snprintf(text + n, sizeof(text) - n, "key-%d ", i);
        put("/etc/cmkd/cmkd.conf", text);
        c = load();
        assert_int_equal(config_find_volume(c, name)->policy.poll_usec, 7 * USEC_PER_SEC);
        assert_string_equal(config_vault_by_name(c, name)->keys[99], "key-99");
        config_free(c);
        REFUSE("[Volume nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn]\nPollSec=3\n",
                "is no section");
}

static uint64_t poll_sec(void) {
        struct config *c = load();
        uint64_t v = c->policy.poll_usec / USEC_PER_SEC;

        config_free(c);
        return v;
}

static void test_precedence(void **state _unused_) {
        char path[128];

        put("/usr/lib/cmkd/cmkd.conf", "[Policy]\nPollSec=1\nLeaseSec=11\n");
        assert_int_equal(poll_sec(), 1);
        put("/run/cmkd/cmkd.conf", "[Policy]\nPollSec=2\n");
        assert_int_equal(poll_sec(), 2);
        put("/etc/cmkd/cmkd.conf", "[Policy]\nPollSec=3\n");
        assert_int_equal(poll_sec(), 3);
        /* drop-ins over the file, by name, whatever the directory */
        put("/usr/lib/cmkd/cmkd.conf.d/50-a.conf", "[Policy]\nPollSec=4\n");
        assert_int_equal(poll_sec(), 4);
        put("/etc/cmkd/cmkd.conf.d/40-b.conf", "[Policy]\nPollSec=5\n");
        assert_int_equal(poll_sec(), 4);
        put("/run/cmkd/cmkd.conf.d/60-c.conf", "[Policy]\nPollSec=6\n");
        assert_int_equal(poll_sec(), 6);
        /* a name hides the same name in a later directory, also with an empty file */
        put("/etc/cmkd/cmkd.conf.d/60-c.conf", "");
        assert_int_equal(poll_sec(), 4);
        snprintf(path, sizeof(path), "%s/run/cmkd/cmkd.conf.d/50-a.conf", root);
        assert_int_equal(symlink("/dev/null", path), 0);
        assert_int_equal(poll_sec(), 5);
        /* not drop-ins */
        put("/etc/cmkd/cmkd.conf.d/99-x.conf~", "[Policy]\nPollSec=7\n");
        put("/etc/cmkd/cmkd.conf.d/.99-x.conf", "[Policy]\nPollSec=7\n");
        put("/etc/cmkd/cmkd.conf.d/README", "[Policy]\nPollSec=7\n");
        assert_int_equal(poll_sec(), 5);
        put("/etc/cmkd/cmkd.conf.d/70-bad.conf", "[Policy]\nPollSec=x\n");
        {
                struct config *c = NULL;
                char *why = NULL;

                assert_int_equal(config_load(root, &c, &why), -EINVAL);
                assert_non_null(strstr(why, "/etc/cmkd/cmkd.conf.d/70-bad.conf:2:"));
                free(why);
        }
}

/* A section in two files is one section; a list that is set again replaces the old one. */
static void test_sections_join(void **state _unused_) {
        struct config *c;

        put("/etc/cmkd/cmkd.conf", "[Vault v]\nHost=v\nKeys=a b\n[Volume x]\nPollSec=1\n");
        put("/etc/cmkd/cmkd.conf.d/1.conf", "[Vault v]\nKeys=c\n[Volume x]\nLeaseSec=2\n");
        c = load();
        assert_null(c->vaults->next);
        assert_string_equal(c->vaults->keys[0], "c");
        assert_null(c->vaults->keys[1]);
        assert_string_equal(c->vaults->host, "v");
        assert_null(c->volumes->next);
        assert_int_equal(c->volumes->policy.poll_usec, USEC_PER_SEC);
        assert_int_equal(c->volumes->policy.lease_usec, 2 * USEC_PER_SEC);
        config_free(c);
}

static void test_unreadable(void **state _unused_) {
        struct config *c = NULL;
        char path[128], *why = NULL;

        put("/etc/cmkd/cmkd.conf.d", "a file where a directory belongs");
        assert_int_equal(config_load(root, &c, &why), -ENOTDIR);
        assert_non_null(strstr(why, "/etc/cmkd/cmkd.conf.d: "));
        free(why);
        why = NULL;
        teardown(NULL);
        setup(NULL);
        snprintf(path, sizeof(path), "%s/etc/cmkd/cmkd.conf", root);
        assert_int_equal(mkdir_parents(path, 0755), 0);
        assert_int_equal(config_load(root, &c, &why), -EISDIR);
        assert_non_null(strstr(why, "/etc/cmkd/cmkd.conf: "));
        free(why);
        assert_null(c);
}

static void test_allow_list(void **state _unused_) {
        static const struct { const char *uri, *vault, *why; } table[] = {
                { "https://v.example/keys/a", "one", NULL }, { "https://V.EXAMPLE:443/keys/A/0123", "one", NULL },
                { "https://v.example/keys/b", "two", NULL }, { "https://v.example/keys/c", NULL, "this key" },
                { "https://v.example:444/keys/a", NULL, "host and port" },
                { "https://x.v.example/keys/a", NULL, "host and port" },
                { "https://v.example.evil/keys/a", NULL, "host and port" },
        };
        const struct vault_config *v;
        struct config *c;

        put("/etc/cmkd/cmkd.conf", "[Vault one]\nHost=v.example\nKeys=a\n[Vault two]\nHost=V.example:443\nKeys=B\n");
        c = load();
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *why = NULL;
                struct key_uri u;

                assert_int_equal(key_uri_parse(table[i].uri, &u, NULL), 0);
                v = config_find_vault(c, &u, &why);
                if (table[i].vault)
                        assert_string_equal(v->name, table[i].vault);
                else {
                        assert_null(v);
                        assert_non_null(strstr(why, table[i].why));
                        assert_null(config_find_vault(c, &u, NULL));
                }
        }
        config_free(c);
}

static void test_scratch(void **state _unused_) {
        const struct scratch_config *s;
        struct config *c;

        put("/etc/cmkd/cmkd.conf", "[Scratch tmp-1]\nDevice=/dev/disk/by-id/a\nFileSystem=ext4\nWipe=yes\n"
            "[Scratch swap]\nDevice=/dev/vdc\nFileSystem=swap\n[Scratch raw]\nDevice=/dev/vdd\n[Scratch tmp-1]\nFileSystem=xfs\n");
        c = load();
        s = config_find_scratch(c, "tmp-1");
        assert_string_equal(s->device, "/dev/disk/by-id/a");
        assert_string_equal(s->file_system, "xfs");
        assert_true(s->wipe);
        s = config_find_scratch(c, "raw");
        assert_null(s->file_system);
        assert_false(s->wipe);
        assert_null(config_find_scratch(c, "tmp"));
        config_free(c);
        refuse("[Scratch a]\nDevice=/etc/passwd\n", (const char *[]) { "cmkd.conf:2", "below /dev", NULL });
        refuse("[Scratch a]\nDevice=/dev/../etc\n", (const char *[]) { "Device=", NULL });
        refuse("[Scratch a]\nDevice=/dev/\n", (const char *[]) { "Device=", NULL });
        refuse("[Scratch a]\nFileSystem=zfs\n", (const char *[]) { "ext4", "swap", NULL });
        refuse("[Scratch a]\nFileSystem=ext4\n", (const char *[]) { "[Scratch a] has no Device=", NULL });
        refuse("[Scratch a]\nDevice=/dev/b\n[Scratch c]\nDevice=/dev/b\n", (const char *[]) { "[Scratch a]", "[Scratch c]", NULL });
        refuse("[Volume a]\nPollSec=9\n[Scratch a]\nDevice=/dev/b\n", (const char *[]) { "one name", NULL });
        refuse("[Scratch a/b]\nDevice=/dev/b\n", (const char *[]) { "no section", "[Scratch NAME]", NULL });
        refuse("[Scratch a]\nKeys=b\n", (const char *[]) { "no Keys= in [Scratch a]", NULL });
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
                T(test_nothing_is_an_empty_one),
                T(test_every_key),
                T(test_vault_defaults),
                T(test_transit),
                T(test_pkcs11),
                T(test_what_a_certificate_must_be),
                T(test_public_keys_that_are_expected),
                T(test_logins_that_an_initramfs_has_not),
                T(test_proxies),
                T(test_wrapped_secret_ids),
                T(test_a_password_is_not_shown),
                T(test_errors_say_where_and_what),
                T(test_long_lines_and_names),
                T(test_precedence),
                T(test_sections_join),
                T(test_unreadable),
                T(test_allow_list),
                T(test_scratch),
        };
        return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
