/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which records somebody wants to see: the options that list, follow, stats and report share. Texts are argv's. */

#include "ctl/ctl.h"
#include "rules.h"

#define FILTER_OPTIONS (OPTION_BIT(OPTION_EVENT) | OPTION_BIT(OPTION_VOLUME) | OPTION_BIT(OPTION_KEY) | OPTION_BIT(OPTION_ACTOR) | \
                        OPTION_BIT(OPTION_UNIT) | OPTION_BIT(OPTION_UNAUTHORISED) | OPTION_BIT(OPTION_EXPECT) | \
                        OPTION_BIT(OPTION_SINCE) | OPTION_BIT(OPTION_UNTIL))

struct filter {
        const char *event;                 /* one or more, with commas between them, * at an end; NULL: all; the others likewise */
        const char *volume;                /* name or UUID */
        const char *key;                   /* URI with or without its version, or the key's name */
        const char *actor;                 /* program (path or name), or uid=N, loginuid=N, pid=N, session=N */
        const char *unit;                  /* cgroup_is_of() */
        const char *expected;              /* rules_new() */
        bool unauthorised;
        uint64_t since_usec, until_usec;   /* both included; until 0: no end */
};

/* Reads them; EXIT_CODE_USAGE, said, where one makes no sense. */
int filter_read(const struct invocation *in, struct filter *ret);

/* rule: what rules_judge() says of the record. */
bool filter_wants(const struct filter *f, const struct record *r, enum rule rule) _pure_;

/* The volume that a record is about: its name, or the name it claims, or its UUID; NULL: none. */
const char *record_volume(const struct record *r) _pure_;

/* The unit at the end of a cgroup's path ("/system.slice/x.service/y": x.service), else the path. */
void cgroup_unit(const char *cgroup, char *buf, size_t size);

/* Whether a cgroup belongs to a unit (also one of a user's manager, or a slice), to a container by the first 12 or more digits of
 * its id, or to a machine by its name. */
bool cgroup_is_of(const char *cgroup, const char *unit) _pure_;

/* Who did it: of a kernel record program, user and unit, of a daemon's the field "by"; "" where nobody is named. */
void record_who(const struct record *r, char *buf, size_t size);
