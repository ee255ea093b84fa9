/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Unmounting in every mount namespace at once: one forked child each, since setns(2) cannot be undone and an unmount
 * may hang.
 *
 *   step child ─ fork ─► setns ─► umount2, deepest first, until nothing is left or nothing moves ─► exit
 *              ◄─ shared page: count, left, error ── (at the deadline SIGKILL; one in D state is left behind) */

#include "dm.h"

#define NAMESPACES_MAX 512u

struct namespace_result {
        uint64_t ns;
        pid_t pid;                       /* a process or thread that was in it */
        uint32_t unmounted;
        uint32_t left;
        int32_t error;                   /* of the last that would not go; -ETIMEDOUT: hangs */
        bool is_locked;                  /* a user's own namespace, whose copy of the mount cannot be unmounted */
};

struct namespaces {
        struct namespace_result r[NAMESPACES_MAX];
        size_t n;
        uint64_t own_ns;
};

/* Unmounts what is on the volume, and what is mounted below that, wherever usage says that there is something. detach:
 * MNT_DETACH, which succeeds with users left; only after everything else. Fills ret. Returns 0 or -errno (no result at
 * all). */
int namespaces_unmount(const struct usage *u, bool detach, uint64_t wait_usec, struct namespaces *ret);
