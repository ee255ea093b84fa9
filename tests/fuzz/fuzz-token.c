/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/token.c daemon/disk/strict-json.c daemon/disk/unlock-key.c
// libs: json-c

/* A token's text. What is accepted must come back from token_format() as the same token. */

#include "disk/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = NULL;
        struct token a = {}, b = {};

        if (token_parse((const char *) data, size, &a, NULL) < 0)
                return 0;
        /* the one thing that format refuses and parse takes: texts that would need escapes */
        if (token_format(&a, &text) < 0)
                return 0;
        if (token_parse(text, strlen(text), &b, NULL) < 0 || memcmp(a.wrapped, b.wrapped, sizeof(a.wrapped)) != 0 ||
            !streq(a.name, b.name) || a.generation != b.generation || !streq(a.key, b.key))
                abort();
        return 0;
}
