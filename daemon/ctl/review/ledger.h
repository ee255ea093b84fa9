/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A whole trail, added up: what stats and report show. Prints nothing.
 *
 *   source ─► record ─┬─► rules ─► findings (the same thing again: counted)
 *                     ├─► volume: what happened to it, who opened it, who used it how often
 *                     └─► key: verdicts
 *
 * Bounded: a trail may be of any length and was written by many hands. What is beyond a bound is counted, never silent. */

#include "filter.h"
#include "source.h"
#include "workload.h"

#include "audit/verify.h"
#include "common/verdict.h"

#define LEDGER_VOLUMES_MAX 1024u
#define LEDGER_FINDINGS_MAX 4096u
#define LEDGER_MOMENTS_MAX 2048u           /* of one volume */
#define LEDGER_USERS_MAX 256u              /* of one volume */
#define LEDGER_KEYS_MAX 1024u
#define LEDGER_EVENTS_MAX 512u             /* kinds of events */
#define LEDGER_TEXT_MAX 400u

/* Something that happened to a volume, as a line of its history. */
struct moment {
        uint64_t realtime_usec, sequence;
        int priority;
        char event[AUDIT_NAME_MAX + 1];
        char text[LEDGER_TEXT_MAX];
};

/* A span of a volume's life for the bar above its history. */
enum condition { CONDITION_CLOSED, CONDITION_OPEN, CONDITION_HELD, CONDITION_RECOVERY, CONDITION_CUT, _CONDITION_MAX };

struct span {
        enum condition condition;
        uint64_t from_usec, to_usec;
};

/* Who opened the decrypted device: a program, under a unit, for a user. */
struct user {
        char exe[160], unit[160], uid[16], loginuid[16];
        uint64_t reads, writes, first_usec, last_usec;
        bool known;                        /* opening block devices is its work */
};

struct ledger_volume {
        char node[80];                     /* "" where there is one only; so below */
        char name[129], uuid[37], key[513];
        uint64_t records, releases, key_sets, first_usec, last_usec;
        struct moment *moments;
        size_t n_moments;
        uint64_t more_moments;
        struct span *spans;
        size_t n_spans;
        struct user *users;
        size_t n_users;
        uint64_t more_users;               /* opens by others than those */
        struct workloads_sum io;
};

struct ledger_key {
        char key[513];
        uint64_t verdicts[_VERDICT_MAX];   /* as counted, when they changed */
        uint64_t polls;                    /* challenges that the vault met */
        uint64_t first_usec, last_usec;
        uint64_t round_trips, round_trip_usec, round_trip_max_usec;
};

struct review_finding {
        enum rule rule;
        char node[80], volume[129];
        char who[LEDGER_TEXT_MAX];
        char detail[LEDGER_TEXT_MAX];
        uint64_t count, first_usec, last_usec, first_sequence, last_sequence;
};

struct event_count { char event[AUDIT_NAME_MAX + 1]; uint64_t daemon, kernel; };

struct ledger {
        uint64_t records, broken, first_usec, last_usec;
        struct ledger_volume *volumes;
        size_t n_volumes;
        struct ledger_key *keys;
        size_t n_keys;
        struct review_finding *findings;
        size_t n_findings;
        struct event_count *events;
        size_t n_events;
        uint64_t more_volumes, more_keys, more_findings;   /* records beyond the bounds */
};

/* Reads all of it. Findings come out with the gravest first, then by time. Returns 0, -ENOMEM, or what source_next() says. */
int ledger_read(struct source *source, const struct filter *f, struct ledger **ret);
struct ledger *ledger_free(struct ledger *l);
static inline void ledger_freep(struct ledger **l) { ledger_free(*l); }

/* "closed", "open", ... */
const char *condition_to_string(enum condition c);
