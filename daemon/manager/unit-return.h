/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a volume's cut, or its notice, took from the system and what it gets back when the volume is open again.
 *
 *   teardown begins ─► unit_return_remember(): mark (unit-mark.h)     notice.c adds the units that it stops
 *   ATTACHED, and the key GRANTED ─► unit_return_look(): mark there?
 *                         ├─ OnReenable=attach and the key's owner had closed it, or called off ─► the units of the mark
 *                         │  that nobody stopped, disabled or masked meanwhile are started, mounts first
 *                         └─ then, and otherwise at once: cmkd-return@VOLUME.target, mark gone
 *
 * A manager that is started in between finds the mark and goes on. */

#include "unit-set.h"
#include "volume.h"

struct unit_return;

/* A teardown of v begins, for v->cause: from here on there is a mark. */
void unit_return_remember(struct volume *v);

/* Adds units to it that are about to be stopped; those that cannot be started again are left out. Returns 0 or what writing
 * the mark said. */
int unit_return_add(struct volume *v, struct unit *const *units, size_t n);

/* The volume has become ATTACHED, or its key was GRANTED while it is; nothing happens before both are so. called_off: it was never closed, so what was taken from it is given back whatever
 * OnReenable= says. */
void unit_return_look(struct volume *v, bool called_off);

/* Accepts NULL. Returns NULL. */
struct unit_return *unit_return_free(struct unit_return *r);
