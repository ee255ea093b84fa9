/* SPDX-License-Identifier: Apache-2.0 */
// libs: json-c

/* Two readers of one text must agree: where the scanner says a member's string lies, JSON parsing has that string. */

#include "common/json-text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        const char *text = (const char *) data;
        struct json_span at = {};
        struct json_object *m;
        int r, p;

        r = json_check(text, size, "value", &at);
        p = json_parse(text, size, &o);
        if (p == 0 && r == -EBADMSG)
                abort();
        if (p < 0)
                return 0;
        m = json_get(o, "value", json_type_string);
        if (r == -ENOENT) {
                /* not there, no string, or one with escapes in it */
                if (m && !memchr(text, '\\', size))
                        abort();
                return 0;
        }
        if (!m || at.offset + at.size > size || (size_t) json_object_get_string_len(m) != at.size ||
            memcmp(json_object_get_string(m), text + at.offset, at.size) != 0)
                abort();
        return 0;
}
