/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Verifies a trail as a whole: the chain from the first record of the first file to the last, the head beside the trail
 * (PATH with .head for its suffix), which tells of records that were cut off the end, and the seals. */

#include "epochs.h"
#include "reader.h"

#define TRAIL_PROBLEMS_MAX 64u

enum trail_problem_kind {
        TRAIL_BROKEN,        /* a line that is not a record */
        TRAIL_CHANGED,       /* content and hash, or hash and the next record, do not agree */
        TRAIL_REMOVED,       /* records are missing before this one */
        TRAIL_INSERTED,      /* a number a second time: inserted, repeated or moved */
        TRAIL_TORN,          /* bytes without an end after the last record */
        TRAIL_TRUNCATED,     /* the head knows of records that are not there, or of another last one */
        TRAIL_MISPLACED,     /* a file of the trail does not begin with the record that its name says: renamed, copied */
        TRAIL_FORGED,        /* the seal is not the one that this record has to have: not what was recorded */
        TRAIL_UNSEALED,      /* no seal where there has to be one, or a seal in no epoch */
        TRAIL_UNPROVEN,      /* keys were given, and none is for this epoch; or nothing is sealed; or an epoch is not there */
};

/* "broken", "changed", ... */
const char *trail_problem_to_string(enum trail_problem_kind k);

struct trail_problem {
        enum trail_problem_kind kind;
        char file[64];               /* where it was seen: name of the file, line in it; 1 is the first */
        uint64_t line;
        uint64_t first, last;        /* the records that are concerned; 0: not known */
        char text[192];              /* a sentence for people */
};

struct trail_report {
        uint64_t records;
        uint64_t first_sequence, last_sequence;
        uint64_t early;              /* records that were joined from early trails, and are what stood there */
        uint64_t early_open;         /* number of the last one of an early trail that is not closed; 0: none. At the end
                                      * of the file that is no problem: it is being joined, or will be, in this boot */
        uint64_t gaps, lost;         /* records of that name: said by cmkd-audit itself; not problems of the chain */
        uint8_t head[CHAIN_HASH_SIZE];
        bool head_checked;           /* there was a head file to compare with */
        unsigned files;
        uint64_t sealed, unsealed;   /* records that have a seal, and that have none */
        uint64_t proven;             /* records whose seal was checked and holds */
        uint64_t epochs;             /* and those that did not take over from the one before: that was lost; that had ended */
        uint64_t lost_epochs, ended_epochs;
        uint64_t n_problems;         /* all of them; the first TRAIL_PROBLEMS_MAX are described */
        struct trail_problem problems[TRAIL_PROBLEMS_MAX];
};

/* Verifies a whole trail, all its files, and the early trails that were joined to it: each such record is written again as
 * it stood there, and has to have the hash and the predecessor that it had there. Without keys the seals are not looked at,
 * only whether they are there. A last line that is being written is waited for, and its writer no more often than 64 times.
 * Returns 0 when it could be read (problems are in the report: n_problems == 0 means that it
 * holds), or -ENOENT, -ENOMEM, -EIO, and what open(2), read(2) and secret_new() say. */
int trail_verify(const char *path, struct trail_report *ret);

/* The same of one that nobody writes any more: a line without an end is not waited for. */
int trail_verify_still(const char *path, struct trail_report *ret);

/* The same as the first with an auditor's keys; epochs: new but for them, and afterwards it has what was met. */
int trail_verify_seals(const char *path, struct epochs *epochs, struct trail_report *ret);

/* What else is to be done with each record and the hash that its bytes have; what it returns below 0 ends the verification. */
typedef int (*trail_each)(const struct record *r, const uint8_t hash[static CHAIN_HASH_SIZE], void *user);

/* The same, and each (NULL: nothing) for every line that is a record, in their order. */
int trail_verify_each(const char *path, struct epochs *epochs, trail_each each, void *user, struct trail_report *ret);
