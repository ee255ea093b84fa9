/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the doctor wants to know of a program or library: which build it is, and what it needs to start. Pure; 64-bit,
 * little-endian only, everything else is "no ELF file of this machine". Every offset is checked against the file. */

#include "common/util.h"

#define ELF_NEEDED_MAX 64u

struct elf_facts {
        char build_id[2 * 32 + 1];          /* hexadecimal; empty: it has none */
        char *interpreter;                  /* NULL: static */
        char *needed[ELF_NEEDED_MAX + 1];   /* names of libraries, NULL last */
        size_t n_needed;
};

/* Returns 0, -EINVAL (no ELF file of this machine), -EBADMSG (one that is damaged), or -ENOMEM. */
int elf_read(const uint8_t *data, size_t size, struct elf_facts *ret);

void elf_release(struct elf_facts *e);
