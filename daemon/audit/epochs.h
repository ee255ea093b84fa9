/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The seals of a trail as an auditor checks them: which epochs there are, which of them he has a key for, and whether
 * each record has the seal that this key makes (seal.h, sealer.h). No I/O but for the files with keys.
 *
 *   epochs_new ── epochs_add_private, epochs_add_list ── epochs_judge, record by record in their order ── epochs_get */

#include "record.h"
#include "sealer.h"

struct epochs;

enum epoch_handover {
        EPOCH_FIRST,         /* nothing was sealed before */
        EPOCH_CLEAN,         /* sealed by the epoch before: nothing is between them */
        EPOCH_ENDED,         /* the one before ended in order, and is whole; an epoch between them may have been cut out */
        EPOCH_LOST,          /* neither: what the one before recorded at its end may have been cut off */
};

/* "first", "clean", "ended", "lost". */
const char *epoch_handover_to_string(enum epoch_handover h);

struct epoch {
        char id[SEAL_EPOCH_SIZE + 1];
        char reason[AUDIT_NAME_MAX + 1];   /* as its record says */
        char digest[CHAIN_HEX_SIZE + 1];   /* SHA-256 of the public key that it is wrapped to */
        char wrapped[SEAL_WRAPPED_MAX + 1];
        enum epoch_handover handover;
        uint64_t first, last;              /* numbers of records */
        uint64_t proven;                   /* records whose seal holds */
        bool has_key;
        bool ended;
};

enum epoch_answer {
        EPOCH_UNSEALED,      /* outside any epoch: nothing is to be expected */
        EPOCH_MISSING,       /* not sealed, after an epoch that another one has to follow: that one was cut out */
        EPOCH_PROVEN,        /* the seal holds */
        EPOCH_UNCHECKED,     /* sealed; no keys were given at all */
        EPOCH_NO_KEY,        /* sealed; keys were given, none for this epoch */
        EPOCH_REPEATED,      /* its number was there already, the key for it is gone: the chain says it */
        EPOCH_TOO_FAR,       /* too many records are missing before it to find its key */
        EPOCH_FORGED,        /* the seal is not the one that this record has to have */
        EPOCH_UNFINISHED,    /* not sealed, in an epoch that did not end */
        EPOCH_ASTRAY,        /* sealed, in no epoch */
};

int epochs_new(struct epochs **ret);
struct epochs *epochs_free(struct epochs *e);
static inline void epochs_freep(struct epochs **e) { epochs_free(*e); }

/* An auditor's private key. Errors of seal_private_load(). */
int epochs_add_private(struct epochs *e, const char *path, const char **ret_why);

/* First keys that were unwrapped elsewhere: lines "EPOCH-ID BASE64"; empty lines and lines that begin with # are left out.
 * Returns 0, -EINVAL (*ret_line: which one is none), -ENOMEM, or what reading and secret_new() say. */
int epochs_add_list(struct epochs *e, const char *path, unsigned *ret_line);

/* True if any of them was given. */
bool epochs_have_keys(const struct epochs *e) _pure_;

/* The next record and its line. Returns 0, -ENOMEM, -EIO, or what secret_new() says. */
int epochs_judge(struct epochs *e, const struct record *r, const char *line, size_t size, enum epoch_answer *ret);

/* The epochs that were met, in their order; NULL behind the last. */
const struct epoch *epochs_get(const struct epochs *e, size_t i) _pure_;

/* The ids in the list that were not met, one a call; *i: 0 for the first. NULL behind the last. */
const char *epochs_unmet(const struct epochs *e, size_t *i);
