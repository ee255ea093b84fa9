/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/imds-reply.c daemon/vault/judgement.c daemon/vault/reply-secret.c
// libs: json-c

/* The metadata endpoint's replies: status (two bytes), then the body. What is accepted may stand in a header. */

#include "vault/imds-reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How often a text stands in the body: it may be there by chance a second time, but never as often as it came. */
static size_t count(const char *body, size_t size, const char *text) {
        const char *p = body, *end = body + size;
        size_t n = 0;

        for (; (p = memmem(p, (size_t) (end - p), text, strlen(text))); p++)
                n++;
        return n;
}

static void token(char *body, size_t size, const char *came) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        struct imds_token t = {};
        const char *why = NULL, *p;

        if (imds_parse_token(body, size, 1700000000, &t, &why) < 0)
                return;
        s = t.token;
        p = (const char *) secret_cdata(s);
        if (strnlen(p, secret_size(s)) != secret_size(s) - 1 || !*p || t.lifetime_sec == 0 ||
            t.refresh_sec > t.lifetime_sec)
                abort();
        if (count(body, size, p) >= count(came, size, p))
                abort();
        for (; *p; p++)
                if (*p <= ' ' || *p > '~')
                        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *body = NULL;
        struct judgement j;
        uint16_t status;
        bool retry;

        if (size < 3)
                return 0;
        status = (uint16_t) ((data[0] << 8 | data[1]) % 1000);
        size -= 2;
        body = malloc(size);
        if (!body)
                return 0;
        memcpy(body, data + 2, size);
        if (status == 200)
                token(body, size, (const char *) data + 2);
        else {
                imds_judge(status, body, size, &j, &retry);
                if (j.verdict == VERDICT_GRANTED || j.verdict == VERDICT_REVOKED)
                        abort();
        }
        return 0;
}
