/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The hash chain of the trail: pure functions, no I/O.
 *
 *   line 1  {"v":1,"seq":1,...,"prev":"000...0","hash":"H1"}      H1 = SHA-256(32 zero bytes, line 1 without its hash)
 *   line 2  {"v":1,"seq":2,...,"prev":"H1","hash":"H2"}           H2 = SHA-256(H1, line 2 without its hash)
 *
 * "Without its hash": the bytes of the line from "{" up to the last member, followed by "}"; the line's end is not part
 * of it. The hash is over the bytes as they stand in the file, never over a parsed and printed copy.
 *
 * What a chain shows: a change, a removal or an insertion anywhere but at its end. That the end itself was not cut off
 * is shown by the head kept elsewhere (trail.head, the journal, the receiver of an export). Whoever is root may rewrite
 * file, head and journal together: only a head that left the machine proves anything against root. */

#include "common/util.h"

#define CHAIN_HASH_SIZE 32u
#define CHAIN_HEX_SIZE 64u
#define CHAIN_TAIL_SIZE (sizeof(",\"hash\":\"\"}") - 1 + CHAIN_HEX_SIZE)   /* what follows the hashed part in a line */
#define CHAIN_MAC_SIZE (sizeof(",\"mac\":\"\"") - 1 + CHAIN_HEX_SIZE)      /* the member before it in a sealed line */

/* The hash of a record: prev and body, where body is the line without its hash member, from "{" to "}". Returns 0 or
 * -EIO (libcrypto has no SHA-256). */
int chain_hash(const uint8_t prev[static CHAIN_HASH_SIZE], const char *body, size_t size,
               uint8_t ret[static CHAIN_HASH_SIZE]);

/* The same for a finished line (without its newline): takes the stated hash apart and computes it anew. prev: the one
 * stated in the line. Returns 0, -EBADMSG (the line does not end in a hash member), or -EIO. */
int chain_hash_line(const uint8_t prev[static CHAIN_HASH_SIZE], const char *line, size_t size,
                    uint8_t ret_stated[static CHAIN_HASH_SIZE], uint8_t ret_computed[static CHAIN_HASH_SIZE]);

/* What the seal of a finished line covers (seal.h): the first *ret_covered bytes, all before its mac member; the mac that
 * is stated there. Returns 0 or -EBADMSG (no mac member before the hash). */
int chain_find_mac(const char *line, size_t size, size_t *ret_covered, uint8_t ret_mac[static CHAIN_HASH_SIZE]);

void chain_to_hex(const uint8_t hash[static CHAIN_HASH_SIZE], char ret[static CHAIN_HEX_SIZE + 1]);

/* Exactly 64 digits, lower case. Returns 0 or -EINVAL. */
int chain_from_hex(const char *hex, size_t size, uint8_t ret[static CHAIN_HASH_SIZE]);

/* What stands between two records that follow each other in a file. */
enum chain_link {
        CHAIN_GOOD,
        CHAIN_BROKEN,        /* the numbers follow, the hashes do not: the earlier one was changed and hashed anew */
        CHAIN_MISSING,       /* numbers are left out */
        CHAIN_EXTRA,         /* the number was already seen: inserted, repeated or moved */
};

/* Judges the record (sequence, prev) that comes after (last_sequence, last_hash). */
enum chain_link chain_judge(uint64_t last_sequence, const uint8_t last_hash[static CHAIN_HASH_SIZE],
                            uint64_t sequence, const uint8_t prev[static CHAIN_HASH_SIZE]) _pure_;
