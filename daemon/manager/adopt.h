/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is open is taken over as it stands: at start, and when somebody else makes a mapping while we run. recognize.h
 * says what it is to us, in a child the live table is compared with the header (RECOGNIZE). Leases go on from the
 * breaker's deadlines, so that restarting the manager never extends one. */

#include "common/breaker-proto.h"
#include "mapping-sysfs.h"

struct manager;
struct volume;

/* found: the breaker's slots, copied as far as they are needed. When all entries of the node's list were looked at,
 * m->adopted is set, the bus answers verbs and the service manager hears READY=1. Where nobody could look (a disk that hangs, no child) that
 * is not waited for: such a volume is ATTACHING and unseen, with its mark and its deadline, and is asked about again, after 1, 2, 4 … 15 s;
 * one that was cut is CUT, and its header is asked for again. */
void adopt_start(struct manager *m, const struct breaker_slot *found, size_t n);

/* A mapping of a volume that is listed, or known, and not open: becomes ATTACHED where its key was released for it, else
 * RECOVERY (or is cut); unseen as above. Nothing happens where an operation on the volume is under way. */
void adopt_found(struct manager *m, const struct mapping_seen *s);

/* Something happened to the mapping of an open volume. It is not there any more: CLOSED, recorded, its deadline cleared, its keys dropped.
 * It is held, and somebody else resumed it: alarmed, recorded and cut. Where nobody could look, nothing is decided and it is asked about
 * again, as above. */
void adopt_changed(struct volume *v);

/* The disk below has been pulled: recorded, and torn down at once (role os: alarmed only). below: its name. */
void adopt_pulled(struct volume *v, const char *below);

/* Findings: a second mapping of an open volume; a mapping of a cmkd volume that is not on the list (recorded where the
 * header has a cmkd token). Neither is ever adopted. */
void adopt_second(struct volume *v, const struct mapping_seen *s);
void adopt_foreign(struct manager *m, const struct mapping_seen *s);

/* A volume that was taken over while a mapping of it stood, and is on the list now: it is under its lease, which counts from when the vault
 * was asked. Returns 0, -ENXIO (the mapping is gone), -EEXIST, -ENOMEM, or what opening /sys/block says. */
int adopt_taken_over(struct manager *m, const char *uuid, struct instant asked);
