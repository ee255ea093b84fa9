/* SPDX-License-Identifier: Apache-2.0 */

/* Which volumes are an image's. What is accepted, written again, is the same. */

#include "common/image-volumes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct image_volume v[IMAGE_VOLUMES_MAX] = {}, again[IMAGE_VOLUMES_MAX] = {};
        _cleanup_(freep) char *copy = strndup((const char *) data, size), *text = NULL;
        unsigned line;
        int n;

        if (!copy)
                return 0;
        n = image_volumes_parse(copy, v, &line);
        if (n < 0)
                return 0;
        text = image_volumes_print(v, (size_t) n);
        if (text && (image_volumes_parse(text, again, &line) != n || memcmp(v, again, sizeof(v)) != 0))
                abort();
        return 0;
}
