/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Wrapped keys that are in the header or, as secrets, in the vault (common/stored-key.h): what is asked of the vault for one, and what
 * its answer about the secret means for people. Pure. */

#include "common/disk-proto.h"
#include "common/vault-proto.h"

/* Fills in what a request to unwrap W says of it: volume, algorithm, and blob or digest. */
void wrap_fill_request(const struct disk_wrap *w, const char volume[static 37], struct vault_request *q);

/* True: y is about that secret, and buf is a sentence of what became of it, without a full stop. y->expires: when a deleted one will
 * be purged, 0: not known. Until then a volume is revoked and not erased, since vaults without soft delete are refused. now: seconds
 * since 1970. */
bool stored_text(const struct vault_reply *y, uint64_t now, char *buf, size_t size);
