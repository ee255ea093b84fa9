/* SPDX-License-Identifier: Apache-2.0 */
#include "login-watch.h"

struct login_watch_vault {
        LIST_ENTRY(login_watch_vault) vaults;
        char name[sizeof(((struct vault_request *) 0)->vault)];
        char code[sizeof(((struct vault_reply *) 0)->code)];
};

static const struct { const char *code, *event; } known[] = {
        { VAULT_CODE_SECRET_ID_TAKEN, "login_alarm" },
        { VAULT_CODE_SECRET_ID_FOREIGN, "login_alarm" },
        { VAULT_CODE_SECRET_ID_REPLACED, "login_replaced" },
};

static const char *event_of(const struct vault_reply *y) {
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(known[i].code, y->code))
                        return known[i].event;
        return NULL;
}

static void forget(struct login_watch_vault *v) {
        LIST_REMOVE(v, vaults);
        free(v);
}

void login_watch_clear(struct login_watch *w) {
        while (!LIST_EMPTY(&w->vaults))
                forget(LIST_FIRST(&w->vaults));
}

static struct login_watch_vault *find(const struct login_watch *w, const char *vault) {
        struct login_watch_vault *v;

        LIST_FOREACH(v, &w->vaults, vaults)
                if (streq(v->name, vault))
                        return v;
        return NULL;
}

const char *login_watch_look(struct login_watch *w, const char *vault, const struct vault_reply *y) {
        struct login_watch_vault *v = find(w, vault);
        const char *event = event_of(y);

        if (!event) {
                if (v && y->verdict == VERDICT_GRANTED)
                        forget(v);
                return NULL;
        }
        if (v && streq(v->code, y->code))
                return NULL;
        if (!v && (v = calloc(1, sizeof(*v)))) {
                snprintf(v->name, sizeof(v->name), "%s", vault);
                LIST_INSERT_HEAD(&w->vaults, v, vaults);
        }
        if (v)
                snprintf(v->code, sizeof(v->code), "%s", y->code);
        return event;           /* without memory: said once too often rather than not at all */
}
