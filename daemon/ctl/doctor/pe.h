/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Kernel, command line and initramfs in one file that the firmware can check (UKI): a PE executable with a section
 * ".initrd". Pure; offsets are only reported, the reader of the file bounds them. */

#include "common/util.h"

#define PE_HEAD_MAX 8192u               /* the headers of such a file */

struct pe_facts {
        uint64_t initrd, initrd_size;
        bool is_signed;                 /* it carries a signature; whose, is the firmware's business */
};

/* head: the file's first bytes. Returns 0, -EINVAL (no PE executable of 64 bits), -EBADMSG (headers that lead out of
 * head) or -ENOENT (no section .initrd). */
int pe_read(const uint8_t *head, size_t size, struct pe_facts *ret);
