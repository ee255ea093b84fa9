/* SPDX-License-Identifier: Apache-2.0 */
#include "azure-verdict.h"

#include "common/json-text.h"

#define INNER_DEPTH_MAX 4u
#define ON_KEY (1u << VAULT_OP_GET_KEY | 1u << VAULT_OP_WRAP | 1u << VAULT_OP_UNWRAP | 1u << VAULT_OP_WRAP_NEW)
#define SECRET(what) (1u << (16 + (what)))
#define ON_SECRET (SECRET(AZURE_SECRET_GET) | SECRET(AZURE_SECRET_SET) | SECRET(AZURE_SECRET_DELETED))
#define ON_ANY (ON_KEY | ON_SECRET | 1u << VAULT_OP_CHECK_DELETED | 1u << VAULT_OP_LIST_KEYS | 1u << VAULT_OP_LIST_VERSIONS | \
                1u << VAULT_OP_CHECK_EXCESS)

_Static_assert(_VAULT_OP_MAX <= 16, "bits of operations and of secrets");

struct row {
        uint16_t status;
        const char *code, *inner;    /* inner "": there must be none; NULL: whatever it is */
        unsigned ops;                /* bits: enum vault_op, SECRET() */
        enum verdict verdict;
};

/* All that is known. What is not here is DENIED (4xx) or UNREACHABLE. */
static const struct row rows[] = {
        { 403, "Forbidden", "KeyDisabled", ON_KEY, VERDICT_REVOKED },
        { 404, "KeyNotFound", "", ON_KEY, VERDICT_REVOKED },        /* deleted, or never there: the manager looks on */
        { 403, "Forbidden", "SecretDisabled", SECRET(AZURE_SECRET_GET), VERDICT_REVOKED },
        { 404, "SecretNotFound", "", SECRET(AZURE_SECRET_GET), VERDICT_REVOKED },      /* the same */
        { 409, "Conflict", NULL, SECRET(AZURE_SECRET_SET), VERDICT_MISCONFIGURED },
        { 403, "Forbidden", "ForbiddenByPolicy", ON_ANY, VERDICT_DENIED },
        { 403, "Forbidden", "ForbiddenByRbac", ON_ANY, VERDICT_DENIED },
        { 403, "Forbidden", "AccessDenied", ON_ANY, VERDICT_DENIED },
        { 403, "AccessDenied", NULL, ON_ANY, VERDICT_DENIED },      /* managed HSM */
        { 403, "Forbidden", "ForbiddenByFirewall", ON_ANY, VERDICT_DENIED_WEAK },
        { 403, "Forbidden", "ForbiddenByConnection", ON_ANY, VERDICT_DENIED_WEAK },
        { 401, "AKV10022", NULL, ON_ANY, VERDICT_MISCONFIGURED },   /* audience: Resource= */
        { 401, "AKV10032", NULL, ON_ANY, VERDICT_MISCONFIGURED },   /* issuer: another tenant */
        { 401, "AccessDenied", NULL, ON_ANY, VERDICT_DENIED },      /* managed HSM: 403 and 401 are both told of */
        { 401, NULL, NULL, ON_ANY, VERDICT_DENIED_WEAK },
        { 400, "BadParameter", NULL, ON_ANY, VERDICT_MISCONFIGURED },
        { 400, "BadArgument", NULL, ON_ANY, VERDICT_MISCONFIGURED },
        { 408, NULL, NULL, ON_ANY, VERDICT_UNREACHABLE },           /* an external key manager behind the vault */
        { 429, NULL, NULL, ON_ANY, VERDICT_THROTTLED },
};

struct error_body {
        const char *code, *inner, *message;
};

/* innererror, innerError, ...: the one member of that name; two that differ in case are one too many. */
static int find_inner(struct json_object *o, struct json_object **ret) {
        struct json_object *found = NULL;

        json_object_object_foreach(o, name, member) {
                if (strcasecmp(name, "innererror") != 0 || !member)
                        continue;
                if (found || !json_object_is_type(member, json_type_object))
                        return -EBADMSG;
                found = member;
        }
        *ret = found;
        return 0;
}

/* The innermost code counts. Deeper than INNER_DEPTH_MAX is no error body. */
static int read_error(struct json_object *root, struct error_body *ret) {
        struct json_object *error = json_get(root, "error", json_type_object), *inner;
        const char *code;

        if (!error)
                return -EBADMSG;
        *ret = (struct error_body) {
                .code = json_get_text(error, "code"), .inner = "", .message = strempty(json_get_text(error, "message")),
        };
        if (!ret->code || !*ret->code)
                return -EBADMSG;
        for (unsigned depth = 0; ; depth++, error = inner) {
                if (find_inner(error, &inner) < 0)
                        return -EBADMSG;
                if (!inner)
                        return 0;
                if (depth == INNER_DEPTH_MAX)
                        return -EBADMSG;
                code = json_get_text(inner, "code");
                if (code)
                        ret->inner = code;
        }
}

/* "AKV10046: Unable to resolve ...": for a 401 the number in the message says more than the code does. */
static bool take_akv_number(const char *message, char *buf, size_t size) {
        const char *digits = startswith(message, "AKV");
        size_t n = digits ? strspn(digits, "0123456789") : 0;

        if (n == 0 || n + 4 > size || (digits[n] && digits[n] != ':' && digits[n] != ' '))
                return false;
        snprintf(buf, size, "AKV%.*s", (int) n, digits);
        return true;
}

static bool row_fits(const struct row *r, const struct azure_evidence *e, const char *code, const char *inner) {
        unsigned op = e->secret == AZURE_NO_SECRET ? 1u << e->op : SECRET(e->secret);

        return r->status == e->status && r->ops & op && (!r->code || strcasecmp(r->code, code) == 0) &&
                (!r->inner || strcasecmp(r->inner, inner) == 0);
}

static enum verdict look_up(const struct azure_evidence *e, const char *code, const char *inner) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (row_fits(rows + i, e, code, inner))
                        return rows[i].verdict;
        return e->status >= 400 && e->status < 500 ? VERDICT_DENIED : VERDICT_UNREACHABLE;
}

void azure_judge(const struct azure_evidence *e, struct judgement *ret) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        struct error_body b;
        char code[129], number[32];

        snprintf(code, sizeof(code), "HTTP %u", e->status);
        if (e->status < 400)
                return judgement_set(ret, VERDICT_BROKEN, code, "a reply that the vault's API does not have");
        if (e->body_size == 0 && e->vendor && (e->status >= 500 || e->status == 429))
                return judgement_set(ret, look_up(e, "", ""), code, "no error body");
        if (!e->json || json_parse(e->body, e->body_size, &root) < 0)
                return judgement_set(ret, VERDICT_BROKEN, code, "the error is not JSON: something between answers");
        if (read_error(root, &b) < 0)
                return judgement_set(ret, VERDICT_BROKEN, code, "the error is not in the vault's form");
        snprintf(code, sizeof(code), "%s%s%s", b.code, *b.inner ? "/" : "", b.inner);
        if (!e->vendor)
                return judgement_set(ret, e->status >= 500 ? VERDICT_UNREACHABLE : VERDICT_BROKEN, code,
                                     "without the headers that the vault sends: %s", b.message);
        if (e->status == 401 && take_akv_number(b.message, number, sizeof(number)))
                return judgement_set(ret, look_up(e, number, ""), number, "%s", b.message);
        judgement_set(ret, look_up(e, b.code, b.inner), code, "%s", b.message);
}
