/* SPDX-License-Identifier: Apache-2.0 */
#include "key-digest.h"

#include "base64.h"

int key_digest_parse(const char *s, char ret[static KEY_DIGEST_SIZE]) {
        const char *digits = startswith(s, "sha256:");
        uint8_t digest[KEY_DIGEST_SIZE / 2];

        if (!digits || strlen(digits) != 2 * sizeof(digest) || hex_decode(digits, digest, sizeof(digest)) < 0)
                return -EINVAL;
        hex_encode(digest, sizeof(digest), ret);
        return 0;
}
