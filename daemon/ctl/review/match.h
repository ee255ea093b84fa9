/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A vault's log against what a trail says was asked: entry by entry, then what is left over. Pure; bounded; the same thing of the
 * same caller is one finding, counted. */

#include "issued.h"

#define MATCH_FINDINGS_MAX 4096u

enum mismatch {
        MISMATCH_NOT_OURS,         /* unwrapped, and no request of the trail is the one */
        MISMATCH_ANCHORED,         /* the same, under an id that carries a head of the trail and is none of cmkd's polls */
        MISMATCH_NOT_RELEASED,     /* unwrapped for a request of ours, and the trail has no release */
        MISMATCH_REPEATED,         /* unwrapped again under an id that was used up */
        MISMATCH_AFTER_END,        /* not ours, but newer than the trail: its end may be cut off */
        MISMATCH_MISSING,          /* the trail says unwrapped, the log does not */
        MISMATCH_REFUSED,          /* somebody else asked and was refused */
        _MISMATCH_MAX,
};

struct match_finding {
        enum mismatch kind;
        const struct issued_key *key;
        char operation[64], address[64], identity[256], client[160], id[37];
        uint64_t count, first_usec, last_usec;
        uint64_t place;            /* line in the log; of MISMATCH_MISSING the number of the record */
        uint64_t started_usec;     /* cmkd was started shortly afterwards: a crash may have taken its last polls along; 0: not */
};

/* Polls that cmkd had not recorded: those of one key before a start of cmkd, or before the trail's end. */
struct match_window {
        const struct issued_key *key;
        uint64_t start_usec;       /* 0: the trail's end */
        unsigned n;
};

struct match {
        struct issued *issued;
        uint64_t since_usec, until_usec;       /* of the log; 0: no such end */
        const char *only;                      /* a key's name or identifier; NULL: all of the trail's */
        uint64_t entries, outside, unwraps, ours, refused, other_keys, before;
        uint64_t by_anchor;                    /* polls by nothing but the head of the trail in their ids */
        struct match_window *windows;
        size_t n_windows;
        uint64_t first_usec, last_usec;        /* of the entries that count */
        bool kinds[_VAULT_LOG_KIND_MAX];
        struct match_finding *findings;
        size_t n_findings;
        uint64_t more_findings;
};

/* Static texts: a word for JSON, a sentence, what to do; and whether it is no more than worth knowing. */
const char *mismatch_id(enum mismatch m);
const char *mismatch_what(enum mismatch m);
const char *mismatch_cure(enum mismatch m);
bool mismatch_is_note(enum mismatch m);

/* Judges the next entry; place: its line. Returns 0 or -ENOMEM. */
int match_entry(struct match *m, const struct vault_entry *e, uint64_t place);

/* After the last one: what the log should have and has not; sorts the findings, gravest first. Returns 0 or -ENOMEM. */
int match_finish(struct match *m);

void match_done(struct match *m);
