/* SPDX-License-Identifier: Apache-2.0 */
#include "elf.h"

#include <elf.h>

#include "common/base64.h"

#define DYNAMIC_MAX 4096u
#define TEXT_MAX 4096u                     /* of a path, NUL included */

struct view {
        const uint8_t *data;
        size_t size;
        uint16_t n_segments;
        uint64_t segments;
};

static bool is_inside(const struct view *v, uint64_t offset, uint64_t size) {
        return offset <= v->size && size <= v->size - offset;
}

static Elf64_Phdr segment(const struct view *v, unsigned i) {
        Elf64_Phdr p;

        memcpy(&p, v->data + v->segments + i * sizeof(p), sizeof(p));
        return p;
}

/* Where in the file the byte is that gets this address. */
static int offset_of(const struct view *v, uint64_t address, uint64_t *ret) {
        for (unsigned i = 0; i < v->n_segments; i++) {
                Elf64_Phdr p = segment(v, i);

                if (p.p_type != PT_LOAD || address < p.p_vaddr || address - p.p_vaddr >= p.p_filesz)
                        continue;
                if (p.p_offset > v->size || address - p.p_vaddr > v->size - p.p_offset)
                        return -EBADMSG;
                *ret = p.p_offset + (address - p.p_vaddr);
                return 0;
        }
        return -EBADMSG;
}

/* A text that ends inside the file and is no longer than a path, or NULL. */
static const char *text_at(const struct view *v, uint64_t offset) {
        if (offset >= v->size || !memchr(v->data + offset, 0, MIN_OF(v->size - offset, (uint64_t) TEXT_MAX)))
                return NULL;
        return (const char *) v->data + offset;
}

static int read_build_id(const struct view *v, const Elf64_Phdr *p, struct elf_facts *e) {
        uint64_t at = p->p_offset, end;

        if (!is_inside(v, p->p_offset, p->p_filesz))
                return -EBADMSG;
        end = p->p_offset + p->p_filesz;
        while (end - at >= sizeof(Elf64_Nhdr)) {
                uint64_t name, descriptor;
                Elf64_Nhdr n;

                memcpy(&n, v->data + at, sizeof(n));
                name = at + sizeof(n);
                descriptor = name + (((uint64_t) n.n_namesz + 3) & ~UINT64_C(3));
                at = descriptor + (((uint64_t) n.n_descsz + 3) & ~UINT64_C(3));
                if (at > end)
                        return 0;
                if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && memcmp(v->data + name, "GNU", 4) == 0 &&
                    n.n_descsz > 0 && n.n_descsz <= (sizeof(e->build_id) - 1) / 2)
                        hex_encode(v->data + descriptor, n.n_descsz, e->build_id);
        }
        return 0;
}

static int add_needed(const struct view *v, uint64_t offset, struct elf_facts *e) {
        const char *text = text_at(v, offset);

        if (!text || e->n_needed == ELF_NEEDED_MAX)
                return -EBADMSG;
        e->needed[e->n_needed] = strdup(text);
        return e->needed[e->n_needed] ? (int) (e->n_needed++, 0) : -ENOMEM;
}

static int read_dynamic(const struct view *v, const Elf64_Phdr *p, struct elf_facts *e) {
        uint64_t n = p->p_filesz / sizeof(Elf64_Dyn), strings = 0, offset;
        Elf64_Dyn d;
        int r;

        if (!is_inside(v, p->p_offset, p->p_filesz) || n > DYNAMIC_MAX)
                return -EBADMSG;
        for (uint64_t i = 0; i < n; i++) {
                memcpy(&d, v->data + p->p_offset + i * sizeof(d), sizeof(d));
                if (d.d_tag == DT_STRTAB)
                        strings = d.d_un.d_ptr;
        }
        for (uint64_t i = 0; i < n; i++) {
                memcpy(&d, v->data + p->p_offset + i * sizeof(d), sizeof(d));
                if (d.d_tag == DT_NULL)
                        break;
                if (d.d_tag != DT_NEEDED)
                        continue;
                r = strings > 0 ? offset_of(v, strings, &offset) : -EBADMSG;
                if (r < 0 || d.d_un.d_val > v->size)
                        return -EBADMSG;
                r = add_needed(v, offset + d.d_un.d_val, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_interpreter(const struct view *v, const Elf64_Phdr *p, struct elf_facts *e) {
        const char *text = text_at(v, p->p_offset);

        return text ? free_and_strdup(&e->interpreter, text) : -EBADMSG;
}

static int read_segments(const struct view *v, struct elf_facts *e) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < v->n_segments; i++) {
                Elf64_Phdr p = segment(v, i);

                if (p.p_type == PT_NOTE)
                        r = read_build_id(v, &p, e);
                else if (p.p_type == PT_DYNAMIC)
                        r = read_dynamic(v, &p, e);
                else if (p.p_type == PT_INTERP)
                        r = read_interpreter(v, &p, e);
        }
        return r;
}

int elf_read(const uint8_t *data, size_t size, struct elf_facts *ret) {
        struct view v = { .data = data, .size = size };
        struct elf_facts e = {};
        Elf64_Ehdr h;
        int r;

        if (size < sizeof(h))
                return -EINVAL;
        memcpy(&h, data, sizeof(h));
        if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 ||
            h.e_ident[EI_DATA] != ELFDATA2LSB)
                return -EINVAL;
        v.segments = h.e_phoff;
        v.n_segments = h.e_phnum;
        if (h.e_phentsize != sizeof(Elf64_Phdr) || !is_inside(&v, h.e_phoff, h.e_phnum * sizeof(Elf64_Phdr)))
                return h.e_phnum == 0 ? -EINVAL : -EBADMSG;
        r = read_segments(&v, &e);
        if (r < 0) {
                elf_release(&e);
                return r;
        }
        *ret = e;
        return 0;
}

void elf_release(struct elf_facts *e) {
        for (size_t i = 0; i < e->n_needed; i++)
                free(e->needed[i]);
        free(e->interpreter);
        *e = (struct elf_facts) {};
}
