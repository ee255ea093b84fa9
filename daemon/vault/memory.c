/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <curl/curl.h>
#include <malloc.h>
#include <openssl/crypto.h>

void *memory_alloc(size_t size) {
        return malloc(size);
}

void *memory_calloc(size_t n, size_t size) {
        return calloc(n, size);
}

void memory_free(void *p) {
        if (!p)
                return;
        explicit_bzero(p, malloc_usable_size(p));
        free(p);
}

/* Never in place: the C library's realloc would leave a copy behind when it moves a block. */
void *memory_realloc(void *p, size_t size) {
        size_t old = p ? malloc_usable_size(p) : 0;
        void *q;

        if (p && size == 0) {
                memory_free(p);
                return NULL;
        }
        if (p && size <= old && size >= old / 2)
                return p;
        q = malloc(size);
        if (!q)
                return NULL;
        if (p)
                memcpy(q, p, MIN_OF(old, size));
        memory_free(p);
        return q;
}

char *memory_strdup(const char *s) {
        return strdup(s);
}

static void *openssl_alloc(size_t size, const char *file _unused_, int line _unused_) {
        return size > 0 ? malloc(size) : NULL;
}

static void *openssl_realloc(void *p, size_t size, const char *file _unused_, int line _unused_) {
        return memory_realloc(p, size);
}

static void openssl_free(void *p, const char *file _unused_, int line _unused_) {
        memory_free(p);
}

int memory_init(void) {
        if (CRYPTO_set_mem_functions(openssl_alloc, openssl_realloc, openssl_free) != 1)
                return -EBUSY;
        if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, memory_alloc, memory_free, memory_realloc, memory_strdup,
                                 memory_calloc) != CURLE_OK)
                return -ENOMEM;
        return 0;
}
