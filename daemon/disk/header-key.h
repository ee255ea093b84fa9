/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which volume key a header is about, also one that header-check refuses: it may be all that there is of that key. Pure. */

#include "common/secret.h"

struct json_object;

/* metadata: of any LUKS2 header, an enemy's bytes. Every digest of a segment there is (LUKS2 on-disk format 1.1, section 3.5: PBKDF2 of the
 * volume key) has to be of that key. Returns 0, -EKEYREJECTED (one is of another key, or is none that can be computed, or there is none), or
 * -EPERM (it has requirements: a reencryption that has not ended, or what only a newer cryptsetup knows). */
int header_key_check(const struct json_object *metadata, const struct secret *volume_key);
