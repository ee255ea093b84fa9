/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A vault's log as a witness of what the trail was: each poll in it carries the head that the trail had then. Pure; bounded.
 *
 *   records ── anchor_log_record ─┐
 *   entries ── anchor_log_entry ──┴── anchor_log_finish ── found, or lost: the trail was written anew, or its end cut off
 *
 * Whose an anchor is: of this trail where the tag is one that its records state, that was given (a machine id), or that an
 * anchor with a record of this trail has: who writes the trail's end anew cannot give the rest of it another name. What nobody
 * who is known asked for, and the vault refused, is not looked at: anybody can send that. */

#include "anchors.h"
#include "audit/record.h"
#include "vault-entry.h"

#define ANCHOR_NODES_MAX 4096u
#define ANCHOR_SEEN_MAX (8u * 1024u * 1024u)

/* Requests are late by no more than that, retries and the clocks of several vaults included. */
#define ANCHOR_SLACK_USEC (2 * 60 * USEC_PER_SEC)

struct anchor_place {
        uint64_t usec, line;               /* of the log */
        char id[37], address[64], identity[256];
};

struct anchor_node {
        uint8_t tag[ANCHOR_TAG_SIZE];
        bool is_ours;
        uint64_t found, lost;              /* ids, by whether the trail has the record */
        struct anchor_place first, last;   /* of those that are lost */
        char identity[256];                /* of whoever used that tag first */
};

/* One that was found. */
struct anchor_seen {
        uint64_t usec, sequence;
};

struct anchor_log {
        struct anchors anchors;
        uint64_t since_usec, until_usec;       /* of the log; 0: no such end */
        struct anchor_node *nodes;             /* sorted by their tags */
        size_t n_nodes;
        struct anchor_seen *seen;              /* those found */
        size_t n_seen;
        uint64_t first_record_usec, last_record_usec;
        uint64_t entries, outside, first_usec, last_usec;
        uint64_t plain, strangers;             /* uses of keys with another id; that nobody who is known asked for */
        /* after anchor_log_finish(): */
        uint64_t found, lost, others, other_nodes, others_alike;   /* alike: by an identity that this node has too */
        const struct anchor_node *worst;       /* that of ours which lost the earliest one, or NULL */
        struct anchor_seen kept;               /* the newest that was found before that one; sequence 0: none */
        struct anchor_seen newest;             /* the newest record, and when the vault heard of it first */
        struct anchor_seen slowest;            /* the record that was out of the node last after it was written, and when it was */
        uint64_t slowest_usec, newer;          /* after so long; records after the newest */
        uint64_t backwards;                    /* that came after one of a later record */
        struct anchor_seen back_from, back_to; /* the first of them */
};

/* The next record of the trail, with the hash that it has. Returns 0 or an error of anchors_add(). */
int anchor_log_record(struct anchor_log *l, const struct record *r, const uint8_t hash[static CHAIN_HASH_SIZE]);

/* A tag that is this trail's. Returns 0, -ENOMEM or -E2BIG (more than ANCHOR_NODES_MAX). */
int anchor_log_own(struct anchor_log *l, const uint8_t tag[static ANCHOR_TAG_SIZE]);

/* Judges the next entry, all records being in; line: its. Returns 0, -ENOMEM or -E2BIG (of too many nodes, or too many). */
int anchor_log_entry(struct anchor_log *l, const struct vault_entry *e, uint64_t line);

/* After the last one. */
void anchor_log_finish(struct anchor_log *l);

void anchor_log_done(struct anchor_log *l);
