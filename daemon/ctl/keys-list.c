/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include <time.h>

#include "worker.h"

/* cmkctl keys list: what a vault says it has, to choose from. The node needs the permission list on keys. */

#define PAGES_MAX 1000u

struct listing {
        const struct vault_config *vault;
        const char *key;               /* of which the versions are listed, or NULL */
        struct json_object *list;
};

static const struct vault_config *find_vault(const struct config *c, const char *what) {
        const struct vault_config *v = config_vault_by_name(c, what);
        char host[272];

        for (const struct vault_config *o = c->vaults; !v && o; o = o->next) {
                snprintf(host, sizeof(host), o->port == 443 ? "%s" : "%s:%u", o->host, o->port);
                if (strcasecmp(host, what) == 0)
                        v = o;
        }
        return v;
}

static bool is_allowed(const struct vault_config *v, const char *name) {
        for (char **k = v->keys; *k; k++)
                if (strcasecmp(*k, name) == 0)
                        return true;
        return false;
}

static int take_page(struct listing *l, const struct vault_list *page) {
        for (unsigned i = 0; i < page->n; i++) {
                struct json_object *o = json_object_new_object();
                struct key_uri u;

                if (!o || json_object_array_add(l->list, o) < 0) {
                        json_object_put(o);
                        return fail(EXIT_CODE_FAILED, "out of memory");
                }
                (void) key_uri_parse(page->items[i].kid, &u, NULL);      /* it was one when it was decoded */
                json_put_text(o, "kid", page->items[i].kid);
                json_put_text(o, "name", u.name);
                if (l->key)
                        json_put_text(o, "version", u.version);
                json_object_object_add(o, "allowed", json_object_new_boolean(is_allowed(l->vault, u.name)));
                json_object_object_add(o, "enabled", json_object_new_boolean(page->items[i].key_flags & VAULT_KEY_ENABLED));
                json_object_object_add(o, "purge_protected",
                                       json_object_new_boolean(page->items[i].key_flags & VAULT_KEY_PURGE_PROTECTED));
                json_put_number(o, "created", page->items[i].created);
                json_put_number(o, "not_before", page->items[i].not_before);
                json_put_number(o, "expires", page->items[i].expires);
        }
        return EXIT_CODE_DONE;
}

/* Page by page; one that is named twice in a row would have no end. */
static int ask(struct listing *l, struct worker *w) {
        _cleanup_(freep) struct vault_reply *y = calloc(1, sizeof(*y));
        _cleanup_(freep) struct vault_list *page = calloc(1, sizeof(*page));
        const struct vault_config *v = l->vault;
        struct vault_request q = { .op = l->key ? VAULT_OP_LIST_VERSIONS : VAULT_OP_LIST_KEYS, .key.port = v->port };
        int code, r;

        if (!y || !page)
                return fail(EXIT_CODE_FAILED, "out of memory");
        snprintf(q.key.host, sizeof(q.key.host), "%s", v->host);
        snprintf(q.key.name, sizeof(q.key.name), "%s", l->key ? l->key : v->keys[0]);
        for (unsigned n = 0; n < PAGES_MAX; n++) {
                r = worker_ask(w, v, &q, y, page);
                if (r < 0 || y->verdict != VERDICT_GRANTED)
                        return worker_complain(v, r, y);
                code = take_page(l, page);
                if (code != EXIT_CODE_DONE || y->blob_size == 0)
                        return code;
                if (y->blob_size == q.blob_size && memcmp(y->blob, q.blob, q.blob_size) == 0)
                        break;
                memcpy(q.blob, y->blob, y->blob_size);
                q.blob_size = y->blob_size;
        }
        return fail(EXIT_CODE_UNREACHABLE, "vault %s: its list has no end", v->name);
}

static void add_time(struct table *t, uint64_t sec) {
        time_t when = (time_t) sec;
        char text[32] = "";
        struct tm tm;

        if (sec > 0 && sec <= INT32_MAX * UINT64_C(1000) && gmtime_r(&when, &tm))
                strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &tm);
        table_add(t, text);
}

static bool flag(struct json_object *o, const char *name) {
        return json_object_get_boolean(json_get(o, name, json_type_boolean));
}

static int print_table(const struct listing *l) {
        static const char *const keys[] = { "NAME", "ALLOWED", "ENABLED", "PURGE PROTECTED", "CREATED", "NOT BEFORE", "EXPIRES" };
        static const char *const versions[] = { "VERSION", "ENABLED", "CREATED", "NOT BEFORE", "EXPIRES" };
        struct table t;

        if (l->key)
                table_start(&t, versions, ELEMENTSOF(versions));
        else
                table_start(&t, keys, ELEMENTSOF(keys));
        for (size_t i = 0; i < json_object_array_length(l->list); i++) {
                struct json_object *o = json_object_array_get_idx(l->list, i);

                table_add(&t, json_text(o, l->key ? "version" : "name"));
                if (!l->key)
                        table_add(&t, flag(o, "allowed") ? "yes" : "no");
                table_add(&t, flag(o, "enabled") ? "yes" : "no");
                if (!l->key)
                        table_add(&t, flag(o, "purge_protected") ? "yes" : "no");
                add_time(&t, json_number(o, "created"));
                add_time(&t, json_number(o, "not_before"));
                add_time(&t, json_number(o, "expires"));
        }
        return table_print(&t);
}

int verb_keys_list(const struct invocation *in) {
        _cleanup_(json_object_putp) struct json_object *list = json_object_new_array();
        _cleanup_(config_freep) struct config *c = NULL;
        _cleanup_(worker_close) struct worker w = { .fd = -EBADF };
        _cleanup_(freep) char *why = NULL;
        const char *root = strempty(in->values[OPTION_ROOT]);
        struct listing l = { .list = list };
        int code, r;

        r = config_load(root, &c, &why);
        if (r < 0 || !list)
                return fail(EXIT_CODE_FAILED, "%s", why ? why : strerror(r < 0 ? -r : ENOMEM));
        l.vault = find_vault(c, in->args[0]);
        if (!l.vault)
                return fail(EXIT_CODE_POLICY, "%s is neither a [Vault NAME] of the configuration nor the host of one", in->args[0]);
        l.key = in->n_args > 1 ? in->args[1] : NULL;
        if (l.key && !is_allowed(l.vault, l.key))
                return fail(EXIT_CODE_POLICY, "key %s is not in Keys= of [Vault %s]", l.key, l.vault->name);
        code = worker_open(root, &w);
        if (code == EXIT_CODE_DONE)
                code = ask(&l, &w);
        if (code != EXIT_CODE_DONE)
                return code;
        return has_option(in, OPTION_JSON) ? print_json(list) : print_table(&l);
}
