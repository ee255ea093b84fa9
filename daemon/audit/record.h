/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One record of the trail as one line of JSON: pure encoding and decoding, no I/O, no libbpf.
 *
 *   {"v":1,"seq":7,"time":"2026-01-31T12:00:00.000001Z","boottime_us":123,"source":"daemon","event":"release",
 *    "priority":5,"fields":{"volume":"data","uuid":"..."},"prev":"...","hash":"..."}
 *
 * Schema, version 1: the members above, in this order, no spaces, each once. "time" is when it happened (RFC 3339, UTC,
 * microseconds), "seq" the place in the trail. "fields" holds text only, names [a-z0-9_]. A reader of version 1 may
 * meet fields that it does not know, never another member. Bytes that are not UTF-8 are written as U+FFFD.
 *
 * Version 2 is the same with a member "mac" before "hash": the record's seal (seal.h), over the line's bytes before that
 * member. Where nothing seals, lines stay version 1.
 *
 * Field "early", always the last: "SEQ HASH". The record was written before the trail could be reached, in a chain of its
 * own in /run, as number SEQ with that hash, and was joined later (early.h). Without that field it is the record that
 * stood there: its line can be written again, and has that hash. */

#include "seal.h"
#include "common/audit-proto.h"

#define RECORD_VERSION 1u
#define RECORD_VERSION_SEALED 2u
#define RECORD_EARLY_FIELD "early"
#define RECORD_LINE_MAX (256u * 1024u)     /* a full frame, every byte of it escaped, and the frame around it */

enum record_source { RECORD_DAEMON, RECORD_KERNEL, _RECORD_SOURCE_MAX };

/* "daemon", "kernel". */
const char *record_source_to_string(enum record_source s);

/* A finished line, newline included. Allocate it once: it is large. */
struct record_line {
        size_t size;
        uint8_t hash[CHAIN_HASH_SIZE];
        char text[RECORD_LINE_MAX];
};

/* A decoded line. The texts live in the record until record_done(). */
struct record {
        uint64_t sequence;
        bool sealed;                       /* version 2 */
        uint64_t realtime_usec;
        uint64_t boottime_usec;
        enum record_source source;
        int priority;
        char time[32];                     /* as it stands in the line */
        char event[AUDIT_NAME_MAX + 1];
        size_t n_fields;
        struct { const char *name, *value; } fields[AUDIT_FIELDS_MAX];
        uint8_t prev[CHAIN_HASH_SIZE], hash[CHAIN_HASH_SIZE];
        void *json;                        /* owned: what the texts point into */
};

/* Writes m as the record of that sequence that follows prev, and its hash. key: what it is sealed with, and stays as it
 * is; NULL: version 1. Returns 0, -EMSGSIZE (larger than
 * RECORD_LINE_MAX: cannot happen to what came in a frame), -ERANGE (a time after the year 9999), or -EIO. */
int record_encode(const struct audit_message_record *m, enum record_source source, uint64_t sequence,
                  const uint8_t prev[static CHAIN_HASH_SIZE], struct seal_key *key, struct record_line *ret);

/* Reads a line (without its newline). Checks the schema, not the hash. Returns 0, -EBADMSG (not such a record),
 * -EPROTONOSUPPORT (a later version), -ENOMEM. */
int record_decode(const char *line, size_t size, struct record *ret);

/* The message that it was made of: record_encode() makes the same line of it. */
void record_to_message(const struct record *r, struct audit_message_record *ret);

/* What the field "early" says. Returns 0, -ENOENT (there is none) or -EBADMSG. */
int record_early(const struct record *r, uint64_t *ret_sequence, uint8_t ret_hash[static CHAIN_HASH_SIZE]);

/* The text of a field, or NULL. */
const char *record_field(const struct record *r, const char *name) _pure_;

/* Frees what the texts point into. For _cleanup_(record_done); a zeroed record is fine. */
void record_done(struct record *r);
