/* SPDX-License-Identifier: Apache-2.0 */
#include "pe.h"

/* Offsets of the PE format: in the file header (after "PE\0\0"), the optional header of 64 bits, and a section's. */
enum {
        FILE_SECTIONS = 2, FILE_OPTIONAL_SIZE = 16, FILE_SIZE = 20,
        OPTIONAL_DIRECTORIES = 112, DIRECTORY_CERTIFICATES = 4,
        SECTION_VIRTUAL_SIZE = 8, SECTION_RAW_SIZE = 16, SECTION_RAW = 20, SECTION_SIZE = 40,
};

static uint32_t u16(const uint8_t *p) {
        return (uint32_t) p[0] | (uint32_t) p[1] << 8;
}

static uint32_t u32(const uint8_t *p) {
        return u16(p) | u16(p + 2) << 16;
}

int pe_read(const uint8_t *head, size_t size, struct pe_facts *ret) {
        const uint8_t *file, *optional, *sections;
        struct pe_facts f = {};
        uint32_t n, optional_size;
        size_t at;

        if (size < 64 || memcmp(head, "MZ", 2) != 0)
                return -EINVAL;
        at = u32(head + 60);
        if (at > size || size - at < 4 + FILE_SIZE + 2)
                return -EBADMSG;
        if (memcmp(head + at, "PE\0", 4) != 0)
                return -EINVAL;
        file = head + at + 4;
        n = u16(file + FILE_SECTIONS);
        optional_size = u16(file + FILE_OPTIONAL_SIZE);
        optional = file + FILE_SIZE;
        if (u16(optional) != 0x20b)
                return -EINVAL;
        at += 4 + FILE_SIZE + optional_size;
        if (at > size || (size - at) / SECTION_SIZE < n)
                return -EBADMSG;
        if (optional_size >= OPTIONAL_DIRECTORIES + 8 * (DIRECTORY_CERTIFICATES + 1))
                f.is_signed = u32(optional + OPTIONAL_DIRECTORIES + 8 * DIRECTORY_CERTIFICATES + 4) > 0;
        sections = head + at;
        for (uint32_t i = 0; i < n; i++) {
                const uint8_t *s = sections + i * SECTION_SIZE;

                if (memcmp(s, ".initrd", 8) != 0)
                        continue;
                f.initrd = u32(s + SECTION_RAW);
                f.initrd_size = MIN_OF(u32(s + SECTION_VIRTUAL_SIZE), u32(s + SECTION_RAW_SIZE));
                *ret = f;
                return 0;
        }
        return -ENOENT;
}
