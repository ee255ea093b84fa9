/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The seal of a record: a MAC by a key that is used once, turned into the next one and forgotten.
 *
 *   K_0 (random) ── next ── K_1 ── next ── K_2 ...           K_(i+1) = HKDF(K_i, "cmkd trail next v1"), K_i is wiped
 *     └ mac_0                └ mac_1        └ mac_2          mac_i   = HMAC(HKDF(K_i, "cmkd trail mac v1"), the line before
 *                                                                      its mac member)
 *
 * HKDF is that of RFC 5869 with SHA-256, its second half alone (a key is 32 random bytes: nothing is to be extracted).
 * Who has K_i computes every later key and no earlier one. An auditor has K_0: it stands in the trail, wrapped to his
 * public key (seal-rsa.h), in the record "epoch" that began the row of keys.
 *
 * Pure functions, no I/O; the bytes are in a struct secret. OpenSSL's context for a MAC has state made of the key while
 * it computes; it is written over before each of these functions returns. */

#include "chain.h"
#include "common/secret.h"

#define SEAL_KEY_SIZE 32u
#define SEAL_SIZE 32u                      /* of a mac */
#define SEAL_EPOCH_SIZE 32u                /* characters of an epoch's id: 16 bytes in hex */

struct seal_key;

/* A key of zeroes, to be filled. Returns 0, -ENOMEM, or what secret_new() says. */
int seal_key_new(struct seal_key **ret);
struct seal_key *seal_key_free(struct seal_key *k);
static inline void seal_key_freep(struct seal_key **k) { seal_key_free(*k); }

/* SEAL_KEY_SIZE bytes, in secret memory. */
uint8_t *seal_key_data(struct seal_key *k);

void seal_key_copy(struct seal_key *to, const struct seal_key *from);
void seal_key_wipe(struct seal_key *k);
void seal_key_random(struct seal_key *k);

/* The mac of those bytes under this key, which stays as it is. Returns 0 or -EIO (of OpenSSL). */
int seal_mac(struct seal_key *k, const void *data, size_t size, uint8_t ret[static SEAL_SIZE]);

/* Turns the key into the one that comes steps after it. Returns 0 or -EIO; then it is none of both. */
int seal_next(struct seal_key *k, uint64_t steps);

/* Compares the seal of a finished line (without its newline). Returns 0, -EBADMSG (it has none), -EKEYREJECTED (it is
 * not this key's) or -EIO. */
int seal_check_line(struct seal_key *k, const char *line, size_t size);

/* True for the id of an epoch: SEAL_EPOCH_SIZE digits, lower case. */
bool seal_epoch_is_valid(const char *s) _pure_;
