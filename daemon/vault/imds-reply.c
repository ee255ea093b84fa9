/* SPDX-License-Identifier: Apache-2.0 */
#include "imds-reply.h"

#include "reply-secret.h"

#define LIFETIME_MAX (7u * 24u * 3600u)
#define REFRESH_AHEAD_SEC 300u

static int refuse(const char **ret_why, const char *why) {
        *ret_why = why;
        return -EBADMSG;
}

static int get_seconds(struct json_object *o, const char *name, uint64_t *ret) {
        const char *text = json_get_text(o, name);

        if (text)
                return parse_u64(text, INT64_MAX, ret) < 0 ? -ENOENT : 0;
        return json_get_u64(o, name, ret);
}

/* expires_in needs no wall clock, which may be far off in early boot. */
static int read_lifetime(struct json_object *o, uint64_t now_sec, struct imds_token *ret) {
        struct json_object *m;
        uint64_t v;

        if (json_object_object_get_ex(o, "expires_in", &m)) {
                const char *text = json_get_text(o, "expires_in");

                if ((text && *text == '-') || (json_object_is_type(m, json_type_int) && json_object_get_int64(m) <= 0))
                        return -EKEYEXPIRED;
                if (get_seconds(o, "expires_in", &v) < 0)
                        return -EBADMSG;
        } else {
                if (get_seconds(o, "expires_on", &v) < 0)
                        return -EBADMSG;
                v = v > now_sec ? v - now_sec : 0;
        }
        if (v == 0)
                return -EKEYEXPIRED;
        ret->lifetime_sec = MIN_OF(v, (uint64_t) LIFETIME_MAX);
        v = ret->lifetime_sec;
        ret->refresh_sec = v > 7200 || v < 2 * REFRESH_AHEAD_SEC ? v / 2 : v - REFRESH_AHEAD_SEC;
        if (get_seconds(o, "refresh_in", &v) >= 0 && v > 0 && v < ret->refresh_sec)
                ret->refresh_sec = v;
        return 0;
}

int imds_parse_token(char *body, size_t size, uint64_t now_sec, struct imds_token *ret, const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        _cleanup_(secret_freep) struct secret *token = NULL;
        struct imds_token t = {};
        struct json_span at;
        const char *type;
        int r;

        r = json_check(body, size, "access_token", &at);
        if (r < 0) {
                explicit_bzero(body, size);
                return refuse(ret_why, r == -ENOENT ? "it has no access_token" : "it is not strict JSON");
        }
        r = reply_take_access_token(body, &at, &token);
        if (r == -EBADMSG)
                return refuse(ret_why, "its access_token is not one that a header may carry");
        if (r == -EMSGSIZE)
                *ret = (struct imds_token) { .too_long = at.size };
        if (r < 0)
                return r;
        r = json_parse(body, size, &root);
        if (r < 0)
                return r == -ENOMEM ? r : refuse(ret_why, "it is not JSON");
        type = json_get_text(root, "token_type");
        if (type && strcasecmp(type, "Bearer") != 0)
                return refuse(ret_why, "its token_type is not Bearer");
        r = read_lifetime(root, now_sec, &t);
        if (r < 0) {
                *ret_why = r == -EKEYEXPIRED ? "the token has expired already" : "it does not say when it expires";
                return r;
        }
        t.token = TAKE_PTR(token);
        *ret = t;
        return 0;
}

/* invalid_request is what a missing identity gets, a fault of the endpoint's cache looks like, and each question that cannot be answered
 * too: a second identity attached to the machine makes one of those that were good. Only the text tells them apart. */
static enum verdict verdict_of(uint16_t status, const char *error, const char *text) {
        if (status == 429)
                return VERDICT_THROTTLED;
        if (status == 404 || status == 410 || status >= 500)
                return VERDICT_UNREACHABLE;
        if (status == 400 && streq(error, "invalid_request") && streq(text, "Identity not found"))
                return VERDICT_DENIED;
        return status < 400 ? VERDICT_BROKEN : VERDICT_MISCONFIGURED;
}

void imds_judge(uint16_t status, const char *body, size_t size, struct judgement *ret, bool *ret_retry) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        const char *error = NULL, *text = NULL;
        enum verdict v;
        char code[129];

        if (json_parse(body, size, &root) >= 0) {
                error = json_get_text(root, "error");
                text = json_get_text(root, "error_description");
        }
        v = verdict_of(status, strempty(error), strempty(text));
        *ret_retry = v == VERDICT_UNREACHABLE;
        if (!error && v != VERDICT_UNREACHABLE && v != VERDICT_THROTTLED)
                v = VERDICT_BROKEN;
        if (error)
                snprintf(code, sizeof(code), "metadata: %s", error);
        else
                snprintf(code, sizeof(code), "metadata: HTTP %u", status);
        judgement_set(ret, v, code, "no token from the metadata endpoint (HTTP %u): %s", status, strempty(text));
}
