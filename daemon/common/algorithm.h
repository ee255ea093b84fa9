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
#define ALGORITHM_RSA_SHA1 "RSA-OAEP"  /* only where Algorithm= of the vault says so */
#define ALGORITHM_AES "A256GCM"        /* names of RFC 7518, and of what goes with it */
#define ALGORITHM_CHACHA "C20P"
#define ALGORITHM_KW "A256KW"

#define ALGORITHM_OVERHEAD_MAX 28u
#define CANARY_FORM 1u                 /* a public key begins with 0x30 */
#define CANARY_DIGEST_SIZE 32u
#define CANARY_PLAIN_SIZE 32u
#define CANARY_WRAPPED_MAX (CANARY_PLAIN_SIZE + ALGORITHM_OVERHEAD_MAX)
#define CANARY_SIZE_MAX (1 + CANARY_DIGEST_SIZE + CANARY_WRAPPED_MAX)

/* How much longer a symmetric key makes what it wraps; 0: it is none. */
static inline size_t algorithm_overhead(const char *s) {
        if (streq(s, ALGORITHM_KW))
                return 8;              /* the check value of RFC 3394 */
        return streq(s, ALGORITHM_AES) || streq(s, ALGORITHM_CHACHA) ? 28 : 0;     /* nonce and tag */
}

static inline bool algorithm_is_symmetric(const char *s) {
        return algorithm_overhead(s) > 0;
}

/* Whether the volume's UUID goes along, without which the vault does not unwrap again. RFC 3394 has no place for it. */
static inline bool algorithm_binds(const char *s) {
        return algorithm_is_symmetric(s) && !streq(s, ALGORITHM_KW);
}

static inline bool algorithm_is_rsa(const char *s) {
        return streq(s, ALGORITHM_RSA) || streq(s, ALGORITHM_RSA_SHA1);
}

/* What Fips=yes allows. */
static inline bool algorithm_is_approved(const char *s) {
        return streq(s, ALGORITHM_RSA) || streq(s, ALGORITHM_AES) || streq(s, ALGORITHM_KW);
}

static inline size_t canary_size(const char *algorithm) {
        return 1 + CANARY_DIGEST_SIZE + CANARY_PLAIN_SIZE + algorithm_overhead(algorithm);
}

static inline bool canary_is_valid(const char *algorithm, const uint8_t *pin, size_t size) {
        return algorithm_is_symmetric(algorithm) && size == canary_size(algorithm) && pin[0] == CANARY_FORM;
}
