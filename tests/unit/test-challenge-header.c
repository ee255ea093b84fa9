/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/challenge-header.c daemon/vault/azure-challenge.c
// libs: json-c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base64.h"
#include "vault/azure-challenge.h"
#include "vault/challenge-header.h"

static void test_forms(void **state _unused_) {
        static const struct { const char *header; int result; const char *value; } rows[] = {
                { "Bearer a=\"1\", realm=\"x y, z\"", 0, "x y, z" },
                { "bearer realm=x", 0, "x" },
                { "BEARER\trealm=x,a=1", 0, "x" },
                { "Bearer a=1 realm=x=y", 0, "x=y" },
                { "Bearer , ,a=1,,REALM=\"\",", 0, "" },
                { "Bearer", -ENOENT, NULL },
                { "Bearer arealm=1, realma=2", -ENOENT, NULL },
                { "Basic realm=x", -EBADMSG, NULL },
                { "Bearerrealm=x", -EBADMSG, NULL },
                { "", -EBADMSG, NULL },
                { "Bearer realm", -EBADMSG, NULL },
                { "Bearer realm=", -EBADMSG, NULL },
                { "Bearer realm= x", -EBADMSG, NULL },
                { "Bearer =x", -EBADMSG, NULL },
                { "Bearer realm=\"x", -EBADMSG, NULL },
                { "Bearer realm=\"x\\\"y\"", -EBADMSG, NULL },
                { "Bearer realm=\"x\"a=\"y\"", -EBADMSG, NULL },
                { "Bearer realm=x\"y\"", -EBADMSG, NULL },
                { "Bearer realm=x, realm=x", -EBADMSG, NULL },
                { "Bearer realm=x, a", -EBADMSG, NULL },         /* what follows counts too */
                { "Bearer realm=0123456789abcdef", -ENOBUFS, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char buf[16] = "untouched";

                if (challenge_header_get(rows[i].header, "Bearer", "realm", buf, sizeof(buf)) != rows[i].result)
                        fail_msg("%s", rows[i].header);
                assert_string_equal(buf, rows[i].value ? rows[i].value : "untouched");
        }
}

#define TENANT "a8483526-f54d-7d3d-8648-2a745fc2ab8b"
#define HOST "contoso.vault.azure.net"
#define AUTHORITY "authorization=\"https://login.windows.net/" TENANT "\""
#define RESOURCE "resource=\"https://vault.azure.net\""
#define INSUFFICIENT "error=\"insufficient_claims\", "

static void test_whose_it_is(void **state _unused_) {
        static const struct { const char *header, *host; int result; } rows[] = {
                { "Bearer " AUTHORITY ", " RESOURCE, HOST, 0 },
                { "Bearer authorization_uri=https://login.windows.net/" TENANT " scope=https://vault.azure.net/.default", HOST, 0 },
                { "Bearer " AUTHORITY ", resource=\"https://Vault.Azure.net/\"", HOST, 0 },
                { "Bearer " AUTHORITY ", " RESOURCE, "evilvault.azure.net", -EPERM },
                { "Bearer " AUTHORITY ", " RESOURCE, "vault.azure.net", -EPERM },
                { "Bearer " AUTHORITY ", " RESOURCE, ".vault.azure.net", -EPERM },
                { "Bearer " AUTHORITY ", " RESOURCE, "contoso.vault.azure.net.evil.example", -EPERM },
                { "Bearer " AUTHORITY ", resource=\"https://contoso.vault.azure.net\"", HOST, -EPERM },
                { "Bearer " AUTHORITY ", resource=\"https://management.azure.com\"", HOST, -EPERM },
                { "Bearer " AUTHORITY ", resource=\"http://vault.azure.net\"", HOST, -EBADMSG },
                { "Bearer " AUTHORITY ", resource=\"https://\"", HOST, -EBADMSG },
                { "Bearer " AUTHORITY, HOST, -EBADMSG },
                { "Bearer " RESOURCE, HOST, -EBADMSG },
                { "Bearer authorization=\"http://login.windows.net/x\", " RESOURCE, HOST, -EBADMSG },
                { "Bearer " AUTHORITY ", " AUTHORITY ", " RESOURCE, HOST, -EBADMSG },
                { "PoP " AUTHORITY ", " RESOURCE, HOST, -EBADMSG },
                { "", HOST, -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct azure_challenge c = { .tenant = "untouched" };

                if (azure_challenge_parse(rows[i].header, rows[i].host, &c) != rows[i].result)
                        fail_msg("%s at %s", rows[i].header, rows[i].host);
                assert_string_equal(c.tenant, rows[i].result == 0 ? TENANT : "untouched");
        }
}

static void test_tenants(void **state _unused_) {
        static const struct { const char *path, *tenant; } rows[] = {
                { "/" TENANT, TENANT }, { "/A8483526-F54D-7D3D-8648-2A745FC2AB8B/oauth2", TENANT }, { "/dstsv2/" TENANT, TENANT },
                { "", "" }, { "/", "" }, { "/common", "" }, { "/" TENANT "0", "" }, { "//" TENANT, "" }, { "/dstsv2", "" },
                { "/a8483526xf54d-7d3d-8648-2a745fc2ab8b", "" },
        };
        struct azure_challenge c;
        char header[512];

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                snprintf(header, sizeof(header), "Bearer authorization=\"https://login.example:443%s\", " RESOURCE, rows[i].path);
                assert_int_equal(azure_challenge_parse(header, HOST, &c), 0);
                assert_string_equal(c.tenant, rows[i].tenant);
        }
}

static int claims(const char *rest, struct azure_challenge *ret) {
        char header[4096];

        snprintf(header, sizeof(header), "Bearer " AUTHORITY ", " RESOURCE ", %s", rest);
        return azure_challenge_parse(header, HOST, ret);
}

static void test_claims(void **state _unused_) {
        static const char json[] = "{\"access_token\":{\"nbf\":{\"essential\":true,\"value\":\"1\"}}}";
        static const char *const bad[] = {
                INSUFFICIENT "claims=\"\"", INSUFFICIENT, INSUFFICIENT "claims=\"e30\"", INSUFFICIENT "claims=\"!!!!\"",
                INSUFFICIENT "claims=\"W10=\"", INSUFFICIENT "claims=\"e30AAAA=\"", "error=\"insufficient_claims\", error=x, claims=\"e30=\"",
        };
        char text[BASE64_SIZE(2048) + 1], rest[3072], url[sizeof(text)];
        uint8_t large[1100];
        struct azure_challenge c;

        base64_encode((const uint8_t *) json, strlen(json), text);
        base64url_encode((const uint8_t *) json, strlen(json), url);
        for (int i = 0; i < 2; i++) {
                snprintf(rest, sizeof(rest), INSUFFICIENT "claims=\"%s\"", i == 0 ? text : url);
                assert_int_equal(claims(rest, &c), 0);
                assert_string_equal(c.claims, json);
        }
        /* another error, or none: nothing is asked for */
        snprintf(rest, sizeof(rest), "error=\"invalid_token\", claims=\"%s\"", text);
        assert_int_equal(claims(rest, &c), 0);
        assert_string_equal(c.claims, "");
        snprintf(rest, sizeof(rest), "claims=\"%s\"", text);
        assert_int_equal(claims(rest, &c), 0);
        assert_string_equal(c.claims, "");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (i != 2 && claims(bad[i], &c) != -EBADMSG)
                        fail_msg("%s", bad[i]);
        for (size_t n = AZURE_CLAIMS_MAX; n <= AZURE_CLAIMS_MAX + 1; n++) {
                memset(large, ' ', sizeof(large));
                memcpy(large, "{}", 2);
                base64_encode(large, n, text);
                snprintf(rest, sizeof(rest), INSUFFICIENT "claims=\"%s\"", text);
                assert_int_equal(claims(rest, &c), n <= AZURE_CLAIMS_MAX ? 0 : -EBADMSG);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_forms), cmocka_unit_test(test_whose_it_is), cmocka_unit_test(test_tenants),
                cmocka_unit_test(test_claims),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
