/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a vault's answer about the secret that holds a wrapped key (common/stored-key.h) means for people. Pure. */

#include "common/vault-proto.h"

/* True: y is about that secret, and buf is a sentence of what became of it, without a full stop. y->expires: when a deleted one will
 * be purged, 0: not known. Until then a volume is revoked and not erased, since vaults without soft delete are refused. now: seconds
 * since 1970. */
bool stored_text(const struct vault_reply *y, uint64_t now, char *buf, size_t size);
