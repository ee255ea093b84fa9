/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads the attributes of a key in use, between its challenges: attributes.h says what for and how often. */

#include "common/vault-proto.h"

struct key;

/* Asks for them if that is due. Call after the key was granted. */
void key_attributes_look(struct key *k);

/* What somebody read of them in any case: policies of the key's volumes follow, with a record where floors changed. */
void key_attributes_take(struct key *k, const struct vault_reply *y);

/* The key is past its expiry date, and for one of its volumes that revokes it. */
bool key_is_expired(const struct key *k);

/* The nodes of FleetSize= poll the vault of this key so often that they take more than a quarter of its limit: true, and buf is a
 * sentence about it. Known once the key's type was read. */
bool key_is_over_budget(const struct key *k, char *buf, size_t size);
