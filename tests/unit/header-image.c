/* SPDX-License-Identifier: Apache-2.0 */
#include "header-image.h"

#include <assert.h>
#include <endian.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sys/mman.h>
#include <unistd.h>

/* A 2048-bit public key whose private half was never kept. */
static size_t public_key(uint8_t *buf) {
        static uint8_t der[DISK_SPKI_MAX];
        static size_t size;

        if (size == 0) {
                EVP_PKEY *key = EVP_RSA_gen(2048);
                unsigned char *p = der;

                size = (size_t) i2d_PUBKEY(key, &p);
                EVP_PKEY_free(key);
        }
        memcpy(buf, der, size);
        return size;
}

void image_token(struct token *ret) {
        *ret = (struct token) {
                .keyslot = 0, .uuid = IMAGE_UUID, .name = "data1", .role = ROLE_DATA, .generation = 1,
                .key = "https://v.vault.azure.net/keys/k1/0123456789abcdef0123456789abcdef", .algorithm = "RSA-OAEP-256",
                .wrapped_size = 256, .proof_time = 1700000000, .proof_request_id = "6fe2a1",
        };
        ret->spki_size = public_key(ret->spki);
        memset(ret->wrapped, 0x5a, ret->wrapped_size);
        memset(ret->salt, 0x11, sizeof(ret->salt));
        memset(ret->mac, 0x22, sizeof(ret->mac));
}

#define KEYSLOT(offset) \
        "{\"type\":\"luks2\",\"key_size\":64,\"af\":{\"type\":\"luks1\",\"stripes\":4000,\"hash\":\"sha512\"}," \
        "\"area\":{\"type\":\"raw\",\"offset\":\"" offset "\",\"size\":\"258048\",\"encryption\":\"aes-xts-plain64\"," \
        "\"key_size\":64},\"kdf\":{\"type\":\"pbkdf2\",\"hash\":\"sha512\",\"iterations\":1000,\"salt\":\"AAAA\"}}"

struct json_object *image_metadata(void) {
        _cleanup_(freep) char *token = NULL, *text = NULL;
        struct json_object *o = NULL;
        struct token t;
        int n;

        image_token(&t);
        assert(token_format(&t, &token) == 0);
        n = asprintf(&text, "{\"keyslots\":{\"0\":" KEYSLOT("32768") ",\"1\":" KEYSLOT("290816") "},\"tokens\":{\"0\":%s},"
                     "\"segments\":{\"0\":{\"type\":\"crypt\",\"offset\":\"16777216\",\"size\":\"dynamic\","
                     "\"iv_tweak\":\"0\",\"encryption\":\"aes-xts-plain64\",\"sector_size\":512}},"
                     "\"digests\":{\"0\":{\"type\":\"pbkdf2\",\"keyslots\":[\"0\",\"1\"],\"segments\":[\"0\"],"
                     "\"hash\":\"sha256\",\"iterations\":1000,\"salt\":\"AAAA\",\"digest\":\"AAAA\"}},"
                     "\"config\":{\"json_size\":\"12288\",\"keyslots_size\":\"16744448\"}}", token);
        assert(n > 0 && strict_json_parse(text, (size_t) n, &o, NULL) == 0);
        return o;
}

void image_copy(uint8_t *p, bool secondary, uint64_t seqid, const char *uuid, const char *text, size_t size) {
        uint64_t header_size = htobe64(HEADER_SIZE_MIN), offset = htobe64(secondary ? HEADER_SIZE_MIN : 0);
        uint16_t version = htobe16(2);
        size_t n = HEADER_SIZE_MIN - HEADER_BINARY_SIZE;

        memset(p, 0, HEADER_SIZE_MIN);
        memcpy(p, secondary ? "SKUL\xba\xbe" : "LUKS\xba\xbe", 6);
        memcpy(p + 6, &version, 2);
        memcpy(p + 8, &header_size, 8);
        seqid = htobe64(seqid);
        memcpy(p + 16, &seqid, 8);
        strcpy((char *) p + 72, "sha256");
        memcpy(p + 168, uuid, strlen(uuid));
        memcpy(p + 256, &offset, 8);
        memcpy(p + HEADER_BINARY_SIZE, text, MIN_OF(size, n));
        assert(EVP_Digest(p, HEADER_SIZE_MIN, p + 448, NULL, EVP_sha256(), NULL));
}

int image_new(const char *text, size_t size) {
        uint8_t copies[2 * HEADER_SIZE_MIN];
        int fd = memfd_create("image", MFD_CLOEXEC);

        assert(fd >= 0 && ftruncate(fd, IMAGE_DEVICE_SIZE) == 0);
        image_copy(copies, false, 3, IMAGE_UUID, text, size);
        image_copy(copies + HEADER_SIZE_MIN, true, 3, IMAGE_UUID, text, size);
        assert(pwrite(fd, copies, sizeof(copies), 0) == sizeof(copies));
        return fd;
}

int image_new_from(const struct json_object *metadata) {
        const char *text = json_object_to_json_string_ext((struct json_object *) metadata,
                                                          JSON_C_TO_STRING_PLAIN|JSON_C_TO_STRING_NOSLASHESCAPE);

        return image_new(text, strlen(text));
}
