/* SPDX-License-Identifier: Apache-2.0 */
#include "aad-reply.h"

#include "common/json-text.h"

#define NUMBERS_MAX 8u

/* Their meaning, not where they are sent: statuses and words beside a number have changed before. */
static const struct { uint32_t number; enum verdict verdict; } numbers[] = {
        { 700016, VERDICT_DENIED },            /* the application is not in the tenant: deleted */
        { 7000112, VERDICT_DENIED },           /* its service principal is disabled */
        { 53003, VERDICT_DENIED },             /* conditional access */
        { 90002, VERDICT_DENIED },             /* no such tenant: deleted */
        { 7000215, VERDICT_MISCONFIGURED },    /* wrong secret */
        { 7000222, VERDICT_MISCONFIGURED },    /* the secret has expired */
        { 700027, VERDICT_MISCONFIGURED },     /* the certificate is not registered, or its signature is wrong */
        { 70021, VERDICT_MISCONFIGURED },      /* no federated credential matches the assertion */
        { 700213, VERDICT_MISCONFIGURED },
        { 700024, VERDICT_MISCONFIGURED },     /* the assertion is outside its time */
        { 500011, VERDICT_MISCONFIGURED },     /* no such resource: Resource= */
        { 50001, VERDICT_MISCONFIGURED },
        { 90055, VERDICT_THROTTLED },
        { 50196, VERDICT_THROTTLED },
};

static const struct { const char *error; enum verdict verdict; } words[] = {
        { "unauthorized_client", VERDICT_DENIED },
        { "access_denied", VERDICT_DENIED },
        { "invalid_client", VERDICT_MISCONFIGURED },
        { "invalid_request", VERDICT_MISCONFIGURED },
        { "invalid_grant", VERDICT_MISCONFIGURED },
        { "invalid_scope", VERDICT_MISCONFIGURED },
        { "invalid_resource", VERDICT_MISCONFIGURED },
        { "unsupported_grant_type", VERDICT_MISCONFIGURED },
        { "temporarily_unavailable", VERDICT_UNREACHABLE },
        { "server_error", VERDICT_UNREACHABLE },
};

/* The number that counts: the first of error_codes that is known, else the first, else that of the description. 0: none. */
static uint32_t find_number(struct json_object *root, const char *text, enum verdict *ret_verdict) {
        struct json_object *list = json_get(root, "error_codes", json_type_array);
        size_t n = list ? MIN_OF(json_object_array_length(list), (size_t) NUMBERS_MAX) : 0;
        uint64_t found[NUMBERS_MAX + 1] = {};
        const char *digits;

        for (size_t i = 0; i < n; i++) {
                struct json_object *o = json_object_array_get_idx(list, i);
                int64_t v = json_object_is_type(o, json_type_int) ? json_object_get_int64(o) : 0;

                found[i] = v > 0 && v <= INT32_MAX ? (uint64_t) v : 0;
        }
        digits = startswith(text, "AADSTS");
        for (; digits && *digits >= '0' && *digits <= '9' && found[n] <= INT32_MAX / 10; digits++)
                found[n] = found[n] * 10 + (uint64_t) (*digits - '0');
        for (size_t i = 0; i <= n; i++)
                for (size_t k = 0; k < ELEMENTSOF(numbers); k++)
                        if (numbers[k].number == found[i]) {
                                *ret_verdict = numbers[k].verdict;
                                return numbers[k].number;
                        }
        for (size_t i = 0; i <= n; i++)
                if (found[i] > 0)
                        return (uint32_t) found[i];
        return 0;
}

static enum verdict by_word(uint16_t status, const char *error) {
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq(words[i].error, error))
                        return words[i].verdict;
        return status < 500 ? VERDICT_DENIED : VERDICT_UNREACHABLE;
}

void aad_judge(uint16_t status, bool json, const char *body, size_t size, struct judgement *ret, bool *ret_retry) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        const char *error = NULL, *text = "";
        enum verdict v = _VERDICT_MAX;
        char code[129];
        uint32_t number = 0;

        if (json && json_parse(body, size, &root) >= 0) {
                error = json_get_text(root, "error");
                text = strempty(json_get_text(root, "error_description"));
        }
        if (error && *error)
                number = find_number(root, text, &v);
        if (status == 429)
                v = VERDICT_THROTTLED;
        else if (status >= 500)
                v = v == VERDICT_THROTTLED ? v : VERDICT_UNREACHABLE;
        else if (status < 400 || !error || !*error)
                v = VERDICT_BROKEN;
        else if (v == _VERDICT_MAX)
                v = by_word(status, error);
        *ret_retry = v == VERDICT_UNREACHABLE;
        if (!error || !*error)
                snprintf(code, sizeof(code), "aad: HTTP %u", status);
        else if (number > 0)
                snprintf(code, sizeof(code), "aad: %.80s/AADSTS%u", error, number);
        else
                snprintf(code, sizeof(code), "aad: %.80s", error);
        judgement_set(ret, v, code, "no token from the authority (HTTP %u): %s", status, text);
}
