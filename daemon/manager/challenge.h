/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A question that only the holder of the private key can answer now: 32 fresh random bytes, wrapped on this node with
 * the public key that was pinned at enrolment (RSA-OAEP, SHA-256 or, where so configured, SHA-1 for both digests, no label). The vault unwraps them;
 * the worker that carries the answer cannot know it.
 *
 *   challenge_new() ─► wrapped ─► vault ─► plaintext ─► challenge_check(): once, in time, in constant time
 *
 * A symmetric key has no public half: its challenge is the canary that was pinned (common/algorithm.h), each time the same.
 *
 * A challenge is spent by its first check, right or wrong. Its issue instant, taken before the bytes exist, is where
 * the lease begins. */

#include "common/algorithm.h"

#define CHALLENGE_SIZE 32u
#define CHALLENGE_WRAPPED_MAX 512u     /* RSA-4096 */

struct challenge;

/* What was pinned at enrolment. spki: SubjectPublicKeyInfo, DER, nothing after it; with a symmetric algorithm its canary. Returns 0,
 * -EINVAL (not DER, trailing bytes, no canary of that algorithm, an algorithm that is not known), -EKEYREJECTED (not RSA, not 2048, 3072
 * or 4096 bits, an exponent that is even or below 65537), -ENOMEM, or -EIO (the library failed). */
int challenge_new(const char *algorithm, const uint8_t *spki, size_t spki_size, struct challenge **ret);

/* The same check of what is to be pinned alone, for enrolment. ret_bits (may be NULL): 0 of a canary. Errors of challenge_new(). */
int challenge_check_key(const char *algorithm, const uint8_t *spki, size_t spki_size, unsigned *ret_bits);

/* Wipes. Accepts NULL. Returns NULL. */
struct challenge *challenge_free(struct challenge *c);
static inline void challenge_freep(struct challenge **c) { challenge_free(*c); }

/* What to send. Stays the challenge's. */
const uint8_t *challenge_wrapped(const struct challenge *c, size_t *ret_size);

/* When it was issued: struct key_event's issued. */
struct instant challenge_issued(const struct challenge *c);

/* A canary, canary_size(algorithm) bytes: plain is the random bytes, wrapped what the vault made of them. Returns 0 or -EINVAL (not as
 * that algorithm wraps). */
int challenge_make_canary(const char *algorithm, const uint8_t plain[static CANARY_PLAIN_SIZE], const uint8_t *wrapped, size_t size,
                          uint8_t ret[static CANARY_SIZE_MAX]);

/* Whether the answer is right. max_age_usec: by either clock, at now. Returns 0, -EALREADY (spent), -ETIME (too late:
 * an answer that proves nothing about now), or -EBADMSG (wrong bytes or length: the peer is BROKEN). */
int challenge_check(struct challenge *c, const void *answer, size_t size, struct instant now, uint64_t max_age_usec);
