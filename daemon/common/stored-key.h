/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* store=vault: the wrapped key is not in the LUKS2 token but a secret of the vault whose key wrapped it.
 *
 *   token: SHA-256 of the wrapped key ─┐
 *   UUID of the volume ────────────────┴─► cmkd-UUID-DIGITS, on the key's own host
 *
 * The name is worked out from both and read from nowhere: whoever can write a token cannot have another secret fetched, and what
 * comes back has to be what was hashed. DIGITS are the hash's first 16 bytes, so that each wrapped key has a name that no other ever
 * had: a name in soft-deleted state is never in the way of the next one. */

#include "util.h"

struct vault_config;

#define STORED_DIGEST_SIZE 32u
#define STORED_NAME_SIZE 75u         /* with NUL; Key Vault takes 127 characters of 0-9 a-z A-Z and - */

void stored_key_name(const char volume[static 37], const uint8_t digest[static STORED_DIGEST_SIZE], char ret[static STORED_NAME_SIZE]);

/* NULL: that vault has secrets. Else why a wrapped key cannot be kept there: a sentence's end, static. v is complete. */
const char *stored_key_objection(const struct vault_config *v);
