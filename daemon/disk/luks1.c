/* SPDX-License-Identifier: Apache-2.0 */
#include "luks1.h"

#include <endian.h>

struct phdr {
        char magic[6];
        uint16_t version;
        char cipher[32], mode[32], hash[32];
        uint32_t payload_offset;         /* sectors of 512 bytes */
        uint32_t key_size;               /* bytes */
        uint8_t digest[20], salt[32];
        uint32_t iterations;
        char uuid[40];
        uint8_t keyslots[8][48];
} __attribute__((packed));
_Static_assert(sizeof(struct phdr) == LUKS1_HEADER_SIZE, "LUKS1 header");

int luks1_check(const uint8_t *p, struct luks1 *ret, struct header_why *why) {
        struct luks1 l = {};
        struct phdr h;
        unsigned bits;

        memcpy(&h, p, sizeof(h));
        if (memcmp(h.magic, "LUKS\xba\xbe", sizeof(h.magic)) != 0 || be16toh(h.version) != 1) {
                snprintf(why->text, sizeof(why->text), "there is no LUKS header at its start");
                return -ENODATA;
        }
        bits = 8 * be32toh(h.key_size);
        l.payload_offset = (uint64_t) be32toh(h.payload_offset) * 512;
        if (strncmp(h.cipher, "aes", sizeof(h.cipher)) != 0 || strncmp(h.mode, "xts-plain64", sizeof(h.mode)) != 0) {
                snprintf(why->text, sizeof(why->text), "it is not encrypted with aes-xts-plain64");
                return -EPERM;
        }
        if (bits != 512) {
                snprintf(why->text, sizeof(why->text), "its volume key has %u bits, not 512", bits);
                return -EPERM;
        }
        if (!memchr(h.uuid, 0, sizeof(l.uuid)) || l.payload_offset < 4096 || l.payload_offset > LUKS1_PAYLOAD_MAX ||
            l.payload_offset % 4096) {
                snprintf(why->text, sizeof(why->text), l.payload_offset == 0 ? "it is a header without its data (detached)"
                                                                               : "its UUID or the place of its data is none");
                return -EBADMSG;
        }
        memcpy(l.uuid, h.uuid, sizeof(l.uuid));
        if (!uuid_is_valid(l.uuid)) {
                snprintf(why->text, sizeof(why->text), "its UUID is none");
                return -EBADMSG;
        }
        *ret = l;
        return 0;
}
