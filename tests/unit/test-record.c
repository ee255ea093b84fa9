/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/chain.c daemon/audit/seal.c daemon/audit/record.c daemon/audit/describe.c
// libs: json-c
// Records as lines: the exact form, awkward texts, refusals; kernel events as records.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <syslog.h>

#include "audit/describe.h"
#include "audit/record.h"

static struct record_line line;
static struct audit_message_record message;
static const uint8_t zero[CHAIN_HASH_SIZE];

static void start(const char *event) {
        audit_record_start(&message, event, LOG_NOTICE, true);
        message.realtime_usec = UINT64_C(1767268800000001);        /* 2026-01-01 12:00:00.000001 */
        message.boottime_usec = 42;
}

static void exact_form(void **state _unused_) {
        static const char body[] =
                "{\"v\":1,\"seq\":7,\"time\":\"2026-01-01T12:00:00.000001Z\",\"boottime_us\":42,\"source\":\"daemon\","
                "\"event\":\"release\",\"priority\":5,\"fields\":{\"volume\":\"data\"},\"prev\":"
                "\"0000000000000000000000000000000000000000000000000000000000000000\",\"hash\":\"";
        uint8_t stated[CHAIN_HASH_SIZE], computed[CHAIN_HASH_SIZE];

        start("release");
        audit_record_add(&message, "volume", "data");
        assert_int_equal(record_encode(&message, RECORD_DAEMON, 7, zero, NULL, &line), 0);
        assert_int_equal(line.size, sizeof(body) - 1 + CHAIN_HEX_SIZE + 3);
        assert_memory_equal(line.text, body, sizeof(body) - 1);
        assert_int_equal(line.text[line.size - 1], '\n');
        assert_int_equal(chain_hash_line(zero, line.text, line.size - 1, stated, computed), 0);
        assert_memory_equal(stated, computed, sizeof(stated));
        assert_memory_equal(stated, line.hash, sizeof(stated));
}

static void decode_gives_back(void **state _unused_) {
        struct record r = {};

        start("verdict");
        audit_record_add(&message, "volume", "a\"b\\c");
        audit_record_add(&message, "why", "key gr\xc3\xbc\xc3\x9f" "e \xf0\x9f\x94\x91");
        assert_int_equal(record_encode(&message, RECORD_KERNEL, UINT64_C(1) << 60, zero, NULL, &line), 0);
        assert_int_equal(record_decode(line.text, line.size - 1, &r), 0);
        assert_true(r.sequence == UINT64_C(1) << 60);
        assert_true(r.realtime_usec == message.realtime_usec);
        assert_int_equal(r.boottime_usec, 42);
        assert_int_equal(r.priority, LOG_NOTICE);
        assert_int_equal(r.source, RECORD_KERNEL);
        assert_string_equal(r.event, "verdict");
        assert_int_equal(r.n_fields, 2);
        assert_string_equal(record_field(&r, "volume"), "a\"b\\c");
        assert_string_equal(record_field(&r, "why"), "key gr\xc3\xbc\xc3\x9f" "e \xf0\x9f\x94\x91");
        assert_null(record_field(&r, "nothing"));
        assert_memory_equal(r.hash, line.hash, sizeof(r.hash));
        record_done(&r);
}

/* No byte of a value can end the line, the text or the UTF-8. */
static void awkward_bytes_stay_inside(void **state _unused_) {
        for (unsigned first = 1; first < 256; first++)
                for (unsigned second = 0; second < 256; second += second < 0x70 ? 16 : 1) {
                        char value[] = { 'x', (char) first, (char) second, 0 };
                        struct record r = {};

                        start("e");
                        message.n_fields = 1;
                        strcpy(message.fields[0].name, "f");
                        strcpy(message.fields[0].value, value);
                        assert_int_equal(record_encode(&message, RECORD_DAEMON, 1, zero, NULL, &line), 0);
                        assert_ptr_equal(memchr(line.text, '\n', line.size), line.text + line.size - 1);
                        assert_int_equal(record_decode(line.text, line.size - 1, &r), 0);
                        assert_int_equal(r.n_fields, 1);
                        record_done(&r);
                }
}

static void largest_record_fits(void **state _unused_) {
        struct record r = {};

        start("e");
        message.n_fields = AUDIT_FIELDS_MAX;
        for (unsigned i = 0; i < AUDIT_FIELDS_MAX; i++) {
                snprintf(message.fields[i].name, sizeof(message.fields[i].name), "field_number_%u", i);
                memset(message.fields[i].value, 0xff, AUDIT_VALUE_MAX);        /* six bytes each in the line */
                message.fields[i].value[AUDIT_VALUE_MAX] = 0;
        }
        assert_int_equal(record_encode(&message, RECORD_DAEMON, UINT64_MAX - 1, zero, NULL, &line), 0);
        assert_int_equal(record_decode(line.text, line.size - 1, &r), 0);
        assert_int_equal(r.n_fields, AUDIT_FIELDS_MAX);
        record_done(&r);
        message.realtime_usec = UINT64_MAX;
        assert_int_equal(record_encode(&message, RECORD_DAEMON, 1, zero, NULL, &line), -ERANGE);
}

/* What a record says is what is made of it when it is written a second time, as an early one is: also where replacements make it longer. */
static void text_that_grows_is_the_same_again(void **state _unused_) {
        static struct record_line again;

        for (unsigned i = 0; i < 6; i++) {
                char *value = message.fields[0].value;
                struct record r = {};

                start("e");
                message.n_fields = 1;
                strcpy(message.fields[0].name, "f");
                memset(value, i == 0 ? 0xff : 'x', AUDIT_VALUE_MAX);
                value[i == 0 ? 400 : AUDIT_VALUE_MAX] = 0;
                if (i == 1)
                        value[AUDIT_VALUE_MAX - 1] = (char) 0xc3;          /* cut inside a character */
                else if (i > 1)
                        memset(value + 3 * i, 0xff, i - 1);
                if (i == 4)
                        memcpy(value + AUDIT_VALUE_MAX - 12, "\xf0\x9f\x94\x91\xf0\x9f\x94\x91\xf0\x9f\x94\x91", 12);
                if (i == 5)
                        memcpy(value + AUDIT_VALUE_MAX - 9, "\"\x01\\\"\x01\\\"\x01\\", 9);
                assert_int_equal(record_encode(&message, RECORD_DAEMON, 7, zero, NULL, &line), 0);
                assert_int_equal(record_decode(line.text, line.size - 1, &r), 0);
                assert_in_range(strlen(record_field(&r, "f")), AUDIT_VALUE_MAX - 3, AUDIT_VALUE_MAX);
                record_to_message(&r, &message);
                record_done(&r);
                assert_int_equal(record_encode(&message, RECORD_DAEMON, 7, zero, NULL, &again), 0);
                assert_int_equal(again.size, line.size);
                assert_memory_equal(again.text, line.text, line.size);
        }
}

/* Replaces one piece of a good line and expects that it is refused. */
static void refused(const char *what, const char *by, int error) {
        char text[2048], *p;
        struct record r = {};
        int e;

        start("release");
        audit_record_add(&message, "volume", "data");
        assert_int_equal(record_encode(&message, RECORD_DAEMON, 7, zero, NULL, &line), 0);
        line.text[line.size - 1] = 0;
        p = strstr(line.text, what);
        assert_non_null(p);
        snprintf(text, sizeof(text), "%.*s%s%s", (int) (p - line.text), line.text, by, p + strlen(what));
        e = record_decode(text, strlen(text), &r);
        if (e != error)
                print_error("%s for %s: %d\n", by, what, e);
        assert_int_equal(e, error);
}

static void other_schemas_are_refused(void **state _unused_) {
        refused("\"v\":1", "\"v\":3", -EPROTONOSUPPORT);
        refused("\"v\":1", "\"v\":2", -EBADMSG);           /* no seal */
        refused(",\"hash\"", ",\"mac\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"hash\"",
                -EBADMSG);                                 /* and one too many */
        refused("\"v\":1", "\"v\":0", -EBADMSG);
        refused("\"v\":1", "\"v\":\"1\"", -EBADMSG);
        refused("\"v\":1,", "", -EBADMSG);
        refused("\"seq\":7", "\"seq\":0", -EBADMSG);
        refused("\"seq\":7", "\"seq\":-7", -EBADMSG);
        refused("\"seq\":7", "\"seq\":7.5", -EBADMSG);
        refused("\"seq\":7", "\"seq\":7,\"more\":1", -EBADMSG);
        refused("2026-01-01T12", "2026-13-01T12", -EBADMSG);
        refused("2026-01-01T12", "2026-02-30T12", -EBADMSG);
        refused(".000001Z", ".000001+", -EBADMSG);
        refused("\"daemon\"", "\"martian\"", -EBADMSG);
        refused("\"release\"", "\"abcdefghijklmnopqrstuvwxyzabcdefghijklmn\"", -EBADMSG);
        refused("\"priority\":5", "\"priority\":8", -EBADMSG);
        refused("{\"volume\":\"data\"}", "{\"volume\":1}", -EBADMSG);
        refused("{\"volume\":\"data\"}", "[]", -EBADMSG);
        refused("\"data\"", "\"da\\u0000ta\"", -EBADMSG);
        refused("\"data\"", "\"\xff\"", -EBADMSG);
        refused("{\"v\"", "{{\"v\"", -EBADMSG);
        refused("\"fields\"", "\"Fields\"", -EBADMSG);
        refused("\"prev\":\"0", "\"prev\":\"00", -EBADMSG);
        refused("\"prev\":\"0", "\"prev\":\"g", -EBADMSG);
}

static struct cmkd_event *an_event(void) {
        static struct cmkd_event e;

        e = (struct cmkd_event) {
                .version = CMKD_EVENT_VERSION, .kind = CMKD_KEY_SET, .boottime_ns = 5 * NSEC_PER_SEC,
                .pid = 12, .tgid = 11,
                .ppid = 10, .uid = 1000, .loginuid = 1001, .sessionid = ~0u, .dev_major = 253, .dev_minor = 4,
                .how = CMKD_HOW_KEYRING, .key_size = 64, .comm = "cryptsetup", .exe = "cryptsetup",
                .exe_dir = { "sbin", "usr", "/" }, .name = "data", .target = "crypt",
                .uuid = "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-data", .text = ":64:logon:cryptsetup:x-d0",
        };
        return &e;
}

static const char *field(const char *name) {
        for (size_t i = 0; i < message.n_fields; i++)
                if (streq(message.fields[i].name, name))
                        return message.fields[i].value;
        return NULL;
}

static void event_becomes_record(void **state _unused_) {
        const struct instant now = { .boottime_usec = 7 * USEC_PER_SEC, .realtime_usec = 1000 * USEC_PER_SEC };
        const struct who_names names = { .exe = "/usr/sbin/cryptsetup", .cgroup = "/system.slice/x.service" };
        struct cmkd_event *e = an_event();

        assert_int_equal(describe_event(e, sizeof(*e), &names, &now, "boot.1.8", &message), 0);
        assert_string_equal(message.event, "key_set");
        assert_int_equal(message.realtime_usec, 998 * USEC_PER_SEC);
        assert_int_equal(message.boottime_usec, 5 * USEC_PER_SEC);
        assert_string_equal(field("volume"), "data");
        assert_string_equal(field("uuid"), "01234567-89ab-cdef-0123-456789abcdef");
        assert_string_equal(field("dev"), "253:4");
        assert_string_equal(field("result"), "ok");
        assert_string_equal(field("key"), "keyring");
        assert_string_equal(field("pid"), "11");
        assert_string_equal(field("tid"), "12");
        assert_string_equal(field("uid"), "1000");
        assert_string_equal(field("loginuid"), "1001");
        assert_null(field("session"));
        assert_string_equal(field("exe_from"), "kernel");
        assert_string_equal(field("by"), "other");
        assert_string_equal(field("ring"), "boot.1.8");
        e->result = -EBUSY;
        assert_int_equal(describe_event(e, sizeof(*e), &names, &now, "", &message), 0);
        assert_string_equal(field("result"), "EBUSY");
}

static void every_kind_has_a_name(void **state _unused_) {
        const struct instant now = {};
        const struct who_names names = {};
        struct cmkd_event *e = an_event();

        for (unsigned kind = 1; kind < _CMKD_EVENT_MAX; kind++) {
                assert_non_null(describe_kind(kind));
                e->kind = (uint16_t) kind;
                assert_int_equal(describe_event(e, sizeof(*e), &names, &now, "", &message), 0);
        }
        e->kind = CMKD_EVENT_NONE;
        assert_int_equal(describe_event(e, sizeof(*e), &names, &now, "", &message), -EBADMSG);
        e->kind = _CMKD_EVENT_MAX;
        assert_int_equal(describe_event(e, sizeof(*e), &names, &now, "", &message), -EBADMSG);
        e = an_event();
        assert_int_equal(describe_event(e, CMKD_EVENT_SIZE_FIRST - 1, &names, &now, "", &message), -EBADMSG);
        e->version++;
        assert_int_equal(describe_event(e, sizeof(*e), &names, &now, "", &message), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(exact_form),
                cmocka_unit_test(decode_gives_back),
                cmocka_unit_test(awkward_bytes_stay_inside),
                cmocka_unit_test(largest_record_fits),
                cmocka_unit_test(text_that_grows_is_the_same_again),
                cmocka_unit_test(other_schemas_are_refused),
                cmocka_unit_test(event_becomes_record),
                cmocka_unit_test(every_kind_has_a_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
