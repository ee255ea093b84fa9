/* SPDX-License-Identifier: Apache-2.0 */
#include "seal.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

struct seal_key {
        struct secret *bytes;              /* the key, and behind it what is derived from it */
        EVP_MAC *mac;
        EVP_MAC_CTX *ctx;
};

int seal_key_new(struct seal_key **ret) {
        _cleanup_(seal_key_freep) struct seal_key *k = calloc(1, sizeof(*k));
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *) "SHA256", 0), OSSL_PARAM_construct_end(),
        };
        int r;

        if (!k)
                return -ENOMEM;
        r = secret_new(2 * SEAL_KEY_SIZE, &k->bytes);
        if (r < 0)
                return r;
        k->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        k->ctx = k->mac ? EVP_MAC_CTX_new(k->mac) : NULL;
        if (!k->ctx || EVP_MAC_CTX_set_params(k->ctx, params) <= 0)
                return -ENOMEM;
        *ret = TAKE_PTR(k);
        return 0;
}

struct seal_key *seal_key_free(struct seal_key *k) {
        if (!k)
                return NULL;
        EVP_MAC_CTX_free(k->ctx);
        EVP_MAC_free(k->mac);
        secret_free(k->bytes);
        free(k);
        return NULL;
}

uint8_t *seal_key_data(struct seal_key *k) { return secret_data(k->bytes); }

void seal_key_copy(struct seal_key *to, const struct seal_key *from) {
        memcpy(secret_data(to->bytes), secret_cdata(from->bytes), SEAL_KEY_SIZE);
}

void seal_key_wipe(struct seal_key *k) { explicit_bzero(secret_data(k->bytes), 2 * SEAL_KEY_SIZE); }
void seal_key_random(struct seal_key *k) { random_bytes(secret_data(k->bytes), SEAL_KEY_SIZE); }

static int hmac(struct seal_key *k, const uint8_t *key, const void *data, size_t size, uint8_t ret[static SEAL_SIZE]) {
        static const uint8_t zero[SEAL_KEY_SIZE];
        size_t n = 0;
        bool good;

        good = EVP_MAC_init(k->ctx, key, SEAL_KEY_SIZE, NULL) > 0 && EVP_MAC_update(k->ctx, data, size) > 0 &&
               EVP_MAC_final(k->ctx, ret, &n, SEAL_SIZE) > 0 && n == SEAL_SIZE;
        good = EVP_MAC_init(k->ctx, zero, sizeof(zero), NULL) > 0 && good;
        return good ? 0 : -EIO;
}

/* HKDF's second half for one block. */
static int derive(struct seal_key *k, const char *info, uint8_t ret[static SEAL_KEY_SIZE]) {
        char text[32];
        int n = snprintf(text, sizeof(text), "%s%c", info, 1);

        return hmac(k, secret_cdata(k->bytes), text, (size_t) n, ret);
}

int seal_mac(struct seal_key *k, const void *data, size_t size, uint8_t ret[static SEAL_SIZE]) {
        uint8_t *derived = secret_data(k->bytes) + SEAL_KEY_SIZE;
        int r;

        r = derive(k, "cmkd trail mac v1", derived);
        if (r >= 0)
                r = hmac(k, derived, data, size, ret);
        explicit_bzero(derived, SEAL_KEY_SIZE);
        return r;
}

int seal_next(struct seal_key *k, uint64_t steps) {
        uint8_t *key = secret_data(k->bytes), *derived = key + SEAL_KEY_SIZE;
        int r = 0;

        for (uint64_t i = 0; r >= 0 && i < steps; i++) {
                r = derive(k, "cmkd trail next v1", derived);
                memcpy(key, derived, SEAL_KEY_SIZE);
        }
        explicit_bzero(derived, SEAL_KEY_SIZE);
        return r;
}

int seal_check_line(struct seal_key *k, const char *line, size_t size) {
        uint8_t stated[SEAL_SIZE], mac[SEAL_SIZE];
        size_t covered;
        int r;

        r = chain_find_mac(line, size, &covered, stated);
        if (r >= 0)
                r = seal_mac(k, line, covered, mac);
        if (r >= 0 && CRYPTO_memcmp(stated, mac, sizeof(mac)) != 0)
                r = -EKEYREJECTED;
        return r;
}

bool seal_epoch_is_valid(const char *s) {
        return strlen(s) == SEAL_EPOCH_SIZE && strspn(s, "0123456789abcdef") == SEAL_EPOCH_SIZE;
}
