/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the verbs about a volume's keys have in common (enroll.c, rotate.c and others): a header that is looked at and changed step by step,
 * by a child each, while the volume is open or not.
 *
 *   INSPECT ─► on this node's list? its own, not a signed one? nobody else at it? ─► step ─► ... ─► step
 *                                                                                      │
 *              a step: unlock.h with header_only, by one of the volume's keys ─► CHECK, or a change
 *
 * Invariants: one work at a time has a header (header_work_begin(), _claim() or _take(); header_work_give_back()); header is what the last step saw. */

#include "unlock.h"

struct header_verb;

struct header_work {
        LIST_ENTRY(header_work) works;   /* of the manager, while it has its header */
        struct outcome outcome;
        const struct header_verb *verb;  /* header-verb.h; NULL: it ends otherwise, and has none of the next two */
        operation_done done;
        void *user;
        struct manager *manager;
        struct requester who;
        bool begun;
        char device[257];
        char uuid[37];
        char name[65];
        char use_id[37];
        struct disk_reply header;        /* as last seen */
};

/* Which disk is meant by a path below /dev, a UUID or a name: the one that is open, not a copy that udev lists under the same
 * UUID. Sets device and use_id. */
void header_work_resolve(struct header_work *w, const char *what);

/* y: of INSPECT, which is w->header from then on. Takes the header for this work. Returns the volume's entry of the node's list,
 * or NULL with w->outcome filled in. */
const struct trust_entry *header_work_begin(struct header_work *w, const struct disk_reply *y);

/* The same before INSPECT, where w->uuid is known already: nobody changes the header between what that reads and the end of the work, so that
 * it can be acted on without a step. Its answer is the caller's to check (error, UUID) and to keep in w->header. Returns as above. */
const struct trust_entry *header_work_claim(struct header_work *w);

/* Takes the header of w->uuid, whatever the list says of the volume. False: another work has it, or an unlock or a teardown of the volume is
 * under way. */
bool header_work_take(struct header_work *w);

/* Gives it back; nothing happens where it was not taken. */
void header_work_give_back(struct header_work *w);

/* Starts INSPECT. Returns 0 (callback will be called) or -ENOMEM. */
int header_work_inspect(struct header_work *w, disk_callback callback, void *user);

/* use() of steps. check: the keyslot of the key that is asked opens, the manifest holds, it is the volume that this node trusts.
 * change: op, with what w->verb->fill says. Their unlock's user is the work. */
void header_work_use_check(struct unlock *u);
void header_work_use_change(struct unlock *u, enum disk_op op);

/* A step; key: for the pick, NULL: not needed. done gets w. Returns 0 (done will be called) or -ENOMEM. */
int header_work_step(struct header_work *w, const struct unlock_verb *verb, enum unlock_pick pick, const struct key_uri *key,
                     operation_done done);

/* The volume, where it is known and has keys, is polled by those that the list has now. also: the number of a token that counts
 * too, or -1. Returns the volume, or NULL: there is none to be polled, or its keys stay as they were (logged). */
struct volume *header_work_bind(struct header_work *w, int also);

/* Replaces the volume's entry of the list. Returns 0 or a negative errno: the list is as it was. */
int header_work_list(struct header_work *w, const struct trust_entry *t);
