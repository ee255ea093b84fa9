/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/disk/recovery-text.c

/* What is typed as a recovery key. What is accepted differs from what comes out by case, dashes and a newline only. */

#include "disk/recovery-text.h"

#include <ctype.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(secret_freep) struct secret *typed = NULL, *text = NULL, *again = NULL;
        const uint8_t *p;

        if (size == 0 || size > SECRET_MAX)
                return 0;
        if (secret_new(size, &typed) < 0)
                return 0;
        memcpy(secret_data(typed), data, size);
        if (recovery_text_normalize(typed, &text) < 0)
                return 0;
        p = secret_cdata(text);
        for (size_t i = 0, k = 0; i < secret_size(text); i++) {
                if (p[i] == '-' && (k == size || data[k] != '-'))
                        continue;
                if (k == size || tolower(data[k++]) != p[i])
                        abort();
        }
        if (recovery_text_normalize(text, &again) < 0 || !secret_equal(text, again))
                abort();
        return 0;
}
