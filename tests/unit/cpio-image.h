/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Builds what the doctor reads: cpio archives ("newc") and small ELF files, in memory. For tests. */

#include "common/util.h"

#include <elf.h>
#include <sys/stat.h>

struct cpio_image {
        uint8_t *data;
        size_t size;
};

static inline void cpio_put(struct cpio_image *i, const void *data, size_t size) {
        i->data = realloc(i->data, i->size + size + 4);
        if (!i->data)
                abort();
        memcpy(i->data + i->size, data, size);
        i->size += size;
}

static inline void cpio_pad(struct cpio_image *i) {
        cpio_put(i, "\0\0\0", -i->size & 3);
}

static inline void cpio_add(struct cpio_image *i, const char *name, uint32_t mode, const void *content, size_t size) {
        char header[111];

        snprintf(header, sizeof(header), "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 1, mode, 0, 0,
                 1, 0,
                 (unsigned) size, 0, 0, 0, 0, (unsigned) strlen(name) + 1, 0);
        cpio_put(i, header, 110);
        cpio_put(i, name, strlen(name) + 1);
        cpio_pad(i);
        cpio_put(i, content, size);
        cpio_pad(i);
}

static inline void cpio_end(struct cpio_image *i) {
        cpio_add(i, "TRAILER!!!", 0, "", 0);
}

/* A program of 64 bits that needs an interpreter (NULL: none) and one library (NULL: none). Returns its size. */
#define SMALL_ELF_SIZE 1024u
static inline size_t make_elf(uint8_t buf[static SMALL_ELF_SIZE], const char *interpreter, const char *needed,
                              uint8_t build) {
        struct {
                Elf64_Ehdr h;
                Elf64_Phdr p[4];
                struct { Elf64_Nhdr n; char name[4]; uint8_t id[20]; } note;
                Elf64_Dyn d[3];
                char strings[64], interpreter[64];
        } e = {};
        size_t n = 0, at = offsetof(__typeof__(e), strings);

        memcpy(e.h.e_ident, ELFMAG, SELFMAG);
        e.h.e_ident[EI_CLASS] = ELFCLASS64;
        e.h.e_ident[EI_DATA] = ELFDATA2LSB;
        e.h.e_phoff = offsetof(__typeof__(e), p);
        e.h.e_phentsize = sizeof(Elf64_Phdr);
        e.p[n++] = (Elf64_Phdr) { .p_type = PT_LOAD, .p_vaddr = 0x1000, .p_filesz = sizeof(e) };
        e.note.n = (Elf64_Nhdr) { .n_namesz = 4, .n_descsz = 20, .n_type = NT_GNU_BUILD_ID };
        memcpy(e.note.name, "GNU", 4);
        memset(e.note.id, build, sizeof(e.note.id));
        e.p[n++] = (Elf64_Phdr) { .p_type = PT_NOTE, .p_offset = offsetof(__typeof__(e), note),
                                  .p_filesz = sizeof(e.note) };
        if (needed) {
                snprintf(e.strings + 1, sizeof(e.strings) - 1, "%s", needed);
                e.d[0] = (Elf64_Dyn) { .d_tag = DT_NEEDED, .d_un.d_val = 1 };
                e.d[1] = (Elf64_Dyn) { .d_tag = DT_STRTAB, .d_un.d_ptr = 0x1000 + at };
                e.p[n++] = (Elf64_Phdr) { .p_type = PT_DYNAMIC, .p_offset = offsetof(__typeof__(e), d),
                                          .p_filesz = sizeof(e.d) };
        }
        if (interpreter) {
                snprintf(e.interpreter, sizeof(e.interpreter), "%s", interpreter);
                e.p[n++] = (Elf64_Phdr) { .p_type = PT_INTERP, .p_offset = offsetof(__typeof__(e), interpreter),
                                          .p_filesz = strlen(interpreter) + 1 };
        }
        e.h.e_phnum = (uint16_t) n;
        memcpy(buf, &e, sizeof(e));
        return sizeof(e);
}
