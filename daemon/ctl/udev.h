/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* attach --udev: what the instance of cmkd@.service means, and whose the device is.
 *
 *   sys-devices-…-block-vdb ─► /dev/vdb ─► named in crypttab: systemd-cryptsetup's
 *   NAME ─► its UUID from the node's list ─► wait until udev has made /dev/disk/by-uuid/UUID
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* attach --udev, with what cmkd@.service gives it. Returns an exit code. */
int attach_udev(const char *instance);

/* After a format: until udev has made the links by which the new volume is found, for up to 10 s. */
void wait_for_volume(const char *uuid);

/* Unescapes a unit's instance as systemd escapes paths ("-" is "/", "\x2d" is "-"). Returns 0, or -EINVAL (it is no path
 * in that writing, or too long). */
int unit_path_unescape(const char *instance, char *ret, size_t size);

/* The node of a device that is given as the escaped path of its place in sysfs. Returns 0, -ENXIO (the instance is no
 * such path: it is a name), -ENODEV (gone), or a negative errno. */
int udev_device_node(const char *instance, char ret[static 257]);

/* True: crypttab names it. A file that cannot be read names nothing. */
bool udev_is_in_crypttab(const char *node);

/* Waits until a path is there, for up to timeout_usec. Where no udev runs that would make it, it does not wait. Returns 0,
 * -ETIMEDOUT, or a negative errno. */
int wait_for_link(const char *path, uint64_t timeout_usec);
