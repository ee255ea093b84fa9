/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Goes on with the encryption in place of a volume, or with the change of its volume key (reencrypt.c), whenever it is attached, whatever ended it before:
 *
 *   ATTACHED, and the list says Unencrypted= or OldKey= ─► header-work.h ─► [boot-image.h] ─► unwrap, record ─► ENCRYPT_RUN (child, for as
 *                                                                                                            long as it takes)
 *      child says how far it is ─► the list, now and then: an older header is refused from then on
 *      child done ─► the list: nothing of it is plain       child died in the middle ─► cut (CAUSE_INTERRUPTED), attached again:
 *                                                           libcryptsetup finishes what is half-way only while nobody uses it
 *
 * A volume of role os is not cut: its child outlives a manager that is killed, and ends after the part that it is at; the next one waits for that
 * (RECOGNIZE), and goes on. Where the child itself died in the middle, the machine is booted again, by the next manager where this one died too
 * (DISK_FLAG_HALF_WAY), which does nothing first that the trail has to know of: that may be on the part that waits.
 *
 * Invariants: one a volume; none in an initramfs, nor while the list is a copy; while there is one no other verb has its header. A cut or a
 * hold begins with the child's death: it has keys, and its next table would undo what is done (the ladder kills it too, as whoever else writes to the disk:
 * ladder/reencryption.h). */

#include "volume.h"

struct encryption_state {
        bool running;
        bool rekeys;                     /* from one volume key to another */
        uint64_t size, done;             /* bytes */
        uint64_t rate;                   /* bytes a second since this run began */
};

/* The volume has become ATTACHED, or was told to go on: begins, where there is something to do. */
void encrypt_look(struct volume *v);

/* The volume is about to be cut or held. */
void encrypt_kill(struct volume *v);

/* False where nothing of it is being encrypted. */
bool encrypt_state(const struct volume *v, struct encryption_state *ret);

/* Ends the child after the part that it is at. done is called when it has ended, or at once where somebody else asks for the same. False:
 * there is none, and done is not called. */
bool encrypt_stop(struct volume *v, void (*done)(void *user), void *user);

/* The manager ends: so does every child, as above; waits for that, up to ENCRYPT_STOP_USEC in all. */
#define ENCRYPT_STOP_USEC (8 * USEC_PER_SEC)
void encrypt_stop_all(struct manager *m);
