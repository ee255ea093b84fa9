/* SPDX-License-Identifier: Apache-2.0 */
#include "transit-verdict.h"

#include "common/json-text.h"

#define BIT(n) (1u << (n))
#define DECRYPT BIT(TRANSIT_DECRYPT)
#define ON_KEY (BIT(TRANSIT_DECRYPT) | BIT(TRANSIT_ENCRYPT))
#define READ BIT(TRANSIT_READ)
#define ON_ANY (ON_KEY | READ | BIT(TRANSIT_LOOKUP) | BIT(TRANSIT_LOGIN) | BIT(TRANSIT_RENEW) | BIT(TRANSIT_UNWRAP) | \
                BIT(TRANSIT_LOGIN_VOUCHED) | BIT(TRANSIT_CAPABILITIES))
#define TOKEN_NEEDED (ON_KEY | READ)

struct row {
        uint16_t status;
        const char *text;            /* the whole message; with * at its end: how it begins; "": no message; NULL: any */
        unsigned calls;
        enum verdict verdict;
        enum transit_next next;
        const char *code;            /* NULL: "HTTP <status>" */
};

/* All that is known. What is not here is DENIED (4xx) or UNREACHABLE. */
static const struct row rows[] = {
        { 400, "refusing to use soft-deleted key", ON_KEY, VERDICT_REVOKED, 0, "key soft-deleted" },
        { 400, "ciphertext or signature version is disallowed by policy (too old)", DECRYPT, VERDICT_REVOKED, 0,
          "version barred" },
        { 404, "", READ, VERDICT_REVOKED, 0, "key not found" },
        { 400, "encryption key not found", ON_KEY, VERDICT_UNREACHABLE, TRANSIT_ASK_KEY, "key not found" },
        /* another key of the same name */
        { 400, "invalid ciphertext: version is too new", DECRYPT, VERDICT_DENIED, 0, "version unknown" },
        { 400, "no such key version", ON_KEY, VERDICT_DENIED, 0, "version unknown" },
        { 400, "cipher: message authentication failed", DECRYPT, VERDICT_DENIED, 0, "other key" },
        { 400, "chacha20poly1305: message authentication failed", DECRYPT, VERDICT_DENIED, 0, "other key" },
        { 400, "'[0].associated_data' provided for non-AEAD cipher suite *", ON_KEY, VERDICT_DENIED, 0, "other key" },
        { 500, "failed to RSA decrypt the ciphertext*", DECRYPT, VERDICT_DENIED, 0, "other key" },
        /* ours */
        { 400, "invalid ciphertext: *", DECRYPT, VERDICT_MISCONFIGURED, 0, "bad request" },
        { 400, "invalid ciphertext length", DECRYPT, VERDICT_MISCONFIGURED, 0, "bad request" },
        { 400, "missing *", ON_ANY, VERDICT_MISCONFIGURED, 0, "bad request" },
        { 400, "failed to decode JSON input*", ON_ANY, VERDICT_MISCONFIGURED, 0, "bad request" },
        { 405, NULL, ON_ANY, VERDICT_MISCONFIGURED, 0, NULL },
        /* permissions */
        { 400, "invalid role or secret ID", BIT(TRANSIT_LOGIN), VERDICT_DENIED, 0, "login refused" },
        { 403, NULL, TOKEN_NEEDED, VERDICT_DENIED, TRANSIT_ASK_TOKEN, "permission denied" },
        { 403, NULL, BIT(TRANSIT_LOGIN), VERDICT_DENIED, 0, "login refused" },
        /* a cluster's API server that is down, keys that cannot be fetched and a clock that is off are told by the same words as an account
         * that is gone: only what the vault looks up itself is its owner's no */
        { 403, "service account name not authorized", BIT(TRANSIT_LOGIN_VOUCHED), VERDICT_DENIED, 0, "login refused" },
        { 403, "namespace not authorized", BIT(TRANSIT_LOGIN_VOUCHED), VERDICT_DENIED, 0, "login refused" },
        { 403, NULL, BIT(TRANSIT_LOGIN_VOUCHED), VERDICT_DENIED_WEAK, 0, "login refused" },
        { 400, "error validating token*", BIT(TRANSIT_LOGIN_VOUCHED), VERDICT_DENIED_WEAK, 0, "login refused" },
        { 400, "error configuring token validator*", BIT(TRANSIT_LOGIN_VOUCHED), VERDICT_DENIED_WEAK, 0, "login refused" },
        /* whoever read it first, it is not the key's owner who says no */
        { 400, "wrapping token is not valid or does not exist", BIT(TRANSIT_UNWRAP), VERDICT_MISCONFIGURED, 0, TRANSIT_CODE_TAKEN },
        { 403, NULL, BIT(TRANSIT_UNWRAP), VERDICT_MISCONFIGURED, 0, "unwrapping refused" },
        { 403, NULL, ON_ANY, VERDICT_DENIED, 0, "permission denied" },
        { 401, NULL, ON_ANY, VERDICT_DENIED_WEAK, 0, NULL },
        /* the vault, or the way there */
        { 404, "no handler for route *", ON_ANY, VERDICT_UNREACHABLE, 0, VAULT_CODE_NO_MOUNT },
        { 404, "namespace not found", ON_ANY, VERDICT_UNREACHABLE, 0, VAULT_CODE_NO_NAMESPACE },
        { 412, NULL, ON_ANY, VERDICT_UNREACHABLE, 0, NULL },        /* a replica that lags behind */
        { 429, NULL, ON_ANY, VERDICT_THROTTLED, 0, NULL },
        { 472, NULL, ON_ANY, VERDICT_UNREACHABLE, 0, "standby" },
        { 473, NULL, ON_ANY, VERDICT_UNREACHABLE, 0, "standby" },
        { 474, NULL, ON_ANY, VERDICT_UNREACHABLE, 0, "standby" },
        { 500, "local node not active but active cluster node not found", ON_ANY, VERDICT_UNREACHABLE, 0, "no leader" },
        { 500, "no active Vault instance found", ON_ANY, VERDICT_UNREACHABLE, 0, "no leader" },
        { 503, "no active Vault instance found", ON_ANY, VERDICT_UNREACHABLE, 0, "no leader" },
        { 503, "Vault is sealed", ON_ANY, VERDICT_UNREACHABLE, 0, VAULT_CODE_SEALED },
        { 503, "namespace is sealed", ON_ANY, VERDICT_UNREACHABLE, 0, VAULT_CODE_SEALED },
        { 503, "API access to this namespace has been locked*", ON_ANY, VERDICT_UNREACHABLE, 0, VAULT_CODE_NAMESPACE_LOCKED },
};

/* Go's list of one error: "1 error occurred:\n\t* TEXT\n\n". */
static void unlist(char *text) {
        const char *rest = startswith(text, "1 error occurred:\n\t* ");
        size_t n;

        if (!rest)
                return;
        memmove(text, rest, strlen(rest) + 1);
        for (n = strlen(text); n > 0 && text[n - 1] == '\n'; n--)
                text[n - 1] = 0;
}

/* The vault's only error, or "" where its list is empty. -EBADMSG: not in the vault's form. More than one error is none of
 * the table's: their count is the text. */
static int read_error(const struct transit_evidence *e, char *buf, size_t size) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        struct json_object *errors, *one;
        size_t n;

        if (!e->json || json_parse(e->body, e->body_size, &root) < 0)
                return -EBADMSG;
        errors = json_get(root, "errors", json_type_array);
        if (!errors)
                return -EBADMSG;
        n = json_object_array_length(errors);
        *buf = 0;
        for (size_t i = 0; i < n; i++) {
                one = json_object_array_get_idx(errors, i);
                if (!json_object_is_type(one, json_type_string) ||
                    strlen(json_object_get_string(one)) != (size_t) json_object_get_string_len(one))
                        return -EBADMSG;
                if (snprintf(buf, size, "%s", json_object_get_string(one)) >= (int) size)
                        return -EBADMSG;
        }
        if (n > 1)
                snprintf(buf, size, "%zu errors", n);
        else
                unlist(buf);
        return 0;
}

static bool text_fits(const char *pattern, const char *text) {
        size_t n;

        if (!pattern)
                return true;
        n = strlen(pattern);
        return n > 0 && pattern[n - 1] == '*' ? strncmp(text, pattern, n - 1) == 0 : streq(text, pattern);
}

static const struct row *find_row(const struct transit_evidence *e, const char *text) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (rows[i].status == e->status && rows[i].calls & BIT(e->call) && text_fits(rows[i].text, text))
                        return rows + i;
        return NULL;
}

static void judge_foreign(const struct transit_evidence *e, const char *code, struct judgement *ret) {
        enum verdict v = VERDICT_BROKEN;

        if (e->status == 401 || e->status == 403)
                v = VERDICT_DENIED_WEAK;
        else if (e->status == 429)
                v = VERDICT_THROTTLED;
        else if (e->status >= 500)
                v = VERDICT_UNREACHABLE;
        judgement_set(ret, v, code, "the error is not in the vault's form: something between answers");
}

void transit_judge(const struct transit_evidence *e, struct judgement *ret, enum transit_next *ret_next) {
        const struct row *row;
        char code[32], text[1024];

        *ret_next = TRANSIT_NOTHING;
        snprintf(code, sizeof(code), "HTTP %u", e->status);
        if (e->status == 307)
                return judgement_set(ret, VERDICT_UNREACHABLE, "redirect", "a standby names another server, which is not asked");
        if (e->status < 400)
                return judgement_set(ret, VERDICT_BROKEN, code, "a reply that the vault's API does not have");
        if (read_error(e, text, sizeof(text)) < 0)
                return judge_foreign(e, code, ret);
        row = find_row(e, text);
        if (row) {
                *ret_next = row->next;
                return judgement_set(ret, row->verdict, row->code ? row->code : code, "%s", text);
        }
        judgement_set(ret, e->status < 500 ? VERDICT_DENIED : VERDICT_UNREACHABLE, code, "%s", text);
}

void transit_judge_missing(const struct transit_evidence *read, struct judgement *ret) {
        enum transit_next next;

        if (!read)
                return judgement_set(ret, VERDICT_UNREACHABLE, "contradiction",
                                     "the vault says that there is no such key, and shows it");
        transit_judge(read, ret, &next);
        if (ret->verdict == VERDICT_REVOKED)
                judgement_set(ret, VERDICT_REVOKED, "key not found", "encryption key not found");
        else if (read->status == 403 && ret->verdict == VERDICT_DENIED)
                judgement_set(ret, VERDICT_DENIED, "key not found",
                              "encryption key not found; the token may not read the key, which would tell whether it is gone");
}

bool transit_judge_refused(const struct judgement *refused, const struct transit_evidence *lookup, struct judgement *ret) {
        enum transit_next next;

        if (!lookup) {
                judgement_set(ret, VERDICT_DENIED, refused->code, "%s; the token is good: its policy does not allow this",
                              refused->text);
                return false;
        }
        transit_judge(lookup, ret, &next);
        if (lookup->status != 403 || ret->verdict != VERDICT_DENIED)
                return false;
        judgement_set(ret, VERDICT_DENIED, "token refused", "%s; the token is not good any more, or may not look itself up",
                      refused->text);
        return true;
}

bool transit_judge_place(struct judgement *j) {
        struct judgement was = *j;

        if (j->verdict != VERDICT_UNREACHABLE || (!streq(j->code, VAULT_CODE_NO_MOUNT) && !streq(j->code, VAULT_CODE_NO_NAMESPACE)))
                return false;
        judgement_set(j, VERDICT_DENIED, was.code, "%s; the cluster is the one that is meant: it was taken away there", was.text);
        return true;
}
