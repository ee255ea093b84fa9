/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pure: the units that use a volume, what is known of each, and the order in which they are stopped. units-look.c fills
 * it from systemd, units-stop.c and the plan that is printed go by it.
 *
 *   mounts, swap, processes ─► their units ─► whoever requires those ─► what would start them again
 *
 * They go in two waves: mounts and swap only once everybody is gone who has files there (and who has, need not have said so
 * to systemd). Within a wave a unit that is ordered after another is stopped before it. */

#include "unit-name.h"

#define UNITS_MAX 256u

enum unit_wave { WAVE_USERS, WAVE_MOUNTS };

struct unit {
        char *name;
        enum unit_kind kind;
        const char *never;               /* static text: why it is not stopped; NULL: it is */
        char **after;                    /* names, NULL at the end; may be NULL */
        char invocation[33];             /* of its present run; empty: systemd gives none */
        char file_state[24];             /* "enabled", "static", ...; empty: there is no file */
        bool can_start;                  /* there is a file that it can be started from again */
        bool asked, known;               /* for units-look.c: it is being asked for; its facts are here */
};

struct unit_set {
        struct unit *u;
        size_t n, size;
        bool truncated;                  /* there were more than UNITS_MAX */
};

/* Adds a unit that is not there yet. Returns 1, 0 (it is there; or there are too many), -EINVAL (no unit's name) or
 * -ENOMEM. */
int unit_set_add(struct unit_set *s, const char *name);

struct unit *unit_set_find(const struct unit_set *s, const char *name);
void unit_set_done(struct unit_set *s);

enum unit_wave unit_wave_of(const struct unit *u);

/* Those of a wave that are stopped, in order; *ret is an array of *ret_n that the caller frees, of pointers into the set.
 * Where units are ordered in a circle some of them come as they come. Returns 0 or -ENOMEM. */
int unit_set_order(const struct unit_set *s, enum unit_wave wave, struct unit ***ret, size_t *ret_n);
