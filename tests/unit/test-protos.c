/* SPDX-License-Identifier: Apache-2.0 */
/* The messages between the programs: what goes in comes out; what is cut short, too long or out of range does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <syslog.h>

#include "common/audit-proto.h"
#include "common/breaker-proto.h"
#include "common/disk-proto.h"
#include "common/vault-proto.h"

#define UUID "0f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69"

static struct wire_frame frame, changed;
static struct disk_request disk_q;
static struct disk_reply disk_y;
static struct vault_request vault_q;
static struct vault_reply vault_y;
static struct audit_message_record record;
static struct audit_ack ack;

static int decode_disk_request(struct wire_cursor *c) { return disk_request_decode(c, &disk_q); }
static int decode_disk_reply(struct wire_cursor *c) { return disk_reply_decode(c, &disk_y); }
static int decode_vault_request(struct wire_cursor *c) { return vault_request_decode(c, &vault_q); }
static int decode_vault_reply(struct wire_cursor *c) { return vault_reply_decode(c, &vault_y); }
static int decode_record(struct wire_cursor *c) { return audit_record_decode(c, &record); }
static int decode_ack(struct wire_cursor *c) { return audit_ack_decode(c, &ack); }

typedef int (*decoder)(struct wire_cursor *c);

static const decoder decoders[] = {
        decode_disk_request, decode_disk_reply, decode_vault_request, decode_vault_reply, decode_record, decode_ack,
};

static int decode(const struct wire_frame *f, decoder d) {
        struct wire_cursor c;

        assert_int_equal(wire_open(&c, f->data, f->size), 0);
        return d(&c);
}

/* The frame is taken by its own decoder, and by it only; not with bytes missing or left over. */
static void check_borders(decoder own) {
        for (size_t i = 0; i < ELEMENTSOF(decoders); i++)
                assert_int_equal(decode(&frame, decoders[i]), decoders[i] == own ? 0 : -EBADMSG);
        for (size_t n = WIRE_HEADER_SIZE; n < frame.size; n++) {
                changed = frame;
                changed.size = n;
                assert_int_equal(wire_finish(&changed), 0);
                assert_int_equal(decode(&changed, own), -EBADMSG);
        }
        changed = frame;
        wire_put_u8(&changed, 0);
        assert_int_equal(wire_finish(&changed), 0);
        assert_int_equal(decode(&changed, own), -EBADMSG);
}

static struct disk_request a_disk_request(void) {
        struct disk_request q = {
                .op = DISK_OP_NOTICE, .flags = 0xffffffff, .role = ROLE_SCRATCH, .generation = UINT64_MAX,
                .device = "/dev/disk/by-id/x", .name = "data1", .mapping = "luks-1\\x20", .uuid = UUID, .key = "https://v/keys/k/1",
                .algorithm = "RSA-OAEP-256", .proof_request_id = "id", .proof_time = 1, .dev_major = 253,
                .dev_minor = 4, .sectors = 2048, .spki = { 1, 2, 3 }, .spki_size = 3, .header_digest = { 4 },
                .trust_digest = { 5 }, .wrapped = { 6, 7 }, .wrapped_size = 2, .other_uuid = UUID,
        };
        return q;
}

static void test_disk_request(void **state _unused_) {
        struct disk_request q = a_disk_request();

        assert_int_equal(disk_request_encode(&q, &frame), 0);
        check_borders(decode_disk_request);
        assert_int_equal(decode(&frame, decode_disk_request), 0);
        assert_memory_equal(&q, &disk_q, sizeof(q));
}

static void refuse_disk_request(const struct disk_request *q) {
        assert_int_equal(disk_request_encode(q, &frame), 0);
        memset(&disk_q, 0x77, sizeof(disk_q));
        assert_int_equal(decode(&frame, decode_disk_request), -EBADMSG);
        assert_int_equal(disk_q.op, 0x77);
}

static void test_disk_request_refused(void **state _unused_) {
        struct disk_request q;

        q = a_disk_request(); q.op = _DISK_OP_MAX; refuse_disk_request(&q);
        q = a_disk_request(); q.op = 0; refuse_disk_request(&q);
        q = a_disk_request(); q.role = _ROLE_MAX; refuse_disk_request(&q);
        q = a_disk_request(); strcpy(q.name, "../x"); refuse_disk_request(&q);
        q = a_disk_request(); strcpy(q.mapping, "../x"); refuse_disk_request(&q);
        q = a_disk_request(); strcpy(q.mapping, "a b"); refuse_disk_request(&q);
        q = a_disk_request(); memset(q.mapping, 'a', 84); refuse_disk_request(&q);
        q = a_disk_request(); strcpy(q.uuid, "x"); refuse_disk_request(&q);
        q = a_disk_request(); strcpy(q.other_uuid, "x"); refuse_disk_request(&q);
        q = a_disk_request(); strcpy(q.device, "/dev/\x1b"); refuse_disk_request(&q);
        q = a_disk_request(); strcpy(q.key, "a\nb"); refuse_disk_request(&q);
        q = a_disk_request(); strcpy(q.opener, "a\nb"); refuse_disk_request(&q);
        q = a_disk_request(); strcpy(q.proof_request_id, "a\x7f"); refuse_disk_request(&q);
        /* absent is fine */
        q = a_disk_request(); *q.mapping = 0;
        assert_int_equal(disk_request_encode(&q, &frame), 0);
        assert_int_equal(decode(&frame, decode_disk_request), 0);
        assert_string_equal(disk_q.mapping, "data1");
        q = (struct disk_request) { .op = DISK_OP_INSPECT };
        assert_int_equal(disk_request_encode(&q, &frame), 0);
        assert_int_equal(decode(&frame, decode_disk_request), 0);
}

static struct disk_reply a_disk_reply(void) {
        struct disk_reply y = {
                .error = -EBUSY, .exit_code = EXIT_CODE_BUSY, .message = "busy: pid 7", .flags = DISK_FLAG_MOUNTED,
                .role = ROLE_OS, .name = "data1", .uuid = UUID, .n_wraps = DISK_WRAPS_MAX, .dev_major = 253,
                .dev_minor = 1, .sectors = 77, .count = 5, .header_digest = { 3 }, .trust_digest = { 4 },
        };

        for (unsigned i = 0; i < DISK_WRAPS_MAX; i++)
                y.wraps[i] = (struct disk_wrap) {
                        .token = (uint8_t) (7 * i), .generation = 3, .key = "https://v/keys/k", .algorithm = "RSA-OAEP-256",
                        .proof_time = 9, .proof_request_id = "id", .spki = { 1 }, .spki_size = DISK_SPKI_MAX,
                        .wrapped = { 2 }, .wrapped_size = DISK_WRAPPED_MAX,
                };
        return y;
}

static void test_disk_reply(void **state _unused_) {
        struct disk_reply y = a_disk_reply();

        assert_int_equal(disk_reply_encode(&y, &frame), 0);
        check_borders(decode_disk_reply);
        assert_int_equal(decode(&frame, decode_disk_reply), 0);
        assert_memory_equal(&y, &disk_y, sizeof(y));
        y.wraps[1].stored = true;                /* what is kept in the vault is a digest here */
        assert_int_equal(disk_reply_encode(&y, &frame), 0);
        assert_int_equal(decode(&frame, decode_disk_reply), -EBADMSG);
        y.wraps[1].wrapped_size = DISK_DIGEST_SIZE;
        assert_int_equal(disk_reply_encode(&y, &frame), 0);
        assert_int_equal(decode(&frame, decode_disk_reply), 0);
        assert_memory_equal(&y, &disk_y, sizeof(y));
        y.exit_code = _EXIT_CODE_MAX;
        assert_int_equal(disk_reply_encode(&y, &frame), 0);
        assert_int_equal(decode(&frame, decode_disk_reply), -EBADMSG);
        y = a_disk_reply();
        y.error = -4096;
        assert_int_equal(disk_reply_encode(&y, &frame), 0);
        assert_int_equal(decode(&frame, decode_disk_reply), -EBADMSG);
        y = a_disk_reply();
        y.error = 1;                         /* a positive error is no error code */
        assert_int_equal(disk_reply_encode(&y, &frame), 0);
        assert_int_equal(decode(&frame, decode_disk_reply), -EBADMSG);
        y = a_disk_reply();
        strcpy(y.message, "two\nlines");
        assert_int_equal(disk_reply_encode(&y, &frame), 0);
        assert_int_equal(decode(&frame, decode_disk_reply), -EBADMSG);
        y = a_disk_reply();
        y.n_wraps = DISK_WRAPS_MAX + 1;      /* more keys than a volume may have */
        assert_int_equal(disk_reply_encode(&y, &frame), 0);
        assert_int_equal(decode(&frame, decode_disk_reply), -EBADMSG);
        y = a_disk_reply();
        strcpy(y.wraps[1].key, "a\x7f");
        assert_int_equal(disk_reply_encode(&y, &frame), 0);
        assert_int_equal(decode(&frame, decode_disk_reply), -EBADMSG);
}

static void test_disk_op_names(void **state _unused_) {
        for (int op = 1; op < _DISK_OP_MAX; op++)
                assert_string_not_equal(disk_op_to_string((enum disk_op) op), "unknown");
        assert_string_equal(disk_op_to_string(0), "unknown");
        assert_string_equal(disk_op_to_string(_DISK_OP_MAX), "unknown");
}

static struct vault_request a_vault_request(void) {
        struct vault_request q = {
                .op = VAULT_OP_UNWRAP, .flags = VAULT_FLAG_DELIVER, .vault = "prod", .algorithm = "RSA-OAEP-256",
                .client_request_id = UUID, .timeout_ms = 10000, .blob = { 7 }, .blob_size = 256,
                .configured_usec = 0x0123456789abcdef,
        };

        assert_int_equal(key_uri_parse("https://v.example/keys/k/0123", &q.key, NULL), 0);
        return q;
}

static void refuse_vault_request(const struct vault_request *q) {
        assert_int_equal(vault_request_encode(q, 1, &frame), 0);
        memset(&vault_q, 0x77, sizeof(vault_q));
        assert_int_equal(decode(&frame, decode_vault_request), -EBADMSG);
        assert_int_equal(vault_q.op, 0x77);
}

static void test_vault_request(void **state _unused_) {
        struct vault_request q = a_vault_request();
        struct wire_cursor c;

        assert_int_equal(vault_request_encode(&q, 4711, &frame), 0);
        assert_int_equal(wire_open(&c, frame.data, frame.size), 0);
        assert_int_equal(c.id, 4711);
        check_borders(decode_vault_request);
        assert_int_equal(decode(&frame, decode_vault_request), 0);
        assert_memory_equal(&q, &vault_q, sizeof(q));
        assert_int_equal(c.type, VAULT_MSG_REQUEST);
        q.op = VAULT_OP_WRAP_NEW;
        strcpy(q.volume, UUID);
        assert_int_equal(vault_request_encode(&q, 4711, &frame), 0);
        assert_int_equal(wire_open(&c, frame.data, frame.size), 0);
        assert_int_equal(c.type, VAULT_MSG_REQUEST_BOUND);
        check_borders(decode_vault_request);
        assert_int_equal(decode(&frame, decode_vault_request), 0);
        assert_memory_equal(&q, &vault_q, sizeof(q));
        q.stored = true;
        memset(q.digest, 7, sizeof(q.digest));
        assert_int_equal(vault_request_encode(&q, 4711, &frame), 0);
        assert_int_equal(wire_open(&c, frame.data, frame.size), 0);
        assert_int_equal(c.type, VAULT_MSG_REQUEST_STORED);
        check_borders(decode_vault_request);
        assert_int_equal(decode(&frame, decode_vault_request), 0);
        assert_memory_equal(&q, &vault_q, sizeof(q));
        *q.volume = 0; refuse_vault_request(&q);
        q.stored = false;
        strcpy(q.volume, UUID);
        q.volume[3] = 'x'; refuse_vault_request(&q);
        q = a_vault_request(); q.op = _VAULT_OP_MAX; refuse_vault_request(&q);
        q = a_vault_request(); q.op = 0; refuse_vault_request(&q);
        q = a_vault_request(); q.op = 200; refuse_vault_request(&q);
        q = a_vault_request(); *q.vault = 0; refuse_vault_request(&q);
        q = a_vault_request(); strcpy(q.vault, "a b"); refuse_vault_request(&q);
        q = a_vault_request(); *q.client_request_id = 0; refuse_vault_request(&q);
        q = a_vault_request(); strcpy(q.algorithm, "\xff"); refuse_vault_request(&q);
        q = a_vault_request(); strcpy(q.key.host, "v/../w"); refuse_vault_request(&q);
        q = a_vault_request(); strcpy(q.key.name, "k?x"); refuse_vault_request(&q);
}

static void test_vault_reply(void **state _unused_) {
        struct vault_reply y = {
                .verdict = VERDICT_BROKEN, .http_status = 403, .code = "Forbidden/KeyDisabled", .text = "no",
                .request_id = "r", .kid = "https://v/keys/k/1", .retry_after_sec = 10, .round_trip_usec = 5,
                .token_usec = 6, .key_flags = 31, .key_bits = 4096, .key_type = "RSA-HSM", .not_before = 1,
                .expires = UINT64_MAX, .recovery_level = "Purgeable", .spki = { 1 }, .spki_size = VAULT_SPKI_MAX,
                .blob = { 2 }, .blob_size = VAULT_BLOB_MAX, .delivered = 64,
        };
        struct vault_reply bad;

        assert_int_equal(vault_reply_encode(&y, 1, &frame), 0);
        check_borders(decode_vault_reply);
        assert_int_equal(decode(&frame, decode_vault_reply), 0);
        assert_memory_equal(&y, &vault_y, sizeof(y));
        bad = y;
        bad.verdict = _VERDICT_MAX;
        assert_int_equal(vault_reply_encode(&bad, 1, &frame), 0);
        assert_int_equal(decode(&frame, decode_vault_reply), -EBADMSG);
        bad = y;
        strcpy(bad.text, "esc \x1b[2J");
        assert_int_equal(vault_reply_encode(&bad, 1, &frame), 0);
        assert_int_equal(decode(&frame, decode_vault_reply), -EBADMSG);
        bad = y;
        strcpy(bad.request_id, "\xc3\xa4");
        assert_int_equal(vault_reply_encode(&bad, 1, &frame), 0);
        assert_int_equal(decode(&frame, decode_vault_reply), -EBADMSG);
}

static struct vault_list vault_l;
static int decode_vault_list(struct wire_cursor *c) { return vault_list_decode(c, &vault_y, &vault_l); }

static void test_vault_list(void **state _unused_) {
        struct vault_reply y = { .verdict = VERDICT_GRANTED, .blob = "next", .blob_size = 4 };
        struct vault_list l = { .n = VAULT_LIST_MAX };

        for (unsigned i = 0; i < l.n; i++) {
                memset(l.items[i].kid, 0, sizeof(l.items[i].kid));
                snprintf(l.items[i].kid, sizeof(l.items[i].kid), "https://%.200s/keys/%.127s/%u",
                         "a.vault.with.a.very.long.name.a.vault.with.a.very.long.name.a.vault.with.a.very.long.name",
                         "a-key-with-a-very-long-name-a-key-with-a-very-long-name-a-key-with-a-very-long-name", i);
                l.items[i].key_flags = (uint8_t) i;
                l.items[i].created = i;
                l.items[i].not_before = UINT64_MAX;
                l.items[i].expires = 7;
        }
        assert_int_equal(vault_list_encode(&y, &l, 1, &frame), 0);
        check_borders(decode_vault_list);
        assert_int_equal(decode(&frame, decode_vault_list), 0);
        assert_memory_equal(&y, &vault_y, sizeof(y));
        assert_memory_equal(&l, &vault_l, sizeof(l));
        assert_int_equal(decode(&frame, decode_vault_reply), -EBADMSG);
        strcpy(l.items[3].kid, "https://v/secrets/x");
        assert_int_equal(vault_list_encode(&y, &l, 1, &frame), 0);
        assert_int_equal(decode(&frame, decode_vault_list), -EBADMSG);
        l.n = 0;
        assert_int_equal(vault_list_encode(&y, &l, 1, &frame), 0);
        assert_int_equal(decode(&frame, decode_vault_list), 0);
        /* what was not granted is a reply as any other */
        y.verdict = VERDICT_DENIED;
        l.n = 1;
        assert_int_equal(vault_list_encode(&y, &l, 1, &frame), 0);
        assert_int_equal(decode(&frame, decode_vault_reply), 0);
        assert_int_equal(decode(&frame, decode_vault_list), 0);
        assert_int_equal(vault_l.n, 0);
}

static struct vault_reply a_reply_with_tags(void) {
        struct vault_reply y = { .key_flags = VAULT_KEY_ENABLED | VAULT_KEY_TAGS_LEFT_OUT, .n_tags = VAULT_TAGS_MAX };

        for (unsigned i = 0; i < VAULT_TAGS_MAX; i++) {
                snprintf(y.tags[i].name, sizeof(y.tags[i].name), "cmkd-%02u-%.*s", i, 24, "abcdefghijklmnopqrstuvwxyz");
                snprintf(y.tags[i].value, sizeof(y.tags[i].value), "%.*s", (int) VAULT_TAG_VALUE_MAX - (int) i,
                         "1h 30min ~!\"#$%&'()*+,-./:;<=>?@[]");
        }
        return y;
}

static void refuse_tag(unsigned at, const char *name, const char *value) {
        struct vault_reply y = a_reply_with_tags();

        snprintf(y.tags[at].name, sizeof(y.tags[at].name), "%s", name);
        snprintf(y.tags[at].value, sizeof(y.tags[at].value), "%s", value);
        assert_int_equal(vault_reply_encode(&y, 1, &frame), 0);
        memset(&vault_y, 0x77, sizeof(vault_y));
        assert_int_equal(decode(&frame, decode_vault_reply), -EBADMSG);
        assert_int_equal(vault_y.n_tags, 0x77);
}

static void test_vault_tags(void **state _unused_) {
        struct vault_reply y = a_reply_with_tags();
        struct wire_cursor c;

        assert_int_equal(vault_reply_encode(&y, 1, &frame), 0);
        check_borders(decode_vault_reply);
        assert_int_equal(decode(&frame, decode_vault_reply), 0);
        assert_memory_equal(&y, &vault_y, sizeof(y));
        refuse_tag(3, "poll-sec", "1");
        refuse_tag(3, "cmkd-", "1");
        refuse_tag(3, "cmkd-Poll-sec", "1");
        refuse_tag(3, "cmkd-poll sec", "1");
        refuse_tag(3, "cmkd-poll-sec", "a\nb");
        refuse_tag(3, "cmkd-poll-sec", "\xc3\xa4");
        refuse_tag(3, y.tags[15].name, "1");       /* twice */
        y.n_tags = VAULT_TAGS_MAX + 1;
        assert_int_equal(vault_reply_encode(&y, 1, &frame), -EINVAL);
        /* without tags the message is the one that was there before there were tags, and only that */
        y.n_tags = 0;
        assert_int_equal(vault_reply_encode(&y, 1, &frame), 0);
        assert_int_equal(wire_open(&c, frame.data, frame.size), 0);
        assert_int_equal(c.type, VAULT_MSG_REPLY);
        wire_put_u8(&frame, 0);
        assert_int_equal(wire_finish(&frame), 0);
        frame.data[6] = VAULT_MSG_REPLY_TAGS & 0xff;
        assert_int_equal(decode(&frame, decode_vault_reply), -EBADMSG);
        frame.data[frame.size - 1] = VAULT_TAGS_MAX + 1;
        assert_int_equal(decode(&frame, decode_vault_reply), -EBADMSG);
}

static void test_audit_record(void **state _unused_) {
        static struct audit_message_record m;
        char longer[3000];

        memset(longer, 'x', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = 0;
        audit_record_start(&m, "release", LOG_NOTICE, true);
        audit_record_add(&m, "volume", "data1");
        audit_record_add(&m, "nothing", NULL);
        audit_record_add(&m, "nothing", "");
        audit_record_add(&m, "text", "a\nb\x1b");
        audit_record_add(&m, "long", longer);
        audit_record_addf(&m, "number", "%d", 42);
        assert_int_equal(m.n_fields, 4);
        assert_string_equal(m.fields[1].value, "a?b?");
        assert_int_equal(strlen(m.fields[2].value), AUDIT_VALUE_MAX);
        assert_int_equal(audit_record_encode(&m, 3, &frame), 0);
        check_borders(decode_record);
        assert_int_equal(decode(&frame, decode_record), 0);
        assert_string_equal(record.event, "release");
        assert_true(record.durable);
        assert_int_equal(record.priority, LOG_NOTICE);
        assert_int_equal(record.realtime_usec, m.realtime_usec);
        assert_int_equal(record.n_fields, 4);
        assert_string_equal(record.fields[3].name, "number");
        assert_string_equal(record.fields[3].value, "42");
        for (int i = 0; i < 100; i++) {
                char name[16];

                snprintf(name, sizeof(name), "f%d", i);
                audit_record_add(&m, name, "v");
        }
        assert_int_equal(m.n_fields, AUDIT_FIELDS_MAX);
        assert_int_equal(audit_record_encode(&m, 3, &frame), 0);
        assert_int_equal(decode(&frame, decode_record), 0);
}

/* A full record does not fit into a frame if its values are as long as they may be: said, never cut off. */
static void test_audit_record_too_large(void **state _unused_) {
        static struct audit_message_record m;
        char longer[AUDIT_VALUE_MAX + 1], name[8];

        memset(longer, 'x', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = 0;
        audit_record_start(&m, "big", LOG_INFO, false);
        for (unsigned i = 0; i < AUDIT_FIELDS_MAX; i++) {
                snprintf(name, sizeof(name), "f%u", i);
                audit_record_add(&m, name, longer);
        }
        assert_int_equal(audit_record_encode(&m, 1, &frame), -EMSGSIZE);
}

static void refuse_record(const char *event, uint8_t priority, const char *names[2], const char *value) {
        wire_start(&frame, AUDIT_MSG_RECORD, 1);
        wire_put_u8(&frame, 1);
        wire_put_u8(&frame, priority);
        wire_put_u64(&frame, 1);
        wire_put_u64(&frame, 1);
        wire_put_string(&frame, event);
        wire_put_u8(&frame, 2);
        for (int i = 0; i < 2; i++) {
                wire_put_string(&frame, names[i]);
                wire_put_string(&frame, value);
        }
        assert_int_equal(wire_finish(&frame), 0);
        assert_int_equal(decode(&frame, decode_record), -EBADMSG);
}

static void test_audit_record_refused(void **state _unused_) {
        const char *good[] = { "a", "b" }, *twice[] = { "a", "a" }, *upper[] = { "A", "b" }, *empty[] = { "", "b" };
        const char *quote[] = { "a", "b\"" };

        refuse_record("", 1, good, "v");
        refuse_record("Release", 1, good, "v");
        refuse_record("re lease", 1, good, "v");
        refuse_record("release", LOG_DEBUG + 1, good, "v");
        refuse_record("release", 1, twice, "v");
        refuse_record("release", 1, upper, "v");
        refuse_record("release", 1, empty, "v");
        refuse_record("release", 1, quote, "v");
        refuse_record("release", 1, good, "v\n");
        refuse_record("release", 1, good, "v\x7f");
        wire_start(&frame, AUDIT_MSG_RECORD, 1);
        wire_put_u16(&frame, 1);
        wire_put_u64(&frame, 1);
        wire_put_u64(&frame, 1);
        wire_put_string(&frame, "release");
        wire_put_u8(&frame, 255);
        assert_int_equal(wire_finish(&frame), 0);
        assert_int_equal(decode(&frame, decode_record), -EBADMSG);
}

static void test_audit_ack(void **state _unused_) {
        struct audit_ack a = { .error = -ENOSPC, .sequence = UINT64_MAX };

        assert_int_equal(audit_ack_encode(&a, 9, &frame), 0);
        check_borders(decode_ack);
        assert_int_equal(decode(&frame, decode_ack), 0);
        assert_int_equal(ack.error, -ENOSPC);
        assert_true(ack.sequence == UINT64_MAX);
        a.error = 7;
        assert_int_equal(audit_ack_encode(&a, 9, &frame), 0);
        assert_int_equal(decode(&frame, decode_ack), -EBADMSG);
}

/* Every byte of every message turned into every other: decoded or refused, and never a string without its end. */
static void test_every_byte_changed(void **state _unused_) {
        disk_q = (struct disk_request) {};
        vault_q = (struct vault_request) {};
        for (int m = 0; m < 2; m++) {
                struct disk_request q = a_disk_request();
                struct vault_request v = a_vault_request();

                v.blob_size = 4;
                assert_int_equal(m ? vault_request_encode(&v, 1, &frame) : disk_request_encode(&q, &frame), 0);
                for (size_t i = WIRE_HEADER_SIZE; i < frame.size; i++)
                        for (int value = 0; value < 256; value++) {
                                uint8_t old = frame.data[i];

                                frame.data[i] = (uint8_t) value;
                                if (decode(&frame, m ? decode_vault_request : decode_disk_request) == 0) {
                                        assert_true(strnlen(disk_q.device,
                                                sizeof(disk_q.device)) < sizeof(disk_q.device));
                                        assert_true(disk_q.spki_size <= DISK_SPKI_MAX);
                                        assert_true(vault_q.blob_size <= VAULT_BLOB_MAX);
                                }
                                frame.data[i] = old;
                        }
        }
}

/* Between builds of different age: the sizes and numbers are the protocol. */
static void test_breaker_layout(void **state _unused_) {
        assert_int_equal(sizeof(struct breaker_slot), 240);
        assert_int_equal(sizeof(struct breaker_request), 256);
        assert_int_equal(offsetof(struct breaker_slot, dm_uuid), 64);
        assert_int_equal(offsetof(struct breaker_slot, sectors), 192);
        assert_int_equal(offsetof(struct breaker_slot, action), 216);
        assert_int_equal(offsetof(struct breaker_slot, tripped_boottime_usec), 232);
        assert_int_equal(offsetof(struct breaker_reply, error), 12);
        assert_int_equal(BREAKER_SET, 1);
        assert_int_equal(BREAKER_LIST, 4);
        assert_int_equal(BREAKER_ACTION_REBOOT, 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_disk_request),
                cmocka_unit_test(test_disk_request_refused),
                cmocka_unit_test(test_disk_reply),
                cmocka_unit_test(test_disk_op_names),
                cmocka_unit_test(test_vault_request),
                cmocka_unit_test(test_vault_reply),
                cmocka_unit_test(test_vault_list), cmocka_unit_test(test_vault_tags),
                cmocka_unit_test(test_audit_record),
                cmocka_unit_test(test_audit_record_too_large),
                cmocka_unit_test(test_audit_record_refused),
                cmocka_unit_test(test_audit_ack),
                cmocka_unit_test(test_every_byte_changed),
                cmocka_unit_test(test_breaker_layout),
        };
        return cmocka_run_group_tests_name("protos", tests, NULL, NULL);
}
