/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The allocator that libcurl and OpenSSL are given: what they free is overwritten first. Their buffers hold the
 * plaintext of a release for a moment and are one of the named exceptions to "keys live in struct secret". */

#include "common/util.h"

/* Gives the allocator to OpenSSL and libcurl and initializes both. Before any other call of either library, from a
 * process with one thread. Returns 0, -EBUSY (OpenSSL has allocated already) or -ENOMEM. */
int memory_init(void);

void *memory_alloc(size_t size);
void *memory_calloc(size_t n, size_t size);
void *memory_realloc(void *p, size_t size);
char *memory_strdup(const char *s);

/* Overwrites the whole block, then frees it. Accepts NULL. */
void memory_free(void *p);
