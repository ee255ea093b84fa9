/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a trail says that cmkd asked of the vault: the ids of requests, and the keys. Pure.
 *
 *   release, request ...  field "use": the client request id of all that is asked for one use of a volume
 *   polls                 fields "ids", "ids_other": of each poll
 *   any                   field "request_id": the vault's own
 *
 * and the records' own anchors: a poll that is not on record (yet) carries the one of the head that the trail had then.
 */

#include "anchors.h"
#include "audit/record.h"
#include "vault-entry.h"

#define ISSUED_IDS_MAX (8u * 1024u * 1024u)
#define ISSUED_KEYS_MAX 1024u

enum issued_kind { ISSUED_USE, ISSUED_POLL, ISSUED_VAULTS };

struct issued_id {
        uint8_t id[UUID_BYTES];
        uint8_t kind;                      /* enum issued_kind */
        bool proves;                       /* a verb that has several keys proven under one id: expected says nothing */
        uint16_t key;                      /* which of the keys; ISSUED_KEYS_MAX: none */
        uint32_t expected;                 /* how often the vault unwrapped for it, by the trail; 0: not said */
        uint32_t answered;                 /* and by its log */
        uint64_t usec, first_usec;         /* of the record; of the first answer in the log */
        uint64_t sequence;
};

struct issued_key {
        char text[513], host[254], mount[128], name[128];
        uint64_t *polled;                  /* times of the records that have polls of it, rising */
        size_t n_polled;
        bool is_logged;                    /* the vault's log has something of it */
};

struct issued {
        struct issued_id *ids;             /* a table of n_slots, a power of two; usec 0: a free slot */
        size_t n_slots, n_ids;
        struct issued_key *keys;
        size_t n_keys;
        bool has_pseudonyms;               /* keys of Privacy=strict are among them */
        uint64_t more_keys;                /* records beyond ISSUED_KEYS_MAX */
        uint64_t first_usec, last_usec, records;
        uint64_t *starts;                  /* of cmkd */
        size_t n_starts;
        struct anchors anchors;
};

/* Takes a record in. Returns 0, -ENOMEM, -EIO or -E2BIG (more than ISSUED_IDS_MAX ids or ANCHORS_MAX records). */
int issued_add(struct issued *t, const struct record *r);

/* By its bytes, or NULL. */
struct issued_id *issued_find(const struct issued *t, const uint8_t id[static UUID_BYTES]) _pure_;

/* The key that an entry is about, or NULL: none of the trail's. */
struct issued_key *issued_key_of(const struct issued *t, const struct vault_entry *e) _pure_;

/* The first start of cmkd in that span, or 0. */
uint64_t issued_start_in(const struct issued *t, uint64_t from_usec, uint64_t to_usec) _pure_;

/* When polls of the key were first recorded at that time or later; UINT64_MAX: never. */
uint64_t issued_polled_from(const struct issued_key *k, uint64_t usec) _pure_;

void issued_done(struct issued *t);
