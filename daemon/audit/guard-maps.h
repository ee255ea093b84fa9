/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the guard's programs look up in the kernel (event.h): where our own programs are, which others may do what, which
 * devices are volumes and which are below them. Files are known by inode and file system, so that a copy under the same
 * name elsewhere, or in a container, is another program; whoever may replace the file itself is root. */

#include "event.h"
#include "probes.h"
#include "common/config.h"

struct guard_maps;

/* settings: of [Guard], for who else may do what; NULL: nobody else. Stays the caller's, and so does p.
 * Returns 0, -ENOMEM, -ENOENT (the maps are not there), or -errno: nobody is known to be ours. */
int guard_maps_new(const struct probes *p, const struct guard_settings *settings, struct guard_maps **ret);
struct guard_maps *guard_maps_free(struct guard_maps *m);
static inline void guard_maps_freep(struct guard_maps **m) { guard_maps_free(*m); }

/* Whether the kernel enforces, from before; until when (0: without an end). */
bool guard_maps_enforces(const struct guard_maps *m, uint64_t *ret_until_usec);

/* until_usec: boot time at which enforcing ends by itself; 0: never. Returns 0 or -errno. */
int guard_maps_set(struct guard_maps *m, enum cmkd_guard_mode mode, uint64_t until_usec);

/* What our bpffs is mounted in, and the directory of our sockets, which may come after us, and anew; programs that were installed meanwhile; devices
 * that came and went: what is gone is dropped at the second look. All are best effort. */
void guard_maps_mounts(struct guard_maps *m);
void guard_maps_programs(struct guard_maps *m);
void guard_maps_devices(struct guard_maps *m);

/* Fills in the name and uuid of the volume that an event of the guard has the number of, or of the one above that disk. */
void guard_maps_name(struct cmkd_event *e);
