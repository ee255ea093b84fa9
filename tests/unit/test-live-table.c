/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/activation.c daemon/disk/integrity.c daemon/disk/live-table.c
// libs: json-c

#include "disk/activation.h"
#include "disk/integrity.h"
#include "disk/live-table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <json-c/json.h>

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
        { 512,  "aes-xts-plain64 :64:logon:cryptsetup:" UUID "-d1 0 254:16 32768", -EUCLEAN },
        { 512,  "aes-xts-plain64 " KEY " 8 254:16 32768", -EUCLEAN },
        { 512,  "aes-xts-plain64 " KEY " 0 254:17 32768", -EUCLEAN },
        { 512,  "aes-xts-plain64 " KEY " 0 254:16 3276", -EUCLEAN },
        { 512,  "aes-xts-plain64 " KEY " 0 254:16 327680", -EUCLEAN },
        { 512,  "", -EUCLEAN },
};

/* The flags of the header, no more and no less. */
static void test_params_of_flags(void **state) {
        static const struct { unsigned activation, sector_size; const char *options; } rows[] = {
                { ACTIVATION_DISCARDS, 512, " 1 allow_discards" },
                { ACTIVATION_DISCARDS, 4096, " 2 allow_discards sector_size:4096" },
                { ACTIVATION_NO_READ_WORKQUEUE|ACTIVATION_NO_WRITE_WORKQUEUE, 512, " 2 no_read_workqueue no_write_workqueue" },
                { ACTIVATION_ALL, 4096, " 6 allow_discards same_cpu_crypt submit_from_crypt_cpus no_read_workqueue no_write_workqueue "
                                        "sector_size:4096" },
        };
        struct live_table_expected e = {
                .name = "data1", .uuid = UUID, .major = 254, .minor = 16, .sectors = 1000, .offset = 32768,
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (unsigned flags = 0; flags <= ACTIVATION_ALL; flags++) {
                        const char *why, *options;
                        unsigned back;
                        char params[512];

                        e.sector_size = rows[i].sector_size;
                        e.activation = flags;
                        snprintf(params, sizeof(params), "aes-xts-plain64 " KEY " 0 254:16 32768%s", rows[i].options);
                        assert_int_equal(live_table_check_params(params, &e, &options, &why),
                                         flags == rows[i].activation ? 0 : -EUCLEAN);
                        assert_int_equal(activation_from_options(rows[i].options + 1, e.sector_size, &back), 0);
                        assert_int_equal(back, rows[i].activation);
                }
}

/* The header's list, there and back. */
static void test_flags(void **state) {
        char text[ACTIVATION_TEXT_SIZE];
        unsigned back;

        (void) state;
        for (unsigned flags = 0; flags <= ACTIVATION_ALL; flags++) {
                struct json_object *a = activation_to_json(flags);
                const char *name;

                assert_int_equal(activation_parse(a, &back, &name), 0);
                assert_int_equal(back, flags);
                json_object_put(a);
        }
        activation_to_text(ACTIVATION_DISCARDS|ACTIVATION_NO_READ_WORKQUEUE, text);
        assert_string_equal(text, "allow-discards no-read-workqueue");
        activation_to_text(ACTIVATION_ALL, text);
        assert_int_equal(strlen(text), ACTIVATION_TEXT_SIZE - 8);
        activation_to_text(0, text);
        assert_string_equal(text, "");
}

/* Made by cryptsetup or systemd, with options of theirs. */
static const struct {
        unsigned sector_size;
        const char *options;
        int result;
} by_others[] = {
        { 512, "", 0 }, { 512, " 1 allow_discards", 0 }, { 4096, " 1 sector_size:4096", 0 },
        { 4096, " 3 allow_discards sector_size:4096 no_read_workqueue", 0 }, { 512, " 2 same_cpu_crypt submit_from_crypt_cpus", 0 },
        { 512, " 1 sector_size:4096", -EUCLEAN }, { 4096, "", -EUCLEAN }, { 4096, " 1 allow_discards", -EUCLEAN },
        { 4096, " 2 sector_size:4096 iv_large_sectors", -EUCLEAN }, { 512, " 2 allow_discards", -EUCLEAN },
        { 512, " 1 allow_discards no_write_workqueue", -EUCLEAN }, { 512, " 1 integrity:28:aead", -EUCLEAN },
        { 512, " 1 allow", -EUCLEAN }, { 512, " 1 allow_discardsx", -EUCLEAN }, { 512, " 1 allow_discards ", -EUCLEAN },
        { 512, " x", -EUCLEAN }, { 512, "9", -EUCLEAN },
};

static void test_params_of_others(void **state) {
        struct live_table_expected e = {
                .name = "data1", .uuid = UUID, .major = 254, .minor = 16, .sectors = 1000, .offset = 32768, .by_others = true,
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(by_others); i++) {
                const char *why, *options;
                char params[512];

                e.sector_size = by_others[i].sector_size;
                snprintf(params, sizeof(params), "aes-xts-plain64 " KEY " 0 254:16 32768%s", by_others[i].options);
                if (live_table_check_params(params, &e, &options, &why) != by_others[i].result)
                        fail_msg("%s (%u)", params, e.sector_size);
        }
}

static void test_params(void **state) {
        struct live_table_expected e = {
                .name = "data1", .uuid = UUID, .major = 254, .minor = 16, .sectors = 1000, .offset = 32768,
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *why, *options;

                e.sector_size = cases[i].sector_size;
                if (live_table_check_params(cases[i].params, &e, &options, &why) != cases[i].result)
                        fail_msg("%s (%u)", cases[i].params, cases[i].sector_size);
        }
}

#define TAGGED "capi:authenc(hmac(sha256),xts(aes))-plain64 :96:logon:cryptsetup:" UUID "-d0"

/* On what keeps the tags: that number, from its beginning. */
static void test_params_with_tags(void **state) {
        static const struct { const char *params; unsigned integrity; bool by_others; int result; } rows[] = {
                { TAGGED " 0 254:16 32768 1 integrity:32:aead", ACTIVATION_HMAC_SHA256, false, 0 },
                { TAGGED " 0 254:16 32768 2 no_read_workqueue integrity:32:aead", ACTIVATION_HMAC_SHA256, true, 0 },
                { TAGGED " 0 254:16 32768 2 no_read_workqueue integrity:32:aead", ACTIVATION_HMAC_SHA256, false, -EUCLEAN },
                { TAGGED " 0 254:16 32768", ACTIVATION_HMAC_SHA256, false, -EUCLEAN },
                { TAGGED " 0 254:16 32768", ACTIVATION_HMAC_SHA256, true, -EUCLEAN },
                { TAGGED " 0 254:16 32768 1 integrity:64:aead", ACTIVATION_HMAC_SHA256, true, -EUCLEAN },
                { TAGGED " 0 254:16 32768 1 integrity:32:none", ACTIVATION_HMAC_SHA256, true, -EUCLEAN },
                { TAGGED " 0 254:16 32768 1 integrity:32:aead", ACTIVATION_HMAC_SHA512, true, -EUCLEAN },
                { TAGGED " 0 254:16 32768 1 integrity:32:aead", 0, true, -EUCLEAN },
                { "aes-xts-plain64 " KEY " 0 254:16 32768 1 integrity:32:aead", 0, true, -EUCLEAN },
                { "aes-xts-plain64 " KEY " 0 254:16 32768", ACTIVATION_HMAC_SHA256, true, -EUCLEAN },
        };
        struct live_table_expected e = {
                .name = "data1", .uuid = UUID, .major = 254, .minor = 16, .sectors = 1000, .offset = 32768, .sector_size = 512,
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const char *why, *options;

                e.integrity = rows[i].integrity;
                e.by_others = rows[i].by_others;
                if (live_table_check_params(rows[i].params, &e, &options, &why) != rows[i].result)
                        fail_msg("%s (%zu)", rows[i].params, i);
        }
}

static void test_what_keeps_tags(void **state) {
        static const struct { const char *params; int result; } rows[] = {
                { "254:16 32768 32 J 5 journal_sectors:4016 interleave_sectors:32768 buffer_sectors:128 journal_watermark:50 commit_time:10000", 0 },
                { "254:16 32768 32 J 6 block_size:4096 journal_sectors:4016 interleave_sectors:32768 buffer_sectors:128 journal_watermark:50 "
                  "commit_time:10000 ", 0 },
                { "254:16 32768 32 J 0", 0 },
                { "254:17 32768 32 J 0", -EUCLEAN },
                { "254:16 3276 32 J 0", -EUCLEAN },
                { "254:16 32768 64 J 0", -EUCLEAN },
                { "254:16 32768 32 D 0", -EUCLEAN },
                { "254:16 32768 32 R 0", -EUCLEAN },
                { "254:16 32768 32 J 1 meta_device:254:32", -EUCLEAN },
                { "254:16 32768 32 J 1 internal_hash:crc32c", -EUCLEAN },
                { "254:16 32768 32 J 1 recalculate", -EUCLEAN },
                { "254:16 32768 32 J 1 block_size:4096x", -EUCLEAN },
                { "254:16 32768 32 J x", -EUCLEAN },
                { "", -EUCLEAN },
        };
        const struct integrity_expected e = { .mapping = "data1", .uuid = UUID, .major = 254, .minor = 16, .offset = 32768, .tag_size = 32 };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (integrity_check_params(rows[i].params, &e) != rows[i].result)
                        fail_msg("%s", rows[i].params);
}

/* The kernel's answer, of which each part counts. */
static void test_table_of_what_keeps_tags(void **state) {
        struct { struct dm_ioctl io; struct dm_target_spec target; char params[64]; } good = {
                .io = { .data_start = sizeof(struct dm_ioctl), .flags = DM_ACTIVE_PRESENT_FLAG, .target_count = 1,
                        .uuid = "CRYPT-SUBDEV-8d2f6e3c5b1a4f7e9c0d112233445566-data1_dif" },
                .target = { .length = 4711, .target_type = "integrity" }, .params = "254:16 32768 32 J 0",
        }, b;
        const struct integrity_expected e = { .mapping = "data1", .uuid = UUID, .major = 254, .minor = 16, .offset = 32768, .tag_size = 32 };
        uint64_t sectors = 0;

        (void) state;
        good.io.data_size = sizeof(good);
        assert_int_equal(integrity_check_table(&good.io, &e, &sectors), 0);
        assert_int_equal(sectors, 4711);
        b = good, strcpy(b.io.uuid, "CRYPT-INTEGRITY-8d2f6e3c5b1a4f7e9c0d112233445566-data1_dif");
        assert_int_equal(integrity_check_table(&b.io, &e, &sectors), 0);
        b = good, strcpy(b.io.uuid, "CRYPT-SUBDEV-8d2f6e3c5b1a4f7e9c0d112233445567-data1_dif");
        assert_int_equal(integrity_check_table(&b.io, &e, &sectors), -EUCLEAN);
        b = good, strcpy(b.io.uuid, "CRYPT-SUBDEV-8d2f6e3c5b1a4f7e9c0d112233445566-data2_dif");
        assert_int_equal(integrity_check_table(&b.io, &e, &sectors), -EUCLEAN);
        b = good, strcpy(b.io.uuid, "CRYPT-LUKS2-8d2f6e3c5b1a4f7e9c0d112233445566-data1_dif");
        assert_int_equal(integrity_check_table(&b.io, &e, &sectors), -EUCLEAN);
        b = good, b.io.flags |= DM_INACTIVE_PRESENT_FLAG;
        assert_int_equal(integrity_check_table(&b.io, &e, &sectors), -EUCLEAN);
        b = good, b.io.flags |= DM_READONLY_FLAG;
        assert_int_equal(integrity_check_table(&b.io, &e, &sectors), -EUCLEAN);
        b = good, b.io.target_count = 2;
        assert_int_equal(integrity_check_table(&b.io, &e, &sectors), -EUCLEAN);
        b = good, b.target.sector_start = 1;
        assert_int_equal(integrity_check_table(&b.io, &e, &sectors), -EUCLEAN);
        b = good, strcpy(b.target.target_type, "linear");
        assert_int_equal(integrity_check_table(&b.io, &e, &sectors), -EUCLEAN);
        b = good, b.io.data_size = b.io.data_start + sizeof(b.target) + 4;      /* no end of the text in it */
        assert_int_equal(integrity_check_table(&b.io, &e, &sectors), -EUCLEAN);
}

/* A hold wipes the key: what is resumed is compared before it has one again, and must be the same after. */
static void test_held(void **state) {
        static const char zeros[] = "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                                    "000000000000000000000000000000000000";
        static const struct { const char *key, *rest; bool held; int result; } rows[] = {
                { zeros, " 0 254:16 32768 1 allow_discards", true, 0 },
                { KEY, " 0 254:16 32768 1 allow_discards", true, 0 },
                { zeros, " 0 254:16 32768", true, 0 },
                { zeros, " 0 254:16 32768 1 allow_discards", false, -EUCLEAN },
                { zeros, "00 0 254:16 32768", true, -EUCLEAN },
                { zeros + 2, " 0 254:16 32768", true, -EUCLEAN },
                { "-", " 0 254:16 32768", true, -EUCLEAN },
                { zeros, " 0 254:17 32768", true, -EUCLEAN },
                { zeros, " 8 254:16 32768", true, -EUCLEAN },
                { zeros, " 0 254:16 32768 1 sector_size:4096", true, -EUCLEAN },
        };
        struct live_table_expected e = {
                .name = "data1", .uuid = UUID, .major = 254, .minor = 16, .sectors = 1000, .offset = 32768, .sector_size = 512,
                .by_others = true,
        };

        (void) state;
        assert_int_equal(strlen(zeros), 128);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const char *why, *options;
                char params[512];

                e.held = rows[i].held;
                snprintf(params, sizeof(params), "aes-xts-plain64 %s%s", rows[i].key, rows[i].rest);
                if (live_table_check_params(params, &e, &options, &why) != rows[i].result)
                        fail_msg("%s (%d)", params, rows[i].held);
        }
}

static void test_same_as_before(void **state) {
        static const char adopted[] = "aes-xts-plain64 " KEY " 0 254:16 32768 1 allow_discards";
        struct live_table before = { .options = "1 allow_discards" };
        struct live_table_expected e = {
                .name = "data1", .uuid = UUID, .major = 254, .minor = 16, .sectors = 1000, .offset = 32768, .sector_size = 512,
                .by_others = true, .before = &before,
        };
        const char *why, *options;

        (void) state;
        assert_int_equal(live_table_check_params(adopted, &e, &options, &why), 0);
        assert_string_equal(options, before.options);
        strcpy(before.options, "1 no_read_workqueue");
        assert_int_equal(live_table_check_params(adopted, &e, &options, &why), -EUCLEAN);
        strcpy(before.options, "");
        assert_int_equal(live_table_check_params(adopted, &e, &options, &why), -EUCLEAN);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_params), cmocka_unit_test(test_params_of_flags), cmocka_unit_test(test_flags), cmocka_unit_test(test_params_of_others), cmocka_unit_test(test_held),
                cmocka_unit_test(test_same_as_before), cmocka_unit_test(test_params_with_tags), cmocka_unit_test(test_what_keeps_tags),
                cmocka_unit_test(test_table_of_what_keeps_tags),
        };

        return cmocka_run_group_tests_name("live-table", tests, NULL, NULL);
}
