/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of all four protocols: whatever decodes is encoded again and must decode to the same; what is printed of it
 * has an end and no control character. The first byte is ours, the rest is the datagram. */
#include "common/audit-proto.h"
#include "common/disk-proto.h"
#include "common/vault-proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct wire_frame first, second;

static void check(bool ok) {
        if (!ok)
                abort();
}

static void check_text(const char *s, size_t size) {
        size_t n = strnlen(s, size);

        check(n < size);
        for (size_t i = 0; i < n; i++)
                check((unsigned char) s[i] >= ' ' && s[i] != 127);
}
#define CHECK_TEXT(field) check_text(field, sizeof(field))

/* Compares two encodings: every decoder copies all that it takes. */
static void check_same(void) {
        check(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
}

static bool reopen(struct wire_cursor *c) {
        return wire_open(c, first.data, first.size) == 0;
}

static void try_disk_request(struct wire_cursor c) {
        static struct disk_request q, again;

        if (disk_request_decode(&c, &q) < 0)
                return;
        CHECK_TEXT(q.device);
        CHECK_TEXT(q.key);
        CHECK_TEXT(q.algorithm);
        CHECK_TEXT(q.proof_request_id);
        check(q.spki_size <= sizeof(q.spki) && q.op < _DISK_OP_MAX && q.role < _ROLE_MAX);
        check(!*q.name || volume_name_is_valid(q.name));
        check(!*q.uuid || uuid_is_valid(q.uuid));
        check(disk_request_encode(&q, &first) == 0 && reopen(&c) && disk_request_decode(&c, &again) == 0);
        check(disk_request_encode(&again, &second) == 0);
        check_same();
}

static void try_disk_reply(struct wire_cursor c) {
        static struct disk_reply y, again;

        if (disk_reply_decode(&c, &y) < 0)
                return;
        CHECK_TEXT(y.message);
        check(y.error <= 0 && y.error >= -4095 && y.n_wraps <= DISK_WRAPS_MAX);
        for (unsigned i = 0; i < y.n_wraps; i++) {
                CHECK_TEXT(y.wraps[i].key);
                CHECK_TEXT(y.wraps[i].algorithm);
                check(y.wraps[i].spki_size <= DISK_SPKI_MAX && y.wraps[i].wrapped_size <= DISK_WRAPPED_MAX);
        }
        check(disk_reply_encode(&y, &first) == 0 && reopen(&c) && disk_reply_decode(&c, &again) == 0);
        check(disk_reply_encode(&again, &second) == 0);
        check_same();
}

static void try_vault_request(struct wire_cursor c) {
        static struct vault_request q, again;

        if (vault_request_decode(&c, &q) < 0)
                return;
        CHECK_TEXT(q.vault);
        CHECK_TEXT(q.algorithm);
        check(volume_name_is_valid(q.vault) && uuid_is_valid(q.client_request_id) && q.blob_size <= sizeof(q.blob));
        check(vault_request_encode(&q, c.id, &first) == 0 && reopen(&c) && vault_request_decode(&c, &again) == 0);
        check(vault_request_encode(&again, c.id, &second) == 0);
        check_same();
}

static void try_vault_reply(struct wire_cursor c) {
        static struct vault_reply y, again;

        if (vault_reply_decode(&c, &y) < 0)
                return;
        CHECK_TEXT(y.code);
        CHECK_TEXT(y.text);
        CHECK_TEXT(y.request_id);
        CHECK_TEXT(y.kid);
        CHECK_TEXT(y.key_type);
        CHECK_TEXT(y.recovery_level);
        check(y.n_tags <= VAULT_TAGS_MAX);
        for (unsigned i = 0; i < y.n_tags; i++) {
                CHECK_TEXT(y.tags[i].name);
                CHECK_TEXT(y.tags[i].value);
        }
        check((unsigned) y.verdict < _VERDICT_MAX && y.spki_size <= sizeof(y.spki) && y.blob_size <= sizeof(y.blob));
        check(vault_reply_encode(&y, c.id, &first) == 0 && reopen(&c) && vault_reply_decode(&c, &again) == 0);
        check(vault_reply_encode(&again, c.id, &second) == 0);
        check_same();
}

static void try_vault_list(struct wire_cursor c) {
        static struct vault_reply y, again;
        static struct vault_list l, l_again;

        if (vault_list_decode(&c, &y, &l) < 0)
                return;
        check(l.n <= VAULT_LIST_MAX && (l.n == 0 || y.verdict == VERDICT_GRANTED));
        for (unsigned i = 0; i < l.n; i++)
                CHECK_TEXT(l.items[i].kid);
        check(vault_list_encode(&y, &l, c.id, &first) == 0 && reopen(&c) && vault_list_decode(&c, &again, &l_again) == 0);
        check(vault_list_encode(&again, &l_again, c.id, &second) == 0);
        check_same();
}

static void try_record(struct wire_cursor c) {
        static struct audit_message_record m, again;

        if (audit_record_decode(&c, &m) < 0)
                return;
        check(m.n_fields <= AUDIT_FIELDS_MAX);
        CHECK_TEXT(m.event);
        for (size_t i = 0; i < m.n_fields; i++) {
                CHECK_TEXT(m.fields[i].name);
                CHECK_TEXT(m.fields[i].value);
        }
        check(audit_record_encode(&m, c.id, &first) == 0 && reopen(&c) && audit_record_decode(&c, &again) == 0);
        check(audit_record_encode(&again, c.id, &second) == 0);
        check_same();
}

static void try_ack(struct wire_cursor c) {
        struct audit_ack a;

        if (audit_ack_decode(&c, &a) == 0)
                check(a.error <= 0 && a.error >= -4095);
}

/* The primitives alone, in an order that the input chooses. */
static void walk(struct wire_cursor c, uint8_t order) {
        char text[16];
        uint8_t bytes[16];
        size_t n = 0;

        for (int i = 0; i < 64 && c.error == 0; i++, order = (uint8_t) (order * 5 + 1)) {
                switch (order % 6) {
                case 0: (void) wire_get_u8(&c); break;
                case 1: (void) wire_get_u16(&c); break;
                case 2: (void) wire_get_u64(&c); break;
                case 3: wire_get_string(&c, text, sizeof(text)); check(strnlen(text,
                        sizeof(text)) < sizeof(text)); break;
                case 4: wire_get_bytes(&c, bytes, sizeof(bytes), &n); check(n <= sizeof(bytes)); break;
                default: wire_get_exact(&c, bytes, 3);
                }
                check(c.p <= c.end);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct wire_cursor c;

        if (size < 1 || wire_open(&c, data + 1, size - 1) < 0)
                return 0;
        try_disk_request(c);
        try_disk_reply(c);
        try_vault_request(c);
        try_vault_reply(c);
        try_vault_list(c);
        try_record(c);
        try_ack(c);
        walk(c, data[0]);
        return 0;
}
