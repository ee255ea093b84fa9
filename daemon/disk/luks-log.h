/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between the luks-*.c files only. What libcryptsetup says: all of it at debug level, its last error kept for the
 * reply. */

#include "luks.h"

/* Before there is a context: messages of crypt_init go to l too. */
void luks_log_init(struct luks *l);
void luks_log_attach(struct luks *l);

/* luks_unlock() by any keyslot's passphrase. */
int luks_open_keyslot(struct luks *l, int keyslot, const struct secret *passphrase, struct secret **ret_volume_key);

struct crypt_pbkdf_type;

/* Full entropy is stretched by nothing: the cheapest derivation that LUKS2 allows. */
extern const struct crypt_pbkdf_type luks_cheap_pbkdf;

/* Writes our token with the MAC over the metadata as they are now; t->mac is filled. Returns 0, the errors of
 * token_format() and manifest_compute(), or what libcryptsetup says. */
int luks_seal(struct luks *l, int token_id, struct token *t, const struct secret *volume_key);
