/* SPDX-License-Identifier: Apache-2.0 */
#include "chain.h"

#include <openssl/evp.h>

#include "common/base64.h"

static void evp_freep(EVP_MD_CTX **c) { EVP_MD_CTX_free(*c); }

/* Up to three pieces, one after the other. */
static int sha256(const uint8_t *a, size_t na, const char *b, size_t nb, const char *c, size_t nc,
                  uint8_t ret[static CHAIN_HASH_SIZE]) {
        _cleanup_(evp_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 || EVP_DigestUpdate(ctx, a, na) != 1 ||
            EVP_DigestUpdate(ctx, b, nb) != 1 || EVP_DigestUpdate(ctx, c, nc) != 1 ||
            EVP_DigestFinal_ex(ctx, ret, NULL) != 1)
                return -EIO;
        return 0;
}

int chain_hash(const uint8_t prev[static CHAIN_HASH_SIZE], const char *body, size_t size,
               uint8_t ret[static CHAIN_HASH_SIZE]) {
        return sha256(prev, CHAIN_HASH_SIZE, body, size, "", 0, ret);
}

int chain_hash_line(const uint8_t prev[static CHAIN_HASH_SIZE], const char *line, size_t size,
                    uint8_t ret_stated[static CHAIN_HASH_SIZE], uint8_t ret_computed[static CHAIN_HASH_SIZE]) {
        static const char open[] = ",\"hash\":\"", close[] = "\"}";
        uint8_t stated[CHAIN_HASH_SIZE];
        const char *tail;
        int r;

        if (size <= CHAIN_TAIL_SIZE)
                return -EBADMSG;
        tail = line + size - CHAIN_TAIL_SIZE;
        if (memcmp(tail, open, sizeof(open) - 1) != 0 || memcmp(line + size - 2, close, 2) != 0 ||
            chain_from_hex(tail + sizeof(open) - 1, CHAIN_HEX_SIZE, stated) < 0)
                return -EBADMSG;
        r = sha256(prev, CHAIN_HASH_SIZE, line, (size_t) (tail - line), "}", 1, ret_computed);
        if (r < 0)
                return r;
        memcpy(ret_stated, stated, CHAIN_HASH_SIZE);
        return 0;
}

int chain_find_mac(const char *line, size_t size, size_t *ret_covered, uint8_t ret_mac[static CHAIN_HASH_SIZE]) {
        static const char open[] = ",\"mac\":\"";
        const char *member;

        if (size <= CHAIN_TAIL_SIZE + CHAIN_MAC_SIZE)
                return -EBADMSG;
        member = line + size - CHAIN_TAIL_SIZE - CHAIN_MAC_SIZE;
        if (memcmp(member, open, sizeof(open) - 1) != 0 || member[CHAIN_MAC_SIZE - 1] != '"' ||
            chain_from_hex(member + sizeof(open) - 1, CHAIN_HEX_SIZE, ret_mac) < 0)
                return -EBADMSG;
        *ret_covered = (size_t) (member - line);
        return 0;
}

void chain_to_hex(const uint8_t hash[static CHAIN_HASH_SIZE], char ret[static CHAIN_HEX_SIZE + 1]) {
        hex_encode(hash, CHAIN_HASH_SIZE, ret);
}

int chain_from_hex(const char *hex, size_t size, uint8_t ret[static CHAIN_HASH_SIZE]) {
        uint8_t hash[CHAIN_HASH_SIZE];

        if (size != CHAIN_HEX_SIZE)
                return -EINVAL;
        for (size_t i = 0; i < CHAIN_HASH_SIZE; i++) {
                int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

                if (high < 0 || low < 0)
                        return -EINVAL;
                hash[i] = (uint8_t) (high << 4 | low);
        }
        memcpy(ret, hash, sizeof(hash));
        return 0;
}

enum chain_link chain_judge(uint64_t last_sequence, const uint8_t last_hash[static CHAIN_HASH_SIZE],
                            uint64_t sequence, const uint8_t prev[static CHAIN_HASH_SIZE]) {
        if (sequence <= last_sequence)
                return CHAIN_EXTRA;
        if (sequence > last_sequence + 1)
                return CHAIN_MISSING;
        return memcmp(last_hash, prev, CHAIN_HASH_SIZE) == 0 ? CHAIN_GOOD : CHAIN_BROKEN;
}
