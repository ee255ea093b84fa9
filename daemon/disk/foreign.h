/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What stands in a header beside what was enrolled: keyslots and tokens that the manifest does not know.
 *
 * The manifest's MAC is over all metadata, and does not say what they were. But if leaving out some keyslots and tokens
 * makes it hold, then those were added by somebody else and all the rest is as it was enrolled. Tokens of ours and their keyslots stay or go
 * together (all that agree on the MAC, at least the one that opened the volume); of the others, recovery keys and what opened a volume
 * before it was taken over among them, each may, but for those
 * beyond the fifth keyslot and the fifth token. */

#include "common/secret.h"
#include "header-check.h"

/* For a header whose manifest does not hold; opener: the wrap that opened it, NULL: none did. Returns 0 (ret names what is foreign: "keyslot 3, token 1
 * (systemd-tpm2)"), -EUCLEAN (something else was changed), -ENOMEM, or an error of manifest_compute(). */
int foreign_find(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                 const struct header_layout *l, const struct header_wrap *opener, struct header_why *ret);
