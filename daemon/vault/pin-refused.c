/* SPDX-License-Identifier: Apache-2.0 */
#include "pin-refused.h"

#include <openssl/evp.h>

#include "kept.h"

#define DIGEST_SIZE 32u
#define DIGESTS_MAX 8u

static void name_of(const struct pin_use *u, char buf[static KEPT_NAME_MAX + 1]) {
        snprintf(buf, KEPT_NAME_MAX + 1, "pin-%s", u->vault);
}

static void md_freep(EVP_MD_CTX **p) { EVP_MD_CTX_free(*p); }

/* The texts with their NULs, so that none runs into the next. */
static int digest_of(const struct pin_use *u, uint8_t *ret) {
        _cleanup_(md_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        return ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) > 0 && EVP_DigestUpdate(ctx, u->token, strlen(u->token) + 1) > 0 &&
               EVP_DigestUpdate(ctx, u->serial, strlen(u->serial) + 1) > 0 &&
               EVP_DigestUpdate(ctx, secret_cdata(u->pin), secret_size(u->pin)) > 0 && EVP_DigestFinal_ex(ctx, ret, NULL) > 0 ? 0 : -ENOMEM;
}

/* The digest of this use, and behind it those that are kept. */
static int read_digests(const struct pin_use *u, struct secret **ret) {
        _cleanup_(secret_freep) struct secret *all = NULL, *kept = NULL;
        char name[KEPT_NAME_MAX + 1];
        size_t n = 0;
        int r;

        name_of(u, name);
        r = kept_get(name, &kept);
        if (r == -ENOMEM || r == -EPERM)
                return r;
        if (r >= 0)
                n = MIN_OF(secret_size(kept), (size_t) DIGESTS_MAX * DIGEST_SIZE) / DIGEST_SIZE * DIGEST_SIZE;
        r = secret_new(DIGEST_SIZE + n, &all);
        if (r >= 0)
                r = digest_of(u, secret_data(all));
        if (r < 0)
                return r;
        if (n > 0)
                memcpy(secret_data(all) + DIGEST_SIZE, secret_cdata(kept), n);
        *ret = TAKE_PTR(all);
        return 0;
}

int pin_was_refused(const struct pin_use *u) {
        _cleanup_(secret_freep) struct secret *all = NULL;
        int r;

        r = read_digests(u, &all);
        for (size_t i = DIGEST_SIZE; r >= 0 && i < secret_size(all); i += DIGEST_SIZE)
                if (memcmp(secret_cdata(all), secret_cdata(all) + i, DIGEST_SIZE) == 0)
                        return 1;
        return r;
}

int pin_keep_refused(const struct pin_use *u) {
        _cleanup_(secret_freep) struct secret *all = NULL;
        char name[KEPT_NAME_MAX + 1];
        int r;

        r = read_digests(u, &all);
        if (r < 0)
                return r;
        name_of(u, name);
        secret_shrink(all, MIN_OF(secret_size(all), (size_t) DIGESTS_MAX * DIGEST_SIZE));
        r = kept_put(name, all);
        return r == -ENOTCONN ? 0 : r;
}
