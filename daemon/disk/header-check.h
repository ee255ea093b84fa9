/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a LUKS2 header must be before libcryptsetup sees it. Pure: bytes and JSON in, a verdict out.
 *
 *   0           4096                 header_size        2 * header_size                     data_offset
 *   | binary    | JSON, NUL, zeros   | the same again   | keyslot areas (keyslots_size)  ...| data
 *
 * Accepted: version 2, one segment "0" (crypt, aes-xts-plain64, 512 or 4096-byte sectors, to the end of the device, integrity tags of
 * HMAC or none), a 512-bit volume key and the tags' key behind it, keyslots of type luks2 encrypted with aes-xts-plain64, one digest (whatever its number) that binds them all to the
 * segment, persistent flags of activation.h, no requirements, one token of type cmkd or some (a key each, up to DISK_WRAPS_MAX).
 * libcryptsetup alone takes null ciphers. */

#include "common/key-uri.h"
#include "strict-json.h"
#include "token.h"

#define HEADER_BINARY_SIZE 4096u
#define HEADER_SIZE_MIN (16u << 10)
#define HEADER_SIZE_MAX (4u << 20)
#define HEADER_KEYSLOTS_SIZE_MAX (16u << 20)
#define HEADER_KEYSLOTS_MAX 32u
#define HEADER_TOKENS_MAX 32u
#define HEADER_DIGESTS_MAX 8u
#define HEADER_ITERATIONS_MAX 10000000    /* of a PBKDF2: what an open may cost at most */

/* The LUKS2 on-disk format, version 1.1, section 2.1; all numbers big endian. */
struct luks2_binary {
        uint8_t magic[6];
        uint16_t version;
        uint64_t header_size;
        uint64_t seqid;
        char label[48];
        char checksum_alg[32];
        uint8_t salt[64];
        char uuid[40];
        char subsystem[48];
        uint64_t header_offset;
        uint8_t padding[184];
        uint8_t checksum[64];
} __attribute__((packed));
_Static_assert(sizeof(struct luks2_binary) == 512, "LUKS2 binary header");

/* A sentence's end for people: "..., because WHY". */
struct header_why {
        char text[200];
};

struct header_copy {
        uint64_t header_size;
        uint64_t seqid;
        char uuid[37];
};

/* One key that opens the volume: a token of ours. */
struct header_wrap {
        int token_id;                     /* its number in the metadata */
        struct token token;
};

struct header_layout {
        struct { uint64_t offset, size; bool used; } areas[HEADER_KEYSLOTS_MAX];    /* by keyslot, bytes */
        uint64_t keyslots_size;
        uint64_t data_offset;             /* bytes */
        unsigned sector_size;
        unsigned digest;                  /* the volume key's number, by which the kernel's table names it: 0 until it is changed */
        unsigned activation;              /* enum activation: the flags that it asks for */
        unsigned integrity;               /* enum activation: its tags; 0: none */
        struct header_wrap wraps[DISK_WRAPS_MAX];    /* in the order of their numbers: same name and role, keys and keyslots
                                                      * that differ; while a key is rotated, two versions and generations of it */
        unsigned n_wraps;                 /* from 1 */
        int recovery_token_id;            /* of a recovery key, -1: there is none */
        int recovery_keyslot;
};

/* Reads the size of a copy from its first HEADER_BINARY_SIZE bytes. Returns 0, -ENODATA (no LUKS2 header copy begins
 * here) or -EBADMSG (it does, with an impossible size). */
int header_copy_size(const uint8_t *p, bool secondary, uint64_t *ret_size);

/* Checks a whole copy that was read at offset: magic, size, own offset, checksum (SHA-256 over the copy with the
 * checksum's field zeroed), UUID. Returns 0, -ENODATA or -EBADMSG. */
int header_copy_check(const uint8_t *p, size_t size, uint64_t offset, struct header_copy *ret, struct header_why *why);

/* Parses the JSON area of a checked copy: text, NUL, zeros to its end. The caller owns *ret. Returns 0, -EBADMSG or
 * -ENOMEM. */
int header_json_parse(const uint8_t *p, size_t size, struct json_object **ret, struct header_why *why);

/* Checks the metadata for a device of device_size bytes. Returns 0, and on failure (why is filled then):
 *   -ENOENT            no token of type cmkd: not a volume of ours (checked before anything else)
 *   -EFBIG             a token, the keyslot areas or the number of either beyond the bounds
 *   -EPROTONOSUPPORT   token or requirement of a newer version
 *   -EPERM             well-formed, and not allowed: null or other cipher, segments, other tags, a reencryption, tokens
 *                      of type cmkd that contradict each other
 *   -EBADMSG           malformed
 *   -ENOMEM */
int header_metadata_check(const struct json_object *metadata, const struct header_copy *copy, uint64_t device_size,
                          struct header_layout *ret, struct header_why *why);

/* The same for a header that need not have a token of ours: what somebody else made, to be taken over. n_wraps may be 0. */
int header_metadata_check_plain(const struct json_object *metadata, const struct header_copy *copy, uint64_t device_size,
                                struct header_layout *ret, struct header_why *why);

/* The wrap of the key with that identifier (with version; empty: the first), or of any version of a key. NULL: none. */
const struct header_wrap *header_find_wrap(const struct header_layout *l, const char *key);
const struct header_wrap *header_find_same_key(const struct header_layout *l, const struct key_uri *key);
