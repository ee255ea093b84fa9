/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What "attributes" of keys and secrets say in a reply and in a list alike. Pure. */

#include "common/json-text.h"

/* attributes.recoveryLevel, or NULL: nobody may destroy it before the retention's end. A vault that says nothing does not protect. */
bool azure_level_protects(const char *level);

/* Seconds since the epoch; absent or null: 0, it does not hold. Returns 0, or -EBADMSG: it is no number. */
int azure_read_time(struct json_object *attributes, const char *name, uint64_t *ret);
