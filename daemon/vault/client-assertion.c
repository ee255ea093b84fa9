/* SPDX-License-Identifier: Apache-2.0 */
#include "client-assertion.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "common/base64.h"

#define LIFETIME_SEC 300u
#define KEY_BITS_MIN 2048
#define SIGNATURE_MAX 1024u

static void bio_freep(BIO **b) { BIO_free(*b); }
static void x509_freep(X509 **x) { X509_free(*x); }
static void pkey_freep(EVP_PKEY **k) { EVP_PKEY_free(*k); }
static void md_ctx_freep(EVP_MD_CTX **c) { EVP_MD_CTX_free(*c); }

static int refuse(const char **ret_why, const char *why) {
        *ret_why = why;
        return -EBADMSG;
}

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *buf _unused_, int size _unused_, int writing _unused_, void *user _unused_) {
        return -1;
}

static int load_pair(const char *certificate, const struct secret *key, X509 **ret_certificate, EVP_PKEY **ret_key,
                     const char **ret_why) {
        _cleanup_(bio_freep) BIO *c = BIO_new_mem_buf(certificate, -1);
        _cleanup_(bio_freep) BIO *k = BIO_new_mem_buf(secret_cdata(key), (int) secret_size(key) - 1);

        if (!c || !k)
                return -ENOMEM;
        *ret_certificate = PEM_read_bio_X509(c, NULL, no_passphrase, NULL);
        if (!*ret_certificate)
                return refuse(ret_why, "ClientCertificate= holds no certificate");
        *ret_key = PEM_read_bio_PrivateKey(k, NULL, no_passphrase, NULL);
        if (!*ret_key)
                return refuse(ret_why, "ClientKey= holds no private key that can be read without a passphrase");
        if (!EVP_PKEY_is_a(*ret_key, "RSA") || EVP_PKEY_get_bits(*ret_key) < KEY_BITS_MIN)
                return refuse(ret_why, "ClientKey= is not an RSA key of 2048 bits or more");
        if (X509_check_private_key(*ret_certificate, *ret_key) != 1)
                return refuse(ret_why, "ClientKey= is not the key of ClientCertificate=");
        return 0;
}

static int thumbprint(const X509 *c, char ret[static BASE64_SIZE(32) + 1]) {
        unsigned char digest[32];
        unsigned n = sizeof(digest);

        if (X509_digest(c, EVP_sha256(), digest, &n) != 1 || n != sizeof(digest))
                return -ENOMEM;
        base64url_encode(digest, sizeof(digest), ret);
        return 0;
}

/* Appends ".SIGNATURE" to what stands in the secret. */
static int sign(EVP_PKEY *key, struct secret *s, size_t n) {
        _cleanup_(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint8_t signature[SIGNATURE_MAX];
        size_t size = sizeof(signature);
        EVP_PKEY_CTX *p;

        if (!ctx || EVP_DigestSignInit(ctx, &p, EVP_sha256(), NULL, key) != 1 ||
            EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING) != 1 ||
            EVP_PKEY_CTX_set_rsa_pss_saltlen(p, RSA_PSS_SALTLEN_DIGEST) != 1 ||
            EVP_DigestSign(ctx, signature, &size, secret_cdata(s), n) != 1)
                return -ENOMEM;
        if (n + 1 + BASE64_SIZE(size) + 1 > secret_size(s))
                return -EMSGSIZE;
        secret_data(s)[n++] = '.';
        base64url_encode(signature, size, (char *) secret_data(s) + n);
        return 0;
}

int client_assertion_new(const struct assertion *a, const char *certificate, const struct secret *key, struct secret **ret,
                         const char **ret_why) {
        _cleanup_(x509_freep) X509 *x = NULL;
        _cleanup_(pkey_freep) EVP_PKEY *k = NULL;
        _cleanup_(secret_freep) struct secret *s = NULL;
        char x5t[BASE64_SIZE(32) + 1], head[160], claims[1024], jti[37], *text;
        unsigned long long now = a->now_sec;
        size_t n;
        int r;

        r = load_pair(certificate, key, &x, &k, ret_why);
        if (r >= 0)
                r = thumbprint(x, x5t);
        if (r >= 0)
                r = secret_new(SECRET_MAX, &s);
        if (r < 0)
                return r;
        random_uuid(jti);
        snprintf(head, sizeof(head), "{\"alg\":\"PS256\",\"typ\":\"JWT\",\"x5t#S256\":\"%s\"}", x5t);
        n = (size_t) snprintf(claims, sizeof(claims), "{\"aud\":\"%s\",\"iss\":\"%s\",\"sub\":\"%s\",\"jti\":\"%s\",\"nbf\":%llu,"
                              "\"iat\":%llu,\"exp\":%llu}", a->audience, a->client_id, a->client_id, jti, now, now,
                              now + LIFETIME_SEC);
        if (n >= sizeof(claims))
                return refuse(ret_why, "Authority=, TenantId= and ClientId= are too long together");
        text = (char *) secret_data(s);
        base64url_encode((const uint8_t *) head, strlen(head), text);
        strcat(text, ".");
        base64url_encode((const uint8_t *) claims, n, text + strlen(text));
        r = sign(k, s, strlen(text));
        if (r == -EMSGSIZE)
                return refuse(ret_why, "ClientKey= is too large");
        if (r < 0)
                return r;
        secret_shrink(s, strlen(text) + 1);
        *ret = TAKE_PTR(s);
        return 0;
}
