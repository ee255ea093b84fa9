/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/azure-list.c daemon/vault/azure-attributes.c
// libs: json-c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault/azure-list.h"

static const struct key_uri vault = { .host = "vault.test", .port = 443, .name = "k" };
static const struct azure_page keys = { .vault = &vault, .path = "/keys" };
static const struct azure_page versions = { .vault = &vault, .path = "/keys/k/versions", .versions = true };

static char query[AZURE_QUERY_MAX + 1];
static struct vault_list list;

static int parse(const struct azure_page *p, const char *body) {
        const char *why = NULL;
        int r;

        memset(&list, 0x77, sizeof(list));
        strcpy(query, "untouched");
        r = azure_parse_list(body, strlen(body), p, &list, query, &why);
        if (r == -EBADMSG) {
                assert_non_null(why);
                assert_string_equal(query, "untouched");
                assert_int_equal(list.n, 0x77);
        }
        return r;
}

#define ENABLED "\"attributes\":{\"enabled\":true}"
#define KEY(name) "{\"kid\":\"https://vault.test/keys/" name "\"," ENABLED "}"

static void test_pages(void **state _unused_) {
        assert_int_equal(parse(&keys, "{\"value\":[],\"nextLink\":null}"), 0);
        assert_int_equal(list.n, 0);
        assert_string_equal(query, "");
        assert_int_equal(parse(&keys, "{\"value\":[{\"kid\":\"https://VAULT.test:443/keys/One\",\"attributes\":{\"enabled\":false,"
                               "\"created\":7,\"nbf\":8,\"exp\":9,\"recoveryLevel\":\"Recoverable\"},\"tags\":{\"a\":\"b\"}},"
                               KEY("two") "],\"x\":1}"), 0);
        assert_int_equal(list.n, 2);
        assert_string_equal(list.items[0].kid, "https://vault.test/keys/one");
        assert_int_equal(list.items[0].key_flags, VAULT_KEY_PURGE_PROTECTED);
        assert_int_equal(list.items[0].created, 7);
        assert_int_equal(list.items[0].not_before, 8);
        assert_int_equal(list.items[0].expires, 9);
        assert_int_equal(list.items[1].key_flags, VAULT_KEY_ENABLED);
        assert_int_equal(parse(&versions, "{\"value\":[" KEY("k/1") "," KEY("K/2") "]}"), 0);
        assert_string_equal(list.items[1].kid, "https://vault.test/keys/k/2");
}

static void test_what_is_no_list(void **state _unused_) {
        static const struct { const struct azure_page *page; const char *body; } rows[] = {
                { &keys, "" }, { &keys, "[]" }, { &keys, "{}" }, { &keys, "{\"value\":null}" }, { &keys, "{\"value\":{}}" },
                { &keys, "{\"value\":[7]}" }, { &keys, "{\"value\":[{}]}" }, { &keys, "{\"value\":[" KEY("k/1") "]}" },
                { &versions, "{\"value\":[" KEY("k") "]}" }, { &versions, "{\"value\":[" KEY("other/1") "]}" },
                { &keys, "{\"value\":[{\"kid\":\"https://vault.test/keys/k\"}]}" },
                { &keys, "{\"value\":[{\"kid\":\"https://vault.test/keys/k\",\"attributes\":{\"enabled\":1}}]}" },
                { &keys, "{\"value\":[{\"kid\":\"https://vault.test/keys/k\",\"attributes\":{\"enabled\":true,\"exp\":\"1\"}}]}" },
                { &keys, "{\"value\":[{\"kid\":\"https://evil.test/keys/k\"," ENABLED "}]}" },
                { &keys, "{\"value\":[{\"kid\":\"https://vault.test:444/keys/k\"," ENABLED "}]}" },
                { &keys, "{\"value\":[{\"kid\":\"https://vault.test/keys/\\u001b[2J\"," ENABLED "}]}" },
                { &keys, "{\"value\":[],\"value\":[]}" }, { &keys, "{\"value\":[],\"nextLink\":7}" },
        };
        char body[8192] = "{\"value\":[";

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (parse(rows[i].page, rows[i].body) != -EBADMSG)
                        fail_msg("%s", rows[i].body);
        for (unsigned i = 0; i <= VAULT_LIST_MAX; i++)
                strcat(strcat(body, i > 0 ? "," : ""), KEY("k"));
        strcat(body, "]}");
        assert_int_equal(parse(&keys, body), -EBADMSG);
}

static int parse_link(const struct azure_page *p, const char *link) {
        char body[2048];

        snprintf(body, sizeof(body), "{\"value\":[],\"nextLink\":\"%s\"}", link);
        return parse(p, body);
}

#define GOOD "api-version=7.4&$skiptoken=eyJO%3d%3D&maxresults=25"

static void test_links(void **state _unused_) {
        static const char *const good[] = {
                "https://vault.test/keys?" GOOD, "https://VAULT.test:443/Keys?" GOOD,
        };
        static const char *const bad[] = {
                "", "/keys?" GOOD, "http://vault.test/keys?" GOOD, "https://evil.test/keys?" GOOD, "https://vault.test.evil/keys?" GOOD,
                "https://vault.test@evil.test/keys?" GOOD, "https://vault.test:444/keys?" GOOD, "https://vault.testx/keys?" GOOD,
                "https://vault.test/keysx?" GOOD, "https://vault.test/secrets?" GOOD, "https://vault.test/keys/k/versions?" GOOD,
                "https://vault.test/keys", "https://vault.test/keys?", "https://vault.test/keys?$skiptoken=1",
                "https://vault.test/keys?xapi-version=7.4", "https://vault.test/keys?" GOOD "#x", "https://vault.test/keys?" GOOD " x",
                "https://vault.test/keys?" GOOD "\\r\\nX: y", "https://vault.test/keys?" GOOD "\\u00e9",
        };
        struct key_uri other_port = { .host = "vault.test", .port = 8443, .name = "k" };
        const struct azure_page there = { .vault = &other_port, .path = "/keys" };
        char link[2048] = "https://vault.test/keys?api-version=7.4&";
        size_t n = strlen(link), head = strlen("https://vault.test/keys?");

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                assert_int_equal(parse_link(&keys, good[i]), 0);
                assert_string_equal(query, GOOD);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (parse_link(&keys, bad[i]) != -EBADMSG)
                        fail_msg("%s", bad[i]);
        assert_int_equal(parse_link(&versions, "https://vault.test/keys/k/versions?" GOOD), 0);
        assert_int_equal(parse_link(&there, "https://vault.test:8443/keys?" GOOD), 0);
        assert_int_equal(parse_link(&there, "https://vault.test/keys?" GOOD), -EBADMSG);
        memset(link + n, 'x', head + AZURE_QUERY_MAX - n);
        assert_int_equal(parse_link(&keys, link), 0);
        link[head + AZURE_QUERY_MAX] = 'x';
        assert_int_equal(parse_link(&keys, link), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pages), cmocka_unit_test(test_what_is_no_list), cmocka_unit_test(test_links),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
