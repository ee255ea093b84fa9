/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Wrapped keys that are secrets of the vault (common/stored-key.h). What a node needs for it: to set secrets while a key is
 * enrolled, to get them from then on. It never deletes one: that is the owner's.
 *
 *   WRAP_NEW ─► wrapkey ─► PUT secret      UNWRAP ─► GET secret ─► the digest's? ─► unwrapkey (of that, or of a challenge)
 */

#include "vault.h"

/* The secret that c's request is about is there, enabled, and has the request's digest. True: yes, and its content is in into's
 * blob (NULL: it is not wanted). False: y says what it is instead; REVOKED where the owner disabled or deleted it. */
bool azure_stored_get(struct vault *v, const struct vault_call *c, struct vault_reply *y, struct vault_request *into);

/* True: it is listed as deleted, and y is a whole reply. False: it is not, or nobody may know. */
bool azure_stored_is_deleted(struct vault *v, const struct vault_call *c, struct vault_reply *y);

/* vault_ops.store, vault_ops.check_stored */
void azure_store(struct vault *v, const struct vault_call *c, const struct secret *wrapped, struct vault_reply *y);
void azure_check_stored(struct vault *v, const struct vault_call *c, struct vault_reply *y);
