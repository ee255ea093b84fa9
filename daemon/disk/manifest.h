/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The manifest: a MAC, keyed from the volume key, over everything in a LUKS2 header that says how the volume is read
 * and who may open it: segments, keyslots (all of them), digests, configuration, every token. So a foreign keyslot, a
 * changed cipher, another token, another name or generation shows as soon as the volume key is known.
 *
 * What the MAC runs over: the UUID, then the metadata without the "mac" of our own tokens, which all bear the same, written so that different
 * values never give the same bytes: o/a and the number of members, s and i with a length before their bytes, b and n;
 * members sorted by name. How the text was spaced or ordered makes no difference. */

#include "common/secret.h"
#include "token.h"

struct json_object;

/* metadata: the whole LUKS2 JSON. volume_key: VOLUME_KEY_SIZE bytes. Returns 0, -EINVAL (key's size, JSON of a kind
 * that a header cannot have), -ENOMEM, -EPERM or -EIO (as of manifest_key_derive()). */
int manifest_compute(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                     uint8_t ret[static TOKEN_MAC_SIZE]);

/* Returns 0, -EUCLEAN (the header is not what was enrolled), or an error as above. */
int manifest_verify(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                    const uint8_t mac[static TOKEN_MAC_SIZE]);
