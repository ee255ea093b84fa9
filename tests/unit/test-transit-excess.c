/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/transit-excess.c
// libs: json-c

#include "vault/transit-excess.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* For each path of the request, what a policy needs there. */
static void make_capabilities(const char *path, const char *given, char buf[static 4096]) {
        static const char *const all[][2] = {
                { "transit/keys/k", "read" }, { "transit/decrypt/k", "update" }, { "transit/encrypt/k", "update" }, { "transit/rewrap/k", "deny" },
                { "transit/keys/k/config", "deny" }, { "transit/keys/k/rotate", "deny" }, { "transit/keys/k/trim", "read" },
                { "transit/keys/k/soft-delete", "deny" }, { "transit/export/encryption-key/k", "deny" }, { "transit/backup/k", "deny" },
        };
        size_t n = (size_t) sprintf(buf, "{\"capabilities\":[\"root\"],\"data\":{");

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                if (given || !streq(all[i][0], path))
                        n += (size_t) sprintf(buf + n, "%s\"%s\":[%s%s%s]", buf[n - 1] == '{' ? "" : ",", all[i][0],
                                              streq(all[i][0], path) ? given : "\"", streq(all[i][0], path) ? "" : all[i][1],
                                              streq(all[i][0], path) ? "" : "\"");
        strcpy(buf + n, "}}");
}

static void test_excess(void **state _unused_) {
        char body[4096], text[129], request[TRANSIT_EXCESS_BODY_MAX], *longer;
        static const struct { const char *path, *given, *found; int r; } cases[] = {
                { "", "", "", 0 },
                { "transit/keys/k", "\"read\",\"deny\"", "", 0 },
                { "transit/encrypt/k", "\"create\",\"update\"", "create on transit/encrypt/k", 0 },
                { "transit/keys/k/config", "\"update\",\"sudo\"", "update on transit/keys/k/config, sudo on transit/keys/k/config", 0 },
                { "transit/backup/k", "\"read\"", "read on transit/backup/k", 0 },
                { "transit/decrypt/k", "\"root\"", "root on transit/decrypt/k", 0 },
                { "transit/decrypt/k", "1", "", -EBADMSG },
                { "transit/backup/k", NULL, "", -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                make_capabilities(cases[i].path, cases[i].given, body);
                assert_int_equal(transit_parse_excess(body, strlen(body), "transit", "k", text, sizeof(text)), cases[i].r);
                if (cases[i].r == 0)
                        assert_string_equal(text, cases[i].found);
        }
        assert_int_equal(transit_parse_excess("{\"data\":[]}", 11, "transit", "k", text, sizeof(text)), -EBADMSG);
        assert_int_equal(transit_parse_excess("{", 1, "transit", "k", text, sizeof(text)), -EBADMSG);
        assert_int_equal(transit_excess_body("team/keys", "k", request), 0);
        assert_non_null(strstr(request, "{\"paths\":[\"team/keys/keys/k\",\"team/keys/decrypt/k\","));
        longer = calloc(1, 600);
        memset(longer, 'm', 599);
        assert_int_equal(transit_excess_body(longer, "k", request), -EMSGSIZE);
        free(longer);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_excess) };

        return cmocka_run_group_tests_name("transit-excess", tests, NULL, NULL);
}
