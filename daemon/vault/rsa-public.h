/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An RSA public key that a vault or a token gave as its two numbers, made into what is pinned. Pure. */

#include "common/vault-proto.h"

struct rsa_numbers {
        const uint8_t *modulus, *exponent;     /* big endian; leading zeros do not count */
        size_t modulus_size, exponent_size;
};

/* Fills spki and key_bits. Returns 0; -EBADMSG with *ret_why, a static text (no key of 2048 to 4096 bits, an exponent that is not odd or
 * longer than 64 bits, what OpenSSL refuses); -ENOMEM. */
int rsa_public_encode(const struct rsa_numbers *k, struct vault_reply *ret, const char **ret_why);
