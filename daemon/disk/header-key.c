/* SPDX-License-Identifier: Apache-2.0 */
#include "header-key.h"

#include "common/base64.h"
#include "header-check.h"

#include <openssl/evp.h>

#define SALT_MAX 256u
#define DIGEST_MIN 20u                  /* of LUKS1, converted */

static void md_freep(EVP_MD **p) { EVP_MD_free(*p); }

static int decode(const struct json_object *o, const char *name, uint8_t *buf, size_t max, size_t *ret_size) {
        const char *text = strict_json_string(o, name);

        return text && base64_decode(text, strlen(text), buf, max, ret_size) >= 0 ? 0 : -EKEYREJECTED;
}

static int check_digest(const struct json_object *d, const struct secret *volume_key) {
        const char *type = strict_json_string(d, "type"), *hash = strict_json_string(d, "hash");
        _cleanup_(md_freep) EVP_MD *md = hash ? EVP_MD_fetch(NULL, hash, NULL) : NULL;
        uint8_t salt[SALT_MAX], expected[EVP_MAX_MD_SIZE], found[EVP_MAX_MD_SIZE];
        size_t salt_size, size;
        int64_t iterations;

        if (!type || !streq(type, "pbkdf2") || !md || strict_json_int(d, "iterations", HEADER_ITERATIONS_MAX, &iterations) < 0 ||
            iterations < 1 || decode(d, "salt", salt, sizeof(salt), &salt_size) < 0 ||
            decode(d, "digest", expected, sizeof(expected), &size) < 0 || size < DIGEST_MIN || (int) size > EVP_MD_get_size(md))
                return -EKEYREJECTED;
        return PKCS5_PBKDF2_HMAC((const char *) secret_cdata(volume_key), (int) secret_size(volume_key), salt, (int) salt_size, (int) iterations,
                                 md, (int) size, found) && memcmp(found, expected, size) == 0 ? 0 : -EKEYREJECTED;
}

static bool is_required(const struct json_object *metadata) {
        struct json_object *config, *requirements;

        return json_object_object_get_ex(metadata, "config", &config) && json_object_object_get_ex(config, "requirements", &requirements) &&
               !(json_object_is_type(requirements, json_type_object) && json_object_object_length(requirements) == 0);
}

int header_key_check(const struct json_object *metadata, const struct secret *volume_key) {
        const struct json_object *digests = strict_json_get(metadata, "digests", json_type_object);
        int r = -EKEYREJECTED;

        if (is_required(metadata))
                return -EPERM;
        if (!digests || json_object_object_length(digests) > (int) HEADER_DIGESTS_MAX)
                return r;
        json_object_object_foreach((struct json_object *) digests, id, d) {
                const struct json_object *segments = strict_json_get(d, "segments", json_type_array);

                (void) id;
                if (segments && json_object_array_length(segments) == 0)
                        continue;               /* of a keyslot that opens nothing here */
                r = check_digest(d, volume_key);
                if (r < 0)
                        return r;
        }
        return r;
}
