/* SPDX-License-Identifier: Apache-2.0 */
#include "transit-reply.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/algorithm.h"
#include "common/base64.h"
#include "reply-secret.h"

#define PREFIX "vault:v"
#define PEM_MAX 2048u

static int refuse(const char **ret_why, const char *why) {
        *ret_why = why;
        return -EBADMSG;
}

uint32_t transit_version(const struct key_uri *u) {
        uint64_t v;

        return *u->version == '0' || parse_u64(u->version, INT32_MAX, &v) < 0 ? 0 : (uint32_t) v;
}

void transit_format_ciphertext(uint32_t version, const uint8_t *blob, size_t size, char *buf) {
        int n = snprintf(buf, TRANSIT_CIPHERTEXT_MAX, PREFIX "%u:", version);

        base64_encode(blob, MIN_OF(size, (size_t) VAULT_BLOB_MAX), buf + n);
}

/* Decodes a value behind its first skip characters, and leaves spaces where it was. */
static int cut_value(char *body, const struct json_span *at, size_t skip, struct secret **ret) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        size_t n = 0;
        int r;

        r = secret_new(VAULT_BLOB_MAX, &s);
        if (r >= 0)
                r = base64_decode(body + at->offset + skip, at->size - skip, secret_data(s), VAULT_BLOB_MAX, &n);
        reply_blank(body, at);
        if (r < 0)
                return r;
        if (n == 0)
                return -EINVAL;
        secret_shrink(s, n);
        *ret = TAKE_PTR(s);
        return 0;
}

/* Where the value is; without one nothing is left of the body. */
static int find_value(char *body, size_t size, const char *outer, const char *member, struct json_span *ret,
                      const char **ret_why) {
        int r = json_check_in(body, size, outer, member, ret);

        if (r >= 0)
                return 0;
        explicit_bzero(body, size);
        return refuse(ret_why, r == -ENOENT ? "it has no value" : "it is not strict JSON");
}

static int finish(const char *body, size_t size, int r, struct secret **value, char request_id[static 129],
                  struct secret **ret, const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;

        if (r == -ENOMEM || r == -EPERM)
                return r;
        if (r < 0)
                return refuse(ret_why, "its value is not base64 of a sensible length");
        r = json_parse(body, size, &root);
        if (r < 0)
                return r == -ENOMEM ? r : refuse(ret_why, "it is not JSON");
        text_printable(json_get_text(root, "request_id"), request_id, 129);
        *ret = TAKE_PTR(*value);
        return 0;
}

int transit_parse_plaintext(char *body, size_t size, char request_id[static 129], struct secret **ret, const char **ret_why) {
        _cleanup_(secret_freep) struct secret *value = NULL;
        struct json_span at;
        int r;

        r = find_value(body, size, "data", "plaintext", &at, ret_why);
        if (r < 0)
                return r;
        r = cut_value(body, &at, 0, &value);
        return finish(body, size, r, &value, request_id, ret, ret_why);
}

int transit_parse_ciphertext(char *body, size_t size, uint32_t version, char request_id[static 129], struct secret **ret,
                             const char **ret_why) {
        _cleanup_(secret_freep) struct secret *value = NULL;
        struct json_span at;
        char prefix[32];
        size_t n;
        int r;

        n = (size_t) snprintf(prefix, sizeof(prefix), PREFIX "%u:", version);
        r = find_value(body, size, "data", "ciphertext", &at, ret_why);
        if (r < 0)
                return r;
        if (at.size < n || memcmp(body + at.offset, prefix, n) != 0) {
                reply_blank(body, &at);
                return refuse(ret_why, "its ciphertext is not of the version asked for");
        }
        r = cut_value(body, &at, n, &value);
        return finish(body, size, r, &value, request_id, ret, ret_why);
}

static int read_pem(const char *pem, struct vault_reply *ret) {
        uint8_t *der = NULL;
        EVP_PKEY *key;
        BIO *b;
        int n, bits;

        if (strlen(pem) > PEM_MAX)
                return -EBADMSG;
        b = BIO_new_mem_buf(pem, (int) strlen(pem));
        if (!b)
                return -ENOMEM;
        key = PEM_read_bio_PUBKEY(b, NULL, NULL, NULL);
        BIO_free(b);
        if (!key)
                return -EBADMSG;
        bits = EVP_PKEY_is_a(key, "RSA") ? EVP_PKEY_get_bits(key) : 0;
        n = bits == 2048 || bits == 3072 || bits == 4096 ? i2d_PUBKEY(key, &der) : -1;
        EVP_PKEY_free(key);
        if (n <= 0 || (size_t) n > sizeof(ret->spki)) {
                OPENSSL_free(der);
                return -EBADMSG;
        }
        memcpy(ret->spki, der, (size_t) n);
        ret->spki_size = (size_t) n;
        ret->key_bits = (uint16_t) bits;
        OPENSSL_free(der);
        return 0;
}

static bool is_true(struct json_object *o, const char *name) {
        return json_object_get_boolean(json_get(o, name, json_type_boolean));
}

/* What the owner has arranged. What the vault does not say counts as not arranged. */
static int read_flags(struct json_object *data, struct vault_reply *ret) {
        struct json_object *deletion = json_get(data, "deletion_allowed", json_type_boolean);
        bool exportable = is_true(data, "exportable") || is_true(data, "allow_plaintext_backup");

        if (!deletion || !json_get(data, "supports_decryption", json_type_boolean))
                return -EBADMSG;
        if (is_true(data, "supports_encryption"))
                ret->key_flags |= VAULT_KEY_CAN_WRAP;
        if (is_true(data, "supports_decryption"))
                ret->key_flags |= VAULT_KEY_CAN_UNWRAP;
        if (!json_object_get_boolean(deletion) && !exportable)
                ret->key_flags |= VAULT_KEY_PURGE_PROTECTED;
        snprintf(ret->recovery_level, sizeof(ret->recovery_level), "%s%s",
                 json_object_get_boolean(deletion) ? "deletion allowed" : "deletion not allowed",
                 exportable ? ", exportable" : "");
        return 0;
}

/* Which version it is about, and whether that one may be used. */
static int read_version(struct json_object *data, const struct key_uri *asked, uint32_t *ret, struct vault_reply *y) {
        uint64_t latest, least;

        if (json_get_u64(data, "latest_version", &latest) < 0 || json_get_u64(data, "min_decryption_version", &least) < 0 ||
            latest == 0 || latest > INT32_MAX)
                return -EBADMSG;
        *ret = *asked->version ? transit_version(asked) : (uint32_t) latest;
        if (*ret == 0 || *ret > latest)
                return -EBADMSG;
        if (*ret >= least && !is_true(data, "soft_deleted"))
                y->key_flags |= VAULT_KEY_ENABLED;
        return 0;
}

static int read_public(struct json_object *data, uint32_t version, struct vault_reply *y) {
        char number[16];
        const char *pem;

        snprintf(number, sizeof(number), "%u", version);
        pem = json_get_text(json_get(json_get(data, "keys", json_type_object), number, json_type_object), "public_key");
        if (!pem)
                return y->key_flags & VAULT_KEY_ENABLED ? -EBADMSG : 0;     /* one that is barred is not shown */
        return read_pem(pem, y);
}

/* Those whose ciphertexts have a form that is known here. */
static const char *find_algorithm(const char *type) {
        static const struct { const char *type, *algorithm; } types[] = {
                { "rsa-2048", ALGORITHM_RSA }, { "rsa-3072", ALGORITHM_RSA }, { "rsa-4096", ALGORITHM_RSA },
                { "aes256-gcm96", ALGORITHM_AES }, { "chacha20-poly1305", ALGORITHM_CHACHA },
        };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (streq(types[i].type, type))
                        return types[i].algorithm;
        return NULL;
}

int transit_parse_key(const char *body, size_t size, const struct key_uri *asked, struct vault_reply *ret,
                      const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        struct vault_reply y = *ret;
        struct key_uri u = *asked;
        struct json_object *data;
        const char *name, *type, *algorithm;
        uint32_t version;
        bool symmetric;
        int r;

        r = json_parse(body, size, &root);
        if (r < 0)
                return r == -ENOMEM ? r : refuse(ret_why, "it is not strict JSON, or the key has more than 64 versions");
        data = json_get(root, "data", json_type_object);
        name = json_get_text(data, "name");
        type = json_get_text(data, "type");
        if (!name || !streq(name, asked->name))
                return refuse(ret_why, "it is about another key than the one asked for");
        if (!type)
                return refuse(ret_why, "it has no key type");
        text_printable(json_get_text(root, "request_id"), y.request_id, sizeof(y.request_id));
        algorithm = find_algorithm(type);
        if (!algorithm) {
                *ret_why = "keys of its type are not supported: rsa-2048, rsa-3072, rsa-4096, aes256-gcm96 and chacha20-poly1305 are";
                return -EOPNOTSUPP;
        }
        symmetric = algorithm_is_symmetric(algorithm);
        if (is_true(data, "derived")) {
                *ret_why = "derived keys are not supported: another key would be used for each context";
                return -EOPNOTSUPP;
        }
        text_printable(symmetric ? algorithm : type, y.key_type, sizeof(y.key_type));
        y.key_flags = 0;
        if (read_flags(data, &y) < 0)
                return refuse(ret_why, "it does not say what the key is for, and whether it may be deleted");
        if (read_version(data, asked, &version, &y) < 0)
                return refuse(ret_why, "it does not have the version asked for");
        r = symmetric ? 0 : read_public(data, version, &y);
        if (r < 0)
                return r == -ENOMEM ? r : refuse(ret_why, "its public key is not usable");
        if (symmetric)
                y.key_bits = 256;
        snprintf(u.version, sizeof(u.version), "%u", version);
        key_uri_format(&u, y.kid, sizeof(y.kid));
        *ret = y;
        return 0;
}

int transit_parse_token(char *body, size_t size, struct transit_token *ret, const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        _cleanup_(secret_freep) struct secret *token = NULL;
        struct transit_token t = {};
        struct json_object *auth;
        struct json_span at;
        int r;

        r = find_value(body, size, "auth", "client_token", &at, ret_why);
        if (r < 0)
                return r;
        r = reply_take_token(body, &at, &token);
        if (r < 0)
                return r == -EBADMSG ? refuse(ret_why, "its token is none that a header may carry") : r;
        r = json_parse(body, size, &root);
        if (r < 0)
                return r == -ENOMEM ? r : refuse(ret_why, "it is not JSON");
        auth = json_get(root, "auth", json_type_object);
        if (json_get_u64(auth, "lease_duration", &t.lifetime_sec) < 0)
                return refuse(ret_why, "it does not say how long the token holds");
        t.renewable = is_true(auth, "renewable");
        t.token = TAKE_PTR(token);
        *ret = t;
        return 0;
}

bool transit_wants_more(const char *body, size_t size) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        struct json_span at = {};
        int r = json_check_in(body, size, "auth", "client_token", &at);

        if ((r < 0 && r != -ENOENT) || at.size > 0 || json_parse(body, size, &root) < 0)
                return false;
        return json_get(json_get(root, "auth", json_type_object), "mfa_requirement", json_type_object);
}

int transit_parse_wrapping(const char *body, size_t size, char ret[static 257]) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;

        if (json_parse(body, size, &root) < 0)
                return -EBADMSG;
        text_printable(json_get_text(json_get(root, "data", json_type_object), "creation_path"), ret, 257);
        return 0;
}

int transit_parse_secret_id(char *body, size_t size, struct secret **ret, const char **ret_why) {
        struct json_span at;
        int r;

        r = find_value(body, size, "data", "secret_id", &at, ret_why);
        if (r >= 0) {
                r = reply_take_token(body, &at, ret);
                if (r == -EBADMSG)
                        return refuse(ret_why, "its secret id is none that a login may carry");
        }
        return r;
}

int transit_parse_cluster(const char *body, size_t size, char ret[static 65]) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;

        *ret = 0;
        if (json_parse(body, size, &root) < 0)
                return -EBADMSG;
        if (is_true(root, "sealed"))
                return -EHOSTDOWN;
        text_printable(json_get_text(root, "cluster_id"), ret, 65);
        return 0;
}
