/* SPDX-License-Identifier: Apache-2.0 */
#include "anchor.h"

#include "base64.h"

#include <ctype.h>
#include <inttypes.h>
#include <openssl/evp.h>

#define MACHINE_ID_SIZE 16u

/* SHA-256 of a label and what follows it. */
static int digest(const char *label, const uint8_t *data, size_t size, uint8_t ret[static EVP_MAX_MD_SIZE]) {
        uint8_t text[64];
        size_t n = strlen(label);

        memcpy(text, label, n);
        memcpy(text + n, data, size);
        return EVP_Digest(text, n + size, ret, NULL, EVP_sha256(), NULL) ? 0 : -EIO;
}

/* Lower case; as many digits as are needed, whatever follows. */
static int from_hex(const char *text, uint8_t *ret, size_t size) {
        for (size_t i = 0; i < 2 * size; i++) {
                int d = hex_digit(text[i]);

                if (d < 0)
                        return -EINVAL;
                ret[i / 2] = (uint8_t) (ret[i / 2] << 4 | d);
        }
        return 0;
}

int anchor_mark(const uint8_t hash[static ANCHOR_HASH_SIZE], uint8_t ret[static ANCHOR_MARK_SIZE]) {
        uint8_t d[EVP_MAX_MD_SIZE];
        int r = digest("cmkd anchor 1", hash, ANCHOR_HASH_SIZE, d);

        if (r >= 0)
                memcpy(ret, d, ANCHOR_MARK_SIZE);
        return r;
}

int anchor_tag(const char *machine_id, uint8_t ret[static ANCHOR_TAG_SIZE]) {
        static const uint8_t zero[MACHINE_ID_SIZE];
        uint8_t id[MACHINE_ID_SIZE], d[EVP_MAX_MD_SIZE];
        char hex[2 * MACHINE_ID_SIZE + 1];
        size_t n = 0;
        int r;

        for (const char *p = machine_id; *p && *p != '\n'; p++) {
                if (*p == '-')
                        continue;
                if (n == sizeof(hex) - 1)
                        return -EINVAL;
                hex[n++] = (char) tolower((unsigned char) *p);
        }
        hex[n] = 0;
        if (from_hex(hex, id, sizeof(id)) < 0 || memcmp(id, zero, sizeof(zero)) == 0)
                return -EINVAL;
        r = digest("cmkd node 1", id, sizeof(id), d);
        if (r >= 0)
                memcpy(ret, d, ANCHOR_TAG_SIZE);
        return r;
}

void anchor_tag_format(const uint8_t tag[static ANCHOR_TAG_SIZE], char ret[static ANCHOR_TAG_TEXT_SIZE + 1]) {
        hex_encode(tag, ANCHOR_TAG_SIZE, ret);
}

int anchor_tag_parse(const char *text, uint8_t ret[static ANCHOR_TAG_SIZE]) {
        uint8_t tag[ANCHOR_TAG_SIZE];

        if (strlen(text) != ANCHOR_TAG_TEXT_SIZE || from_hex(text, tag, sizeof(tag)) < 0)
                return -EINVAL;
        memcpy(ret, tag, sizeof(tag));
        return 0;
}

/* Bytes of an id: mmmmmmmm-mmmm-8nmm-[10]nmm-mmmm tttttt nn: version and variant share theirs with the number. */
void anchor_format(const struct anchor *a, char ret[static 37]) {
        uint8_t b[16];
        size_t n = 0;

        memcpy(b, a->mark, 6);
        b[6] = (uint8_t) (0x80 | (a->number >> 14 & 0x0f));
        b[7] = a->mark[6];
        b[8] = (uint8_t) (0x80 | (a->number >> 8 & 0x3f));
        memcpy(b + 9, a->mark + 7, 3);
        memcpy(b + 12, a->tag, ANCHOR_TAG_SIZE);
        b[15] = (uint8_t) a->number;
        for (size_t i = 0; i < sizeof(b); i++)
                n += (size_t) snprintf(ret + n, 37 - n, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
}

bool anchor_parse(const uint8_t id[static 16], struct anchor *ret) {
        if ((id[6] & 0xf0) != 0x80 || (id[8] & 0xc0) != 0x80)
                return false;
        memcpy(ret->mark, id, 6);
        ret->mark[6] = id[7];
        memcpy(ret->mark + 7, id + 9, 3);
        memcpy(ret->tag, id + 12, ANCHOR_TAG_SIZE);
        ret->number = (uint32_t) (id[6] & 0x0f) << 14 | (uint32_t) (id[8] & 0x3f) << 8 | id[15];
        return true;
}

void anchor_head_format(uint64_t sequence, const uint8_t mark[static ANCHOR_MARK_SIZE], char ret[static ANCHOR_HEAD_MAX]) {
        char hex[2 * ANCHOR_MARK_SIZE + 1];

        hex_encode(mark, ANCHOR_MARK_SIZE, hex);
        snprintf(ret, ANCHOR_HEAD_MAX, "v1 %" PRIu64 " %s\n", sequence, hex);
}

int anchor_head_parse(const char *text, uint64_t *ret_sequence, uint8_t ret_mark[static ANCHOR_MARK_SIZE]) {
        const char *number = startswith(text, "v1 "), *space = number ? strchr(number, ' ') : NULL;
        uint8_t mark[ANCHOR_MARK_SIZE];
        uint64_t sequence;
        char digits[24];

        if (!space || (size_t) (space - number) >= sizeof(digits))
                return -EBADMSG;
        snprintf(digits, sizeof(digits), "%.*s", (int) (space - number), number);
        if (parse_u64(digits, UINT64_MAX, &sequence) < 0 || sequence == 0 || from_hex(space + 1, mark, sizeof(mark)) < 0 ||
            !streq(space + 1 + 2 * sizeof(mark), "\n"))
                return -EBADMSG;
        memcpy(ret_mark, mark, sizeof(mark));
        *ret_sequence = sequence;
        return 0;
}
