/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bus.h"

/* The properties of all volumes, sorted by name: an array, the caller's. c is connected. Returns an exit code. */
int status_volumes(struct call *c, struct json_object **ret);
