/* SPDX-License-Identifier: Apache-2.0 */
#include "reply-secret.h"

#define TOKEN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

static bool token_is_valid(const char *t, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!t[i] || !strchr(TOKEN_CHARACTERS, t[i]))
                        return false;
        return n > 0 && n < SECRET_MAX;
}

void reply_blank(char *body, const struct json_span *at) {
        explicit_bzero(body + at->offset, at->size);
        memset(body + at->offset, ' ', at->size);
}

int reply_take_token(char *body, const struct json_span *at, struct secret **ret) {
        struct secret *s;
        int r = token_is_valid(body + at->offset, at->size) ? secret_new(at->size + 1, &s) : -EBADMSG;

        if (r >= 0) {
                memcpy(secret_data(s), body + at->offset, at->size);
                *ret = s;
        }
        reply_blank(body, at);
        return r;
}
