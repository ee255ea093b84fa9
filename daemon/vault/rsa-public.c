/* SPDX-License-Identifier: Apache-2.0 */
#include "rsa-public.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#define BITS_MIN 2048
#define BITS_MAX 4096
#define EXPONENT_BITS_MAX 64

static void bn_freep(BIGNUM **p) { BN_free(*p); }
static void pkey_freep(EVP_PKEY **p) { EVP_PKEY_free(*p); }
static void pkey_ctx_freep(EVP_PKEY_CTX **p) { EVP_PKEY_CTX_free(*p); }
static void param_bld_freep(OSSL_PARAM_BLD **p) { OSSL_PARAM_BLD_free(*p); }
static void params_freep(OSSL_PARAM **p) { OSSL_PARAM_free(*p); }

static int refuse(const char **ret_why, const char *why) {
        *ret_why = why;
        return -EBADMSG;
}

static int make_pkey(BIGNUM *n, BIGNUM *e, EVP_PKEY **ret) {
        _cleanup_(param_bld_freep) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
        _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
        _cleanup_(params_freep) OSSL_PARAM *params = NULL;

        if (!bld || !ctx || OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
            OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) != 1 || !(params = OSSL_PARAM_BLD_to_param(bld)))
                return -ENOMEM;
        if (EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, ret, EVP_PKEY_PUBLIC_KEY, params) != 1)
                return -EBADMSG;
        return 0;
}

static int encode(EVP_PKEY *pkey, struct vault_reply *ret) {
        unsigned char *out = ret->spki;
        int size = i2d_PUBKEY(pkey, NULL);

        if (size <= 0 || (size_t) size > sizeof(ret->spki) || i2d_PUBKEY(pkey, &out) != size)
                return -EBADMSG;
        ret->spki_size = (size_t) size;
        return 0;
}

int rsa_public_encode(const struct rsa_numbers *k, struct vault_reply *ret, const char **ret_why) {
        _cleanup_(bn_freep) BIGNUM *n = BN_bin2bn(k->modulus, (int) k->modulus_size, NULL);
        _cleanup_(bn_freep) BIGNUM *e = BN_bin2bn(k->exponent, (int) k->exponent_size, NULL);
        _cleanup_(pkey_freep) EVP_PKEY *pkey = NULL;
        int r;

        if (!n || !e)
                return -ENOMEM;
        if (BN_num_bits(n) < BITS_MIN || BN_num_bits(n) > BITS_MAX || !BN_is_odd(n))
                return refuse(ret_why, "its modulus is not one of 2048 to 4096 bits");
        if (!BN_is_odd(e) || BN_num_bits(e) < 2 || BN_num_bits(e) > EXPONENT_BITS_MAX)
                return refuse(ret_why, "its public exponent is not sensible");
        r = make_pkey(n, e, &pkey);
        if (r >= 0)
                r = encode(pkey, ret);
        if (r < 0)
                return r == -EBADMSG ? refuse(ret_why, "its public key is not usable") : r;
        ret->key_bits = (uint16_t) BN_num_bits(n);
        return 0;
}
