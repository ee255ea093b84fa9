/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/backup-mark.c

#include "manager/backup-mark.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void what_was_written_is_read(void **state _unused_) {
        struct backup_mark b;
        uint8_t other[DISK_DIGEST_SIZE] = {};
        char text[400];

        assert_int_equal(backup_mark_parse("1769860800000000 " DIGEST " /root/a b.header\n", &b), 0);
        assert_string_equal(b.path, "/root/a b.header");
        assert_int_equal(b.digest[1], 0x11);
        assert_int_equal(b.digest[31], 0xff);
        backup_mark_describe(&b, NULL, text, sizeof(text));
        assert_string_equal(text, "/root/a b.header, 2026-01-31 12:00:00 UTC");
        backup_mark_describe(&b, b.digest, text, sizeof(text));
        assert_string_equal(text, "/root/a b.header, 2026-01-31 12:00:00 UTC, of the header as it is");
        backup_mark_describe(&b, other, text, sizeof(text));
        assert_non_null(strstr(text, ", OLDER than the header"));
}

static void what_is_none_is_not(void **state _unused_) {
        static const char *const bad[] = {
                "", "\n", "1 " DIGEST "\n", "1 " DIGEST " \n", "1 " DIGEST " root\n", "1 " DIGEST " /a", "1 " DIGEST " /a\n\n", "x " DIGEST " /a\n",
                "1 " DIGEST "0 /a\n", "1 0011 /a\n", "1 " DIGEST " /a\nb\n",
        };
        char text[600];
        struct backup_mark b;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (backup_mark_parse(bad[i], &b) != -EBADMSG)
                        fail_msg("taken: %s", bad[i]);
        snprintf(text, sizeof(text), "1 " DIGEST " /%0300d\n", 0);
        assert_int_equal(backup_mark_parse(text, &b), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(what_was_written_is_read), cmocka_unit_test(what_is_none_is_not) };

        return cmocka_run_group_tests_name("backup-mark", tests, NULL, NULL);
}
