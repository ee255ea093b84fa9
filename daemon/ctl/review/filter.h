/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which records somebody wants to see: the options that list, follow, stats and report share. Texts are argv's. */

#include "common/config.h"
#include "ctl/ctl.h"
#include "rules.h"
#include "veil.h"

#define FILTER_OPTIONS (OPTION_BIT(OPTION_EVENT) | OPTION_BIT(OPTION_VOLUME) | OPTION_BIT(OPTION_KEY) | OPTION_BIT(OPTION_ACTOR) | \
                        OPTION_BIT(OPTION_UNIT) | OPTION_BIT(OPTION_UNAUTHORISED) | OPTION_BIT(OPTION_EXPECT) | \
                        OPTION_BIT(OPTION_SINCE) | OPTION_BIT(OPTION_UNTIL) | OPTION_BIT(OPTION_ROOT) | OPTION_BIT(OPTION_PRIVACY_KEY))

struct filter {
        const char *event;                 /* one or more, with commas between them, * at an end; NULL: all; the others likewise */
        const char *volume;                /* name or UUID */
        const char *key;                   /* URI with or without its version, or the key's name */
        const char *actor;                 /* program (path or name), or uid=N, loginuid=N, pid=N, session=N */
        const char *unit;                  /* cgroup_is_of() */
        const char *expected;              /* more of the baseline, with commas between them */
        struct config *config;             /* owned: has the baseline; NULL where the trail is not this node's */
        struct veil veil;                  /* the same as pseudonyms, where there is a key of them: a record may have either */
        bool unauthorised;
        uint64_t since_usec, until_usec;   /* both included; until 0: no end */
};

/* Reads them; EXIT_CODE_USAGE, said, where one makes no sense, EXIT_CODE_FAILED where the key of pseudonyms cannot be used. What is normal on a node stands in its configuration: in this
 * machine's for its own trail, with --file in none, with --root in the one below that. */
int filter_read(const struct invocation *in, struct filter *ret);

/* Frees what it owns; a zeroed one is fine. */
void filter_done(struct filter *f);

/* The rules as this filter wants them. Returns 0 or -ENOMEM. */
int filter_rules(const struct filter *f, struct rules **ret);

/* What may be asked for by name, and not be there. */
enum filter_part { FILTER_EVENT, FILTER_VOLUME, FILTER_KEY, FILTER_ACTOR, FILTER_UNIT, _FILTER_PART_MAX };

/* What was asked for by that option; NULL: nothing was. */
const char *filter_part(const struct filter *f, enum filter_part part) _pure_;

/* The parts, as bits, that the record is of; of one that was not asked for the bit is set. */
unsigned filter_matches(const struct filter *f, const struct record *r) _pure_;

/* rule: what rules_judge() says of the record. */
bool filter_wants(const struct filter *f, const struct record *r, enum rule rule) _pure_;

/* The volume that a record is about: its name, or the name it claims, or its UUID; NULL: none. */
const char *record_volume(const struct record *r) _pure_;

/* For how many equal events it stands: more than one only for a kernel record. */
uint64_t record_count(const struct record *r) _pure_;

/* Who did it: of a kernel record program, user and unit, of a daemon's the field "by"; "" where nobody is named. */
void record_who(const struct record *r, char *buf, size_t size);
