/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the volumes of this node need of a vault's keys, as cmkd says it: a list of objects with uuid, volume, state, key (with version,
 * where the disk is here), use ("needed", "left over", "not here"), generation, expires (seconds since 1970, 0: never, or not known),
 * newest (a newer version of the key that is known; empty: none). */

struct json_object;

/* key: with or without version; "": any. Returns an exit code, and has said what is wrong; the list is the caller's. */
int key_usage(const char *key, struct json_object **ret);
