/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/key-peer.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/un.h>
#include <cmocka.h>

#include "manager/key-peer.h"

#define SLICE "/system.slice/system-systemd\\x2dcryptsetup.slice/"
#define UNIT "systemd-cryptsetup@"
#define A10 "aaaaaaaaaa"
#define A64 A10 A10 A10 A10 A10 A10 "aaaa"

static void unit(const char *text, const char *expected) {
        char name[65] = "untouched";

        assert_int_equal(key_peer_unit(text, name), expected ? 0 : -EINVAL);
        assert_string_equal(name, expected ? expected : "untouched");
}

static void test_unit(void **state _unused_) {
        unit("0::" SLICE UNIT "data1.service\n", "data1");
        unit("0::/system.slice/" UNIT "data1.service", "data1");
        unit("1:name=systemd:/user.slice\n0::" SLICE UNIT "data1.service\n", "data1");
        unit("0::" SLICE UNIT "my\\x2ddata_2.x.service\n", "my-data_2.x");
        unit("0::" SLICE UNIT "\\x2d.service\n", NULL);
        unit("0::" SLICE UNIT "a\\x2d.service\n", "a-");
        unit("0::" SLICE UNIT A64 ".service\n", A64);
}

static void test_not_the_unit(void **state _unused_) {
        static const char *const bad[] = {
                "", "\n", "0::\n", "0::/\n", "1:name=systemd:" SLICE UNIT "data1.service\n",
                "0::" SLICE UNIT "data1.service/x\n", "0::" SLICE UNIT "data1.scope\n", "0::" SLICE UNIT ".service\n",
                "0::" SLICE UNIT "data1.service \n", "0::" SLICE UNIT "a-b.service\n", "0::" SLICE "x" UNIT "a.service\n",
                "0::/system.slice/evil.service/" UNIT "data1.service\n", "0::/user.slice/" UNIT "data1.service\n",
                "0::/user.slice/user-0.slice/user@0.service/app.slice/" UNIT "data1.service\n",
                "0::/" UNIT "data1.service\n", "0::" UNIT "data1.service\n", "0::/system.slice/../" UNIT "data1.service\n",
                "0::" SLICE UNIT "a\\x2.service\n", "0::" SLICE UNIT "a\\x2", "0::" SLICE UNIT "a\\x2g.service\n",
                "0::" SLICE UNIT "a\\x00.service\n", "0::" SLICE UNIT "a\\x2f.service\n", "0::" SLICE UNIT "a\\.service\n",
                "0::" SLICE UNIT A64 "a.service\n", "0::/machine.slice/x.scope" SLICE UNIT "data1.service\n",
                "10::" SLICE UNIT "data1.service\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                unit(bad[i], NULL);
}

static void hint(const char *text, size_t size, const char *expected) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        char name[65] = "untouched";

        memcpy(sa.sun_path, text, size);
        assert_int_equal(key_peer_hint(&sa, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + size), name),
                         expected ? 0 : -EINVAL);
        assert_string_equal(name, expected ? expected : "untouched");
}

#define HINT(text, expected) hint(text, sizeof(text) - 1, expected)

static void test_hint(void **state _unused_) {
        HINT("\0" "1f/cryptsetup/data1", "data1");
        HINT("\0" "0123456789abcdef/cryptsetup/my-data", "my-data");
        HINT("\0" "1/cryptsetup/" A64, A64);
        HINT("", NULL);
        HINT("\0", NULL);
        HINT("1f/cryptsetup/data1", NULL);
        HINT("\0" "/cryptsetup/data1", NULL);
        HINT("\0" "1f/cryptsetup/", NULL);
        HINT("\0" "1f/cryptsetup/data1\0", NULL);
        HINT("\0" "1f/cryptsetup/da\0ta1", NULL);
        HINT("\0" "1f/cryptsetup/a/b", NULL);
        HINT("\0" "1f/other/data1", NULL);
        HINT("\0" "0123456789abcdef0/cryptsetup/data1", NULL);
        HINT("\0" "1F/cryptsetup/data1", NULL);
        HINT("\0" "1/cryptsetup/" A64 "a", NULL);
        hint("\0" "1/cryptsetup/" A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", sizeof(((struct sockaddr_un *) NULL)->sun_path), NULL);
}

/* What the kernel says of a socket that is not bound, and of one that is not of this family. */
static void test_hint_family(void **state _unused_) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        char name[65];

        assert_int_equal(key_peer_hint(&sa, 0, name), -EINVAL);
        assert_int_equal(key_peer_hint(&sa, sizeof(sa.sun_family), name), -EINVAL);
        assert_int_equal(key_peer_hint(&sa, sizeof(sa) + 1, name), -EINVAL);
        sa.sun_family = AF_INET;
        memcpy(sa.sun_path, "\0" "1/cryptsetup/a", 15);
        assert_int_equal(key_peer_hint(&sa, 17, name), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_unit), cmocka_unit_test(test_not_the_unit), cmocka_unit_test(test_hint),
                cmocka_unit_test(test_hint_family),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
