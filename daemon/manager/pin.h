/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which public key is pinned is the worker's word: the challenge proves that somebody has its private half, not that it is the vault's.
 * What can be held against that comes from elsewhere: --expect-public-key of who asks, ExpectPublicKeys= of [Vault NAME]. Held against
 * it before anything is written, and once more, by what stands in the header, before the list has it. */

#include "common/audit-proto.h"
#include "common/config.h"
#include "common/key-digest.h"
#include "key-proof.h"

/* Of a pinned public key; empty where that is a canary, or nothing. */
void pin_digest(const uint8_t *pin, size_t size, char ret[static KEY_DIGEST_SIZE]);

/* The field spki_sha256 of a record, where there is a public key. */
void pin_record(struct audit_message_record *r, const uint8_t *pin, size_t size);

/* Whether that may be pinned for the key: k->expected, and what its vault's section of c says (NULL: it is pinned already, and only what
 * was said counts). subject: for the message. Returns 0, also where nothing was said, or -EPERM with the outcome filled in
 * (EXIT_CODE_POLICY). */
int pin_check(const struct config *c, const struct proven_key *k, const uint8_t *pin, size_t size, const char *subject, struct outcome *o);

/* k goes by what stands in a header from now on: its version, algorithm and public key. */
void pin_take(struct proven_key *k, const struct disk_wrap *w);
