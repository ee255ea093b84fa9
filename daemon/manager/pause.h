/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmkctl pause: for a time nothing is done to a volume for what the vault says, or for its silence. lease.c decides what
 * that means (lease_volume.paused_until); here is its beginning, its end and its memory.
 *
 *   pause_begin() ─► mark in /run/cmkd/pause, record "paused", alarm ─► decided anew, the breaker's deadline follows
 *        │ pause_end(), or either clock has reached it (pause_look)
 *        └─► mark gone, record "pause_ended" ─► decided anew: what was withheld is done at once
 *
 * The pause is the volume's: it stands while cmkd restarts (pause_restore) and while the volume is closed and opened again.
 * It does not stop what is not the vault's answer: an operator's cut, a pulled disk, OnTrailFailure=stop, a refusal. */

#include "volume.h"

struct requester;

/* The longest pause. It is for work that somebody attends, and a day covers a change window and the shift after it; what
 * must be left alone for longer is policy (OnRevoked=report), which the owner's floors reach and status shows. */
#define PAUSE_MAX_USEC (24 * 3600 * USEC_PER_SEC)

/* How long a pause of this volume may last, from its begin to its last extension; *ret_why: static text, why that long. */
uint64_t pause_limit(const struct volume *v, const char **ret_why);

/* Whether it is set; one that is over by now may be. */
bool pause_is_set(const struct volume *v);

/* When it ends by the wall clock, if no clock is set meanwhile; USEC_INFINITY: it is not paused. */
uint64_t pause_until(const struct volume *v);

/* May a pause of v last until that time of the wall clock? Returns 0 (*ret: both clocks then), -EINVAL (it is over
 * already) or -EPERM (above the limit; *ret_latest: the last moment that is allowed, *ret_why as above). */
int pause_check(const struct volume *v, uint64_t until_realtime_usec, struct instant *ret, uint64_t *ret_latest,
                const char **ret_why);

/* Pauses it, or moves the end of the pause that is under way. until: as checked. Decides anew about the volume. Returns 0 or
 * -ENOMEM: then it is as before. */
int pause_begin(struct volume *v, struct instant until, const struct requester *who);

/* Ends it early and decides anew: what was withheld begins now. Returns false where there was none. */
bool pause_end(struct volume *v, const struct requester *who);

/* Ends what is over. To be called before anything is decided about the volume, and when a clock was set. Decides nothing
 * itself. */
void pause_look(struct volume *v);

/* A volume that has just become known: takes up the pause that its mark tells of. */
void pause_restore(struct volume *v);
