/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A message of the kernel's uevent socket, about a block device. Pure. Only a hint: what it is about is
 * looked up in sysfs, whatever else the message says. Format: lib/kobject_uevent.c, "ACTION@DEVPATH", NUL, then "KEY=VALUE", NUL ... */

#include "common/util.h"

enum uevent_action { UEVENT_ADD, UEVENT_CHANGE, UEVENT_REMOVE, UEVENT_OTHER };

struct uevent {
        enum uevent_action action;
        uint32_t major, minor;
};

/* Returns 0, -ENOENT (well-formed, and not about a block device) or -EBADMSG. */
int uevent_parse(const char *data, size_t size, struct uevent *ret);
