/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Manager -> cmkd-audit, over /run/cmkd/audit.sock: records to keep, and the word that they are kept.
 *
 *   cmkd ── AUDIT_RECORD {durable, event, priority, fields} ──► cmkd-audit ── fsync ──► trail
 *        ◄── AUDIT_ACK {error, sequence} (same id) ──────────
 *   cmkd ── AUDIT_CHECK {} ──► cmkd-audit: can the trail be written? The ACK says what its last write said.
 *
 * "No audit, no key": a release waits for the ACK of a durable record. A record that is not durable is acknowledged as
 * soon as it is queued. Fields are name and text pairs; names are [a-z0-9_], unique, at most 32 of them. */

#include "wire.h"

#define AUDIT_SOCKET "/run/cmkd/audit.sock"
#define AUDIT_FIELDS_MAX 32u
#define AUDIT_NAME_MAX 32u
#define AUDIT_VALUE_MAX 1024u

enum audit_message { AUDIT_MSG_RECORD = 0x0301, AUDIT_MSG_ACK = 0x0302, AUDIT_MSG_CHECK = 0x0303 };

struct audit_field {
        char name[AUDIT_NAME_MAX + 1];
        char value[AUDIT_VALUE_MAX + 1];
};

struct audit_message_record {
        bool durable;
        uint8_t priority;              /* LOG_INFO ... LOG_ALERT, for the journal's mirror */
        uint64_t realtime_usec;        /* when it happened, by the sender's clocks */
        uint64_t boottime_usec;
        char event[AUDIT_NAME_MAX + 1];
        struct audit_field fields[AUDIT_FIELDS_MAX];
        size_t n_fields;
};

struct audit_ack {
        int32_t error;                 /* 0, or negative errno: the record is not kept */
        uint64_t sequence;             /* its number in the trail */
};

/* True for names of events and fields: [a-z0-9_], not empty. */
bool audit_name_is_valid(const char *s) _pure_;

/* Begins a record, stamped with now; adds a field (a NULL or empty value is left out; one that is too long is cut off
 * at AUDIT_VALUE_MAX). Control characters in values are replaced. */
void audit_record_start(struct audit_message_record *m, const char *event, uint8_t priority, bool durable);
void audit_record_add(struct audit_message_record *m, const char *name, const char *value);
void audit_record_addf(struct audit_message_record *m, const char *name, const char *format, ...) _printf_(3, 4);

int audit_record_encode(const struct audit_message_record *m, uint32_t id, struct wire_frame *ret);
int audit_record_decode(struct wire_cursor *c, struct audit_message_record *ret);
int audit_check_encode(uint32_t id, struct wire_frame *ret);
int audit_ack_encode(const struct audit_ack *a, uint32_t id, struct wire_frame *ret);
int audit_ack_decode(struct wire_cursor *c, struct audit_ack *ret);
