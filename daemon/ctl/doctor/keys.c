/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <time.h>

#include "common/algorithm.h"

#define DAY 86400u
#define SOON (30 * DAY)

enum finding_kind kind_of_refusal(const struct vault_reply *y, enum finding_kind refused) {
        if (y->verdict == VERDICT_DENIED_WEAK && y->http_status == 403)
                return FINDING_VAULT_NETWORK;
        return y->verdict == VERDICT_UNREACHABLE || y->verdict == VERDICT_THROTTLED || y->verdict == VERDICT_BROKEN ? FINDING_VAULT_SILENT : refused;
}

/* What the vault said in place of an answer. */
static void judge_refusal(const struct vault_config *v, const char *key, const char *what, const struct vault_reply *y,
                          struct findings *l) {
        finding_add(l, kind_of_refusal(y, FINDING_KEY_REFUSED), "key %s of the vault %s, asked %s: %s (%s): %s", key, v->name,
                    what, verdict_to_string(y->verdict), *y->code ? y->code : "no code", *y->text ? y->text : "nothing said");
}

static void judge_dates(const struct vault_config *v, const char *key, const struct vault_reply *y, uint64_t now, struct findings *l) {
        if (y->not_before > now)
                finding_add(l, FINDING_KEY_UNFIT, "key %s of the vault %s is not valid for another %llu days", key, v->name,
                            (unsigned long long) (y->not_before - now) / DAY + 1);
        if (y->expires > 0 && y->expires <= now)
                finding_add(l, FINDING_KEY_UNFIT, "key %s of the vault %s expired %llu days ago", key, v->name,
                            (unsigned long long) (now - y->expires) / DAY);
        else if (y->expires > 0 && y->expires - now <= SOON)
                finding_add(l, FINDING_KEY_EXPIRES, "key %s of the vault %s expires in %llu days", key, v->name,
                            (unsigned long long) (y->expires - now) / DAY);
}

static bool type_is_fit(const struct vault_reply *y) {
        if (algorithm_is_symmetric(y->key_type))
                return true;
        return y->spki_size > 0 && (y->key_bits == 2048 || y->key_bits == 3072 || y->key_bits == 4096);
}

void judge_key(const struct vault_config *v, const char *key, const struct vault_reply *y, const struct vault_reply *wrapped,
               uint64_t now, struct findings *l) {
        if (y->verdict != VERDICT_GRANTED) {
                judge_refusal(v, key, "for itself", y, l);
                return;
        }
        if (!(y->key_flags & VAULT_KEY_ENABLED))
                finding_add(l, FINDING_KEY_UNFIT, "key %s of the vault %s is disabled", key, v->name);
        if (!(y->key_flags & VAULT_KEY_CAN_WRAP) || !(y->key_flags & VAULT_KEY_CAN_UNWRAP))
                finding_add(l, FINDING_KEY_UNFIT, "key %s of the vault %s lacks wrapKey or unwrapKey among its permitted operations", key,
                            v->name);
        if (!type_is_fit(y))
                finding_add(l, FINDING_KEY_UNFIT, "key %s of the vault %s (%s, %u bits) is neither an RSA key of 2048, 3072 or 4096 bits "
                            "nor a symmetric key of a type that is known here", key, v->name, *y->key_type ? y->key_type : "of no type",
                            y->key_bits);
        if (!(y->key_flags & VAULT_KEY_PURGE_PROTECTED))
                finding_add(l, v->accept_unsafe ? FINDING_VAULT_ACCEPTED : FINDING_VAULT_UNSAFE,
                            "key %s of the vault %s can be destroyed at once and for good (%s)%s", key, v->name,
                            *y->recovery_level ? y->recovery_level : "no recovery level",
                            v->accept_unsafe ? "; AcceptUnsafeVault=yes" : "");
        judge_dates(v, key, y, now, l);
        if (wrapped && streq(y->key_type, ALGORITHM_KW) && wrapped->verdict == VERDICT_MISCONFIGURED && wrapped->http_status == 400)
                finding_add(l, FINDING_KEY_UNFIT, "key %s of the vault %s does not wrap with " ALGORITHM_KW ": it is not one of 256 bits", key,
                            v->name);
        else if (wrapped && wrapped->verdict != VERDICT_GRANTED)
                judge_refusal(v, key, "to wrap", wrapped, l);
}

/* One that is not is refused for that, which says nothing of permissions. */
static bool may_wrap(const struct vault_reply *y, uint64_t now) {
        return y->verdict == VERDICT_GRANTED && y->key_flags & VAULT_KEY_ENABLED && y->key_flags & VAULT_KEY_CAN_WRAP &&
               y->not_before <= now && (y->expires == 0 || y->expires > now);
}

void judge_excess(const struct vault_config *v, const char *key, const struct vault_reply *excess, struct findings *l) {
        if (excess->verdict == VERDICT_GRANTED)
                finding_add(l, FINDING_KEY_EXCESS, "with key %s of the vault %s this node may more than it needs: %s", key, v->name, excess->text);
}

/* q: about a version that is there. */
static int ask_excess(struct worker *w, const struct vault_config *v, const char *key, struct vault_request *q, struct findings *l) {
        _cleanup_(freep) struct vault_reply *y = calloc(1, sizeof(*y));
        int r;

        if (!y)
                return -ENOMEM;
        q->op = VAULT_OP_CHECK_EXCESS;
        q->blob_size = 0;
        r = worker_ask(w, v, q, y, NULL);
        if (r >= 0)
                judge_excess(v, key, y, l);
        return r;
}

static int ask_key(struct worker *w, const struct vault_config *v, const char *key, struct findings *l) {
        _cleanup_(freep) struct vault_reply *y = calloc(2, sizeof(*y));
        struct vault_request q = { .op = VAULT_OP_GET_KEY, .key.port = v->port };
        uint64_t now = (uint64_t) time(NULL);
        bool asks_wrap;
        int r;

        if (!y)
                return -ENOMEM;
        snprintf(q.key.host, sizeof(q.key.host), "%s", v->host);
        snprintf(q.key.name, sizeof(q.key.name), "%s", key);
        r = worker_ask(w, v, &q, y, NULL);
        if (r < 0)
                return r;
        asks_wrap = may_wrap(y, now) && key_uri_parse(y->kid, &q.key, NULL) >= 0;
        if (asks_wrap) {
                q.op = VAULT_OP_WRAP;
                if (algorithm_is_symmetric(y->key_type))
                        snprintf(q.algorithm, sizeof(q.algorithm), "%s", y->key_type);
                random_bytes(q.blob, VAULT_CHALLENGE_SIZE);
                q.blob_size = VAULT_CHALLENGE_SIZE;
                r = worker_ask(w, v, &q, y + 1, NULL);
        }
        if (r >= 0)
                judge_key(v, key, y, asks_wrap ? y + 1 : NULL, now, l);
        return r >= 0 && asks_wrap ? ask_excess(w, v, key, &q, l) : r;
}

int find_key_faults(struct worker *w, const struct config *c, struct findings *l) {
        for (const struct vault_config *v = c->vaults; v; v = v->next)
                for (char **k = v->keys; *k; k++) {
                        int r = ask_key(w, v, *k, l);

                        if (r < 0)
                                return worker_complain(v, r, NULL);
                }
        return EXIT_CODE_DONE;
}
