/* SPDX-License-Identifier: Apache-2.0 */
#include "reply-secret.h"

#define TOKEN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

static bool token_is_valid(const char *t, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!t[i] || !strchr(TOKEN_CHARACTERS, t[i]))
                        return false;
        return n > 0;
}

void reply_blank(char *body, const struct json_span *at) {
        explicit_bzero(body + at->offset, at->size);
        memset(body + at->offset, ' ', at->size);
}

/* size_max: with its NUL. */
static int take(char *body, const struct json_span *at, size_t size_max, struct secret **ret) {
        struct secret *s;
        int r = -EBADMSG;

        if (token_is_valid(body + at->offset, at->size))
                r = at->size < size_max ? secret_new_long(at->size + 1, &s) : -EMSGSIZE;
        if (r >= 0) {
                memcpy(secret_data(s), body + at->offset, at->size);
                *ret = s;
        }
        reply_blank(body, at);
        return r;
}

int reply_take_token(char *body, const struct json_span *at, struct secret **ret) {
        int r = take(body, at, SECRET_MAX, ret);

        return r == -EMSGSIZE ? -EBADMSG : r;
}

int reply_take_access_token(char *body, const struct json_span *at, struct secret **ret) {
        return take(body, at, SECRET_LONG_MAX, ret);
}
