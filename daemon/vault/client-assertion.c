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

static bool is_fit(const EVP_PKEY *k) {
        return k && EVP_PKEY_is_a(k, "RSA") && EVP_PKEY_get_bits(k) >= KEY_BITS_MIN;
}

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *buf _unused_, int size _unused_, int writing _unused_, void *user _unused_) {
        return -1;
}

static int load_certificate(const char *pem, X509 **ret, const char **ret_why) {
        _cleanup_(bio_freep) BIO *c = BIO_new_mem_buf(pem, -1);

        if (!c)
                return -ENOMEM;
        *ret = PEM_read_bio_X509(c, NULL, no_passphrase, NULL);
        return *ret ? 0 : refuse(ret_why, "ClientCertificate= holds no certificate");
}

static int load_key(const struct secret *pem, const X509 *certificate, EVP_PKEY **ret, const char **ret_why) {
        _cleanup_(bio_freep) BIO *k = BIO_new_mem_buf(secret_cdata(pem), (int) secret_size(pem) - 1);

        if (!k)
                return -ENOMEM;
        *ret = PEM_read_bio_PrivateKey(k, NULL, no_passphrase, NULL);
        if (!*ret)
                return refuse(ret_why, "ClientKey= holds no private key that can be read without a passphrase");
        if (!is_fit(*ret))
                return refuse(ret_why, "ClientKey= is not an RSA key of 2048 bits or more");
        if (X509_check_private_key(certificate, *ret) != 1)
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

static int sign_here(EVP_PKEY *key, const struct secret *s, size_t n, uint8_t *signature, size_t *size) {
        _cleanup_(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *p;

        if (!ctx || EVP_DigestSignInit(ctx, &p, EVP_sha256(), NULL, key) != 1 ||
            EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING) != 1 ||
            EVP_PKEY_CTX_set_rsa_pss_saltlen(p, RSA_PSS_SALTLEN_DIGEST) != 1 ||
            EVP_DigestSign(ctx, signature, size, secret_cdata(s), n) != 1)
                return -ENOMEM;
        return 0;
}

/* By whoever has the key; its public half is the certificate's. */
static int sign_elsewhere(const struct assertion_key *key, X509 *certificate, const struct secret *s, size_t n, uint8_t *signature,
                          size_t *size, const char **ret_why) {
        _cleanup_(secret_freep) struct secret *made = NULL;
        uint8_t digest[32], *spki = NULL;
        int spki_size, r;

        if (!is_fit(X509_get0_pubkey(certificate)))
                return refuse(ret_why, "ClientCertificate= is not of an RSA key of 2048 bits or more");
        if (EVP_Digest(secret_cdata(s), n, digest, NULL, EVP_sha256(), NULL) != 1)
                return -ENOMEM;
        spki_size = i2d_PUBKEY(X509_get0_pubkey(certificate), &spki);
        if (spki_size <= 0)
                return -ENOMEM;
        r = key->sign(key->user, digest, spki, (size_t) spki_size, &made);
        OPENSSL_free(spki);
        if (r < 0)
                return r;
        if (secret_size(made) > *size)
                return -EMSGSIZE;
        memcpy(signature, secret_cdata(made), secret_size(made));
        *size = secret_size(made);
        return 0;
}

/* Appends ".SIGNATURE" to what stands in the secret. */
static int append_signature(struct secret *s, size_t n, const uint8_t *signature, size_t size) {
        if (n + 1 + BASE64_SIZE(size) + 1 > secret_size(s))
                return -EMSGSIZE;
        secret_data(s)[n++] = '.';
        base64url_encode(signature, size, (char *) secret_data(s) + n);
        return 0;
}

int client_assertion_new(const struct assertion *a, const char *certificate, const struct assertion_key *key, struct secret **ret,
                         const char **ret_why) {
        _cleanup_(x509_freep) X509 *x = NULL;
        _cleanup_(pkey_freep) EVP_PKEY *k = NULL;
        _cleanup_(secret_freep) struct secret *s = NULL;
        char x5t[BASE64_SIZE(32) + 1], head[160], claims[1024], jti[37], *text;
        unsigned long long now = a->now_sec;
        uint8_t signature[SIGNATURE_MAX];
        size_t n, size = sizeof(signature);
        int r;

        r = load_certificate(certificate, &x, ret_why);
        if (r >= 0 && key->pem)
                r = load_key(key->pem, x, &k, ret_why);
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
        r = k ? sign_here(k, s, strlen(text), signature, &size) :
            sign_elsewhere(key, x, s, strlen(text), signature, &size, ret_why);
        if (r >= 0)
                r = append_signature(s, strlen(text), signature, size);
        if (r == -EMSGSIZE)
                return refuse(ret_why, "ClientKey= is too large");
        if (r < 0)
                return r;
        secret_shrink(s, strlen(text) + 1);
        *ret = TAKE_PTR(s);
        return 0;
}
