/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "print.h"

/* Adds to each volume that is open what uses it, as a list of texts "used_by": mount points as this process sees them, "swap",
 * and the devices that stand on it. Processes are not looked for: `cmkctl cut --dry-run` names them, and takes its time. */
void status_add_uses(struct json_object *volumes);

/* "/srv", "/srv and 2 more", "" for nothing. */
void status_uses_text(struct json_object *volume, char *ret, size_t size);
