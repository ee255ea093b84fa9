/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pure: names of systemd's units. Which unit a mount point or a control group belongs to, as systemd.unit(5) and the
 * layout of its control groups have it, and which units are never stopped for a volume. */

#include "common/util.h"

#define UNIT_NAME_SIZE 256u

enum unit_kind {
        UNIT_OTHER,              /* slices, devices: never stopped */
        UNIT_SERVICE,
        UNIT_SCOPE,
        UNIT_MOUNT,
        UNIT_SWAP,
        UNIT_TRIGGER,            /* socket, timer, path, automount: what would start the others again */
        UNIT_TARGET,
};

/* True for what systemd would take as the name of a unit; nothing else goes into a mark or over the bus. */
bool unit_name_is_valid(const char *name) _pure_;

enum unit_kind unit_kind_of(const char *name) _pure_;

/* "/srv/a b", ".mount" -> "srv-a\x20b.mount", as systemd-escape(1) --path. Returns 0, -EINVAL (no absolute path) or
 * -ENAMETOOLONG. */
int unit_name_from_path(const char *path, const char *suffix, char ret[static UNIT_NAME_SIZE]);

/* The unit of the system's manager that a control group belongs to: the first part of the path that is no slice. Returns 0
 * or -ENOENT (none: the root, a slice, something that is not systemd's). */
int unit_name_from_cgroup(const char *path, char ret[static UNIT_NAME_SIZE]);

/* Why a unit is never stopped for a volume, or NULL. Its processes, if it has any, get SIGTERM like those of no unit. */
const char *unit_never_stopped(const char *name) _pure_;
