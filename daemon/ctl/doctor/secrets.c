/* SPDX-License-Identifier: Apache-2.0 */
#include "secrets.h"

#include <time.h>

#include "common/base64.h"
#include "common/policy-values.h"
#include "ctl/print.h"
#include "keys.h"

static void judge_deleted(const struct vault_config *v, const char *volume, const char *secret, const struct vault_reply *deleted,
                          struct findings *l) {
        time_t t = deleted && deleted->verdict == VERDICT_GRANTED ? (time_t) deleted->expires : 0;
        char date[32] = "";
        struct tm tm;

        if (t > 0 && gmtime_r(&t, &tm))
                strftime(date, sizeof(date), "%Y-%m-%d", &tm);
        if (*date)
                finding_add(l, FINDING_SECRET_REVOKED, "secret %s of the vault %s, the wrapped key of volume %s, was deleted; it can be recovered "
                            "until %s", secret, v->name, volume, date);
        else
                finding_add(l, FINDING_SECRET_REVOKED, "secret %s of the vault %s, the wrapped key of volume %s, is not there", secret, v->name,
                            volume);
}

static void judge_refusal(const struct vault_config *v, const char *volume, const char *secret, const struct vault_reply *y,
                          struct findings *l) {
        finding_add(l, kind_of_refusal(y, FINDING_SECRET_REFUSED), "secret %s of the vault %s, the wrapped key of volume %s: "
                    "%s (%s): %s", secret, v->name, volume, verdict_to_string(y->verdict), *y->code ? y->code : "no code",
                    *y->text ? y->text : "nothing said");
}

void judge_secret(const struct vault_config *v, const char *volume, const char *secret, const struct vault_reply *y,
                  const struct vault_reply *deleted, struct findings *l) {
        if (y->verdict == VERDICT_REVOKED && y->http_status == 404)
                judge_deleted(v, volume, secret, deleted, l);
        else if (y->verdict == VERDICT_REVOKED)
                finding_add(l, FINDING_SECRET_REVOKED, "secret %s of the vault %s, the wrapped key of volume %s, is disabled", secret, v->name,
                            volume);
        else if (streq(y->code, "secret altered"))
                finding_add(l, FINDING_SECRET_ALTERED, "secret %s of the vault %s, the wrapped key of volume %s: %s", secret, v->name, volume,
                            y->text);
        else if (y->verdict != VERDICT_GRANTED)
                judge_refusal(v, volume, secret, y, l);
        else if (!(y->key_flags & VAULT_KEY_PURGE_PROTECTED))
                finding_add(l, v->accept_unsafe ? FINDING_VAULT_ACCEPTED : FINDING_VAULT_UNSAFE, "secret %s of the vault %s, the wrapped key of "
                            "volume %s, can be destroyed at once and for good (%s)%s", secret, v->name, volume,
                            *y->recovery_level ? y->recovery_level : "no recovery level", v->accept_unsafe ? "; AcceptUnsafeVault=yes" : "");
}

/* True: the row is about a key that a vault of the configuration keeps, and q is a request about that. */
static bool make_request(const struct config *c, struct json_object *row, struct vault_request *q, const struct vault_config **ret) {
        const char *digest = json_text(row, "digest"), *uuid = json_text(row, "uuid");

        *q = (struct vault_request) { .op = VAULT_OP_CHECK_STORED, .stored = true };
        if (strlen(digest) != 2 * sizeof(q->digest) || !uuid_is_valid(uuid) || hex_decode(digest, q->digest, sizeof(q->digest)) < 0 ||
            key_uri_parse(json_text(row, "key"), &q->key, NULL) < 0)
                return false;
        memcpy(q->volume, uuid, sizeof(q->volume));
        *ret = config_find_vault(c, &q->key, NULL);
        return *ret;
}

/* Once for a vault: the permission is the vault's. */
static int ask_to_set(struct worker *w, const struct vault_config *v, struct vault_request *q, struct vault_reply *y, struct findings *l) {
        int r;

        q->op = VAULT_OP_MAY_STORE;
        r = worker_ask(w, v, q, y, NULL);
        if (r >= 0 && y->verdict == VERDICT_DENIED)
                finding_add(l, FINDING_SECRET_REFUSED, "the vault %s has KeyVersion=latest, which sets secrets, and this node may not: %s", v->name,
                            y->text);
        return r;
}

static int ask_about(struct worker *w, const struct vault_config *v, struct vault_request *q, const char *volume, struct findings *l) {
        _cleanup_(freep) struct vault_reply *y = calloc(2, sizeof(*y));
        char name[STORED_NAME_SIZE];
        bool gone;
        int r;

        if (!y)
                return -ENOMEM;
        stored_key_name(q->volume, q->digest, name);
        r = worker_ask(w, v, q, y, NULL);
        gone = r >= 0 && y->verdict == VERDICT_REVOKED && y->http_status == 404;
        if (gone) {
                q->op = VAULT_OP_CHECK_DELETED;
                r = worker_ask(w, v, q, y + 1, NULL);
        }
        if (r < 0)
                return r;
        judge_secret(v, volume, name, y, gone ? y + 1 : NULL, l);
        return v->key_version == KEY_VERSION_LATEST ? ask_to_set(w, v, q, y, l) : 0;
}

int find_secret_faults(struct worker *w, const struct config *c, struct json_object *list, struct findings *l) {
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *row = json_object_array_get_idx(list, i);
                const struct vault_config *v;
                struct vault_request q;
                int r;

                if (!streq(json_text(row, "use"), "needed") || !make_request(c, row, &q, &v))
                        continue;
                r = ask_about(w, v, &q, json_text(row, "volume"), l);
                if (r < 0)
                        return worker_complain(v, r, NULL);
        }
        return EXIT_CODE_DONE;
}
