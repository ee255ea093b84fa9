/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/aad-reply.c daemon/vault/judgement.c
// libs: json-c

/* A refusal of the token endpoint: status (two bytes), whether it called itself JSON, then the body. What grants or revokes a key is
 * not said there. */

#include "vault/aad-reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *s, size_t size) {
        if (strnlen(s, size) == size)
                abort();
        for (; *s; s++)
                if (*s < ' ' || *s > '~')
                        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct judgement j;
        uint16_t status;
        bool retry;

        if (size < 3)
                return 0;
        status = (uint16_t) ((data[0] << 8 | data[1]) % 1000);
        aad_judge(status, data[2] & 1, (const char *) data + 3, size - 3, &j, &retry);
        check_printable(j.code, sizeof(j.code));
        check_printable(j.text, sizeof(j.text));
        if (j.verdict == VERDICT_GRANTED || j.verdict == VERDICT_REVOKED || j.verdict >= _VERDICT_MAX)
                abort();
        if (j.verdict == VERDICT_DENIED && (status < 400 || status >= 500 || !(data[2] & 1)))
                abort();
        if (retry != (j.verdict == VERDICT_UNREACHABLE))
                abort();
        return 0;
}
