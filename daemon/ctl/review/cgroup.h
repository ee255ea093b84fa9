/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the path of a control group says: unit, container, machine. Pure. */

#include "common/util.h"

/* The unit at the end of a cgroup's path ("/system.slice/x.service/y": x.service), else the path. */
void cgroup_unit(const char *cgroup, char *buf, size_t size);

/* Whether a cgroup belongs to a unit (also one of a user's manager, or a slice), to a container by the first 12 or more digits of
 * its id, or to a machine by its name. */
bool cgroup_is_of(const char *cgroup, const char *unit) _pure_;

/* Whether a cgroup is that unit of the system's manager. Only slices may stand before it: anybody may name a group so below one
 * that was delegated to him. */
bool cgroup_is_unit(const char *cgroup, const char *unit) _pure_;
