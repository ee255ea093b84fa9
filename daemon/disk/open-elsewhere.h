/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A LUKS2 volume that is open while it is taken over: by one mapping, made by cryptsetup, with the table that its header asks for. Anything else
 * above the device is in the way. */

#include "device.h"
#include "header.h"

/* Returns 0, -EBUSY (something else has the device: y is not touched), or fills y: -EPERM (a mapping of it, which is not what the header asks
 * for, or held). */
int open_elsewhere_check(const struct device *d, const struct header *h, struct disk_reply *y);
