/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The bodies of good replies (status 200) of a Key Vault's keys API. Pure; nothing is believed: the key's identifier
 * must be the one that was asked for, lengths and types must be right, a field that is there twice is an error.
 *
 * The result of unwrap and wrap is taken out of the receive buffer into a struct secret, in constant time, and
 * overwritten there before the JSON library sees the text: no copy of it is in memory that is not the buffer's or the
 * secret's. */

#include "common/secret.h"
#include "common/vault-proto.h"

struct azure_result {
        struct secret *value;
        char kid[KEY_URI_MAX];
};

/* Wipes and frees. */
void azure_result_clear(struct azure_result *r);

/* The body of wrapkey and unwrapkey: {"kid":..., "value":...}. It is changed: the value is overwritten, also where this
 * fails. Returns 0; -EBADMSG with *ret_why, a static text; -ENOMEM, -EPERM: no secret to be had. */
int azure_parse_result(char *body, size_t size, const struct key_uri *asked, struct azure_result *ret,
                       const char **ret_why);

/* The body of GET key: fills kid, key_flags, key_bits, key_type, not_before, expires, recovery_level, spki (RSA) and tags.
 * Returns 0, -EBADMSG with *ret_why, or -ENOMEM. */
int azure_parse_key(const char *body, size_t size, const struct key_uri *asked, struct vault_reply *ret,
                    const char **ret_why);

/* attributes.recoveryLevel of a key or a secret: its text, and VAULT_KEY_PURGE_PROTECTED where nobody may destroy it before the retention's
 * end. A vault that says nothing counts as unprotected. */
struct json_object;
void azure_read_recovery_level(struct json_object *attributes, char buf[static 65], uint8_t *flags);

/* The body of GET deletedkeys: the key's identifier must be that key's. Fills kid, and expires: when it will be purged. Returns as
 * azure_parse_key(). */
int azure_parse_deleted(const char *body, size_t size, const struct key_uri *asked, struct vault_reply *ret, const char **ret_why);
