/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest.h"

#include "strict-json.h"
#include "unlock-key.h"

#include <inttypes.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

/* Where in the metadata a value stands; the MAC in tokens of ours is all that is left out. */
enum place { ROOT, TOKENS, TOKEN, OURS, MANIFEST, ELSEWHERE };

static void mac_freep(EVP_MAC **p) { EVP_MAC_free(*p); }
static void mac_ctx_freep(EVP_MAC_CTX **p) { EVP_MAC_CTX_free(*p); }

static int put(EVP_MAC_CTX *mac, const void *p, size_t size) {
        return EVP_MAC_update(mac, p, size) ? 0 : -EIO;
}

static int put_tagged(EVP_MAC_CTX *mac, char tag, const char *bytes, size_t size) {
        char head[32];
        int n, r;

        n = snprintf(head, sizeof(head), "%c%zu:", tag, size);
        r = put(mac, head, (size_t) n);
        return r < 0 || !bytes ? r : put(mac, bytes, size);
}

static enum place place_of(enum place parent, const char *name, const struct json_object *value) {
        const char *type;

        switch (parent) {
        case ROOT:
                return streq(name, "tokens") ? TOKENS : ELSEWHERE;
        case TOKENS:
                type = strict_json_string(value, "type");
                return type && streq(type, TOKEN_TYPE) ? OURS : TOKEN;
        case OURS:
                return streq(name, "manifest") ? MANIFEST : ELSEWHERE;
        default:
                return ELSEWHERE;
        }
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static int put_value(EVP_MAC_CTX *mac, const struct json_object *o, enum place place);

static int put_object(EVP_MAC_CTX *mac, const struct json_object *o, enum place place) {
        _cleanup_(freep) const char **names = NULL;
        size_t n = 0;
        int r;

        names = calloc((size_t) json_object_object_length(o) + 1, sizeof(*names));
        if (!names)
                return -ENOMEM;
        json_object_object_foreach((struct json_object *) o, name, value) {
                (void) value;
                if (place != MANIFEST || !streq(name, "mac"))
                        names[n++] = name;
        }
        qsort(names, n, sizeof(*names), compare_names);
        r = put_tagged(mac, 'o', NULL, n);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                const struct json_object *member = json_object_object_get(o, names[i]);

                r = put_tagged(mac, 's', names[i], strlen(names[i]));
                if (r >= 0)
                        r = put_value(mac, member, place_of(place, names[i], member));
        }
        return r;
}

static int put_array(EVP_MAC_CTX *mac, const struct json_object *o) {
        size_t n = json_object_array_length(o);
        int r;

        r = put_tagged(mac, 'a', NULL, n);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = put_value(mac, json_object_array_get_idx(o, i), ELSEWHERE);
        return r;
}

/* Recursion is bounded by JSON_DEPTH_MAX. */
static int put_value(EVP_MAC_CTX *mac, const struct json_object *o, enum place place) {
        char number[24];
        int n;

        switch (json_object_get_type(o)) {
        case json_type_object:
                return put_object(mac, o, place);
        case json_type_array:
                return put_array(mac, o);
        case json_type_string:
                return put_tagged(mac, 's', json_object_get_string((struct json_object *) o),
                                  (size_t) json_object_get_string_len(o));
        case json_type_int:
                n = snprintf(number, sizeof(number), "%" PRId64, json_object_get_int64(o));
                return put_tagged(mac, 'i', number, (size_t) n);
        case json_type_boolean:
                return put(mac, json_object_get_boolean(o) ? "b1" : "b0", 2);
        case json_type_null:
                return put(mac, "n", 1);
        default:
                return -EINVAL;
        }
}

int manifest_compute(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                     uint8_t ret[static TOKEN_MAC_SIZE]) {
        _cleanup_(secret_freep) struct secret *key = NULL;
        _cleanup_(mac_freep) EVP_MAC *hmac = NULL;
        _cleanup_(mac_ctx_freep) EVP_MAC_CTX *mac = NULL;
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *) "SHA256", 0),
                OSSL_PARAM_construct_end(),
        };
        uint8_t out[TOKEN_MAC_SIZE];
        size_t n;
        int r;

        r = manifest_key_derive(volume_key, &key);
        if (r < 0)
                return r;
        hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
        if (!mac)
                return -ENOMEM;
        if (!EVP_MAC_init(mac, secret_cdata(key), secret_size(key), params))
                return -EIO;
        r = put_tagged(mac, 's', uuid, strlen(uuid));
        if (r >= 0)
                r = put_value(mac, metadata, ROOT);
        if (r < 0)
                return r;
        if (!EVP_MAC_final(mac, out, &n, sizeof(out)) || n != sizeof(out))
                return -EIO;
        memcpy(ret, out, sizeof(out));
        return 0;
}

int manifest_verify(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                    const uint8_t mac[static TOKEN_MAC_SIZE]) {
        uint8_t computed[TOKEN_MAC_SIZE];
        int r;

        r = manifest_compute(metadata, uuid, volume_key, computed);
        if (r < 0)
                return r;
        return digest_equal(computed, mac) ? 0 : -EUCLEAN;
}
