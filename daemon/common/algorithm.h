/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a CMK wraps. With RSA the node wraps W and challenges by itself, with the public key that was pinned at enrolment. With a
 * symmetric key only the vault can: W is made in the worker, the vault wraps it, and what is pinned in the public key's place is a
 * canary:
 *
 *   1 │ SHA-256 of 32 random bytes, that nobody kept │ those bytes, wrapped by the vault
 *
 * A poll asks the vault to unwrap it. The right answer shows that the key works; that it was given now, and not learned from an
 * earlier one, it cannot show. */

#include "util.h"

#define ALGORITHM_RSA "RSA-OAEP-256"
#define ALGORITHM_AES "A256GCM"        /* names of RFC 7518, and of what goes with it */
#define ALGORITHM_CHACHA "C20P"

#define ALGORITHM_OVERHEAD 28u         /* nonce and tag, of both */
#define CANARY_FORM 1u                 /* a public key begins with 0x30 */
#define CANARY_DIGEST_SIZE 32u
#define CANARY_PLAIN_SIZE 32u
#define CANARY_WRAPPED_SIZE (CANARY_PLAIN_SIZE + ALGORITHM_OVERHEAD)
#define CANARY_SIZE (1 + CANARY_DIGEST_SIZE + CANARY_WRAPPED_SIZE)

static inline bool algorithm_is_symmetric(const char *s) {
        return streq(s, ALGORITHM_AES) || streq(s, ALGORITHM_CHACHA);
}

static inline bool canary_is_valid(const uint8_t *pin, size_t size) {
        return size == CANARY_SIZE && pin[0] == CANARY_FORM;
}
