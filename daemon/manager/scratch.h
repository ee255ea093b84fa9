/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Scratch disks, [Scratch NAME] of the configuration: a volume key that is made when the disk is, is in the kernel only, and is
 * gone with the mapping. There is no CMK: nobody's no is heard, no lease, no hold, no cut.
 *
 *   create: record "scratch_begun", durable ─► mark ─► SCRATCH (child) ─► record "scratch_created"
 *   renew:  DEACTIVATE, VERIFY (children; refused while it is in use) ─► as create
 *   remove: DEACTIVATE, VERIFY ─► record "scratch_removed"
 *
 * No audit, no key here too. Which mapping is one of ours is known by its UUID, which is new each time, and a mark in
 * /run/cmkd/scratch from before it was made: nothing is kept here but what is being done. */

#include "operation.h"

enum scratch_verb { SCRATCH_CREATE, SCRATCH_RENEW, SCRATCH_REMOVE };

struct scratch_job {
        LIST_ENTRY(scratch_job) jobs;      /* of the manager */
        struct manager *manager;
        enum scratch_verb verb;
        char name[65], device[257], uuid[37], use_id[37];
        bool wipe;
        struct requester who;
        operation_done done;
        void *user;
};

struct scratch_seen {
        bool open;
        bool torn;                         /* its mapping is there and has no table: whoever made it was killed */
        bool busy;                         /* something is being done to it */
        char uuid[37];                     /* of the mapping */
        uint64_t since_usec;               /* CLOCK_REALTIME: when its key was made */
};

/* What is known of the scratch disk of that name, in the configuration or not. */
void scratch_look(const struct manager *m, const char *name, struct scratch_seen *ret);

/* Begins. wipe: whatever the disk holds may go. done says whether anything changed. Returns 0 (done will be called) or
 * -ENOMEM. */
int scratch_start(struct manager *m, enum scratch_verb verb, const char *name, bool wipe, const struct requester *who,
                  operation_done done, void *user);
