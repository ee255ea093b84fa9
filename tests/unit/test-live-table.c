/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/live-table.c

#include "disk/live-table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define UUID "8d2f6e3c-5b1a-4f7e-9c0d-112233445566"
#define KEY ":64:logon:cryptsetup:" UUID "-d0"

static const struct { unsigned sector_size; const char *params; int result; } cases[] = {
        { 512,  "aes-xts-plain64 " KEY " 0 254:16 32768", 0 },
        { 512,  "aes-xts-plain64 " KEY " 0 254:16 32768 ", 0 },
        { 4096, "aes-xts-plain64 " KEY " 0 254:16 32768 1 sector_size:4096", 0 },
        { 512,  "aes-xts-plain64 " KEY " 0 254:16 32768 1 sector_size:4096", -EUCLEAN },
        { 4096, "aes-xts-plain64 " KEY " 0 254:16 32768", -EUCLEAN },
        { 4096, "aes-xts-plain64 " KEY " 0 254:16 32768 2 sector_size:4096 allow_discards", -EUCLEAN },
        { 512,  "aes-xts-plain64 " KEY " 0 254:16 32768 1 allow_discards", -EUCLEAN },
        { 512,  "cipher_null-ecb " KEY " 0 254:16 32768", -EUCLEAN },
        { 512,  "aes-xts-plain " KEY " 0 254:16 32768", -EUCLEAN },
        { 512,  "capi:xts(aes)-plain64 " KEY " 0 254:16 32768", -EUCLEAN },
        { 512,  "aes-xts-plain64 00112233 0 254:16 32768", -EUCLEAN },
        { 512,  "aes-xts-plain64 :32:logon:cryptsetup:" UUID "-d0 0 254:16 32768", -EUCLEAN },
        { 512,  "aes-xts-plain64 :64:user:cryptsetup:" UUID "-d0 0 254:16 32768", -EUCLEAN },
        { 512,  "aes-xts-plain64 :64:logon:cryptsetup:other-d0 0 254:16 32768", -EUCLEAN },
        { 512,  "aes-xts-plain64 " KEY " 8 254:16 32768", -EUCLEAN },
        { 512,  "aes-xts-plain64 " KEY " 0 254:17 32768", -EUCLEAN },
        { 512,  "aes-xts-plain64 " KEY " 0 254:16 3276", -EUCLEAN },
        { 512,  "aes-xts-plain64 " KEY " 0 254:16 327680", -EUCLEAN },
        { 512,  "", -EUCLEAN },
};

static void test_params(void **state) {
        struct live_table_expected e = {
                .name = "data1", .uuid = UUID, .major = 254, .minor = 16, .sectors = 1000, .offset = 32768,
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *why;

                e.sector_size = cases[i].sector_size;
                if (live_table_check_params(cases[i].params, &e, &why) != cases[i].result)
                        fail_msg("%s (%u)", cases[i].params, cases[i].sector_size);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_params) };

        return cmocka_run_group_tests_name("live-table", tests, NULL, NULL);
}
