/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "common/util.h"

/* A sentence on how the trail is sealed, from what cmkd-audit says of itself (audit/status.h) below root. What stands
 * there is cleaned of control characters by whoever prints it. */
void trail_state_text(const char *root, char *ret, size_t size);

/* One value of it; "" where there is none. Returns whether cmkd-audit has written any. */
bool trail_state_value(const char *root, const char *name, char *ret, size_t size);

/* The same of what the kernel refuses: "enforcing", "armed, ...". */
void guard_state_text(const char *root, char *ret, size_t size);

/* The same of the kernel's events: "all recorded", or which are not. */
void events_state_text(const char *root, char *ret, size_t size);
