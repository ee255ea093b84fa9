/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which units were stopped for a volume, for when it is back: also for the next manager, and also for the one that is
 * started between the stop and the cut.
 *
 * A file a volume in /run/cmkd/units, named by its UUID, written before the first of them is stopped:
 *   "CAUSE\n", then a line a unit, in the order in which they are stopped: "INVOCATION FILESTATE NAME\n"
 * with the run that was stopped and whether it was enabled then, a dash where systemd says nothing. Only units that can be
 * started again are in it. Gone with a reboot, which starts what is enabled. What is there and cannot be read is none. */

#include "lease.h"
#include "unit-set.h"

struct marked_unit {
        char name[UNIT_NAME_SIZE];
        char invocation[33];
        char file_state[24];
};

struct unit_mark {
        enum lease_cause cause;
        struct marked_unit *u;
        size_t n;
};

/* Pure. The text is the caller's. Returns it, or NULL without memory. */
char *unit_mark_format(const struct unit_mark *m);

/* Pure. Returns 0, -EBADMSG or -ENOMEM. text is changed. */
int unit_mark_parse(char *text, struct unit_mark *ret);

/* Adds a unit at the end, in place of one of the same name. Returns 0, -E2BIG or -ENOMEM. */
int unit_mark_add(struct unit_mark *m, const struct unit *u);

void unit_mark_done(struct unit_mark *m);

/* Returns 0 or what writing it said: then nobody will know. */
int unit_mark_write(const char *uuid, const struct unit_mark *m);

/* Returns 0, -ENOENT (there is none), or as above. */
int unit_mark_read(const char *uuid, struct unit_mark *ret);

/* Nothing happens where there is none. */
void unit_mark_remove(const char *uuid);

/* What systemd says of a unit of the mark, now. */
struct unit_now {
        char load_state[24], active_state[24], file_state[24];
        char invocation[33];
        bool can_start;
};

/* Pure: NULL: start it. Else why not, static text: it runs, it was stopped, disabled or masked meanwhile, it is gone.
 * *ret_worth_saying: somebody may wonder. */
const char *unit_leave_alone(const struct marked_unit *then, const struct unit_now *now, bool *ret_worth_saying);
