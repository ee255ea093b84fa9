/* SPDX-License-Identifier: Apache-2.0 */
#include "login-watch.h"

struct login_watch_said {
        LIST_ENTRY(login_watch_said) said;
        const char *event;
        char vault[sizeof(((struct vault_request *) 0)->vault)];
        char code[sizeof(((struct vault_reply *) 0)->code)];
};

static const struct { const char *code, *event; } known[] = {
        { VAULT_CODE_SECRET_ID_TAKEN, "login_alarm" },
        { VAULT_CODE_SECRET_ID_FOREIGN, "login_alarm" },
        { VAULT_CODE_SECRET_ID_REPLACED, "login_replaced" },
        { VAULT_CODE_SEALED, "vault_sealed" },
        { VAULT_CODE_NAMESPACE_LOCKED, "vault_sealed" },
};

static const char *event_of(const struct vault_reply *y) {
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(known[i].code, y->code))
                        return known[i].event;
        return NULL;
}

static void forget(struct login_watch_said *s) {
        LIST_REMOVE(s, said);
        free(s);
}

void login_watch_clear(struct login_watch *w) {
        while (!LIST_EMPTY(&w->said))
                forget(LIST_FIRST(&w->said));
}

/* What was said of it is over, but for the event of now. */
static void forget_others(struct login_watch *w, const char *vault, const char *event) {
        struct login_watch_said *s, *next;

        for (s = LIST_FIRST(&w->said); s; s = next) {
                next = LIST_NEXT(s, said);
                if (streq(s->vault, vault) && !streq_ptr(s->event, event))
                        forget(s);
        }
}

static struct login_watch_said *find(const struct login_watch *w, const char *vault, const char *event) {
        struct login_watch_said *s;

        LIST_FOREACH(s, &w->said, said)
                if (streq(s->vault, vault) && streq(s->event, event))
                        return s;
        return NULL;
}

const char *login_watch_look(struct login_watch *w, const char *vault, const struct vault_reply *y) {
        const char *event = event_of(y);
        struct login_watch_said *s;

        if (y->verdict == VERDICT_GRANTED)
                forget_others(w, vault, event);
        if (!event)
                return NULL;
        s = find(w, vault, event);
        if (s && streq(s->code, y->code))
                return NULL;
        if (!s && (s = calloc(1, sizeof(*s)))) {
                s->event = event;
                snprintf(s->vault, sizeof(s->vault), "%s", vault);
                LIST_INSERT_HEAD(&w->said, s, said);
        }
        if (s)
                snprintf(s->code, sizeof(s->code), "%s", y->code);
        return event;           /* without memory: said once too often rather than not at all */
}
