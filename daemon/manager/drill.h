/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A drill: cmkctl makes a volume on a loop device over a file of its own, opens it and cuts it, to see that a cut does
 * here what is claimed. The verbs are everybody's (format, attach, cut); this makes the volume the drill's and no other:
 *
 *   drill_begin() ─► mark in /run/cmkd/drill, record "drill_begun", durable ─► format, attach, cut
 *        │ drill_end(); or its owner's connection is closed, DRILL_MAX_USEC are over, another manager starts
 *        └─► what stands is cut ─► entry of the list, marks, loop device given back ─► record "drill_ended"
 *
 * Invariants:
 *  1. One at a time, begun by root on the private socket, and never while a volume is being cut, lingers or is paused.
 *  2. Its device is the loop device whose descriptor this process holds, so that its number cannot become another's,
 *     over a regular file of root's that has no name. Both were shown as descriptors, and compared by device and inode.
 *  3. Its volume's name is DRILL_NAME, which none else may have, and its role is not os. Its entry of the node's list is
 *     in /run, opens nothing but that device, and that only while the drill goes on. udev's attach leaves it alone.
 *  4. However it ends, what it opened is cut, by the ladder that cuts everything. What cannot be cleaned lingers, is
 *     tried again as ever, and no other drill begins meanwhile.
 *
 * No notice is given to the drill's volume and no hooks are started for it: they would drain a node that is well. Each
 * record about the volume has the field "drill". */

#include "operation.h"

#define DRILL_NAME "cmkd-drill"
#define DRILL_DIRECTORY "/run/cmkd/drill"
#define DRILL_MAX_USEC (15 * 60 * USEC_PER_SEC)
#define DRILL_MEASURES_MAX 20u

struct drill;

/* What cmkctl found out, for the trail. Names as of a record's fields, ending in _usec. */
struct drill_result {
        bool passed;
        char why[257];                       /* it did not: empty, or a sentence */
        size_t n_measures;
        struct { char name[33]; uint64_t usec; } measures[DRILL_MEASURES_MAX];
};

/* Begins one. owner: whose going away ends it. loop, file: stay the caller's. Returns 0 (done will be called once it is
 * recorded: uuid is the drill's id), or a negative errno with *ret_why filled in. */
int drill_begin(struct manager *m, const void *owner, int loop, int file, const struct requester *who,
                struct outcome *ret_why, operation_done done, void *user);

/* Ends it: done is called once nothing is left of it and the result is recorded, or with BUSY when its volume lingers.
 * As above. */
int drill_end(struct manager *m, const char *id, const struct drill_result *result, const struct requester *who,
              struct outcome *ret_why, operation_done done, void *user);

/* A connection was closed. */
void drill_owner_gone(struct manager *m, const void *owner);

/* One that an earlier manager began: it is ended once everything has been taken over. */
void drill_restore(struct manager *m);

/* A state has changed: what is ending may have come further. */
void drill_kick(struct manager *m);

/* The id of the drill that a volume of that name belongs to, or NULL. */
const char *drill_of(const struct manager *m, const char *name);

/* Whether a device is the drill's, while it goes on. */
bool drill_owns(const struct manager *m, const char *device);

/* May a volume of that name and role be made there? NULL, or why not: static text. */
const char *drill_objects(const struct manager *m, const char *device, const char *name, enum role role);

/* Format is at work on its device, or not any more. */
void drill_formatting(struct manager *m, bool on);

/* Nothing is ended by it. Accepts NULL. Returns NULL. */
struct drill *drill_free(struct drill *d);
